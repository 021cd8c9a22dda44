"""Pooling kernels in Numba; described at the reference, `numpy_pool`.

Threads share out planes, and every plane is done by one of them. Few planes go to a kernel without threads and memory
of its own, so that who only answers does without Numba (`minidl.kernels.ahead`).
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.ahead import later, njit

__all__ = ["avg_pool", "avg_spread", "max_pool", "max_spread"]

prange = later("numba", "prange")

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_SERIAL = 1 << 14  # elements; a launch on all threads would cost more than it saves


# --------------------------------------------------------------------------------------------- maximum

@njit(cache=True, nogil=True, inline="always")
def _larger(value, best):
    """NaN is larger than anything."""
    return (value > best) | (value != value)


@njit(cache=True, nogil=True)
def _halves(axis):
    for i in range(len(axis)):  # noqa: SIM110  (Numba has no all)
        if axis[i, 0] != 2 * i or axis[i, 1] != 2 * i + 2:
            return False
    return True


@njit(cache=True, nogil=True)
def _row_into(x, i, best, row):
    """The larger of two rows, column by column; it vectorises."""
    for j in range(len(best)):
        larger = _larger(x[j], best[j])
        best[j], row[j] = (x[j] if larger else best[j]), (i if larger else row[j])


@njit(cache=True, nogil=True)
def _best_column(best, row, first, stop, step):
    """The column of the largest: of equal ones the first in row-major order, of several NaN the last."""
    found, top = first, best[first]
    j = first + step
    while j < stop:  # a range with a step would divide
        value = best[j]
        if not value < top:  # a branch, because a chain of selects is slow in a long window
            nan = value != value and (top == top or row[j] >= row[found])
            if value > top or (value == top and row[j] < row[found]) or nan:
                found, top = j, value
        j += step
    return found


@njit(cache=True, nogil=True)
def _max_plane(x, rows, cols, dilation, out, index, best, row):
    width = x.shape[1]
    for oi in range(len(rows)):
        first, stop = rows[oi, 0], rows[oi, 1]
        for j in range(width):  # an assignment of slices would allocate, in case they overlap
            best[j], row[j] = x[first, j], first
        for i in range(first + dilation[0], stop, dilation[0]):
            _row_into(x[i], np.int32(i), best, row)
        for oj in range(len(cols)):
            j = _best_column(best, row, cols[oj, 0], cols[oj, 1], dilation[1])
            out[oi, oj] = best[j]
            index[oi, oj] = row[j] * width + j


@njit(cache=True, nogil=True)
def _max_plane_2x2(x, out, index):
    width = np.int32(x.shape[1])
    right, below, across = np.int32(1), width, np.int32(width + 1)
    for i in range(out.shape[0]):
        top, bottom, start = x[2 * i], x[2 * i + 1], 2 * i * x.shape[1]
        for j in range(out.shape[1]):  # selects instead of branches, so that it vectorises
            best, place = top[2 * j], np.int32(0)
            larger = _larger(top[2 * j + 1], best)
            best, place = (top[2 * j + 1] if larger else best), (right if larger else place)
            larger = _larger(bottom[2 * j], best)
            best, place = (bottom[2 * j] if larger else best), (below if larger else place)
            larger = _larger(bottom[2 * j + 1], best)
            best, place = (bottom[2 * j + 1] if larger else best), (across if larger else place)
            out[i, j] = best
            index[i, j] = start + 2 * j + place


@njit(cache=True, nogil=True)
def _in_halves(rows, cols, dilation):
    return _halves(rows) and _halves(cols) and dilation[0] == 1 and dilation[1] == 1


def max_pool(x, rows, cols, dilation, out, index):
    if x.size < _SERIAL:
        width = x.shape[2]
        _max_planes(x, rows, cols, dilation, out, index, np.empty(width, x.dtype), np.empty(width, np.int32))
    else:
        _max_on_threads(x, rows, cols, dilation, out, index)


@njit(cache=True, nogil=True)
def _max_planes(x, rows, cols, dilation, out, index, best, row):
    if _in_halves(rows, cols, dilation):
        for p in range(len(x)):
            _max_plane_2x2(x[p], out[p], index[p])
    else:
        for p in range(len(x)):
            _max_plane(x[p], rows, cols, dilation, out[p], index[p], best, row)


@njit(cache=True, nogil=True, parallel=True)
def _max_on_threads(x, rows, cols, dilation, out, index):
    width = x.shape[2]
    if _in_halves(rows, cols, dilation):
        for p in prange(len(x)):
            _max_plane_2x2(x[p], out[p], index[p])
    else:
        for p in prange(len(x)):
            _max_plane(x[p], rows, cols, dilation, out[p], index[p], np.empty(width, x.dtype),
                       np.empty(width, np.int32))


@njit(cache=True, nogil=True)
def _spread_plane(g, index, out):
    out[:] = 0
    for m in range(len(g)):
        out[index[m]] += g[m]


@njit(cache=True, nogil=True, parallel=True)
def max_spread(g, index, out):
    if out.size < _SERIAL:
        for p in range(len(out)):
            _spread_plane(g[p], index[p], out[p])
    else:
        for p in prange(len(out)):
            _spread_plane(g[p], index[p], out[p])


# --------------------------------------------------------------------------------------------- average

@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _avg_plane(x, rows, cols, out):
    column = np.empty(x.shape[1], x.dtype)
    for oi in range(len(rows)):
        column[:] = 0
        for i in range(rows[oi, 0], rows[oi, 1]):
            for j in range(len(column)):
                column[j] += x[i, j]
        for oj in range(len(cols)):
            total = x.dtype.type(0)
            for j in range(cols[oj, 0], cols[oj, 1]):
                total += column[j]
            out[oi, oj] = total / (rows[oi, 2] * cols[oj, 2])


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def avg_pool(x, rows, cols, out):
    if x.size < _SERIAL:
        for p in range(len(x)):
            _avg_plane(x[p], rows, cols, out[p])
    else:
        for p in prange(len(x)):
            _avg_plane(x[p], rows, cols, out[p])


@njit(cache=True, nogil=True)
def _avg_spread_plane(g, rows, cols, out):
    column = np.empty(out.shape[1], g.dtype)
    out[:] = 0
    for oi in range(len(rows)):
        column[:] = 0
        for oj in range(len(cols)):
            share = g.dtype.type(g[oi, oj] / (rows[oi, 2] * cols[oj, 2]))
            for j in range(cols[oj, 0], cols[oj, 1]):
                column[j] += share
        for i in range(rows[oi, 0], rows[oi, 1]):
            for j in range(len(column)):
                out[i, j] += column[j]


@njit(cache=True, nogil=True, parallel=True)
def avg_spread(g, rows, cols, out):
    if out.size < _SERIAL:
        for p in range(len(out)):
            _avg_spread_plane(g[p], rows, cols, out[p])
    else:
        for p in prange(len(out)):
            _avg_spread_plane(g[p], rows, cols, out[p])
