"""Scores from a history by a filter of the graph of users and items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State

__all__ = ["Filtered", "Response", "normalised"]

_AT_ONCE = 64  # histories, so that what is multiplied stays in cache
_ROUNDING = 1e-6  # of the largest score; what is below it may be where no path leads


@dataclass(frozen=True)
class Response:
    """`x -> (x D^-b first(P) D^b + low_pass x D^-c V V' D^c) then(P)`, a filter of `Filtered`.

    Parameters
    ----------
    first, then : sequence of float
        Polynomials, by their coefficients of the Chebyshev polynomials of `I - 2 P`, whose eigenvalues are between -1
        and 1 as those of P are between 0 and 1.
    tilt, low_tilt : float
        b and c.
    low_pass : float
    """

    first: Sequence[float] = (0.5, -0.5)
    then: Sequence[float] = (1.0,)
    tilt: float = 0.0
    low_tilt: float = 0.0
    low_pass: float = 0.0


class Filtered(HistoryScorer):
    """Scores = `(x D^-b first(P) D^b + low_pass x D^-c V V' D^c) then(P)`, x being the items of a history.

    `P = A' A`, where `A = D_u^-1/2 R D^-1/2`, R has a 1 where a user had an item, D_u are the numbers of items of users
    and D the numbers of users of items. It is never formed: a product with it is one with A and one with its transpose.

    Parameters
    ----------
    can : Can
    histories : Histories
        With the stored ones, R.
    item_users : ndarray of float32, shape (n_items,)
        D.
    singular : ndarray of float32, shape (n_items, f)
        V, the right singular vectors of A with the largest singular values.
    response : Response
    """

    plainly = ("What you had is passed on to the items that the same people had, and from these once more, as heat "
               "spreads along the links between people and items; where most arrives is shown first.")

    needs_histories = True

    def __init__(self, can: Can, histories: Histories, item_users: np.ndarray, singular: np.ndarray,
                 response: Response) -> None:
        super().__init__(can, histories, len(item_users))
        self.item_users, self.singular, self.response = item_users, singular, response
        self._across = np.ascontiguousarray(singular.T)
        self._rows = normalised(histories.rows, item_users)
        self._columns = self._rows.T

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        out = np.empty(history.shape, np.float32)
        for start in range(0, len(out), _AT_ONCE):
            block = np.arange(start, min(start + _AT_ONCE, len(out)))
            out[block] = self._score(history.rows(block)).T
        return out

    def _score(self, history: CSR) -> np.ndarray:
        """Of a few histories: (n_items, B)."""
        weights = np.asarray(self.item_users[history.indices] > 0, np.float32)  # nothing is known of the others
        signal = np.zeros((self.n_items, history.shape[0]), np.float32)
        signal[history.indices, history.row_of_entry] = weights
        gain = self._gain(self.response.tilt)
        scores = gain * self._polynomial(self.response.first, signal / gain)
        if self.response.low_pass:
            scores += self._low(history, weights).T
        scores = self._polynomial(self.response.then, scores)
        size = np.abs(scores)
        scores[size <= _ROUNDING * size.max(axis=0, initial=0)] = 0
        return scores

    def _low(self, history: CSR, weights: np.ndarray) -> np.ndarray:
        """The part of the largest singular values: (B, n_items)."""
        gain, (rows, length) = self._gain(self.response.low_tilt)[:, 0], (history.shape[0], self.singular.shape[1])
        weights = weights / gain[history.indices]
        inside = replace(history, data=weights).times(self.singular)
        every = np.tile(np.arange(length, dtype=np.int32), rows)
        low = CSR(np.arange(rows + 1) * length, every, inside.ravel(), (rows, length)).times(self._across)
        return np.asarray(low * (np.float32(self.response.low_pass) * gain))

    def _gain(self, tilt: float) -> np.ndarray:
        """`D^tilt`: (n_items, 1)."""
        return np.asarray(np.maximum(self.item_users, 1) ** np.float32(tilt))[:, None]

    def _polynomial(self, coefficients: Sequence[float], signal: np.ndarray) -> np.ndarray:
        """A polynomial of P times some vectors: (n_items, B)."""
        before, now, total = signal, signal, np.float32(coefficients[0]) * signal
        for degree, coefficient in enumerate(coefficients[1:], 1):
            image = self._times_p(now)
            image *= np.float32(-2 if degree == 1 else -4)
            image += now
            if degree > 1:  # T_k = 2 (I - 2 P) T_{k-1} - T_{k-2}
                image += now
                image -= before
            before, now = now, image
            total += np.float32(coefficient) * now
        return total

    def _times_p(self, signal: np.ndarray) -> np.ndarray:
        return self._columns.times(self._rows.times(signal))

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else no path leads from the history to the item."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The filter's column of the item, at the history: (n,)."""
        unit = np.zeros((self.n_items, 1), np.float32)
        unit[item] = 1
        column = self._polynomial(self.response.then, unit)
        gain, low_gain = self._gain(self.response.tilt), self._gain(self.response.low_tilt)
        found = self._polynomial(self.response.first, gain * column) / gain
        if self.response.low_pass:
            inside = runtime.matmul(self._across, low_gain * column)
            found += np.float32(self.response.low_pass) * runtime.matmul(self.singular, inside) / low_gain
        return np.asarray(np.where(self.item_users[indices] > 0, found[indices, 0], 0))

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """What each item adds to the scores of the others, where it adds: (B, n_items)."""
        one = np.arange(len(items) + 1)
        rows = self.score_histories(CSR(one, np.asarray(items, np.int32), None, (len(items), self.n_items)))
        rows[one[:-1], items] = 0
        return np.where(rows > 0, rows, np.float32(-np.inf))

    def state(self) -> State:
        """The histories, the vectors and the response."""
        settings = {"histories": self.histories.settings(), "response": asdict(self.response)}
        return settings, self.histories.arrays() | {"item_users": self.item_users, "singular": self.singular}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        n = len(facts.items)
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   expect(arrays, "item_users", (n,), np.float32), expect(arrays, "singular", (n, None), np.float32),
                   Response(**settings["response"]))


def normalised(rows: CSR, item_users: np.ndarray) -> CSR:
    """`D_u^-1/2 R D^-1/2` of a pattern R.

    Examples
    --------
    >>> normalised(CSR.from_pairs([0, 0, 1], [0, 1, 1]), np.array([1.0, 2.0])).toarray()
    array([[0.70710677, 0.5       ],
           [0.        , 0.70710677]], dtype=float32)
    """
    counts = np.repeat(np.maximum(rows.counts, 1), rows.counts) * np.maximum(item_users[rows.indices], 1.0)
    return CSR(rows.indptr, rows.indices, (counts ** -0.5).astype(np.float32), rows.shape)
