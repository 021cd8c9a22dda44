"""Regressions of items on their nearest items, in Numba; described at the NumPy reference.

Each regression is made by one thread alone, with scratch of its own, so no result depends on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread

__all__ = ["elastic_net", "ridge"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}}
_SHARES = 64  # targets are dealt out to them, so that long lists spread
_PANEL = 8  # rows of a factor that are subtracted at a time
_LARGE = 2000  # places in lists; with fewer, other threads are not worth waking


def ridge(indptr, indices, data, n_rows, whole, targets, near_indptr, near_indices, penalty):
    weights, left = np.zeros(len(near_indices), np.float32), np.zeros(len(targets))

    def share(first, last):
        gram, heads, chain, pair = _scratch(indptr, n_rows, whole, targets, near_indptr, near_indices)
        _ridge(first, last, indptr, indices, data, whole, targets, near_indptr, near_indices, penalty, gram, heads,
               *chain, pair[0], weights, left)

    spread(share, min(_SHARES, len(targets)), len(near_indices) > _LARGE)
    return weights, left


def elastic_net(indptr, indices, data, n_rows, whole, targets, near_indptr, near_indices, penalty, lasso, sweeps,
                close):
    weights = np.zeros(len(near_indices), np.float32)

    def share(first, last):
        gram, heads, chain, pair = _scratch(indptr, n_rows, whole, targets, near_indptr, near_indices)
        _elastic_net(first, last, indptr, indices, data, whole, targets, near_indptr, near_indices, penalty, lasso,
                     sweeps, close, gram, heads, *chain, *pair, weights)

    spread(share, min(_SHARES, len(targets)), len(near_indices) > _LARGE)
    return weights


def _scratch(indptr, n_rows, whole, targets, near_indptr, near_indices):
    """A Gram matrix; the last entry of each row in the chain; its places, entries before and values; two vectors."""
    longest = int(np.diff(near_indptr).max(initial=0)) + 1
    counts = np.diff(indptr)
    before = np.concatenate([[0], np.cumsum(counts[near_indices])])
    entries = 0
    if not len(whole):
        entries = int((before[near_indptr[1:]] - before[near_indptr[:-1]] + counts[targets]).max(initial=0))
    chain = np.empty(entries, np.int32), np.empty(entries, np.int32), np.empty(entries, np.float32)
    return np.empty((longest, longest)), np.full(n_rows, -1, np.int32), chain, np.empty((2, longest))


@njit(cache=True, nogil=True)
def _local_gram(target, near, indptr, indices, data, whole, gram, heads, places, before, values):
    """The upper triangle of the products of the columns `near` and, behind them, `target`.

    They are picked from the products of all columns, where these are at hand. Else the entries of a row hang together
    in a chain, so that each one meets those of the places behind it alone.
    """
    size, end = len(near) + 1, 0
    if len(whole):
        for place in range(size):
            row, source = gram[place], whole[target if place == size - 1 else near[place]]
            for other in range(place, size - 1):
                row[other] = source[near[other]]
            row[size - 1] = source[target]
        return
    for place in range(size - 1, -1, -1):
        row, item = gram[place], target if place == size - 1 else near[place]
        row[place:size] = 0
        for at in range(indptr[item], indptr[item + 1]):
            user, value = indices[at], np.float64(data[at])
            places[end], before[end], values[end] = place, heads[user], data[at]
            heads[user] = end
            entry = end
            while entry >= 0:
                row[places[entry]] += value * values[entry]
                entry = before[entry]
            end += 1
    for place in range(size):
        item = target if place == size - 1 else near[place]
        for at in range(indptr[item], indptr[item + 1]):
            heads[indices[at]] = -1


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _factorise(a, n):
    """Replace the upper triangle of a positive definite matrix (n, n) by U with `U' U` equal to it."""
    for start in range(0, n, _PANEL):
        stop = min(start + _PANEL, n)
        for k in range(start, stop):
            row = a[k, k:n]
            for before in range(start, k):
                factor, other = a[before, k], a[before, k:n]
                for j in range(len(row)):
                    row[j] -= factor * other[j]
            scale = 1 / math.sqrt(row[0])
            for j in range(len(row)):
                row[j] *= scale
        for i in range(stop, n):  # so the panel is whole
            row = a[i, i:n]
            o, p, q, r = a[start, i:n], a[start + 1, i:n], a[start + 2, i:n], a[start + 3, i:n]
            s, t, u, v = a[start + 4, i:n], a[start + 5, i:n], a[start + 6, i:n], a[start + 7, i:n]
            b, c, d, e, f, g, h, k = o[0], p[0], q[0], r[0], s[0], t[0], u[0], v[0]
            for j in range(len(row)):
                row[j] -= (b * o[j] + c * p[j] + d * q[j] + e * r[j]) + (f * s[j] + g * t[j] + h * u[j] + k * v[j])


@njit(cache=True, nogil=True, **_FAST)
def _ridge(first, last, indptr, indices, data, whole, targets, near_indptr, near_indices, penalty, gram, heads, places,
           before, values, solution, weights, left):
    for share in range(first, last):
        for at in range(share, len(targets), _SHARES):
            begin, stop = near_indptr[at], near_indptr[at + 1]
            near, target, m = near_indices[begin:stop], targets[at], stop - begin
            _local_gram(target, near, indptr, indices, data, whole, gram, heads, places, before, values)
            for place in range(m):
                gram[place, place] += penalty[near[place]]
            gram[m, m] += penalty[target]
            _factorise(gram, m + 1)
            left[at] = gram[m, m] ** 2  # what the others do not explain of the target's square
            for place in range(m - 1, -1, -1):
                row, total = gram[place], 0.0
                for other in range(place + 1, m):
                    total += row[other] * solution[other]
                solution[place] = (row[m] - total) / row[place]
                weights[begin + place] = solution[place]


@njit(cache=True, nogil=True, **_FAST)
def _elastic_net(first, last, indptr, indices, data, whole, targets, near_indptr, near_indices, penalty, lasso, sweeps,
                 close, gram, heads, places, before, values, solution, slope, weights):
    for share in range(first, last):
        for at in range(share, len(targets), _SHARES):
            begin, stop = near_indptr[at], near_indptr[at + 1]
            near, target, m = near_indices[begin:stop], targets[at], stop - begin
            _local_gram(target, near, indptr, indices, data, whole, gram, heads, places, before, values)
            for place in range(m):
                solution[place], slope[place] = 0, gram[place, m]
                for other in range(place):
                    gram[place, other] = gram[other, place]
            for _ in range(sweeps):
                moved = 0.0
                for place in range(m):
                    row, old = gram[place], solution[place]
                    new = max(0.0, (slope[place] + row[place] * old - lasso) / (row[place] + penalty[near[place]]))
                    step = new - old
                    if step != 0:
                        solution[place] = new
                        moved = max(moved, abs(step))
                        for other in range(m):
                            slope[other] -= step * row[other]
                if moved <= close:
                    break
            for place in range(m):
                weights[begin + place] = solution[place]
