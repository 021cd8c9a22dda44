"""Scores from a table of similarities: what each item of a history says for all others."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect, pack, unpack, unpack_if
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.kernels import neighbours as kernels

__all__ = ["DenseSimilarities", "SparseSimilarities", "similarity_rows"]


class DenseSimilarities(HistoryScorer):
    """Score of i = sum over the items j of the history of `x_j S[j, i]`, with all of S.

    Parameters
    ----------
    can : Can
    histories : Histories
    item_weights : ndarray of float32, shape (n_items, n_items)
        S.
    """

    plainly = ("Each thing you had speaks for other things, by how often the same people had both; what gets most of "
               "these votes is shown first.")

    def __init__(self, can: Can, histories: Histories, item_weights: np.ndarray) -> None:
        super().__init__(can, histories, len(item_weights))
        self.item_weights = item_weights

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        return history.times(self.item_weights)

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else the sum was empty."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The terms of the sum: (n,)."""
        return np.asarray(self.item_weights[indices, item] * (1 if values is None else values))

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """What each item adds to the scores of the others, where it adds: (B, n_items)."""
        rows = self.item_weights[items]
        return np.where(rows > 0, rows, np.float32(-np.inf))

    def state(self) -> State:
        """The table and the histories."""
        return {"histories": self.histories.settings()}, self.histories.arrays() | {"item_weights": self.item_weights}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        weights = expect(arrays, "item_weights", (len(facts.items), len(facts.items)), np.float32)
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts), weights)


class SparseSimilarities(HistoryScorer):
    """The same with the nearest neighbours of each item alone, and what an item has to do with itself.

    Parameters
    ----------
    can : Can
    histories : Histories
    near : CSR, shape (n_items, n_items)
        The transpose of S without its diagonal: the similar items of each item, best first.
    again : ndarray of float32, shape (n_items,), optional
        The diagonal of S.
    influence : CSR, shape (n_items, n_items), optional
        S without its diagonal, if it is there already: the items that have an item as a neighbour.
    """

    plainly = ("Each thing you had speaks for the things most like it, by how often the same people had both; what "
               "gets most of these votes is shown first.")

    def __init__(self, can: Can, histories: Histories, near: CSR, again: np.ndarray | None = None,
                 influence: CSR | None = None) -> None:
        super().__init__(can, histories, near.shape[0])
        self.near, self.again = near, again
        self.influence = near.T if influence is None else influence

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        rows = self.influence
        scores = np.asarray(kernels.sum_sparse_rows(history.indptr, history.indices, history.weights, rows.indptr,
                                                    rows.indices, rows.weights, self.n_items))
        if self.again is not None:
            scores[history.row_of_entry, history.indices] += history.weights * self.again[history.indices]
        return scores

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else the sum was empty."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The terms of the sum: (n,)."""
        column = np.zeros(self.n_items, np.float32)  # of S
        found, similarity = self.near.row(item)
        column[found] = similarity
        column[item] = 0 if self.again is None else self.again[item]
        return np.asarray(column[indices] * (1 if values is None else values))

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """The neighbours of items, as far as they speak for them: (B, n_items)."""
        rows = similarity_rows(self.near, items)
        return np.where(rows > 0, rows, np.float32(-np.inf))

    def state(self) -> State:
        """The lists and the histories."""
        again = {} if self.again is None else {"again": self.again}
        near = pack("near", self.near) | pack("influence", self.influence)  # as mapped files are shared, and copies not
        return {"histories": self.histories.settings()}, self.histories.arrays() | near | again

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        n = len(facts.items)
        again = expect(arrays, "again", (n,), np.float32) if "again" in arrays else None
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   unpack("near", arrays, (n, n)), again, unpack_if("influence", arrays, (n, n)))


def similarity_rows(near: CSR, rows: np.ndarray) -> np.ndarray:
    """Some rows of a sparse similarity as a dense block; -inf where there is none."""
    part = near.rows(rows)
    block = np.full(part.shape, -np.inf, np.float32)
    block[part.row_of_entry, part.indices] = part.weights
    return block
