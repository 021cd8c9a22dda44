"""NumPy references of the kernels for weighted least squares on sparse rows."""

from __future__ import annotations

import numpy as np

__all__ = ["TINY", "fold", "residual", "step"]

TINY = 1e-14  # of a diagonal element: a pivot below is rounding, and its direction is left out
_SOLVED = 1e-20  # a squared residual with which nothing is left to do, and division is not safe any more


def _products(indptr: np.ndarray, indices: np.ndarray, coefficient: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Row sums `sum_n coefficient[n] * Y[indices[n]]`, (nnz,) -> (rows, f)."""
    out = np.zeros((len(indptr) - 1, Y.shape[1]), Y.dtype)
    np.add.at(out, np.repeat(np.arange(len(out)), np.diff(indptr)), coefficient[:, None] * Y[indices])
    return out


def _dots(indptr: np.ndarray, indices: np.ndarray, Y: np.ndarray, P: np.ndarray) -> np.ndarray:
    """`Y[i] . P[u]` for every stored pair, -> (nnz,)."""
    return np.asarray(np.einsum("nk,nk->n", Y[indices], np.repeat(P, np.diff(indptr), axis=0)))


def residual(order: np.ndarray, indptr: np.ndarray, indices: np.ndarray, extra: np.ndarray,
             ridge: np.ndarray, Y: np.ndarray, X: np.ndarray, R: np.ndarray, gain: np.ndarray) -> None:
    """Residuals `b - A x` of the normal equations of every row, and how much each row's loss has gained.

    Row u has confidence `c = 1 + extra` on its stored items and 1 elsewhere. With `G = Y'Y`,
    `A = G + ridge I + sum_n extra_n y_n y_n'` and `b = sum_n c_n y_n`. The row's loss
    `sum_i c_i (p_i - x . y_i)^2 + ridge |x|^2` is `sum_n c_n - gain`, and `gain = x . b + x . (b - A x)`.

    Parameters
    ----------
    order : int array, shape (rows,)
        All rows, those with most items first (so that threads are evenly loaded).
    indptr, indices, extra : arrays, shapes (rows + 1,), (nnz,), (nnz,)
        Stored pairs as CSR, and their confidence above 1.
    ridge : float array, shape (rows,)
        L2 penalty of each row.
    Y : float array, shape (columns, f)
        The fixed factors.
    X : float array, shape (rows, f)
        Factors to be solved for.
    R : float array, shape (rows, f)
        `X @ G` on entry, residuals on return.
    gain : float array, shape (rows,)
        Overwritten.
    """
    s = _dots(indptr, indices, Y, X)
    np.subtract(_products(indptr, indices, 1 + extra - extra * s, Y), R + ridge[:, None] * X, out=R)
    gain[:] = 0
    np.add.at(gain, np.repeat(np.arange(len(X)), np.diff(indptr)), (1 + extra) * s)
    gain += np.einsum("uk,uk->u", X, R)


def step(order: np.ndarray, indptr: np.ndarray, indices: np.ndarray, extra: np.ndarray,
         ridge: np.ndarray, Y: np.ndarray, X: np.ndarray, R: np.ndarray, P: np.ndarray, AP: np.ndarray) -> None:
    """One step of conjugate gradients for every row: X, R and P move on.

    Takács, Pilászy, Tikk (2011), *Applications of the conjugate gradient method for implicit feedback
    collaborative filtering*. The dense part of `A p` is one matrix product for all rows, made by the caller.

    Parameters
    ----------
    order, indptr, indices, extra, ridge, Y, X
        As for `residual`.
    R, P : float arrays, shape (rows, f)
        Residuals and search directions.
    AP : float array, shape (rows, f)
        `P @ G` on entry, `A p` on return.
    """
    AP += _products(indptr, indices, extra * _dots(indptr, indices, Y, P), Y) + ridge[:, None] * P
    old = np.einsum("uk,uk->u", R, R)
    curvature = np.einsum("uk,uk->u", P, AP)
    moving = (curvature > 0) & (old >= _SOLVED)
    size = np.where(moving, old / np.where(moving, curvature, 1), 0)[:, None]
    X += size * P
    R -= size * AP
    ratio = np.einsum("uk,uk->u", R, R) / np.where(moving, old, 1)
    np.copyto(P, R + ratio[:, None] * P, where=moving[:, None])


def fold(gram: np.ndarray, indptr: np.ndarray, indices: np.ndarray, extra: np.ndarray, ridge: np.ndarray,
         Y: np.ndarray, X: np.ndarray) -> None:
    """Solve the normal equations of every row, each by itself: its `X` does not depend on what other rows there are.

    With the names of `residual`, `A = gram + ridge I + sum_n extra_n y_n y_n'` and `b = sum_n (1 + extra_n) y_n`, in
    float64, by Cholesky's decomposition.

    Parameters
    ----------
    gram : float64 array, shape (f, f)
        `Y'Y`.
    indptr, indices : int64 and int32 arrays, shapes (rows + 1,) and (nnz,)
        Stored pairs as CSR.
    extra : float64 array, shape (nnz,)
        Their confidence above 1, not negative.
    ridge : float64 array, shape (rows,)
        L2 penalty of each row.
    Y : float32 array, shape (columns, f)
    X : float32 array, shape (rows, f)
        Overwritten; 0 for a row without pairs. A direction in which `A` is singular, as far as float64 can tell,
        gets 0.

    Examples
    --------
    >>> X, Y = np.empty((1, 1), np.float32), np.float32([[2]])
    >>> fold(np.array([[4.0]]), np.array([0, 1]), np.array([0], np.int32), np.array([1.0]), np.array([0.0]), Y, X)
    >>> X.tolist()
    [[0.5]]
    """
    X[:] = 0
    for u in np.flatnonzero(np.diff(indptr)):
        own = slice(indptr[u], indptr[u + 1])
        rows = Y[indices[own]].astype(np.float64)
        A = gram + (rows.T * extra[own]) @ rows
        A[np.diag_indices(len(A))] += ridge[u]
        X[u] = _cholesky_solve(A, (1 + extra[own]) @ rows)


def _cholesky_solve(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`A x = b` with `A = U'U`; both are overwritten."""
    f = len(b)
    smallest = TINY * A.diagonal()
    for i in range(f):
        if not A[i, i] > smallest[i]:
            A[i, i:], b[i] = 0, 0
            continue
        A[i, i:] /= np.sqrt(A[i, i])
        b[i] /= A[i, i]
        A[i + 1:, i + 1:] -= np.outer(A[i, i + 1:], A[i, i + 1:])
        b[i + 1:] -= b[i] * A[i, i + 1:]
    for i in range(f - 1, -1, -1):
        if A[i, i]:
            b[i] = (b[i] - A[i, i + 1:] @ b[i + 1:]) / A[i, i]
    return b
