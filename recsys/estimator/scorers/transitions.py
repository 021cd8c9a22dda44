"""Scores from counted transitions between items."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, pack, unpack
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.kernels import neighbours as kernels

__all__ = ["Transitions"]


class Transitions(HistoryScorer):
    """Score of i = `sum over the d-th last item j of decay ** (d - 1) (T[j, i] + smoothing q(i)) / (T[j] + smoothing)`.

    Parameters
    ----------
    can : Can
    histories : Histories
    transitions : CSR, shape (n_items, n_items)
        T, each pair once.
    item_counts : ndarray, shape (n_items,)
        Of all events; q is the share of each item.
    smoothing, decay : float
    recent : int or None
        How many of the last items count; None for all.
    """

    plainly = ("For the things you had last it is counted what people took next; what came next most often is shown "
               "first.")

    def __init__(self, can: Can, histories: Histories, transitions: CSR, item_counts: np.ndarray, *, smoothing: float,
                 decay: float, recent: int | None) -> None:
        super().__init__(can, histories, len(item_counts))
        self.transitions, self.smoothing, self.decay, self.recent = transitions, smoothing, decay, recent
        self._totals = np.bincount(transitions.row_of_entry, transitions.weights, self.n_items)
        self._share = (item_counts / item_counts.sum()).astype(np.float32)

    def _weights(self, history: CSR) -> np.ndarray:
        """`decay ** (d - 1) / (T[j] + smoothing)` of every event of the histories: float64 (nnz,)."""
        last = np.repeat(history.indptr[1:], history.counts) - 1
        age = last - np.arange(history.nnz)
        return np.asarray(self.decay ** age.astype(np.float64) / (self._totals[history.indices] + self.smoothing))

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        recent = history if self.recent is None else history.tail(self.recent)
        weights, rows = self._weights(recent), self.transitions
        scores = kernels.sum_sparse_rows(recent.indptr, recent.indices, weights.astype(np.float32),
                                         rows.indptr, rows.indices, rows.weights, self.n_items)
        smooth = self.smoothing * np.bincount(recent.row_of_entry, weights, recent.shape[0])
        smooth[recent.counts == 0] = 1.0  # nothing is known: the shares themselves
        scores += smooth.astype(np.float32)[:, None] * self._share
        return np.asarray(scores)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The terms of the sum: (n,)."""
        n = len(indices)
        weights = self._weights(CSR(np.array([0, n]), indices, None, (1, self.n_items)))
        if self.recent is not None:
            weights[:-self.recent] = 0
        after, found = self.transitions.T.row(item)
        into = np.zeros(self.n_items)
        into[after] = 1 if found is None else found
        return np.asarray(weights * (into[indices] + self.smoothing * self._share[item]))

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """What comes after an item: `T[j, i] / (T[j] + smoothing)`; -inf where nothing was seen."""
        after = self.transitions.rows(items)
        similar = np.full(after.shape, -np.inf, np.float32)
        rows = after.row_of_entry
        similar[rows, after.indices] = after.weights / (self._totals[items][rows] + self.smoothing)
        return similar

    def state(self) -> State:
        """The counts and the histories."""
        settings = {"histories": self.histories.settings(), "smoothing": self.smoothing, "decay": self.decay,
                    "recent": self.recent}
        return settings, self.histories.arrays() | pack("transitions", self.transitions)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        n = len(facts.items)
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   unpack("transitions", arrays, (n, n)), facts.item_counts, smoothing=settings["smoothing"],
                   decay=settings["decay"], recent=settings["recent"])
