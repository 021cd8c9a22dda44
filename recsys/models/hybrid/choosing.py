"""Weights of the parts of a hybrid, by the lists that they give people whose next items are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import blocks
from recsys.estimator.scorers import Scorer
from recsys.estimator.scorers.blend import standardised
from recsys.kernels import ranking

__all__ = ["CLASSES", "Pools", "best_weights", "one_of_them"]

CLASSES = (0, 2, 5, 10)  # the longest history of each class but the last
_DEPTH = 100  # best items of each part that are looked at
_PLACES = 10
_STEPS = (0.5, 0.25, 0.1, 0.05)
_FEWEST = 50  # people of a class that has weights of its own
_SURE = 1.0  # standard errors by which a mixture must be ahead of its best part


@dataclass(frozen=True, eq=False)
class Pools:
    """What the parts say of the items that may stand in the lists of some people.

    Attributes
    ----------
    scores : ndarray of float32, shape (U, C, K)
        Standardised in each row and part, as in `Blend`.
    allowed : ndarray of bool, shape (U, C)
        The places that hold an item.
    relevant : ndarray of bool, shape (U, C)
    ideal : ndarray of float64, shape (U,)
        The discounted gain of a perfect list.
    lengths : ndarray of int, shape (U,)
        Of the histories.
    """

    scores: np.ndarray
    allowed: np.ndarray
    relevant: np.ndarray
    ideal: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Scorer], history: CSR, targets: CSR, trained: np.ndarray,
           score: Callable[[Scorer, np.ndarray], np.ndarray], candidates: int | None = None) -> Self:
        """Of people with histories, who then took the targets.

        Parameters
        ----------
        parts : sequence of Scorer
        history, targets : CSR, shape (U, n_items)
        trained : ndarray of bool, shape (n_items,)
        score : callable
            `score(part, rows)`: scores of all items for some of the people, (B, n_items).
        candidates : int, optional
            Only so many best items of the first part are looked at.
        """
        found = [cls._block(parts, history.rows(rows), targets.rows(rows), trained, rows, score, candidates)
                 for block in blocks(*history.shape) for rows in (np.arange(block.start, block.stop),)]
        width = max(scores.shape[1] for scores, *_ in found)
        scores, allowed, relevant = (np.concatenate([_wider(each[i], width) for each in found]) for i in range(3))
        gains = np.cumsum(1 / np.log2(np.arange(2, _PLACES + 2)))
        return cls(scores, allowed, relevant, gains[np.clip(targets.counts, 1, _PLACES) - 1], history.counts)

    @staticmethod
    def _block(parts: Sequence[Scorer], history: CSR, targets: CSR, trained: np.ndarray, rows: np.ndarray,
               score: Callable[[Scorer, np.ndarray], np.ndarray], candidates: int | None
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        known = [np.ones_like(trained) if part.can.cold_item else trained for part in parts]
        scores = [standardised(np.asarray(score(part, rows), np.float32), mask)
                  for part, mask in zip(parts, known, strict=True)]
        hidden = history.indptr, history.indices
        depth = min(candidates or _DEPTH, len(trained))
        tops = [ranking.topk(each, *hidden, mask, depth)[0]
                for each, mask in zip(scores[:1] if candidates else scores, known, strict=False)]
        pool = np.sort(np.concatenate(tops, axis=1), axis=1)  # (B, C), -1 where there is none
        allowed = pool >= 0
        allowed[:, 1:] &= pool[:, 1:] != pool[:, :-1]
        place = np.arange(len(rows))[:, None]
        wanted = np.zeros(history.shape, bool)
        wanted[targets.row_of_entry, targets.indices] = True
        inside = np.maximum(pool, 0)
        return np.stack([each[place, inside] for each in scores], axis=2), allowed, wanted[place, inside] & allowed

    def ndcg(self, weights: np.ndarray) -> np.ndarray:
        """NDCG@10 of everybody's list by the parts' weights: (K,) -> (U,)."""
        mixed = np.where(self.allowed, self.scores @ weights.astype(np.float32), -np.inf)
        places = min(_PLACES, mixed.shape[1])
        top = np.argsort(-mixed, axis=1, kind="stable")[:, :places]
        hits = np.take_along_axis(self.relevant, top, axis=1)
        return np.asarray(hits @ (1 / np.log2(np.arange(2, places + 2))) / self.ideal)

    def only(self, rows: np.ndarray) -> Pools:
        """Of some of the people."""
        return Pools(self.scores[rows], self.allowed[rows], self.relevant[rows], self.ideal[rows], self.lengths[rows])

    def classes(self) -> Iterator[tuple[int | None, Pools]]:
        """The people by the length of their histories: its limit, None for the last, and who; of small ones, several.
        """
        lower = -1
        for limit in (*CLASSES, None):
            inside = (self.lengths > lower) & (self.lengths <= (np.inf if limit is None else limit))
            rest = int((self.lengths > lower).sum() - inside.sum())
            if limit is None or (inside.sum() >= _FEWEST and rest >= _FEWEST):
                yield limit, self.only(inside)
                lower = lower if limit is None else limit


def best_weights(pools: Pools) -> np.ndarray:
    """Weights, summing to 1, with the best mean NDCG@10; those of one part alone unless a mixture is surely better.

    The search moves weight from one part to another, in smaller and smaller steps.
    """
    best = one_of_them(pools)
    alone = pools.ndcg(best)
    value, single = float(alone.mean()), best
    for step in _STEPS:
        moved = True
        while moved:
            moved = False
            for tried in _moves(best, step):
                found = float(pools.ndcg(tried).mean())
                if found > value + 1e-9:
                    best, value, moved = tried, found, True
    gain = pools.ndcg(best) - alone
    sure = gain.mean() > _SURE * gain.std() / max(np.sqrt(len(gain)), 1)
    return best if sure else single


def one_of_them(pools: Pools) -> np.ndarray:
    """All weight to the part with the best mean NDCG@10."""
    singles = np.eye(pools.scores.shape[2])
    best = np.argmax([pools.ndcg(single).mean() for single in singles])
    return np.asarray(singles[best])


def _moves(weights: np.ndarray, step: float) -> Iterator[np.ndarray]:
    """Weights with up to `step` moved from one part to another."""
    for giver in np.flatnonzero(weights > 0).tolist():
        for taker in range(len(weights)):
            if taker != giver:
                moved, amount = weights.copy(), min(step, weights[giver])
                moved[giver] -= amount
                moved[taker] += amount
                yield moved


def _wider(array: np.ndarray, width: int) -> np.ndarray:
    filling = [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, filling)
