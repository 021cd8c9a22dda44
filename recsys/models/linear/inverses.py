"""Inverses of penalised Gram matrices, which are positive definite: by halves, and where these are off, by factors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.errors import ParameterError
from recsys.kernels import neighbours as kernels
from recsys.models.linear.downdating import error

__all__ = ["TOLERANCE", "gram_of", "inverse_by_factors", "inverse_of", "penalised_inverse"]

TOLERANCE = 1e-5  # of a weight
_PROBES = 2  # that an error is measured with
_SMALL = 256  # below, one call of LAPACK is faster than products of blocks
_AT_ONCE = 1024  # rows or columns of a product that are computed at once


def gram_of(rows: CSR) -> np.ndarray:
    """`X' X` of a sparse X: float64 (n_columns, n_columns)."""
    columns = rows.T
    return np.asarray(kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices,
                                   rows.weights))


def penalised_inverse(who: str, rows: CSR, penalty_of: Callable[[np.ndarray], np.ndarray]
                      ) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `X' X + diag(penalty)`, and the penalty.

    Halves are inverted first, which is the faster way. How far off that is grows with a power of how many times the
    largest eigenvalue is larger than the penalty: with more items than users, and a penalty of 1, it may be all
    digits. So the error is measured, and if it is too large, the matrix is factored.

    Parameters
    ----------
    who : str
        Of messages.
    rows : CSR, shape (n_users, n_items)
        X.
    penalty_of : callable
        Gives the penalty, float64 (n_items,), of the diagonal of `X' X`.

    Returns
    -------
    (float64 (n_items, n_items), float64 (n_items,))

    Raises
    ------
    ParameterError
        The penalty is too small beside the numbers of X for either way.

    Examples
    --------
    >>> rows = CSR.from_pairs([0, 0, 1], [0, 1, 1], shape=(2, 2))
    >>> penalised_inverse("EASE", rows, lambda own: np.ones(2))[0].round(3)
    array([[ 0.6, -0.2],
           [-0.2,  0.4]])
    """
    for invert in (inverse_of, inverse_by_factors):
        matrix = gram_of(rows)
        penalty = penalty_of(np.diag(matrix))
        matrix[np.diag_indices(len(matrix))] += penalty
        try:
            if error(invert(matrix), rows, penalty, _PROBES) <= TOLERANCE:
                return matrix, penalty
        except np.linalg.LinAlgError:
            pass
        del matrix  # or there would be two
    raise ParameterError(f"{who}: reg is too small beside the numbers of the data for weights to be computed; raise "
                         f"it.")


def inverse_of(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, written over it, by halves: half the work of a general one.

    With A the first block, `S = D - B' inv(A) B` and `W = inv(A) B`, the blocks of the inverse are
    `inv(A) + W inv(S) W'`, `-W inv(S)` and `inv(S)`; nearly all of it is matrix products. Beside the matrix it needs a
    third of its memory.

    Examples
    --------
    >>> inverse_of(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ], [0.  , 0.25]])
    """
    n = len(matrix)
    if n <= _SMALL:
        with runtime.blas_threads(1):  # on whose number its bits would depend
            matrix[:] = np.linalg.inv(matrix)
        return matrix
    half = n // 2
    first, across, last = matrix[:half, :half], matrix[:half, half:], matrix[half:, half:]
    away = runtime.matmul(inverse_of(first), across)
    _add(last, -1, across.T, away)
    inverse_of(last)
    across[:] = 0
    _add(across, -1, away, last)
    _add(first, -1, across, away.T)
    matrix[half:, :half] = across.T
    return matrix


def inverse_by_factors(matrix: np.ndarray) -> np.ndarray:
    """As `inverse_of`, by the inverse W of the Cholesky factor, as `W' W`: half as much work again.

    The error is about that of LAPACK, in proportion to how many times the largest eigenvalue is larger than the least.

    Examples
    --------
    >>> inverse_by_factors(np.array([[2.0, 1.0], [1.0, 2.0]])).round(3)
    array([[ 0.667, -0.333],
           [-0.333,  0.667]])
    """
    _invert_factor(matrix)
    _square(matrix)
    return matrix


def _invert_factor(matrix: np.ndarray) -> None:
    """The inverse of the Cholesky factor, which is lower triangular, written over a matrix."""
    n = len(matrix)
    if n <= _SMALL:
        with runtime.blas_threads(1):
            matrix[:] = np.tril(np.linalg.inv(np.linalg.cholesky(matrix)))
        return
    half = n // 2
    first, below, last = matrix[:half, :half], matrix[half:, :half], matrix[half:, half:]
    _invert_factor(first)
    for rows in _parts(n - half):
        below[rows] = runtime.matmul(below[rows], first.T)
    _add(last, -1, below, below.T)
    _invert_factor(last)
    for rows in _parts(n - half):
        below[rows] = runtime.matmul(below[rows], first)
    for columns in _parts(half):
        below[:, columns] = -runtime.matmul(last, below[:, columns])
    matrix[:half, half:] = 0


def _square(matrix: np.ndarray) -> None:
    """`W' W`, written over a lower triangular W."""
    n = len(matrix)
    if n <= _SMALL:
        matrix[:] = runtime.matmul(matrix.T.copy(), matrix.copy())
        return
    half = n // 2
    first, below, last = matrix[:half, :half], matrix[half:, :half], matrix[half:, half:]
    _square(first)
    _add(first, 1, below.T, below)
    for columns in _parts(half):
        below[:, columns] = runtime.matmul(last.T, below[:, columns])
    matrix[:half, half:] = below.T
    _square(last)


def _add(whole: np.ndarray, sign: int, left: np.ndarray, right: np.ndarray) -> None:
    """`whole += sign left @ right`, some columns at a time."""
    for columns in _parts(whole.shape[1]):
        product = runtime.matmul(left, right[:, columns])
        if sign < 0:
            whole[:, columns] -= product
        else:
            whole[:, columns] += product


def _parts(n: int) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, n, _AT_ONCE)]
