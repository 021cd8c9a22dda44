"""Truncated singular value decomposition of a sparse matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl import runtime
from recsys.checks import above, require, whole
from recsys.data.csr import CSR
from recsys.errors import DataError, RecsysError

__all__ = ["SVD", "truncated_svd"]

_BLOCK = 32  # vectors that are multiplied at once
_ROOM = 256  # vectors of the basis beyond twice those that are asked for
_RESTARTS = 300
_ROUNDING = 1e-6  # what float32 leaves of a number as large as the largest
_PART = 1 << 14  # rows
_CHECKS = {"rank": whole(1), "accuracy": above(0), "seed": whole(0)}


class SVD(NamedTuple):
    """`A = left diag(values) right'`, as far as it goes.

    Attributes
    ----------
    left : ndarray of float32, shape (n, r)
    values : ndarray of float32, shape (r,)
        Largest first, all above 0.
    right : ndarray of float32, shape (m, r)
    """

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray


def truncated_svd(matrix: CSR, rank: int, *, accuracy: float = 1e-4, seed: int = 0) -> SVD:
    """The largest singular values of a sparse matrix and their vectors, by a block Lanczos method with thick restarts.

    A basis of blocks `W, M W, M M W, ...` is grown from random vectors, M being `A A'` or `A' A`, whichever is smaller,
    each block orthogonal to all before; within it, the eigenvectors of M are found. When there is no more room, those
    with the largest eigenvalues begin the basis anew. Only products of A with blocks of vectors are needed, and memory
    for `2 rank + 256` vectors of the shorter side.

    Parameters
    ----------
    matrix : CSR, shape (n, m)
        A; a pair that comes more than once counts as the sum.
    rank : int
        How many triplets.
    accuracy : float
        Of a triplet, `|A v - s u|` and `|A' u - s v|` are at most `max(accuracy, 1e-6 s_1 / s) s_1`, s_1 being the
        largest singular value: of squares, which are what is found, float32 leaves no more.
    seed : int
        Of the random vectors. The bits do not depend on the number of threads.

    Returns
    -------
    SVD
        At most `rank` triplets; fewer, where fewer singular values are above 1e-6 of the largest.

    Raises
    ------
    ParameterError
        A parameter is out of its range.
    DataError
        An entry is not finite.
    RecsysError
        The accuracy was not reached: more singular values are about as large as the last than there is room for.

    References
    ----------
    Golub, Underwood, The Block Lanczos Method for Computing Eigenvalues, Mathematical Software III, 1977. Wu, Simon,
    Thick-Restart Lanczos Method for Large Symmetric Eigenvalue Problems, SIAM J. Matrix Anal. Appl. 2000.

    Examples
    --------
    >>> found = truncated_svd(CSR.from_pairs([0, 0, 1], [0, 1, 2]), 2)
    >>> found.values.round(3)
    array([1.414, 1.   ], dtype=float32)
    """
    require("truncated_svd", _CHECKS, {"rank": rank, "accuracy": accuracy, "seed": seed})
    if matrix.data is not None and not np.isfinite(matrix.data).all():
        wrong = int(np.argmin(np.isfinite(matrix.data)))
        raise DataError(f"truncated_svd: the entry in row {matrix.row_of_entry[wrong]}, column {matrix.indices[wrong]} "
                        f"is {matrix.data[wrong]}; give finite numbers.")
    if matrix.shape[0] > matrix.shape[1]:
        found = truncated_svd(matrix.T, rank, accuracy=accuracy, seed=seed)
        return SVD(found.right, found.values, found.left)
    n = matrix.shape[0]
    if n <= 2 * rank + _ROOM:
        left = np.eye(n, dtype=np.float32)
    else:
        left = _Lanczos(matrix, rank, np.random.default_rng(seed)).run(accuracy)
    right = matrix.T.times(left)
    squares, turn = _eigen(_gram(right))
    values = np.sqrt(np.maximum(squares[:rank], 0))
    there = values > _ROUNDING * values.max(initial=0)
    turn, values = turn[:, :rank][:, there].astype(np.float32), values[there].astype(np.float32)
    return SVD(runtime.matmul(left, turn), values, runtime.matmul(right, turn) / values)


class _Lanczos:
    """A basis that grows and is begun anew.

    Its vectors are rows, so that those of a block lie together.

    Parameters
    ----------
    matrix : CSR, shape (n, m)
        A, n being at most m.
    rank : int
    rng : Generator
    """

    def __init__(self, matrix: CSR, rank: int, rng: np.random.Generator) -> None:
        self.rows, self.columns, self.rank, self.rng = matrix, matrix.T, rank, rng
        room = 2 * rank + _ROOM
        self.basis = np.empty((room, matrix.shape[0]), np.float32)
        self.projected = np.zeros((room, room))  # of `A A'`, on the basis
        self.size = 0

    def run(self, accuracy: float) -> np.ndarray:
        """Vectors that span the space of the largest singular values, orthonormal: (n, rank)."""
        block = self._orthonormal(np.zeros((self.basis.shape[1], _BLOCK), np.float32), 1.0)
        for _ in range(_RESTARTS):
            while self.size + _BLOCK <= len(self.basis):
                image = self._grow(block)
                block = self._orthonormal(image, float(np.abs(self.projected).max()))
            squares, turn = _eigen(self.projected[:self.size, :self.size])
            best = np.maximum(squares[:self.rank], 0)
            residual = np.linalg.norm(runtime.matmul(block.T, image) @ turn[-_BLOCK:, :self.rank], axis=0)
            if np.all(residual <= np.maximum(accuracy * np.sqrt(best[0] * best), _ROUNDING * best[0])):
                return np.asarray(runtime.matmul(self.basis[:self.size].T, turn[:, :self.rank].astype(np.float32)))
            self._restart(squares, turn, (3 * self.rank + self.size) // 4)
        raise RecsysError(f"truncated_svd: {_RESTARTS} restarts did not reach accuracy={accuracy}; raise it, or ask "
                          f"for another rank than {self.rank}.")

    def _grow(self, block: np.ndarray) -> np.ndarray:
        """Take in a block (n, b); what `A A'` makes of it, less what of that lies in the basis: (n, b)."""
        first, self.size = self.size, self.size + _BLOCK
        self.basis[first:self.size] = block.T
        image, inside = self._outside(self.rows.times(self.columns.times(block)))
        self.projected[:self.size, first:self.size] = inside
        self.projected[first:self.size, :self.size] = inside.T
        return image

    def _outside(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, b) less what of them lies in the basis, and its coordinates (size, b)."""
        basis = self.basis[:self.size]
        inside = runtime.matmul(basis, vectors)
        return vectors - runtime.matmul(basis.T, inside), inside

    def _orthonormal(self, vectors: np.ndarray, scale: float) -> np.ndarray:
        """Outside of the basis, an orthonormal block that spans the vectors (n, b): (n, b).

        Random ones stand in for what is no more than rounding, on the scale of the numbers it was computed from. What
        has been taken out of the basis once is taken out again, as small vectors are mostly what rounding left in it.
        """
        for last in (False, True):
            squares, turn = _eigen(_gram(vectors))
            there = squares > (_ROUNDING * scale) ** 2
            vectors = runtime.matmul(vectors, (turn[:, there] / np.sqrt(squares[there])).astype(np.float32))
            missing = _BLOCK - vectors.shape[1]
            if missing:
                drawn = self.rng.standard_normal((len(vectors), missing), np.float32)
                vectors = np.hstack([vectors, drawn / np.float32(np.sqrt(len(vectors)))])
            if not last:
                vectors, scale = self._outside(vectors)[0], 1.0
        return vectors

    def _restart(self, squares: np.ndarray, turn: np.ndarray, size: int) -> None:
        """Keep the vectors of the largest eigenvalues."""
        kept = np.ascontiguousarray(turn[:, :size].T, np.float32)
        self.basis[:size] = runtime.matmul(kept, self.basis[:self.size])
        self.projected[:] = 0
        self.projected[np.arange(size), np.arange(size)] = squares[:size]
        self.size = size


def _gram(vectors: np.ndarray) -> np.ndarray:
    """`V' V`, added up in float64, a part of the rows at a time: (b, b)."""
    total = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(vectors), _PART):
        part = vectors[start:start + _PART].astype(np.float64)
        total += runtime.matmul(part.T, part)
    return total


def _eigen(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of a symmetric matrix, largest first, and its eigenvectors."""
    with runtime.deterministic():
        values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]
