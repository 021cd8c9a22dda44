"""Lists that are varied, not only good: maximal marginal relevance."""

from __future__ import annotations

import numpy as np

from recsys.estimator.fitted import Fitted

__all__ = ["order"]


def order(fitted: Fitted, items: np.ndarray, scores: np.ndarray, k: int, diversity: float) -> np.ndarray:
    """The k of some items that are good and unlike each other, best first.

    Each place goes to the item with the highest `(1 - d) s_i - d max_j sim(i, j)` over the items j chosen before, where
    s is the score brought to 0 .. 1 within the list (Carbonell and Goldstein 1998).

    Parameters
    ----------
    fitted : Fitted
    items : ndarray of int, shape (n,)
        Best first.
    scores : ndarray of float32, shape (n,)
    k : int
    diversity : float
        d, from 0, which leaves the order as it is, to 1.

    Returns
    -------
    ndarray of int, shape (min(k, n),)
        Positions in `items`.
    """
    span = float(scores.max() - scores.min())
    worth = (scores - scores.min()) / span if span > 0 else np.zeros(len(scores), np.float32)
    alike = _likeness(fitted, items)
    chosen = [0]
    nearest = alike[0].copy()  # of each item to those chosen
    while len(chosen) < min(k, len(items)):
        gain = (1 - diversity) * worth - diversity * nearest
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        np.maximum(nearest, alike[chosen[-1]], out=nearest)
    return np.array(chosen)


def _likeness(fitted: Fitted, items: np.ndarray) -> np.ndarray:
    """How alike some items are by what the model knows of them, each row brought to 0 .. 1: float32 (n, n)."""
    alike = fitted.scorer.alike(items)
    if alike is None:
        return np.zeros((len(items), len(items)), np.float32)
    alike = np.where(np.isfinite(alike), alike, 0).astype(np.float32)
    np.fill_diagonal(alike, 0)
    most = np.abs(alike).max(axis=1, keepdims=True)
    return np.asarray(alike / np.where(most > 0, most, 1))
