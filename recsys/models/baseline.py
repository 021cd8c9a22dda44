"""Nearest neighbours for ratings: deviations from the baseline, averaged over neighbours."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.kernels import neighbours as kernels
from recsys.models.base import Can
from recsys.models.bias import fit_biases, fold_user_bias, known_biases, plus_biases, require_values
from recsys.models.history import HistoryRecommender, without_histories
from recsys.models.neighbours import ItemNeighbours, ragged, similarity_rows
from recsys.models.parameters import Check, at_least, optional, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import blocks, distinct, expect, numbers, restore_numbers

__all__ = ["ItemKNNBaseline", "UserKNNBaseline"]


class _Baseline(LearnsAgain, HistoryRecommender):
    """What the two share: parameters, biases, deviations from them, and their correlation."""

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": whole(1), "min_neighbours": whole(1), "shrink": at_least(0),
        "prior": at_least(0), "pool": whole(1), "epochs": whole(1), "reg_user": optional(at_least(0)),
        "reg_item": optional(at_least(0))}

    neighbours: int
    min_neighbours: int
    shrink: float
    prior: float
    pool: int
    epochs: int
    reg_user: float | None
    reg_item: float | None

    def __init__(self, *, neighbours: int = 40, min_neighbours: int = 1, shrink: float = 100.0, prior: float = 0.3,
                 pool: int = 1000, epochs: int = 10, reg_user: float | None = None,
                 reg_item: float | None = None) -> None:
        self._store(locals())

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self.user_bias, self.item_bias, self.reg_user_, self.reg_item_ = fit_biases(
            self._keep(data), self.mean_value, self.epochs, self.reg_user, self.reg_item)
        self._finish()

    def _prepare(self, history: CSR) -> CSR:
        require_values(self, history.data)
        return distinct(history)

    def _finish(self) -> None:
        """What follows from histories and biases: deviations (n_users, n_items), where there are histories."""
        self._held = None if self.history is None else self._less_baseline(self.history, self.user_bias)

    @property
    def _deviations(self) -> CSR:
        if self._held is None:
            raise without_histories(self)
        return self._held

    def _less_baseline(self, history: CSR, user_bias: np.ndarray) -> CSR:
        baseline = self.mean_value + user_bias[history.row_of_entry] + self.item_bias[history.indices]
        deviations = np.asarray(history.weights - baseline, np.float32)
        return CSR(history.indptr, history.indices, deviations, history.shape)

    def _fold_bias(self, history: CSR) -> np.ndarray:
        return fold_user_bias(history, self.mean_value, self.item_bias, self.reg_user_)

    def _single(self, indices: np.ndarray, values: np.ndarray | None) -> tuple[CSR, np.ndarray]:
        """One history as a matrix (1, n_items), less its baseline, and its user's bias (1,)."""
        mine = CSR(np.array([0, len(indices)]), indices, require_values(self, values), (1, len(self.items)))
        bias = self._fold_bias(mine)
        return self._less_baseline(mine, bias), bias

    def _shares(self, near: CSR, row: int, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of a row that count, being among `held`, and their shares of the mean."""
        chosen = near.indptr[row] + np.flatnonzero(np.isin(near.row(row)[0], held))[:self.neighbours]
        chosen = chosen[:0] if len(chosen) < self.min_neighbours else chosen
        similarity = near.weights[chosen].astype(np.float64)
        return near.indices[chosen], similarity / (similarity.sum() + self.prior)

    def _correlated(self, rows: CSR, columns: CSR, own: np.ndarray) -> CSR:
        """The `pool` rows of Y with the highest shrunk correlation to each row of X: CSR (B, n)."""
        n = columns.shape[1]
        found, similarity = kernels.top_similar(
            rows.indptr, rows.indices, rows.weights, columns.indptr, columns.indices, columns.weights,
            np.ones(rows.shape[0]), np.ones(n), own.astype(np.int32), min(self.pool, n), float(self.shrink), True)
        return ragged(found, similarity, n)

    def _mean(self, held: CSR, pairs_indptr: np.ndarray, targets: np.ndarray, near: CSR) -> np.ndarray:
        """For pairs (row of `held`, target): the mean deviation over the target's neighbours in the row."""
        return np.asarray(kernels.rate(
            held.indptr, held.indices, held.weights, pairs_indptr, targets, near.indptr, near.indices,
            near.weights, held.shape[1], self.neighbours, self.min_neighbours, float(self.prior)))

    def _predict_unknown(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self.mean_value, self.user_bias, self.item_bias, users, items)

    def _unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> float:
        """The baseline."""
        return float(self.mean_value + self._single(indices, values)[1][0] + self.item_bias[item])

    def _state(self) -> dict[str, np.ndarray]:
        own = {"user_bias": self.user_bias, "item_bias": self.item_bias}
        return super()._state() | own | numbers(self, "prior", "reg_user_", "reg_item_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        restore_numbers(self, state, prior=0.0, reg_user_=self.reg_user, reg_item_=self.reg_item)
        self.user_bias = expect(state, "user_bias", (len(self.users),), np.float64)
        self.item_bias = expect(state, "item_bias", (len(self.items),), np.float64)
        self._finish()


class ItemKNNBaseline(ItemNeighbours, _Baseline):
    """Ratings from the user's ratings of similar items.

    `r(u, i) = b(u, i) + sum s(i, j) (r(u, j) - b(u, j)) / (sum s(i, j) + prior)`, over the (at most `neighbours`) items
    j most similar to i that the user has rated. b is the baseline of `Bias`; s is the correlation of deviations
    from it over the c users in common, times `(c - 1) / (c - 1 + shrink)`; only s > 0 counts. `partial_fit`
    gives what `fit` of all ratings gives, at its cost.

    Parameters
    ----------
    neighbours : int
    min_neighbours : int
        With fewer, the answer is the baseline.
    shrink : float
        Lowers similarities that few users support.
    prior : float
        Similarity that the baseline itself is given: one neighbour that is hardly alike moves it little. 0 takes the
        neighbours' mean as it is.
    pool : int
        How many similar items are stored for each item, from which the rated ones are taken; memory grows
        with items times pool.
    epochs, reg_user, reg_item
        Of the baseline.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.2.
    """

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        super()._fit(data, valid, progress)
        self._near = self._correlated(self._deviations.T, self._deviations, np.arange(len(self.items)))

    def _score_histories(self, history: CSR) -> np.ndarray:
        (n_rows, n), bias = history.shape, self._fold_bias(history)
        targets = np.tile(np.arange(n, dtype=np.int32), n_rows)
        means = self._mean(self._less_baseline(history, bias), np.arange(n_rows + 1) * n, targets, self._near)
        return plus_biases(self.mean_value + means.reshape(n_rows, n), bias, self.item_bias)

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        pairs = CSR.from_pairs(users, np.arange(len(users)), shape=(len(self.users), len(users)))
        out = self.mean_value + self.user_bias[users] + self.item_bias[items]
        out[pairs.indices] += self._mean(self._deviations, pairs.indptr, items[pairs.indices], self._near)
        return np.asarray(out, np.float32)

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        weight = np.zeros(len(self.items))
        counting, shares = self._shares(self._near, item, indices)
        weight[counting] = shares
        return np.asarray(weight[indices] * self._single(indices, values)[0].weights)


class UserKNNBaseline(_Baseline):
    """Ratings from what similar users gave the item.

    `r(u, i) = b(u, i) + sum s(u, v) (r(v, i) - b(v, i)) / (sum s(u, v) + prior)`, over the (at most `neighbours`)
    users v most similar to u who have rated i; b and s as in `ItemKNNBaseline`, with users and items exchanged.
    Similar users are looked up when they are needed: `fit` keeps the ratings and the baseline. `partial_fit` gives what
    `fit` of all ratings gives.

    Parameters
    ----------
    neighbours, min_neighbours, shrink, prior, epochs, reg_user, reg_item
        As for `ItemKNNBaseline`.
    pool : int
        How many similar users are looked at for each user.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.2.
    """

    needs_histories: ClassVar[bool] = True

    def _near(self, history: CSR, bias: np.ndarray, own: np.ndarray | None = None) -> CSR:
        own = np.full(history.shape[0], -1) if own is None else own
        return self._correlated(self._less_baseline(history, bias), self._deviations.T, own)

    def _score_histories(self, history: CSR) -> np.ndarray:
        (n_rows, n), bias = history.shape, self._fold_bias(history)
        targets = np.tile(np.arange(n_rows, dtype=np.int32), n)
        means = self._mean(self._deviations.T, np.arange(n + 1) * n_rows, targets, self._near(history, bias))
        return plus_biases(self.mean_value + means.reshape(n, n_rows).T, bias, self.item_bias)

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        out = self.mean_value + self.user_bias[users] + self.item_bias[items]
        asked, place = np.unique(users, return_inverse=True)
        for block in blocks(len(asked), len(self.users)):
            part = np.flatnonzero((place >= block.start) & (place < block.stop))
            near = self._near(self._history_of(asked[block]), self.user_bias[asked[block]])
            pairs = CSR.from_pairs(items[part], np.arange(len(part)), shape=(len(self.items), len(part)))
            targets = (place[part] - block.start).astype(np.int32)[pairs.indices]
            out[part[pairs.indices]] += self._mean(self._deviations.T, pairs.indptr, targets, near)
        return np.asarray(out, np.float32)

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """A correlation is a sum over the items in common, so each item of the history has its share of it."""
        mine, _ = self._single(indices, values)
        near = self._correlated(mine, self._deviations.T, np.array([-1]))
        counting, shares = self._shares(near, 0, self._deviations.T.row(item)[0])
        theirs = self._deviations.rows(counting).toarray().astype(np.float64)  # (neighbours, n_items)
        common = theirs[:, indices] * mine.weights  # (neighbours, n)
        return np.asarray((shares * theirs[:, item] / common.sum(axis=1)) @ common)

    def _user_similarity(self, indices: np.ndarray) -> np.ndarray:
        near = self._near(self._history_of(indices), self.user_bias[indices], indices)
        return similarity_rows(near, np.arange(len(indices)))
