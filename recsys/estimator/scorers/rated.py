"""Ratings from the deviations of neighbours from the baseline: of similar items, of similar users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, blocks, expect, pack, unpack
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.estimator.scorers.biases import fold_user_bias, known_biases, plus_biases
from recsys.estimator.scorers.neighbours import ragged
from recsys.estimator.scorers.similarities import similarity_rows
from recsys.kernels import neighbours as kernels

__all__ = ["Baseline", "ItemRatings", "UserRatings", "correlated"]


@dataclass(frozen=True, eq=False)
class Baseline:
    """Mean and biases, and how strongly the bias of a new user is drawn to 0.

    Parameters
    ----------
    mean : float
    user_bias, item_bias : ndarray of float64, shapes (n_users,), (n_items,)
    reg_user : float
    """

    mean: float
    user_bias: np.ndarray
    item_bias: np.ndarray
    reg_user: float

    def fold(self, history: CSR) -> np.ndarray:
        """The bias of each history's user: float64 (B,)."""
        return fold_user_bias(history, self.mean, self.item_bias, self.reg_user)

    def deviations(self, history: CSR, user_bias: np.ndarray) -> CSR:
        """Ratings less the baseline of these users."""
        baseline = self.mean + user_bias[history.row_of_entry] + self.item_bias[history.indices]
        return CSR(history.indptr, history.indices, np.asarray(history.weights - baseline, np.float32), history.shape)


@dataclass(frozen=True)
class Averaging:
    """How neighbours make a mean: over at most `neighbours`, at least `min_neighbours`, `prior` for the baseline."""

    neighbours: int
    min_neighbours: int
    prior: float


class _Rated(HistoryScorer):
    """What the two share."""

    of_users: ClassVar[tuple[str, ...]] = ("user_bias",)
    needs_values = True

    def __init__(self, can: Can, histories: Histories, baseline: Baseline, averaging: Averaging, *, shrink: float,
                 pool: int) -> None:
        super().__init__(can, histories, len(baseline.item_bias))
        self.baseline, self.averaging, self.shrink, self.pool = baseline, averaging, shrink, pool

    @cached_property
    def _deviations(self) -> CSR:
        """Those of the stored histories."""
        return self.baseline.deviations(self.histories.rows, self.user_bias)

    @property
    def user_bias(self) -> np.ndarray:
        """(n_users,)."""
        return self.baseline.user_bias

    @property
    def item_bias(self) -> np.ndarray:
        """(n_items,)."""
        return self.baseline.item_bias

    def cold_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The mean plus whatever bias is known: (n,)."""
        return known_biases(self.baseline.mean, self.user_bias, self.item_bias, users, items)

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, user: int = -1) -> float:
        """The baseline."""
        return float(self.baseline.mean + self._single(indices, values)[1][0] + self.item_bias[item])

    def _single(self, indices: np.ndarray, values: np.ndarray | None) -> tuple[CSR, np.ndarray]:
        """One history as a matrix (1, n_items), less its baseline, and its user's bias (1,)."""
        mine = CSR(np.array([0, len(indices)]), indices, values, (1, self.n_items))
        bias = self.baseline.fold(mine)
        return self.baseline.deviations(mine, bias), bias

    def _shares(self, near: CSR, row: int, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The neighbours of a row that count, being among `held`, and their shares of the mean."""
        chosen = near.indptr[row] + np.flatnonzero(np.isin(near.row(row)[0], held))[:self.averaging.neighbours]
        chosen = chosen[:0] if len(chosen) < self.averaging.min_neighbours else chosen
        similarity = near.weights[chosen].astype(np.float64)
        return near.indices[chosen], similarity / (similarity.sum() + self.averaging.prior)

    def _mean(self, held: CSR, pairs_indptr: np.ndarray, targets: np.ndarray, near: CSR) -> np.ndarray:
        """For pairs (row of `held`, target): the mean deviation over the target's neighbours in the row."""
        how = self.averaging
        return np.asarray(kernels.rate(
            held.indptr, held.indices, held.weights, pairs_indptr, targets, near.indptr, near.indices,
            near.weights, held.shape[1], how.neighbours, how.min_neighbours, float(how.prior)))

    def state(self) -> State:
        """The biases, the histories, and how neighbours are found and averaged."""
        settings = {"histories": self.histories.settings(), "mean": self.baseline.mean,
                    "reg_user": self.baseline.reg_user, **vars(self.averaging), "shrink": self.shrink,
                    "pool": self.pool}
        return settings, self.histories.arrays() | {"user_bias": self.user_bias, "item_bias": self.item_bias}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        user = expect(arrays, "user_bias", (len(facts.users),), np.float64)
        item = expect(arrays, "item_bias", (len(facts.items),), np.float64)
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   Baseline(settings["mean"], user, item, settings["reg_user"]),
                   Averaging(settings["neighbours"], settings["min_neighbours"], settings["prior"]),
                   shrink=settings["shrink"], pool=settings["pool"], **cls._more(arrays, facts))

    @classmethod
    def _more(cls, arrays: Arrays, facts: Facts) -> dict[str, Any]:
        return {}


