"""Scores from what is said of items: profiles of histories against what is said of each item."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, blocks, expect, pack, unpack
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.base import HistoryScorer, State
from recsys.kernels import neighbours as kernels

__all__ = ["Profiles"]


class Profiles(HistoryScorer):
    """Score of i = `p . d_i` with the profile `p = sum_j w_j q_j / sum_j |w_j|` over the items j of the history.

    d are the words of items as they are matched, and q the same words as they make profiles. A weight is 1, or if
    histories have values, `v_j - (sum_k v_k + prior * mean) / (n + prior)`: what is disliked counts against.

    Parameters
    ----------
    can : Can
    histories : Histories
    said : CSR, shape (n_items, n_words)
        d; an item has a word once.
    asked : ndarray of float32, shape (nnz,)
        Its entries in q.
    prior, mean : float
        The weight of the mean value in the mean of a history, and the mean of all values.
    """

    plainly = ("The words and labels that describe what you had make a profile; items described by the same words "
               "are shown first.")

    def __init__(self, can: Can, histories: Histories, said: CSR, asked: np.ndarray, prior: float,
                 mean: float) -> None:
        super().__init__(can, histories, said.shape[0])
        self.said, self.prior, self.mean, self.described = said, prior, mean, (False, True)
        self.asked = asked
        self._asked = CSR(said.indptr, said.indices, asked, said.shape)
        self._columns = said.T  # (n_words, n_items)

    def _likings(self, history: CSR) -> CSR:
        """The weights of the items of histories, divided by the sum of their sizes: CSR (B, n_items)."""
        row, counts = history.row_of_entry, history.counts
        weights = history.weights.astype(np.float64)
        if history.data is not None:
            usual = (np.bincount(row, weights, len(counts)) + self.prior * self.mean) / np.maximum(
                counts + self.prior, 1e-12)
            weights -= usual[row]
        total = np.bincount(row, np.abs(weights), len(counts))
        likings = weights / np.where(total > 0, total, 1)[row]
        return CSR(history.indptr, history.indices, likings.astype(np.float32), history.shape)

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        likings, (n_items, n_words) = self._likings(history), self.said.shape
        scores = np.empty((history.shape[0], n_items), np.float32)
        for block in blocks(len(scores), n_words):
            part = likings.rows(np.arange(block.start, block.stop))
            profiles = kernels.sum_sparse_rows(part.indptr, part.indices, part.weights, self._asked.indptr,
                                               self._asked.indices, self._asked.weights, n_words)
            scores[block] = self._match(profiles)
        return scores

    def _match(self, profiles: np.ndarray) -> np.ndarray:
        """(B, n_words) -> (B, n_items)."""
        row, word = np.nonzero(profiles)
        held = CSR.from_pairs(row, word, profiles[row, word], profiles.shape)
        return np.asarray(kernels.sum_sparse_rows(held.indptr, held.indices, held.weights, self._columns.indptr,
                                                  self._columns.indices, self._columns.weights, self.n_items))

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores other than 0; else no word is shared."""
        return np.asarray(scores != 0)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """The terms of the sum: (n,)."""
        entries, parts = self._terms(indices, values, item)
        return np.bincount(entries.row_of_entry, parts, len(indices))

    def contributions_of_words(self, indices: np.ndarray, values: np.ndarray | None,
                               item: int) -> tuple[np.ndarray, np.ndarray]:
        """The words that history and item share, and what each adds to the score: int (m,), float64 (m,)."""
        entries, parts = self._terms(indices, values, item)
        sums = np.bincount(entries.indices, parts, self.said.shape[1])
        words = np.flatnonzero(sums)
        return words, sums[words]

    def _terms(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> tuple[CSR, np.ndarray]:
        """The words of a history's items, and what each entry adds to the score of an item."""
        mine = CSR(np.array([0, len(indices)]), indices, values, (1, self.n_items))
        entries = self._asked.rows(indices)
        wanted = np.zeros(self.said.shape[1])
        words, weights = self.said.row(item)
        wanted[words] = weights
        return entries, self._likings(mine).weights[entries.row_of_entry] * entries.weights * wanted[entries.indices]

    def similar_items(self, items: np.ndarray) -> np.ndarray:
        """What an item alone says for the others, where it says anything: (B, n_items)."""
        found = self.score_histories(CSR.from_pairs(np.arange(len(items)), items, None, (len(items), self.n_items)))
        return np.where(found > 0, found, np.float32(-np.inf))

    def state(self) -> State:
        """The words of items and the histories."""
        settings = {"histories": self.histories.settings(), "prior": self.prior, "mean": self.mean,
                    "n_words": self.said.shape[1]}
        return settings, self.histories.arrays() | pack("said", self.said) | {"asked": self.asked}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        said = unpack("said", arrays, (len(facts.items), settings["n_words"]))
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts), said,
                   expect(arrays, "asked", (said.nnz,), np.float32), settings["prior"], settings["mean"])
