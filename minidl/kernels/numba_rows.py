"""Row kernels in Numba; described at the NumPy twins.

Sums run in order of appearance, and a bag belongs to one thread, so that the bits do not depend on the
number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from minidl.kernels import numpy_rows
from minidl.kernels.numpy_rows import check_range

__all__ = ["bag", "bag_dot", "bag_spread", "coalesce", "scatter_add"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_DENSE = 16  # count in a table of at most so many entries for each index, sort otherwise


def scatter_add(out: np.ndarray, indices: np.ndarray, rows: np.ndarray, axis: int = 0) -> None:
    check_range("scatter_add", indices, out.shape[axis])
    if out.dtype not in (np.float32, np.float64) or not out.flags.c_contiguous:
        numpy_rows.scatter_add(out, indices, rows, axis)
    elif rows.size:
        before, after = math.prod(out.shape[:axis]), math.prod(out.shape[axis + 1:])
        _scatter_add(out.reshape(before, out.shape[axis], after), _integers(indices),
                     np.ascontiguousarray(rows, out.dtype).reshape(before, len(indices), after))


def coalesce(indices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if rows.dtype not in (np.float32, np.float64) or not rows.size:
        return numpy_rows.coalesce(indices, rows)
    check_range("coalesce", indices, np.iinfo(np.int64).max)
    size = int(indices.max()) + 1
    if size <= _DENSE * len(indices):
        unique, where = _rank(_integers(indices), size)
        unique = unique.astype(indices.dtype, copy=False)
    else:
        unique, where = np.unique(indices, return_inverse=True)
    total = np.zeros((len(unique), *rows.shape[1:]), rows.dtype)
    scatter_add(total, where, rows)
    return unique, total


def bag(table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    check_range("bag", indices, len(table))
    out = np.zeros((len(ends) - 1, table.shape[1]), table.dtype)
    _bag(out, np.ascontiguousarray(table), _integers(indices), _integers(ends), scale)
    return out


def bag_spread(g: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rows = np.empty((len(scale), g.shape[1]), g.dtype)
    _bag_spread(rows, np.ascontiguousarray(g), _integers(ends), scale)
    return rows


def bag_dot(g: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> np.ndarray:
    check_range("bag_dot", indices, len(table))
    dots = np.empty(len(indices), g.dtype)
    _bag_dot(dots, np.ascontiguousarray(g), np.ascontiguousarray(table), _integers(indices), _integers(ends))
    return dots


def _integers(indices: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(indices, np.int64)


@njit(cache=True, nogil=True)
def _scatter_add(out: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
    for a in range(len(out)):
        for k in range(len(indices)):
            i = indices[k]
            for j in range(rows.shape[2]):
                out[a, i, j] += rows[a, k, j]


@njit(cache=True, nogil=True)
def _rank(indices: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted unique indices and the place of each index among them."""
    place = np.zeros(size, np.int64)
    for i in indices:
        place[i] = 1
    unique = np.flatnonzero(place)
    for rank in range(len(unique)):
        place[unique[rank]] = rank
    return unique, place[indices]


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _bag(out: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> None:
    for b in prange(len(out)):
        for k in range(ends[b], ends[b + 1]):
            i, s = indices[k], scale[k]
            for j in range(table.shape[1]):
                out[b, j] += s * table[i, j]


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _bag_spread(rows: np.ndarray, g: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> None:
    for b in prange(len(g)):
        for k in range(ends[b], ends[b + 1]):
            s = scale[k]
            for j in range(g.shape[1]):
                rows[k, j] = s * g[b, j]


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _bag_dot(dots: np.ndarray, g: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> None:
    for b in prange(len(g)):
        for k in range(ends[b], ends[b + 1]):
            i = indices[k]
            total = dots.dtype.type(0)
            for j in range(g.shape[1]):
                total += g[b, j] * table[i, j]
            dots[k] = total
