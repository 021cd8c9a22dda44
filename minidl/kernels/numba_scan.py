"""Kernels of linear recurrences in Numba; described at the reference, `numpy_scan`.

Samples go through all their steps in blocks, on any thread: a step reads the state before it from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.blas import share
from minidl.kernels.ahead import njit

__all__ = ["backward", "forward"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy"}
_ROWS = 8  # samples of a block
_COST = 32  # a number here takes as long as so many multiplications in a large product


# One array is written in each loop, or it is not vectorised.

@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _add_product(x, a, b, c, d, out):
    for j in range(out.size):
        out[j] = x[j] + a[j] * b[j] + c[j] * d[j]


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _less_product(x, a, b, c, d, out):
    for j in range(out.size):
        out[j] = x[j] + a[j] * b[j] - c[j] * d[j]


@njit(cache=True, nogil=True, **_FAST)
def _forward(x, decay, h0, out, low, high):
    n = decay.size // 2
    re, im = decay[:n], decay[n:]
    for s in range(low, high):
        h = h0[s]
        for t in range(x.shape[1]):
            row, new = x[s, t], out[s, t]
            _less_product(row[:n], re, h[:n], im, h[n:], new[:n])
            _add_product(row[n:], re, h[n:], im, h[:n], new[n:])
            h = new


@njit(cache=True, nogil=True, **_FAST)
def _backward(g, decay, h0, out, grad, start, zeros, total, low, high):
    n, steps = decay.size // 2, g.shape[1]
    re, im = decay[:n], decay[n:]
    for s in range(low, high):
        later = zeros
        for step in range(steps):
            t = steps - 1 - step
            row, d, h = g[s, t], grad[s, t], out[s, t - 1] if t > 0 else h0[s]
            _add_product(row[:n], re, later[:n], im, later[n:], d[:n])
            _less_product(row[n:], re, later[n:], im, later[:n], d[n:])
            _add_product(total[:n], h[:n], d[:n], h[n:], d[n:], total[:n])
            _less_product(total[n:], h[:n], d[n:], h[n:], d[:n], total[n:])
            later = d
        _add_product(zeros[:n], re, later[:n], im, later[n:], start[s][:n])
        _less_product(zeros[n:], re, later[n:], im, later[:n], start[s][n:])


def _each_block(samples: int, size: int, run: Callable[[int, int, int], None]) -> None:
    """Call `run(number, low, high)` for each block, on any free thread when there is enough to do."""
    def take(spans: Iterator[tuple[int, int, int]]) -> None:
        for span in spans:
            run(*span)

    share(take, [(k, k * _ROWS, min((k + 1) * _ROWS, samples)) for k in range(-(-samples // _ROWS))], _COST * size)


def forward(x, decay, h0, out):
    _each_block(len(x), x.size, lambda number, low, high: _forward(x, decay, h0, out, low, high))


def backward(g, decay, h0, out, grad, start):
    totals, zeros = np.zeros((-(-len(g) // _ROWS), decay.size), decay.dtype), np.zeros_like(decay)

    def run(number, low, high):
        _backward(g, decay, h0, out, grad, start, zeros, totals[number], low, high)

    _each_block(len(g), 2 * g.size, run)
    return totals.sum(axis=0)
