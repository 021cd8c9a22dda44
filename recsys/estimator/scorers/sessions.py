"""Scores from what came next in the sessions that are nearest to a history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories, ages, faded
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.estimator.scorers.neighbours import ragged
from recsys.kernels import neighbours as kernels

__all__ = ["SessionNeighbours"]


class SessionNeighbours(HistoryScorer):
    """Score of i = sum over the sessions v nearest to the history of `s(v) m(v) w(v, i)`; see `recsys.models.VSTAN`.

    Parameters
    ----------
    can : Can
    histories : Histories
        With the stored sessions, of form "events"; its `frequency`, if there is one, weighs items.
    moments : ndarray of int64, shape (n_users,)
        When each session ended.
    neighbours, pool, asymmetry, decay, match_decay, window_decay, backward, repeats, half_life
        See `recsys.models.VSTAN`; all given.
    """

    plainly = ("The visits of other people that were most like yours are looked up; what came next in them is shown "
               "first.")

    of_users: ClassVar[tuple[str, ...]] = ("moments",)
    needs_histories = True

    def __init__(self, can: Can, histories: Histories, moments: np.ndarray, *, neighbours: int, pool: int,
                 asymmetry: float, decay: float, match_decay: float, window_decay: float, backward: float,
                 repeats: bool, half_life: float | None) -> None:
        super().__init__(can, histories, histories.rows.shape[1])
        self.moments, self.neighbours_, self.pool, self.asymmetry = moments, neighbours, pool, asymmetry
        self.decay, self.match_decay, self.window_decay, self.backward = decay, match_decay, window_decay, backward
        self.repeats, self.half_life = repeats, half_life
        rows = self._weighed(histories.rows)
        order = np.argsort(moments, kind="stable")
        latest = rows.rows(order).T.tail(pool)  # (n_items, n_users)
        self._columns = replace(latest, indices=order[latest.indices].astype(np.int32))
        self._scale = _squares(rows) ** (1 - asymmetry)
        if half_life is not None:
            age = np.where(rows.counts > 0, moments.max(initial=np.iinfo(np.int64).min) - moments, 0)
            self._scale *= 2.0 ** np.minimum(age / half_life, _OLDEST)
        self._powers = float(window_decay) ** np.arange(max(int(histories.rows.counts.max(initial=0)), 1))

    def _weighed(self, history: CSR) -> CSR:
        """The distinct items of a history, weighed: CSR (B, n_items) -> (B, n_items)."""
        rows, frequency = history.unique(), self.histories.frequency
        return rows if frequency is None else replace(rows, data=frequency[rows.indices])

    def _near(self, history: CSR) -> tuple[CSR, CSR]:
        """The distinct items of histories as they are compared, and the nearest sessions."""
        rows = faded(history, self._weighed(history), self.decay)
        found, similarity = kernels.top_similar(
            rows.indptr, rows.indices, rows.weights, self._columns.indptr, self._columns.indices,
            self._columns.weights, _squares(rows) ** self.asymmetry, self._scale, np.full(rows.shape[0], -1, np.int32),
            min(self.neighbours_, len(self.moments)), 0.0, False)
        return rows, ragged(found, similarity, len(self.moments))

    def _continued(self, mine: CSR, near: CSR) -> np.ndarray:
        """What stands around items of a given age, (B, n_items), in near sessions."""
        rows, fading = self.histories.rows, np.float32(self.match_decay) ** mine.weights
        return np.asarray(kernels.continuations(mine.indptr, mine.indices, fading, mine.weights, near.indptr,
                                                near.indices, near.weights, rows.indptr, rows.indices, self._powers,
                                                self.backward, self.repeats, self.n_items))

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for events in their order: CSR (B, n_items) -> (B, n_items)."""
        return self._continued(ages(history), self._near(history)[1])

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else the sum was empty."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """A similarity is a sum over the items in common, so each item of the history has its share of it: (n,)."""
        history = CSR(np.array([0, len(indices)]), indices, None, (1, self.n_items))
        (rows, near), n = self._near(history), len(self.moments)
        similarity = np.zeros(n)
        similarity[near.indices] = near.weights
        part = self._columns.rows(rows.indices)  # (m, n_users): the sessions of each item
        part = part.where(similarity[part.indices] > 0)
        common = part.weights * rows.weights[part.row_of_entry].astype(np.float64)
        total = np.bincount(part.indices, common, n)
        shares = replace(part, data=(common / total[part.indices] * similarity[part.indices]).astype(np.float32))
        mine = ages(history).rows(np.zeros(len(rows.indices), np.int64))
        out = np.zeros(len(indices))
        last = len(indices) - 1 - np.unique(indices[::-1], return_index=True)[1]  # of each distinct item
        out[last] = self._continued(mine, shares)[:, item]
        return out

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """What came next after an item alone: (B, n_items), -inf where nothing did."""
        scores = self.score_histories(CSR(np.arange(len(items) + 1), np.asarray(items, np.int32), None,
                                          (len(items), self.n_items)))
        return np.where(scores > 0, scores, np.float32(-np.inf))

    def state(self) -> State:
        """The sessions and their ends, and how they are compared and read."""
        settings = {"histories": self.histories.settings(), "neighbours": self.neighbours_}
        settings |= {name: getattr(self, name) for name in _SETTINGS}
        return settings, self.histories.arrays() | {"moments": self.moments}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   expect(arrays, "moments", (len(facts.users),), np.int64), neighbours=settings["neighbours"],
                   **{name: settings[name] for name in _SETTINGS})


_SETTINGS = ("pool", "asymmetry", "decay", "match_decay", "window_decay", "backward", "repeats", "half_life")
_OLDEST = 1000.0  # half-lives


def _squares(rows: CSR) -> np.ndarray:
    """The squared length of each row: float64 (n_rows,)."""
    return np.bincount(rows.row_of_entry, rows.weights.astype(np.float64) ** 2, rows.shape[0])
