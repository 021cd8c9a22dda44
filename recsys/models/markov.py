"""Markov chain of items: what comes after the last ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.kernels import neighbours as kernels
from recsys.models.base import Can
from recsys.models.history import HistoryRecommender
from recsys.models.parameters import Check, above, between, optional, whole
from recsys.models.sparse import pack, unpack
from recsys.models.updating import behind

__all__ = ["Markov"]


class Markov(HistoryRecommender):
    """Smoothed transitions between items, summed over the last items of the history.

    `P(i | j) = (T[j, i] + smoothing * q(i)) / (T[j] + smoothing)`, where `T[j, i]` counts how often i
    came within `window` events after j (the d-th with weight `window_decay ** (d - 1)`), `T[j]` is the sum
    of a row and q the share of each item in all events. The score of i is
    `sum over the d-th last item j of the history of decay ** (d - 1) * P(i | j)`, over `order` items.

    The order of a history is the order of time, and of the rows where times tie. `partial_fit` counts all again, new
    events behind the old ones, in one pass: it gives what `fit` of all events gives.

    Parameters
    ----------
    order : int or None
        How many of the last events count; None for all.
    decay : float
        Weight of an event relative to the one after it.
    window : int
        How far apart two events may be to count as a transition.
    window_decay : float
        Weight of a transition relative to one that is one event shorter.
    smoothing : float
        Events by popularity that every row of transitions is given.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam", "tea", "jam", "jam", "bun"])
    >>> Markov().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, sequence=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "order": optional(whole(1)), "decay": between(0, 1), "window": whole(1), "window_decay": between(0, 1),
        "smoothing": above(0)}

    order: int | None
    decay: float
    window: int
    window_decay: float
    smoothing: float

    def __init__(self, *, order: int | None = None, decay: float = 0.6, window: int = 5, window_decay: float = 0.7,
                 smoothing: float = 10.0) -> None:
        self._store(locals())

    def _prepare(self, history: CSR) -> CSR:
        return CSR(history.indptr, history.indices, None, history.shape)

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self._count(self._keep(data))

    def _partial_fit(self, data: Interactions) -> None:
        """New events follow the old ones; counting all again is one pass and gives what `fit` would."""
        old, new = self._history_of(np.arange(self._n_counted)), data.csr
        self.history = behind(old, CSR(new.indptr, new.indices, None, new.shape))
        self._count(self.history)

    def _count(self, history: CSR) -> None:
        self._n_counted, n = history.shape
        user, item = history.row_of_entry, history.indices
        keys, weights = [], []
        farthest = max(int(history.counts.max(initial=0)) - 1, 1)
        for distance in range(1, min(self.window, farthest) + 1):
            same = user[distance:] == user[:-distance]
            keys.append(item[:-distance][same] * np.int64(n) + item[distance:][same])
            weights.append(np.full(len(keys[-1]), self.window_decay ** (distance - 1)))
        pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
        rows, columns = np.divmod(pairs, n)
        counts = np.bincount(place, np.concatenate(weights), len(pairs))
        self._transitions = CSR.from_pairs(rows, columns, counts, (n, n))
        self._finish()

    def _finish(self) -> None:
        """What follows from the counts: row sums (n_items,) and shares q (n_items,)."""
        rows = self._transitions
        self._totals = np.bincount(rows.row_of_entry, rows.weights, len(self.items))
        self._share = (self.item_counts / self.item_counts.sum()).astype(np.float32)

    def _weights(self, history: CSR) -> np.ndarray:
        """`decay ** (d - 1) / (T[j] + smoothing)` of every event of the histories: float64 (nnz,)."""
        last = np.repeat(history.indptr[1:], history.counts) - 1
        age = last - np.arange(history.nnz)
        return np.asarray(self.decay ** age.astype(np.float64) / (self._totals[history.indices] + self.smoothing))

    def _score_histories(self, history: CSR) -> np.ndarray:
        recent = history if self.order is None else history.tail(self.order)
        weights, rows = self._weights(recent), self._transitions
        scores = kernels.sum_sparse_rows(recent.indptr, recent.indices, weights.astype(np.float32),
                                         rows.indptr, rows.indices, rows.weights, len(self.items))
        smooth = self.smoothing * np.bincount(recent.row_of_entry, weights, recent.shape[0])
        smooth[recent.counts == 0] = 1.0  # nothing is known: the shares themselves
        scores += smooth.astype(np.float32)[:, None] * self._share
        return np.asarray(scores)

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        n = len(indices)
        weights = self._weights(CSR(np.array([0, n]), indices, None, (1, len(self.items))))
        if self.order is not None:
            weights[:-self.order] = 0
        after, found = self._transitions.T.row(item)
        into = np.zeros(len(self.items))
        into[after] = 1 if found is None else found
        return np.asarray(weights * (into[indices] + self.smoothing * self._share[item]))

    def _item_similarity(self, indices: np.ndarray) -> np.ndarray:
        """What comes after an item: `T[j, i] / (T[j] + smoothing)`; -inf where nothing was seen."""
        after = self._transitions.rows(indices)
        similar = np.full(after.shape, -np.inf, np.float32)
        rows = after.row_of_entry
        similar[rows, after.indices] = after.weights / (self._totals[indices][rows] + self.smoothing)
        return similar

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | pack("transitions", self._transitions)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self._transitions = unpack("transitions", state, (len(self.items), len(self.items)))
        self._n_counted = len(self.users)
        self._finish()
