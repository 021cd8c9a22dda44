"""How far one mix of labels, such as the genres of a list, is from another."""

from __future__ import annotations

import numpy as np

__all__ = ["FARTHEST", "divergence"]

_OWN = 0.01  # of the first mix in the second, so that what the second lacks does not make the divergence infinite
FARTHEST = float(-np.log2(_OWN))
"""The divergence of a list that has none of the labels of the history."""


def divergence(own: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """`KL(p | q')` in bits, with the mix p of a history and `q' = .99 q + .01 p` of a list; 0 where one is empty.

    Parameters
    ----------
    own, shown : ndarray, shapes (..., G) that broadcast
        Amounts of each label, at least 0; p and q are these divided by their sums.

    Returns
    -------
    ndarray of float64, shape (...)

    References
    ----------
    Steck, Calibrated recommendations, RecSys 2018, equations 4 and 5.

    Examples
    --------
    >>> divergence(np.array([1.0, 1.0]), np.array([[2.0, 2.0], [1.0, 0.0]])).round(3)
    array([0.   , 2.826])
    """
    totals = own.sum(-1), shown.sum(-1)
    p, q = (each / np.where(total > 0, total, 1)[..., None] for each, total in zip((own, shown), totals, strict=True))
    mixed = (1 - _OWN) * q + _OWN * p
    found = (p * np.log2(np.where(p > 0, p, 1) / np.where(p > 0, mixed, 1))).sum(-1)
    return np.where((totals[0] > 0) & (totals[1] > 0), found, 0.0)
