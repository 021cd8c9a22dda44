"""Scores of another scorer, exchanged among the best items of each row for a better list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, blocks, pack, prefixed, unpack_if, within
from recsys.estimator.facts import Facts
from recsys.estimator.rearranging import calibrated, varied, worth
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.staying import Staying
from recsys.kernels import neighbours, ranking

__all__ = ["Reranked", "likeness"]


class Reranked(Scorer):
    """The best items of a row, besides those of the history, exchange their scores; all others keep theirs.

    Parameters
    ----------
    part : Scorer
    strength : float
        From 0, which changes nothing, to 1.
    candidates : int
        How many items exchange their scores.
    seen : CSR, shape (n_users, n_items), or None
        What is no candidate for users; None in a model that was saved without.
    labels : CSR, shape (n_items, G), optional
        Shares of each item's labels: lists are calibrated to those of the history; without, they are varied.
    """

    def __init__(self, part: Scorer, strength: float, candidates: int, seen: CSR | None, labels: CSR | None = None
                 ) -> None:
        self.part, self.strength, self.candidates, self.seen, self.labels = part, strength, candidates, seen, labels
        self.n_items = part.n_items
        self.can = replace(part.can, ratings=False, ranking=True, partial_fit=False, explain_exact=False)
        self.needs_values, self.needs_histories = part.needs_values, part.needs_histories
        self.described = part.described
        self.alone = part.alone or part.vectors() is not None
        then = "varies" if labels is None else "is made up of kinds of items as what you had is"
        self.plainly = f"{part.plainly} The first {candidates} are then put in another order, so that the list {then}."

    @property
    def knows_users(self) -> bool:
        """Whether the part does, and what they have seen is there."""
        return self.part.knows_users and self.seen is not None

    @property
    def order_matters(self) -> bool:
        """As of the part."""
        return self.part.order_matters

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        if self.seen is None:
            raise ValueError("users are scored by what they have seen, which is not there")
        return self._exchanged(self.part.score(users), self.seen.rows(users))

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        return self._exchanged(self.part.fold(history), history)

    def _exchanged(self, scores: np.ndarray, history: CSR) -> np.ndarray:
        scores = np.ascontiguousarray(scores, np.float32)
        evident = self.part.evident(np.arange(self.n_items), scores)
        usable = scores if evident is None else np.where(evident, scores, np.float32(-np.inf))
        found, own = ranking.topk(usable, history.indptr, history.indices, None, min(self.candidates, self.n_items))
        places = self._order(found, worth(own), history)
        rows, order = np.nonzero(np.take_along_axis(own, places, axis=1) > -np.inf)
        out = scores.copy()
        out[rows, np.take_along_axis(found, places, axis=1)[rows, order]] = _descending(own)[rows, order]
        return out

    def _order(self, found: np.ndarray, good: np.ndarray, history: CSR) -> np.ndarray:
        """Candidates (B, C) in their new order, as places: int (B, C)."""
        items = np.maximum(found, 0)
        if self.labels is not None:
            return np.concatenate([self._calibrated(items[block], good[block], history, block)
                                   for block in blocks(len(items), items.shape[1] * self.labels.shape[1])]
                                  or [np.zeros(items.shape, np.int64)])
        alike = np.stack([likeness(self.part, row) for row in found]) if len(found) else np.zeros((0, 0, 0))
        return varied(good, alike, self.strength, found.shape[1])

    def _calibrated(self, items: np.ndarray, good: np.ndarray, history: CSR, block: slice) -> np.ndarray:
        """The order of some rows of candidates by labels, of which there may be many: int (b, C)."""
        if self.labels is None:
            raise ValueError("there are no labels")
        rows, labels = history.rows(np.arange(block.start, block.stop)), self.labels
        held = np.ones(rows.nnz, np.float32)
        own = neighbours.sum_sparse_rows(rows.indptr, rows.indices, held, labels.indptr, labels.indices, labels.weights,
                                         labels.shape[1])
        shares = labels.rows(items.ravel()).toarray().reshape(*items.shape, labels.shape[1])
        return calibrated(good, shares, own, self.strength, items.shape[1])

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """As of the part, whose scores they are."""
        return self.part.evident(items, scores)

    def sources(self, users: np.ndarray, history: CSR | None, items: np.ndarray) -> np.ndarray | None:
        """As of the part."""
        return self.part.sources(users, history, items)

    def cold_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """As of the part."""
        return self.part.cold_pairs(users, items)

    def item_vectors(self) -> np.ndarray | None:
        """Those of the part."""
        return self.part.item_vectors()

    def user_vectors(self) -> np.ndarray | None:
        """Those of the part."""
        return self.part.user_vectors()

    def similar_items(self, items: np.ndarray) -> np.ndarray | None:
        """As of the part."""
        return self.part.similar_items(items)

    def similar_users(self, users: np.ndarray) -> np.ndarray | None:
        """As of the part."""
        return self.part.similar_users(users)

    def stored(self, users: np.ndarray) -> CSR | None:
        """Those of the part."""
        return self.part.stored(users)

    def transform_history(self, history: CSR) -> CSR:
        """As of the part."""
        return self.part.transform_history(history)

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """To the part's score: (n,)."""
        return self.part.contributions(indices, values, item)

    def unexplained(self, indices: np.ndarray, values: np.ndarray | None, item: int, user: int = -1) -> float:
        """Of the part's score."""
        return self.part.unexplained(indices, values, item, user)

    def state(self) -> State:
        """That of the part, and the labels."""
        from recsys.estimator.scorers import state_of

        settings, arrays = state_of(self.part)
        private = {name: array for name, array in arrays.items() if name.startswith("seen.")}
        public = {name: array for name, array in arrays.items() if name not in private}
        return ({"part": settings, "strength": self.strength, "candidates": self.candidates,
                 "n_labels": None if self.labels is None else self.labels.shape[1]},
                private | prefixed("part", public) | pack("labels", self.labels))

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        from recsys.estimator.scorers import restore

        part = restore(settings["part"], within("part", arrays) | prefixed("seen", within("seen", arrays)), facts)
        labels = unpack_if("labels", arrays, (len(facts.items), settings["n_labels"] or 0))
        return cls(part, settings["strength"], settings["candidates"], facts.seen, labels)

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """Of the part without these users."""
        return type(self)(self.part.without_users(staying, facts), self.strength, self.candidates, facts.seen,
                          self.labels)


def likeness(scorer: Scorer, items: np.ndarray) -> np.ndarray:
    """How alike some items are by what a scorer knows of them, each row brought to 0 .. 1: float32 (n, n).

    What is -1 is no item, and like none.
    """
    alike, there = scorer.alike(np.maximum(items, 0)), items >= 0
    if alike is None:
        return np.zeros((len(items), len(items)), np.float32)
    alike = np.where(np.isfinite(alike) & there & there[:, None], alike, 0).astype(np.float32)
    np.fill_diagonal(alike, 0)
    most = np.abs(alike).max(axis=1, keepdims=True, initial=0)
    return np.asarray(alike / np.where(most > 0, most, 1))


def _descending(scores: np.ndarray) -> np.ndarray:
    """Rows of descending scores made strictly so, by as little as there is: the order of equal ones is meant."""
    out = scores.copy()
    for place in range(1, out.shape[1]):
        below = np.nextafter(out[:, place - 1], np.float32(-np.inf))
        out[:, place] = np.where(scores[:, place] > -np.inf, np.minimum(out[:, place], below), -np.inf)
    return out
