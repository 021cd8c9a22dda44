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

__all__ = ["bag", "bag_dot", "bag_transposed", "coalesce", "scatter_add"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


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
    n = len(indices)
    if int(indices.max()) >> (63 - n.bit_length()) > 0:
        return numpy_rows.coalesce(indices, rows)
    keys = _sorted_keys(indices)
    if keys[0] < 0:
        check_range("coalesce", indices, np.iinfo(np.int64).max)
    unique, total = np.empty(n, np.int64), np.empty((n, rows.size // n), rows.dtype)
    m = _sum_runs(keys, n.bit_length(), np.ascontiguousarray(rows).reshape(total.shape), unique, total)
    return unique[:m].astype(indices.dtype), total[:m].reshape(m, *rows.shape[1:])


def bag(table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    check_range("bag", indices, len(table))
    out = np.zeros((len(ends) - 1, table.shape[1]), table.dtype)
    _bag(out, np.ascontiguousarray(table), _integers(indices), _integers(ends), scale)
    return out


def bag_transposed(g: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
    """The bags of the transposed matrix: each index is a bag of the rows of `g`."""
    keys, bits = _sorted_keys(indices), len(indices).bit_length()
    order, ordered = keys & ((1 << bits) - 1), keys >> bits
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[:len(ordered)])
    sums = np.zeros((len(starts), g.shape[1]), g.dtype)
    owners = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    _bag(sums, np.ascontiguousarray(g), owners[order], np.append(starts, len(ordered)), scale[order])
    return ordered[starts], sums


def _sorted_keys(indices: np.ndarray) -> np.ndarray:
    """Index and place in one number each: all are different, so that a plain sort keeps the order of appearance."""
    keys = _integers(indices) << len(indices).bit_length() | np.arange(len(indices))
    keys.sort()
    return keys


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
def _sum_runs(keys, bits, rows, unique, total):
    width = rows.shape[1]
    m = -1
    for key in keys:
        index, row = key >> bits, rows[key & ((1 << bits) - 1)]
        if m >= 0 and unique[m] == index:
            for j in range(width):
                total[m, j] += row[j]
        else:
            m += 1
            unique[m] = index
            total[m] = row
    return m + 1


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _bag(out: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> None:
    for b in prange(len(out)):
        for k in range(ends[b], ends[b + 1]):
            i, s = indices[k], scale[k]
            for j in range(table.shape[1]):
                out[b, j] += s * table[i, j]


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _bag_dot(dots: np.ndarray, g: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> None:
    for b in prange(len(g)):
        for k in range(ends[b], ends[b + 1]):
            i = indices[k]
            total = dots.dtype.type(0)
            for j in range(g.shape[1]):
                total += g[b, j] * table[i, j]
            dots[k] = total
