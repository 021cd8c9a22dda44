"""Row kernels in Numba; described at the NumPy references.

Sums run in order of appearance, and a bag belongs to one thread, so that the bits do not depend on the
number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.kernels import numpy_rows
from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread
from minidl.kernels.numpy_rows import check_range

__all__ = ["bag", "bag_argmax", "bag_dot", "bag_transposed", "coalesce", "scatter_add"]

_LARGE = 1 << 17  # numbers to add; with fewer, other threads are not worth waking
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
    unique, order, starts = _runs(indices)
    if unique.min() < 0:
        check_range("coalesce", indices, np.iinfo(np.int64).max)
    sums = _bagged(rows.reshape(len(rows), -1), order, starts, np.ones(len(rows), rows.dtype))
    return unique, sums.reshape(-1, *rows.shape[1:])


def bag(table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    check_range("bag", indices, len(table))
    return _bagged(table, indices, ends, scale)


def bag_argmax(table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> np.ndarray:
    check_range("bag_argmax", indices, len(table))
    out = np.full((len(ends) - 1, table.shape[1]), -1)
    spread(_bag_argmax, len(out), len(indices) * table.shape[1] > _LARGE, out, np.ascontiguousarray(table),
           _integers(indices), _integers(ends))
    return out


def bag_transposed(g: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
    """The bags of the transposed matrix: each index is a bag of the rows of `g`."""
    unique, order, starts = _runs(indices)
    owners = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    return unique, _bagged(g, owners[order], starts, scale[order])


def _bagged(table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    out = np.zeros((len(ends) - 1, table.shape[1]), table.dtype)
    spread(_bags, len(out), len(indices) * table.shape[1] > _LARGE, out, np.ascontiguousarray(table),
           _integers(indices), _integers(ends), scale)
    return out


def _runs(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The indices that occur, sorted; all places in the order of their index, then of appearance; where each begins.

    Sorted by 16 bits at a time, the lowest first: NumPy sorts these by counting, in a tenth of the time.
    """
    order = indices.astype(np.uint16).argsort(kind="stable")
    for shift in range(16, int(indices.max(initial=0)).bit_length(), 16):
        order = order[(indices[order] >> shift).astype(np.uint16).argsort(kind="stable")]
    ordered = indices[order]
    cut = np.ones(len(ordered) + 1, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=cut[1:-1])
    starts = np.flatnonzero(cut)
    return ordered[starts[:-1]], order, starts


def bag_dot(g: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> np.ndarray:
    check_range("bag_dot", indices, len(table))
    dots = np.empty(len(indices), g.dtype)
    spread(_bag_dot, len(g), len(indices) * table.shape[1] > _LARGE, dots, np.ascontiguousarray(g),
           np.ascontiguousarray(table), _integers(indices), _integers(ends))
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


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _add_bag(total: np.ndarray, table: np.ndarray, indices: np.ndarray, scale: np.ndarray) -> None:
    k = 0
    while k + 4 <= len(indices):  # one after the other, as below, but the sums are loaded and stored once
        a, b, c, d = table[indices[k]], table[indices[k + 1]], table[indices[k + 2]], table[indices[k + 3]]
        of_a, of_b, of_c, of_d = scale[k], scale[k + 1], scale[k + 2], scale[k + 3]
        for j in range(table.shape[1]):
            x = total[j] + of_a * a[j]
            x += of_b * b[j]
            x += of_c * c[j]
            total[j] = x + of_d * d[j]
        k += 4
    while k < len(indices):
        i, s = indices[k], scale[k]
        for j in range(table.shape[1]):
            total[j] += s * table[i, j]
        k += 1


@njit(cache=True, nogil=True)
def _bags(first: int, last: int, out: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray,
          scale: np.ndarray) -> None:
    for b in range(first, last):
        _add_bag(out[b], table, indices[ends[b]:ends[b + 1]], scale[ends[b]:ends[b + 1]])


@njit(cache=True, nogil=True)
def _bag_argmax(first: int, last: int, out: np.ndarray, table: np.ndarray, indices: np.ndarray,
                ends: np.ndarray) -> None:
    for b in range(first, last):
        for k in range(ends[b], ends[b + 1]):
            i = indices[k]
            for j in range(table.shape[1]):
                best, x = out[b, j], table[i, j]
                if best < 0 or x > table[best, j] or (x != x and table[best, j] == table[best, j]):
                    out[b, j] = i


@njit(cache=True, nogil=True, fastmath=_FAST)
def _bag_dot(first: int, last: int, dots: np.ndarray, g: np.ndarray, table: np.ndarray, indices: np.ndarray,
             ends: np.ndarray) -> None:
    for b in range(first, last):
        for k in range(ends[b], ends[b + 1]):
            i = indices[k]
            total = dots.dtype.type(0)
            for j in range(g.shape[1]):
                total += g[b, j] * table[i, j]
            dots[k] = total
