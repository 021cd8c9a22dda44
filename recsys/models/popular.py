"""Popularity: the same list for everyone, and the yardstick for every other list."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.models.base import Can, Recommender
from recsys.models.parameters import Check, above, at_least, one_of, optional
from recsys.models.sparse import expect

__all__ = ["Popular"]


class Popular(Recommender):
    """Items by their number of events, or by their mean value.

    `count(i) = sum over events of i of w`, with `w = 2 ** (-age / half_life)` if there is a half-life
    (age before the latest event), else 1. `mean(i) = (sum w value + prior m) / (sum w + prior)`, where
    m is the mean over all events: few events stay near the mean. `partial_fit` adds to the sums: it gives what `fit` of
    all events gives, up to rounding (a relative 1e-6), and costs what is new.

    Parameters
    ----------
    by : {"count", "mean"}
    half_life : float, optional
        In the unit of the times (seconds, as a rule). Needs data with times.
    prior : float
        Events of mean value that every item is given; for `by="mean"`.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 2, 3, 3], ["tea", "tea", "tea", "jam"])
    >>> Popular().fit(data).recommend(1, k=5).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, cold_user=True, partial_fit=True)
    checks: ClassVar[dict[str, Check]] = {"by": one_of("count", "mean"), "half_life": optional(above(0)),
                                          "prior": at_least(0)}

    by: str
    half_life: float | None
    prior: float

    def __init__(self, *, by: str = "count", half_life: float | None = None, prior: float = 10.0) -> None:
        self._store(locals())

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self._sums = np.zeros((2, len(data.items)))  # weights and weighted values, (2, n_items)
        self._latest = 0 if data.time is None else int(data.time.max())
        self._add(data)

    def _partial_fit(self, data: Interactions) -> None:
        grown = np.zeros((2, len(data.items)))
        grown[:, :self._sums.shape[1]] = self._sums
        self._sums = grown
        if self.half_life is not None and data.time is not None:
            latest = max(self._latest, int(data.time.max()))
            self._sums *= 2.0 ** (-(latest - self._latest) / self.half_life)
            self._latest = latest
        self._add(data)

    def _add(self, data: Interactions) -> None:
        weight = np.ones(len(data))
        if self.half_life is not None:
            if data.time is None:
                raise DataError("Popular: half_life needs data with times; give times, or set half_life=None.")
            weight = 2.0 ** (-(self._latest - data.time) / self.half_life)
        value = weight if data.value is None else weight * data.value
        self._sums += [np.bincount(data.item, w, len(data.items)) for w in (weight, value)]
        weights, values = self._sums
        self._scores = weights.astype(np.float32)
        if self.by == "mean":
            mean = values.sum() / weights.sum()
            total = weights + self.prior
            self._scores = np.divide(values + self.prior * mean, total, out=np.full(len(total), mean),
                                     where=total > 0).astype(np.float32)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self._scores, (len(users), 1))

    def _fold(self, history: CSR) -> np.ndarray:
        return np.tile(self._scores, (history.shape[0], 1))

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.asarray(self._scores[items])

    def _state(self) -> dict[str, np.ndarray]:
        return {"sums": self._sums, "scores": self._scores, "latest": np.array(self._latest, np.int64)}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        n = len(self.items)
        self._sums, self._scores = expect(state, "sums", (2, n), np.float64), expect(state, "scores", (n,), np.float32)
        self._latest = int(expect(state, "latest", ()))
