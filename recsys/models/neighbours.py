"""Nearest neighbours for implicit data: of items, of users."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.kernels import neighbours as kernels
from recsys.models.base import Can
from recsys.models.history import HistoryRecommender
from recsys.models.parameters import Check, at_least, between, one_of, optional, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import distinct, pack, unpack

__all__ = ["ItemKNN", "ItemNeighbours", "UserKNN", "nearest", "ragged", "similarity_rows"]


class _Cosine(LearnsAgain, HistoryRecommender):
    """What the two share: parameters, weights and the search for neighbours."""

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": whole(1), "shrink": at_least(0), "alpha": between(0, 1),
        "weights": one_of("binary", "value", "idf")}

    neighbours: int
    shrink: float
    alpha: float
    weights: str

    def __init__(self, *, neighbours: int = 50, shrink: float = 0.0, alpha: float = 0.3,
                 weights: str = "binary") -> None:
        self._store(locals())

    def _prepare(self, history: CSR) -> CSR:
        if self.weights == "value":
            return distinct(history)
        rows = history.unique()
        return rows if self.weights == "binary" else CSR(rows.indptr, rows.indices, self._idf[rows.indices], rows.shape)

    def _keep(self, data: Interactions) -> CSR:
        if self.weights == "idf":
            self._idf = inverse_frequency(self.item_counts, len(data.users))
        return super()._keep(data)

    def _evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores != 0)  # else the sum was empty

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        if self.weights == "idf":
            self._idf = inverse_frequency(self.item_counts, len(self.users))


class ItemNeighbours(HistoryRecommender):
    """What models with a list of similar items for each item share: `_near`, (n_items, n_items), best first."""

    _near: CSR

    def _item_similarity(self, indices: np.ndarray) -> np.ndarray:
        return similarity_rows(self._near, indices)

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | pack("near", self._near)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self._near = unpack("near", state, (len(self.items), len(self.items)))


class ItemKNN(ItemNeighbours, _Cosine):
    """Items like those of the history, by cosine of their users.

    `s(i, j) = x_i . x_j / (|x_i| ** (2 alpha) * |x_j| ** (2 (1 - alpha)) + shrink)`; of each item i the
    nearest neighbours N(i) are kept, and the score of i is `sum over j in history and N(i) of x_uj s(i, j)`.
    Memory grows with items times neighbours. `partial_fit` gives what `fit` of all events gives, at its cost.

    Parameters
    ----------
    neighbours : int
    shrink : float
        Lowers similarities that few users support.
    alpha : float
        1/2 is the cosine; more divides by the size of the recommended item, less by that of the history's.
    recent : int or None
        Score only so many last events of a history (training uses all): what came last says most where
        interests move.
    weights : {"binary", "value", "idf"}
        What the entries of X are: 1, the interaction's (last) value, or the item's inverse frequency.

    References
    ----------
    Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Aiolli, Efficient
    top-N recommendation for very large scale binary rated datasets, RecSys 2013 (alpha).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> ItemKNN().fit(data).similar_items("tea").items.tolist()
    ['jam']
    """

    checks: ClassVar[dict[str, Check]] = {"recent": optional(whole(1))}

    def __init__(self, *, neighbours: int = 100, shrink: float = 10.0, alpha: float = 0.4, recent: int | None = None,
                 weights: str = "binary") -> None:
        super().__init__(neighbours=neighbours, shrink=shrink, alpha=alpha, weights=weights)
        self.recent = recent

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        rows = self._keep(data)
        self._near = nearest(rows.T, rows, self.neighbours, self.shrink, self.alpha, np.arange(len(self.items)))
        self._influence = self._near.T  # row j: the items that have j as a neighbour

    def _score_histories(self, history: CSR) -> np.ndarray:
        rows = self._influence
        return np.asarray(kernels.sum_sparse_rows(history.indptr, history.indices, history.weights, rows.indptr,
                                                  rows.indices, rows.weights, len(self.items)))

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        near, similarity = self._near.row(item)
        row = np.zeros(len(self.items), np.float32)
        row[near] = similarity
        return np.asarray(row[indices] * (1 if values is None else values))

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self._influence = self._near.T


class UserKNN(_Cosine):
    """Items of users like this one, by cosine of their items.

    `s(u, v) = x_u . x_v / (|x_u| ** (2 alpha) * |x_v| ** (2 (1 - alpha)) + shrink)`; the score of i is
    `sum over v in N(u) of s(u, v) x_vi`, where N(u) are the nearest neighbours of the history. They are looked
    up when they are needed: `fit` keeps the histories, and a user of the training data is a neighbour of itself.
    `partial_fit` gives what `fit` of all events gives.

    Parameters
    ----------
    neighbours, shrink, weights
        As for `ItemKNN`, of users.
    alpha : float
        1/2 is the cosine; less divides more by the size of the neighbour.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "bun", "bun"])
    >>> UserKNN().fit(data).recommend(1, k=1).items.tolist()
    ['bun']
    """

    needs_histories: ClassVar[bool] = True

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self._keep(data)
        self._finish()

    def _finish(self) -> None:
        self._columns = self._history_of(np.arange(len(self.users))).T  # (n_items, n_users)

    def _near(self, history: CSR, own: np.ndarray | None = None) -> CSR:
        return nearest(history, self._columns, self.neighbours, self.shrink, self.alpha, own)

    def _score_histories(self, history: CSR) -> np.ndarray:
        near, rows = self._near(history), self._history_of(np.arange(len(self.users)))
        return np.asarray(kernels.sum_sparse_rows(near.indptr, near.indices, near.weights, rows.indptr,
                                                  rows.indices, rows.weights, len(self.items)))

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """A similarity is a sum over the items in common, so each item of the history has its share of it."""
        mine = CSR(np.array([0, len(indices)]), indices, values, (1, len(self.items)))
        near, similarity = self._near(mine).row(0)
        theirs = self._history_of(near).toarray()  # (neighbours, n_items)
        common = theirs[:, indices] * mine.weights  # (neighbours, n)
        return np.asarray((similarity * theirs[:, item] / common.sum(axis=1)) @ common)

    def _user_similarity(self, indices: np.ndarray) -> np.ndarray:
        near = nearest(self._history_of(indices), self._columns, len(self.users), self.shrink, self.alpha, indices)
        return similarity_rows(near, np.arange(len(indices)))

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self._finish()


def nearest(rows: CSR, columns: CSR, k: int, shrink: float, alpha: float, own: np.ndarray | None = None) -> CSR:
    """The k rows of Y (n, m) with the highest cosine to each row of X (B, m).

    Parameters
    ----------
    rows : CSR
        X; each pair once.
    columns : CSR
        The transpose of Y, (m, n).
    k, shrink, alpha
        See `ItemKNN`.
    own : ndarray of int32, shape (B,), optional
        The row of Y to leave out for each row of X; by default none.

    Returns
    -------
    CSR, shape (B, n)
        Similarities, all above 0, best first within a row.
    """
    n = columns.shape[1]
    squares = np.bincount(rows.row_of_entry, rows.weights.astype(np.float64) ** 2, rows.shape[0])
    other = np.bincount(columns.indices, columns.weights.astype(np.float64) ** 2, n)
    own = np.full(rows.shape[0], -1, np.int32) if own is None else own.astype(np.int32)
    found, similarity = kernels.top_similar(
        rows.indptr, rows.indices, rows.weights, columns.indptr, columns.indices, columns.weights,
        squares ** alpha, other ** (1 - alpha), own, min(k, n), float(shrink), False)
    return ragged(found, similarity, n)


def ragged(found: np.ndarray, similarity: np.ndarray, n: int) -> CSR:
    """Lists filled up with -1 -> CSR (B, n), in the order of the lists."""
    held = found >= 0
    indptr = np.zeros(len(found) + 1, np.int64)
    np.cumsum(held.sum(axis=1), out=indptr[1:])
    return CSR(indptr, found[held], similarity[held], (len(found), n))


def similarity_rows(near: CSR, rows: np.ndarray) -> np.ndarray:
    """Some rows of a sparse similarity as a dense block; -inf where there is none."""
    part = near.rows(rows)
    block = np.full(part.shape, -np.inf, np.float32)
    block[part.row_of_entry, part.indices] = part.weights
    return block


def inverse_frequency(counts: np.ndarray, n_users: int) -> np.ndarray:
    """`log(1 + n_users / count)` of every item: float32 (n_items,)."""
    return np.asarray(np.log1p(n_users / np.maximum(counts, 1)), np.float32)
