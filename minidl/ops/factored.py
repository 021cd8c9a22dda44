"""Matrices, one for each example, that are sums of products of two vectors, and need not be made to be measured."""

from __future__ import annotations

import numpy as np

__all__ = ["Outer"]

_AT_ONCE = 2**22  # elements of matrices that are made to be measured


class Outer:
    """`sum_t left_t right_t'` for each example.

    Parameters
    ----------
    left : array, shape (B, n, i)
    right : array, shape (B, n, j)

    Examples
    --------
    >>> both = Outer(np.array([[[1.0, 2.0]]]), np.array([[[3.0, 0.0, 4.0]]]))
    >>> both.shape, both.dense().tolist(), both.squares()
    ((1, 2, 3), [[[3.0, 0.0, 4.0], [6.0, 0.0, 8.0]]], array([125.]))
    """

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self.left, self.right = left, right

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of all matrices: (B, i, j)."""
        return len(self.left), self.left.shape[2], self.right.shape[2]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the matrices."""
        return np.result_type(self.left, self.right)

    def __len__(self) -> int:
        return len(self.left)

    def _larger(self) -> bool:
        """Whether the vectors have more elements than the matrices."""
        _, i, j = self.shape
        return self.left.shape[1] * (i + j) >= i * j

    def short(self) -> Outer | np.ndarray:
        """The matrices, unless the vectors have fewer elements."""
        return self.dense() if self._larger() else self

    def dense(self) -> np.ndarray:
        """The matrices: (B, i, j)."""
        if self.left.shape[1] == 1:
            return np.asarray(self.left[:, 0, :, None] * self.right)
        return np.matmul(self.left.swapaxes(1, 2), self.right)

    def turned(self) -> Outer:
        """The transposed matrices."""
        return Outer(self.right, self.left)

    def plus(self, other: Outer) -> Outer | np.ndarray:
        """The sums of these and others."""
        return Outer(np.concatenate([self.left, other.left], axis=1),
                     np.concatenate([self.right, other.right], axis=1)).short()

    def squares(self) -> np.ndarray:
        """The squared norm of each matrix: float64 (B,)."""
        n = self.left.shape[1]
        if n == 1:
            return np.asarray(_lengths(self.left[:, 0]) * _lengths(self.right[:, 0]))
        _, i, j = self.shape
        found = np.empty(len(self))
        block = max(_AT_ONCE // max(min(n * n, i * j), 1), 1)
        for start in range(0, len(self), block):
            some = Outer(self.left[start:start + block], self.right[start:start + block])
            if n * (i + j) < i * j:
                products = (np.matmul(part, part.swapaxes(1, 2)).astype(np.float64) for part in (some.left, some.right))
                found[start:start + block] = np.maximum(np.einsum("bts,bts->b", *products), 0)
            else:
                found[start:start + block] = _lengths(some.dense().reshape((len(some), -1)))
        return found


def _lengths(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64, copy=False)
    return np.asarray(np.einsum("bi,bi->b", rows, rows))
