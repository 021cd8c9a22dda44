"""Nearest neighbours for implicit data: of items, of users."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.kernels import neighbours as kernels
from recsys.models.base import Can
from recsys.models.history import HistoryRecommender, SumsOfHistories, faded
from recsys.models.parameters import Check, at_least, between, flag, one_of, optional, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import blocks, distinct, expect, numbers, pack, pair_keys, restore_numbers, unpack

__all__ = ["ItemKNN", "ItemNeighbours", "UserKNN", "nearest", "ragged", "similarity_rows"]


_LEAST = 50  # neighbours of items by default
_OF_ITEMS = 600  # more of them, relative to the events of a user or an item
_ALL_ITEMS = 20_000  # more of them, relative to the number of items
_OF_USERS = 4000  # events of the neighbours of a user by default
_USUAL = 0.05  # share of events that repeat a pair
_ASKED = 1000  # users whose last events choose the decay
_DECAYS = (1.0, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2)


class _Cosine(LearnsAgain, SumsOfHistories):
    """What the two share: parameters, weights and the search for neighbours."""

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": optional(whole(1)), "shrink": at_least(0), "alpha": between(0, 1),
        "weights": one_of("binary", "value", "idf")}

    neighbours: int | None
    shrink: float
    alpha: float
    weights: str
    neighbours_: int

    def __init__(self, *, neighbours: int | None = None, shrink: float = 0.0, alpha: float = 0.3,
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

    Where people come back to items, as in sessions, an item is also like itself: `s(i, i)` is the same with `x_i . x_i`
    replaced by its part from users who interacted with i more than once. And the weight of j in a history is
    `decay ** (number of events since)`. Both are taken from the data.

    Parameters
    ----------
    neighbours : int, optional
        By default 50, or what is more of 600 divided by the mean number of events of a user, or of an item, and 20,000
        divided by the number of items: what says little by itself needs many neighbours, and few items can all be some.
    shrink : float
        Lowers similarities that few users support.
    alpha : float
        1/2 is the cosine; more divides by the size of the recommended item, less by that of the history's.
    recent : int or None
        Score only so many last events of a history (training uses all): what came last says most where
        interests move.
    weights : {"binary", "value", "idf"}
        What the entries of X are: 1, the interaction's (last) value, or the item's inverse frequency.
    repeats : bool, optional
        Whether an item is like itself, for `recommend(filter_seen=False)`. By default, whether at least a twentieth of
        the events are of a pair that was there before.
    decay : float, optional
        Weight of an event relative to the one after it; 1 is none. By default, without repeats 1, and else what places
        the last events of some users, who are then left out of the neighbours' search, best.

    Attributes
    ----------
    neighbours_ : int
    repeats_ : bool
    decay_ : float
        What was taken.

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

    checks: ClassVar[dict[str, Check]] = {"recent": optional(whole(1)), "repeats": optional(flag()),
                                          "decay": optional(between(0, 1))}

    repeats: bool | None
    decay: float | None

    def __init__(self, *, neighbours: int | None = None, shrink: float = 10.0, alpha: float = 0.3,
                 recent: int | None = None, weights: str = "binary", repeats: bool | None = None,
                 decay: float | None = None) -> None:
        super().__init__(neighbours=neighbours, shrink=shrink, alpha=alpha, weights=weights)
        self.recent, self.repeats, self.decay = recent, repeats, decay

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        events = data.csr
        self.repeats_ = _repeating(events) if self.repeats is None else self.repeats
        rows = self._keep(data)
        self.neighbours_ = _enough(rows) if self.neighbours is None else self.neighbours
        self.decay_ = 1.0 if self.decay is None else float(self.decay)
        if self.decay is None and self.repeats_:
            self.decay_ = self._best_decay(rows, events)
        self._search(rows, events)
        if self.decay_ != 1:
            self._keep(data)

    def _search(self, rows: CSR, events: CSR) -> None:
        """Neighbours, and what an item has to do with itself."""
        self._near = nearest(rows.T, rows, self.neighbours_, self.shrink, self.alpha, np.arange(len(self.items)))
        self._again = _again(rows, events, self.shrink) if self.repeats_ else None
        self._influence = self._near.T  # row j: the items that have j as a neighbour

    def _best_decay(self, rows: CSR, events: CSR) -> float:
        """The decay by which others' neighbours rank the last events of some users best, by the mean of 1 / rank."""
        able = np.flatnonzero(events.counts > 1)
        asked = able[np.linspace(0, len(able) - 1, min(_ASKED, len(able) // 4)).astype(np.int64)]
        if not len(asked):
            return 1.0
        others = np.ones(len(rows.counts), bool)
        others[asked] = False
        self._search(rows.where(others[rows.row_of_entry]), events.where(others[events.row_of_entry]))
        mine = events.rows(asked)
        last = mine.indptr[1:] - 1
        before = np.ones(mine.nnz, bool)
        before[last] = False
        history, target = mine.where(before), mine.indices[last]
        prepared = self._prepare(history)
        return max(_DECAYS, key=lambda decay: self._mean_reciprocal(faded(history, prepared, decay), target))

    def _mean_reciprocal(self, history: CSR, target: np.ndarray) -> float:
        total = 0.0
        for block in blocks(*history.shape):
            scores = self._score_histories(history.rows(np.arange(block.start, block.stop)))
            own = scores[np.arange(len(scores)), target[block]][:, None]
            total += float(((own[:, 0] > 0) / (1 + (scores > own).sum(axis=1))).sum())
        return total / len(target)

    def _score_histories(self, history: CSR) -> np.ndarray:
        rows = self._influence
        scores = np.asarray(kernels.sum_sparse_rows(history.indptr, history.indices, history.weights, rows.indptr,
                                                    rows.indices, rows.weights, len(self.items)))
        if self._again is not None:
            scores[history.row_of_entry, history.indices] += history.weights * self._again[history.indices]
        return scores

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        near, similarity = self._near.row(item)
        row = np.zeros(len(self.items), np.float32)
        row[near] = similarity
        row[item] = 0 if self._again is None else self._again[item]
        return np.asarray(row[indices] * (1 if values is None else values))

    def _state(self) -> dict[str, np.ndarray]:
        again = {} if self._again is None else {"again": self._again}
        return super()._state() | again | numbers(self, "decay_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self._influence = self._near.T
        self._again = expect(state, "again", (len(self.items),), np.float32) if "again" in state else None
        self.repeats_ = self._again is not None
        restore_numbers(self, state, decay_=1.0)
        self.neighbours_ = int(self._near.counts.max(initial=1)) if self.neighbours is None else self.neighbours


def _enough(rows: CSR) -> int:
    """How many neighbours of items there are by default."""
    fewest = min(_events_each(rows), _events_each(rows.T))
    return max(_LEAST, round(_OF_ITEMS / fewest), _ALL_ITEMS // max(int((rows.T.counts > 0).sum()), 1))


def _events_each(rows: CSR) -> float:
    """Mean number of events of a row that has any."""
    return max(rows.nnz, 1) / max(int((rows.counts > 0).sum()), 1)


def _repeating(events: CSR) -> bool:
    """Whether it is usual that a pair comes again."""
    return events.nnz - events.unique().nnz >= _USUAL * events.nnz


def _again(rows: CSR, events: CSR, shrink: float) -> np.ndarray:
    """The similarity of items to themselves, by the users who met them more than once: float32 (n_items,)."""
    pattern, n = events.unique(), events.shape[1]
    place = np.searchsorted(pair_keys(pattern), pair_keys(events))
    twice = np.bincount(place, minlength=pattern.nnz) > 1  # of the distinct pairs, as in `rows`
    squares = rows.weights.astype(np.float64) ** 2
    whole = np.bincount(rows.indices, squares, n)
    return np.asarray(np.bincount(rows.indices, squares * twice, n) / np.maximum(whole + shrink, 1e-12), np.float32)


class UserKNN(_Cosine):
    """Items of users like this one, by cosine of their items.

    `s(u, v) = x_u . x_v / (|x_u| ** (2 alpha) * |x_v| ** (2 (1 - alpha)) + shrink)`; the score of i is
    `sum over v in N(u) of s(u, v) x_vi`, where N(u) are the nearest neighbours of the history. They are looked
    up when they are needed: `fit` keeps the histories, and a user of the training data is a neighbour of itself.
    `partial_fit` gives what `fit` of all events gives.

    Parameters
    ----------
    neighbours : int, optional
        By default so many that they have 4000 events together, as users go on average.
    shrink, weights
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
        rows = self._keep(data)
        own = max(1, round(_OF_USERS / _events_each(rows)))
        self.neighbours_ = own if self.neighbours is None else self.neighbours
        self._finish()

    def _finish(self) -> None:
        self._columns = self._history_of(np.arange(len(self.users))).T  # (n_items, n_users)

    def _near(self, history: CSR, own: np.ndarray | None = None) -> CSR:
        return nearest(history, self._columns, self.neighbours_, self.shrink, self.alpha, own)

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

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | numbers(self, "neighbours_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        restore_numbers(self, state, neighbours_=self.neighbours)
        self.neighbours_ = int(self.neighbours_)
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
