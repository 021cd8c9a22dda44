"""Lists that are more than the best items: varied, or like their reader's own mix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recsys.data.mixes import FARTHEST, divergence

__all__ = ["calibrated", "varied", "worth"]


def worth(scores: np.ndarray) -> np.ndarray:
    """Scores of candidates brought to 0 .. 1 in each row: (B, C); -inf, no candidate, stays."""
    held = scores > -np.inf
    low = np.where(held, scores, np.inf).min(axis=1, keepdims=True)
    span = np.where(held, scores, -np.inf).max(axis=1, keepdims=True) - low
    span = np.where(np.isfinite(span) & (span > 0), span, 1)
    return np.where(held, np.where(held, scores - np.where(np.isfinite(low), low, 0), 0) / span, -np.inf)


def varied(scores: np.ndarray, alike: np.ndarray, strength: float, k: int) -> np.ndarray:
    """The k candidates that are good and unlike each other, best first: maximal marginal relevance.

    Each place goes to the candidate with the highest `(1 - d) s_i - d max_j sim(i, j)` over the candidates j chosen
    before; the first place to the best.

    Parameters
    ----------
    scores : ndarray, shape (B, C)
        As `worth` gives them.
    alike : ndarray, shape (B, C, C)
        Up to 1.
    strength : float
        d, from 0, which leaves the order as it is, to 1.
    k : int

    Returns
    -------
    ndarray of int, shape (B, min(k, C))
        Places among the candidates.

    References
    ----------
    Carbonell, Goldstein, The use of MMR, diversity-based reranking for reordering documents, SIGIR 1998.

    Examples
    --------
    >>> varied(np.array([[1.0, 0.9, 0.5]]), np.array([[[1, 1, 0], [1, 1, 0], [0, 0, 1]]]), 0.5, 3)
    array([[0, 2, 1]])
    """
    held, nearest = scores > -np.inf, np.full(scores.shape, -np.inf)
    rows, good = np.arange(len(scores)), np.where(held, scores, 0.0)

    def gain(place: int) -> np.ndarray:
        return (1 - strength) * good - strength * nearest if place else good

    def take(best: np.ndarray) -> None:
        np.maximum(nearest, alike[rows, best], out=nearest)

    return _greedily(held, k, gain, take)


def calibrated(scores: np.ndarray, labels: np.ndarray, own: np.ndarray, strength: float, k: int) -> np.ndarray:
    """The k candidates that are good and whose labels come as often as in a history, best first.

    Each place goes to the candidate that makes `(1 - d) sum s - d KL(p | q')` of the list so far largest, with the mix
    p of the history and q' of the list, as in `recsys.data.mixes.divergence`; of a list without labels it is what it is
    of one that has none of the history's, so that items of which nothing is known do not come first.

    Parameters
    ----------
    scores : ndarray, shape (B, C)
        As `worth` gives them.
    labels : ndarray, shape (B, C, G)
        Of each candidate; rows sum to 1, or to 0 where there are none.
    own : ndarray, shape (B, G)
        The sum of the labels of each history.
    strength : float
        d, from 0, which leaves the order as it is, to 1.
    k : int

    Returns
    -------
    ndarray of int, shape (B, min(k, C))
        Places among the candidates.

    References
    ----------
    Steck, Calibrated recommendations, RecSys 2018, equation 7 and algorithm 1.

    Examples
    --------
    >>> labels = np.array([[[1.0, 0], [1, 0], [0, 1]]])
    >>> calibrated(np.array([[1.0, 0.9, 0.5]]), labels, np.array([[1.0, 1]]), 0.5, 3)
    array([[0, 2, 1]])
    """
    held, shown = scores > -np.inf, np.zeros(own.shape)
    rows, good = np.arange(len(scores)), np.where(held, scores, 0.0)

    def gain(place: int) -> np.ndarray:
        listed = shown[:, None] + labels
        nothing = (listed.sum(axis=-1) == 0) & (own.sum(axis=-1) > 0)[:, None]
        far = np.where(nothing, FARTHEST, divergence(own[:, None], listed))  # (B, C)
        return (1 - strength) * good - strength * far

    def take(best: np.ndarray) -> None:
        np.add(shown, labels[rows, best], out=shown)

    return _greedily(held, k, gain, take)


def _greedily(held: np.ndarray, k: int, gain: Callable[[int], np.ndarray], take: Callable[[np.ndarray], None]
              ) -> np.ndarray:
    """Place after place the candidate with the largest gain, ties by the first; where they have ended, what is none."""
    chosen = np.empty((len(held), min(k, held.shape[1])), np.int64)
    free, rows = np.ones_like(held), np.arange(len(held))
    for place in range(chosen.shape[1]):
        worst = np.finfo(np.float64).min
        best = np.argmax(np.where(free, np.where(held, gain(place), worst), -np.inf), axis=1)
        chosen[:, place], free[rows, best] = best, False
        take(best)
    return chosen
