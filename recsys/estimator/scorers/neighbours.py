"""Scores from the histories of similar users, who are looked up when they are needed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR, stacked
from recsys.estimator.arrays import Arrays, blocks
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.estimator.scorers.similarities import similarity_rows
from recsys.kernels import neighbours as kernels

__all__ = ["UserNeighbours", "nearest", "ragged", "strongest"]


class UserNeighbours(HistoryScorer):
    """Score of i = sum over the users v nearest to the history of `s(u, v) x_vi`.

    Parameters
    ----------
    can : Can
    histories : Histories
        With the stored ones.
    neighbours, shrink, asymmetry
        See `nearest`.
    """

    plainly = ("The people who had most in common with you are looked up; what they had, and you did not, is shown "
               "first.")

    needs_histories = True

    def __init__(self, can: Can, histories: Histories, *, neighbours: int, shrink: float, asymmetry: float) -> None:
        super().__init__(can, histories, histories.rows.shape[1])
        self.neighbours_, self.shrink, self.asymmetry = neighbours, shrink, asymmetry
        self._columns = histories.rows.T  # (n_items, n_users)

    def _near(self, history: CSR) -> CSR:
        return nearest(history, self._columns, self.neighbours_, self.shrink, self.asymmetry)

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        near, rows = self._near(history), self.histories.rows
        return np.asarray(kernels.sum_sparse_rows(near.indptr, near.indices, near.weights, rows.indptr,
                                                  rows.indices, rows.weights, self.n_items))

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else the sum was empty."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """A similarity is a sum over the items in common, so each item of the history has its share of it: (n,)."""
        mine = CSR(np.array([0, len(indices)]), indices, values, (1, self.n_items))
        near, similarity = self._near(mine).row(0)
        theirs = self.histories.rows.rows(near).toarray()  # (neighbours, n_items)
        common = theirs[:, indices] * mine.weights  # (neighbours, n)
        return np.asarray((similarity * theirs[:, item] / common.sum(axis=1)) @ common)

    def similar_users(self, users: np.ndarray) -> np.ndarray:
        """The similarities of users: (B, n_users)."""
        rows = self.histories.rows
        near = nearest(rows.rows(users), self._columns, rows.shape[0], self.shrink, self.asymmetry, users)
        return similarity_rows(near, np.arange(len(users)))

    def state(self) -> State:
        """The histories, and how neighbours are found."""
        settings = {"histories": self.histories.settings(), "neighbours": self.neighbours_, "shrink": self.shrink,
                    "asymmetry": self.asymmetry}
        return settings, self.histories.arrays()

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   **{name: settings[name] for name in ("neighbours", "shrink", "asymmetry")})


def nearest(rows: CSR, columns: CSR, k: int, shrink: float, asymmetry: float, own: np.ndarray | None = None) -> CSR:
    """The k rows of Y (n, m) with the highest cosine to each row of X (B, m).

    `s(u, v) = x_u . y_v / (|x_u| ** (2 asymmetry) * |y_v| ** (2 (1 - asymmetry)) + shrink)`.

    Parameters
    ----------
    rows : CSR
        X; each pair once.
    columns : CSR
        The transpose of Y, (m, n).
    k : int
    shrink, asymmetry : float
    own : ndarray of int32, shape (B,), optional
        The row of Y to leave out for each row of X; by default none.

    Returns
    -------
    CSR, shape (B, n)
        Similarities, all above 0, best first within a row.
    """
    squares = np.bincount(rows.row_of_entry, rows.weights.astype(np.float64) ** 2, rows.shape[0])
    other = np.bincount(columns.indices, columns.weights.astype(np.float64) ** 2, columns.shape[1])
    return strongest(rows, columns, squares ** asymmetry, other ** (1 - asymmetry), k, shrink, own)


def strongest(rows: CSR, columns: CSR, row_scale: np.ndarray, column_scale: np.ndarray, k: int, shrink: float = 0.0,
              own: np.ndarray | None = None) -> CSR:
    """The k largest entries above 0 of each row of `X Y' / (row_scale column_scale' + shrink)`, and never all of it.

    Parameters
    ----------
    rows, columns, k, own
        As for `nearest`.
    row_scale, column_scale : ndarray of float64, shapes (B,) and (n,)
    shrink : float

    Returns
    -------
    CSR, shape (B, n)
        Best first within a row.
    """
    n_rows, n = rows.shape[0], columns.shape[1]
    own, k, found = np.full(n_rows, -1, np.int32) if own is None else own.astype(np.int32), min(k, n), []
    for block in blocks(n_rows, 2 * k):  # lists are of one length, which is that of the longest
        part = rows if block == slice(0, n_rows) else rows.rows(np.arange(block.start, block.stop))
        lists, largest = kernels.top_similar(
            part.indptr, part.indices, part.weights, columns.indptr, columns.indices, columns.weights,
            row_scale[block], column_scale, own[block], k, float(shrink), False)
        found.append(ragged(lists, largest, n))
    return found[0] if len(found) == 1 else stacked(found, n)


def ragged(found: np.ndarray, similarity: np.ndarray, n: int) -> CSR:
    """Lists filled up with -1 -> CSR (B, n), in the order of the lists."""
    held = found >= 0
    indptr = np.zeros(len(found) + 1, np.int64)
    np.cumsum(held.sum(axis=1), out=indptr[1:])
    return CSR(indptr, found[held], similarity[held], (len(found), n))
