"""Pairwise ranking by sampled SGD, in Numba; described at the NumPy reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from minidl.kernels.launch import spread

__all__ = ["deal", "epoch"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}}
_LARGE = 20_000  # pairs; with fewer, other threads are not worth waking
_TRIES = 16


def deal(indptr, indices, bounds, owner, users, items, cells):
    blocks = len(bounds) - 1
    free = np.zeros((blocks, blocks + 1), np.int64)
    spread(_deal, blocks, len(indices) > _LARGE, indptr, indices, bounds, owner, free, users, items, cells)


@njit(cache=True, nogil=True)
def _deal(first, last, indptr, indices, bounds, owner, free, users, items, cells):
    blocks = len(bounds) - 1
    for a in range(first, last):
        for n in range(indptr[bounds[a]], indptr[bounds[a + 1]]):
            free[a, owner[indices[n]] + 1] += 1
        free[a, 0] = indptr[bounds[a]]
        for b in range(blocks):
            free[a, b + 1] += free[a, b]
            cells[a, b] = free[a, b]
        cells[a, blocks] = free[a, blocks]
        for u in range(bounds[a], bounds[a + 1]):
            for n in range(indptr[u], indptr[u + 1]):
                place = free[a, owner[indices[n]]]
                users[place], items[place] = u, indices[n]
                free[a, owner[indices[n]]] += 1


@njit(cache=True, nogil=True, inline="always")
def _scramble(x):
    """splitmix64: a well mixed, never zero state for xorshift from any counter."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


@njit(cache=True, nogil=True, inline="always")
def _next(x):
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    return x ^ (x << np.uint64(17))


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _cell(users, items, pool, X, Y, bias, mark, lr, reg, state):
    """The steps of one cell: a user's items there are all of the user's items among `pool`."""
    factors = X.shape[1]
    real = X.dtype.type
    one, size, keep = real(1), real(lr), real(1 - lr * reg)
    loss, product = 0.0, 1.0
    width = np.uint64(len(pool))
    start = 0
    while start < len(users):
        u = users[start]
        stop = start
        while stop < len(users) and users[stop] == u:
            mark[items[stop]] = u
            stop += 1
        x = X[u]
        for n in range(start, stop):
            i = items[n]
            j = i
            for _ in range(_TRIES):
                state = _next(state)
                j = pool[((state >> np.uint64(32)) * width) >> np.uint64(32)]
                if mark[j] != u:
                    break
            if mark[j] == u:
                continue
            y, z = Y[i], Y[j]
            s = bias[i] - bias[j]
            for k in range(factors):
                s += x[k] * (y[k] - z[k])
            s = min(max(s, real(-30)), real(30))
            odds = math.exp(-s)
            product *= one + odds
            if product > 1e100:
                loss += math.log(product)
                product = 1.0
            g = size * (odds / (one + odds))
            bias[i] = keep * bias[i] + g
            bias[j] = keep * bias[j] - g
            for k in range(factors):
                p, q, r = x[k], y[k], z[k]
                x[k] = keep * p + g * (q - r)
                y[k] = keep * q + g * p
                z[k] = keep * r - g * p
        start = stop
    return loss + math.log(product)


def epoch(users, items, cells, pool, edges, X, Y, bias, mark, lr, reg, seed, loss):
    found = np.empty_like(loss)
    for shift in range(len(cells)):  # of a shift's cells no two have a user or an item in common
        spread(_cells, len(cells), len(users) > _LARGE, shift, users, items, cells, pool, edges, X, Y, bias, mark, lr,
               reg, seed, found)
        loss += found


@njit(cache=True, nogil=True, **_FAST)
def _cells(first, last, shift, users, items, cells, pool, edges, X, Y, bias, mark, lr, reg, seed, loss):
    blocks = len(cells)
    for a in range(first, last):
        b = (a + shift) % blocks
        start, stop = cells[a, b], cells[a, b + 1]
        state = _scramble(np.uint64(seed) * np.uint64(blocks * blocks) + np.uint64(a * blocks + b))
        loss[a] = _cell(users[start:stop], items[start:stop], pool[edges[b]:edges[b + 1]], X, Y, bias, mark[a], lr, reg,
                        state)
