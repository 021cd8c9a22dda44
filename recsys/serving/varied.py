"""Lists that are varied, not only good."""

from __future__ import annotations

import numpy as np

from recsys.estimator.fitted import Fitted
from recsys.estimator.rearranging import varied, worth
from recsys.estimator.scorers.reranked import likeness

__all__ = ["order"]


def order(fitted: Fitted, items: np.ndarray, scores: np.ndarray, k: int, diversity: float) -> np.ndarray:
    """The k of some items that are good and unlike each other, as `recsys.estimator.rearranging.varied` says.

    Parameters
    ----------
    fitted : Fitted
    items : ndarray of int, shape (n,)
        Best first.
    scores : ndarray of float32, shape (n,)
    k : int
    diversity : float
        From 0, which leaves the order as it is, to 1.

    Returns
    -------
    ndarray of int, shape (min(k, n),)
        Positions in `items`.
    """
    return np.asarray(varied(worth(scores[None]), likeness(fitted.scorer, items)[None], diversity, k)[0])