class ItemRatings(_Rated):
    """`r(u, i) = b(u, i) + sum s(i, j) (r(u, j) - b(u, j)) / (sum s(i, j) + prior)`, j over the rated neighbours of i.

    Parameters
    ----------
    can : Can
    histories : Histories
    baseline : Baseline
    averaging : Averaging
    shrink : float
    pool : int
        See `correlated`.
    near : CSR, shape (n_items, n_items)
        The similar items of each item, best first.
    """

    plainly = ("How you would rate an item is guessed from your ratings of items that the same people rated alike; "
               "the highest guesses are shown first.")

    def __init__(self, can: Can, histories: Histories, baseline: Baseline, averaging: Averaging, *, shrink: float,
                 pool: int, near: CSR) -> None:
        super().__init__(can, histories, baseline, averaging, shrink=shrink, pool=pool)
        self.near = near

    def score_histories(self, history: CSR) -> np.ndarray:
        """Ratings of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        (n_rows, n), bias = history.shape, self.baseline.fold(history)
        targets = np.tile(np.arange(n, dtype=np.int32), n_rows)
        means = self._mean(self.baseline.deviations(history, bias), np.arange(n_rows + 1) * n, targets, self.near)
        return plus_biases(self.baseline.mean + means.reshape(n_rows, n), bias, self.item_bias)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings of pairs: (n,)."""
        pairs = CSR.from_pairs(users, np.arange(len(users)), shape=(len(self.user_bias), len(users)))
        out = self.baseline.mean + self.user_bias[users] + self.item_bias[items]
        out[pairs.indices] += self._mean(self._deviations, pairs.indptr, items[pairs.indices], self.near)
        return np.asarray(out, np.float32)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The terms of the mean: (n,)."""
        weight = np.zeros(self.n_items)
        counting, shares = self._shares(self.near, item, indices)
        weight[counting] = shares
        return np.asarray(weight[indices] * self._single(indices, values)[0].weights)

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """The neighbours of items: (B, n_items)."""
        return similarity_rows(self.near, items)

    def state(self) -> State:
        """The neighbours, too."""
        settings, arrays = super().state()
        return settings, arrays | pack("near", self.near)

    @classmethod
    def _more(cls, arrays: Arrays, facts: Facts) -> dict[str, Any]:
        return {"near": unpack("near", arrays, (len(facts.items), len(facts.items)))}


class UserRatings(_Rated):
    """The same with users and items exchanged; similar users are looked up when they are needed."""

    plainly = ("How you would rate an item is guessed from the ratings of people who rate as you do; the highest "
               "guesses are shown first.")

    needs_histories = True

    def _near(self, history: CSR, bias: np.ndarray, own: np.ndarray | None = None) -> CSR:
        own = np.full(history.shape[0], -1) if own is None else own
        return self._correlated(self.baseline.deviations(history, bias), own)

    def _correlated(self, deviations: CSR, own: np.ndarray) -> CSR:
        return correlated(deviations, self._deviations.T, own, self.pool, self.shrink)

    def score_histories(self, history: CSR) -> np.ndarray:
        """Ratings of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        (n_rows, n), bias = history.shape, self.baseline.fold(history)
        targets = np.tile(np.arange(n_rows, dtype=np.int32), n)
        means = self._mean(self._deviations.T, np.arange(n + 1) * n_rows, targets, self._near(history, bias))
        return plus_biases(self.baseline.mean + means.reshape(n, n_rows).T, bias, self.item_bias)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Ratings of pairs: (n,)."""
        out = self.baseline.mean + self.user_bias[users] + self.item_bias[items]
        asked, place = np.unique(users, return_inverse=True)
        for block in blocks(len(asked), len(self.user_bias)):
            part = np.flatnonzero((place >= block.start) & (place < block.stop))
            near = self._near(self.stored(asked[block]), self.user_bias[asked[block]])
            pairs = CSR.from_pairs(items[part], np.arange(len(part)), shape=(self.n_items, len(part)))
            targets = (place[part] - block.start).astype(np.int32)[pairs.indices]
            out[part[pairs.indices]] += self._mean(self._deviations.T, pairs.indptr, targets, near)
        return np.asarray(out, np.float32)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """A correlation is a sum over the items in common, so each item of the history has its share of it: (n,)."""
        mine, _ = self._single(indices, values)
        near = self._correlated(mine, np.array([-1]))
        counting, shares = self._shares(near, 0, self._deviations.T.row(item)[0])
        theirs = self._deviations.rows(counting).toarray().astype(np.float64)  # (neighbours, n_items)
        common = theirs[:, indices] * mine.weights  # (neighbours, n)
        return np.asarray((shares * theirs[:, item] / common.sum(axis=1)) @ common)

    def similar_users(self, users: np.ndarray) -> np.ndarray:
        """The correlations of users: (B, n_users)."""
        near = self._near(self.stored(users), self.user_bias[users], users)
        return similarity_rows(near, np.arange(len(users)))


def correlated(rows: CSR, columns: CSR, own: np.ndarray, pool: int, shrink: float) -> CSR:
    """The `pool` rows of Y (n, m) with the highest shrunk correlation to each row of X (B, m): CSR (B, n).

    Of deviations, over the c columns in common, times `(c - 1) / (c - 1 + shrink)`. `columns` is the transpose of Y,
    and `own`, int (B,), the row of Y to leave out.
    """
    n = columns.shape[1]
    found, similarity = kernels.top_similar(
        rows.indptr, rows.indices, rows.weights, columns.indptr, columns.indices, columns.weights,
        np.ones(rows.shape[0]), np.ones(n), own.astype(np.int32), min(pool, n), float(shrink), True)
    return ragged(found, similarity, n)
