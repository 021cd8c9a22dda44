"""Rows are taken out of the inverse of a penalised Gram matrix, and what that cost of accuracy is measured."""

from __future__ import annotations

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR

__all__ = ["downdate", "error"]

_LEAST = 1e-3  # what a row may leave of itself: with less, most digits are lost
_SHARE = 8  # of so many items one may change before a new inverse is as fast
_PANEL = 512
_PROBES = 8
_SMALL = 0.5
_SEED = 0


def downdate(inverse: np.ndarray, gone: CSR, dropout: float = 0.0, change: float = 0.0) -> bool:
    """Take rows x out of `P = inverse(X' X + dropout diag(X' X) + reg I)`, in place.

    With F the columns x, and `sqrt(dropout s_j) e_j` for s the sum of their squares, it is exactly
    `P += P F inverse(I - F' P F) F' P` (Sherman, Morrison and Woodbury). A `change` of reg follows to first order,
    `P -= change P P`, which leaves a relative `(change / reg)**2`.

    Parameters
    ----------
    inverse : ndarray of float64, shape (n, n)
        P, symmetric.
    gone : CSR, shape (k, n)
    dropout : float
        What the diagonal holds of the squares, besides once.
    change : float
        Of reg.

    Returns
    -------
    bool
        False, and P is not to be used, where too much changes, or too little of a direction is left.

    Examples
    --------
    >>> rows = CSR.from_pairs([0, 0, 1], [0, 1, 1], shape=(2, 2))
    >>> x = rows.toarray()
    >>> P = np.linalg.inv(x.T @ x + np.eye(2))
    >>> downdate(P, rows.rows(np.array([1])))
    True
    >>> np.allclose(P, np.linalg.inv(np.outer(x[0], x[0]) + np.eye(2)))
    True
    """
    n = len(inverse)
    most = max(1, n // _SHARE)
    if gone.shape[0] > most:
        return False
    parts = gone.toarray().astype(np.float64).T
    if dropout:
        squares = (parts ** 2).sum(axis=1)
        touched = np.flatnonzero(squares)
        own = np.zeros((n, len(touched)))
        own[touched, np.arange(len(touched))] = np.sqrt(dropout * squares[touched])
        parts = np.hstack([parts, own])
    if parts.shape[1] > most:
        return False
    across = runtime.matmul(inverse, parts)
    left = np.eye(parts.shape[1]) - parts.T @ across
    left = (left + left.T) / 2
    if np.linalg.eigvalsh(left)[0] < _LEAST:
        return False
    inverse += runtime.matmul(across, np.linalg.solve(left, across.T))
    if change:
        _subtract_square(inverse, change)
    return True


def _subtract_square(inverse: np.ndarray, change: float) -> None:
    """`P -= change P P` in float32, by panels of rows from the diagonal on, of which the rest is the mirror image."""
    single = inverse.astype(np.float32)
    for first in range(0, len(inverse), _PANEL):
        panel = slice(first, first + _PANEL)
        part = change * runtime.matmul(single[panel], single[:, first:])
        inverse[panel, first:] -= part
        inverse[first + _PANEL:, panel] -= part[:, _PANEL:].T


def error(inverse: np.ndarray, rows: CSR, penalty: np.ndarray, n_probes: int = _PROBES) -> float:
    """How far P is from the inverse of `G = X' X + diag(penalty)`, relative to its diagonal: rather too much.

    With `E = I - G P`, the inverse is `P inverse(I - E)`, about `P + P E` if E is small; and `P E g`, for random normal
    g, is about as large in each entry as a row of the difference. E is never formed. Where it is not small, nothing is
    known of the difference, and that is infinite.
    """
    probes = np.random.default_rng(_SEED).standard_normal((len(inverse), n_probes))
    found = runtime.matmul(inverse, probes)
    rest = probes - penalty[:, None] * found
    weights, of = rows.weights.astype(np.float64), rows.row_of_entry
    for probe in range(n_probes):
        sums = np.bincount(of, weights * found[rows.indices, probe], rows.shape[0])
        rest[:, probe] -= np.bincount(rows.indices, weights * sums[of], rows.shape[1])
    if not (rest ** 2).sum() / n_probes <= _SMALL ** 2:  # the square of E's Frobenius norm
        return np.inf
    missing = np.abs(runtime.matmul(inverse, rest)).max(axis=1)
    return float((missing / np.diag(inverse)).max(initial=0.0))
