"""Normalisation kernels in Numba; described at the reference, `numpy_norm`.

Chunks of rows whose number the shape alone decides, or channels, are what threads share out, so that no result
depends on the number of threads. Elements of a row or line are summed in their own dtype, and what rows or lines give
in float64. The variance is that of the differences from a rounded mean, less the square of what its rounding leaves.

Rows take so little time that threads of Numba's, which wait awake for a moment, are worth their compiling here.

Only loops that write nothing are compiled with fast mathematics. One that writes exists twice in machine code, as
vectors and one by one, and which is taken depends on how far apart in memory its arrays happen to be.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.kernels.ahead import later, njit
from minidl.kernels.launch import spread
from minidl.runtime import threads

__all__ = ["channel_norm", "channel_norm_gradient", "row_norm", "row_norm_gradient"]

prange = later("numba", "prange")

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_LARGE = 65_536  # elements; with fewer, other threads are not worth waking
_CHUNKS = 64  # of rows, at most
_BLOCK = 8  # rows that take each step together, so that none waits for its own sums


# ------------------------------------------------------------------- sums over one row of a matrix

@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _sum(x, i):
    total = x.dtype.type(0)
    for j in range(x.shape[1]):
        total += x[i, j]
    return total


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _moments(x, i, centre):
    """Sums of x - centre and of its square."""
    rest = square = x.dtype.type(0)
    for j in range(x.shape[1]):
        d = x[i, j] - centre
        rest += d
        square += d * d
    return rest, square


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _products(g, x, i, centre):
    """Sums of g and of g (x - centre)."""
    total = product = x.dtype.type(0)
    for j in range(x.shape[1]):
        total += g[i, j]
        product += g[i, j] * (x[i, j] - centre)
    return total, product


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _weighted_products(g, x, i, centre, weight):
    """Sums of g w and of g w (x - centre)."""
    total = product = x.dtype.type(0)
    for j in range(x.shape[1]):
        total += g[i, j] * weight[j]
        product += g[i, j] * weight[j] * (x[i, j] - centre)
    return total, product


# -------------------------------------------------------------------------------------------------- rows

def row_norm(x, weight, bias, eps, centred):
    out, (mean, scale) = np.empty_like(x), np.empty((2, len(x)), x.dtype)
    if x.size < _LARGE or threads() == 1:
        _rows(0, len(x), x, weight, bias, eps, centred, out, mean, scale)
    else:
        _rows_on_threads(x, weight, bias, eps, centred, out, mean, scale)
    return out, mean, scale


def row_norm_gradient(g, x, weight, mean, scale, centred, gx):
    chunks = min(_CHUNKS, -(-len(x) // _CHUNKS))
    sums, (inner, slope) = np.zeros((2, chunks, x.shape[1]), x.dtype), np.empty((2, chunks, _BLOCK), x.dtype)
    run = _rows_gradient if x.size < _LARGE or threads() == 1 else _rows_gradient_on_threads
    run(g, x, weight, mean, scale, centred, inner, slope, gx, sums)
    gw, gb = sums.sum(axis=1, dtype=np.float64).astype(x.dtype)
    return gw, gb


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(first, last, x, weight, bias, eps, centred, out, mean, scale):
    zero, one, count = x.dtype.type(0), x.dtype.type(1), x.dtype.type(x.shape[1])
    for block in range(first, last, _BLOCK):
        rows = range(block, min(block + _BLOCK, last))
        for i in rows:
            mean[i] = _sum(x, i) / count if centred else zero
        for i in rows:
            rest, square = _moments(x, i, mean[i])
            rest = rest / count if centred else zero
            mean[i] += rest
            scale[i] = one / math.sqrt(max(square / count - rest * rest, zero) + x.dtype.type(eps))
        for i in rows:
            centre, factor = mean[i], scale[i]
            for j in range(x.shape[1]):
                out[i, j] = (x[i, j] - centre) * factor * weight[j] + bias[j]


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _rows_on_threads(x, weight, bias, eps, centred, out, mean, scale):
    n = len(x)
    for c in prange(_CHUNKS):
        _rows(n * c // _CHUNKS, n * (c + 1) // _CHUNKS, x, weight, bias, eps, centred, out, mean, scale)


@njit(cache=True, nogil=True, error_model="numpy")
def _chunk_gradient(g, x, c, weight, mean, scale, centred, inner, slope, gx, sums):
    chunks, zero, count = sums.shape[1], x.dtype.type(0), x.dtype.type(x.shape[1])
    first, last = len(x) * c // chunks, len(x) * (c + 1) // chunks
    for block in range(first, last, _BLOCK):
        rows = range(block, min(block + _BLOCK, last))
        for i in rows:
            total, product = _weighted_products(g, x, i, mean[i], weight)
            inner[i - block] = total / count if centred else zero
            slope[i - block] = product / count * scale[i] * scale[i]
        for i in rows:
            centre, factor, shift, tilt = mean[i], scale[i], inner[i - block], slope[i - block]
            for j in range(x.shape[1]):
                gx[i, j] = factor * (g[i, j] * weight[j] - shift - (x[i, j] - centre) * tilt)
        for i in rows:
            centre, factor = mean[i], scale[i]
            for j in range(x.shape[1]):
                sums[0, c, j] += g[i, j] * ((x[i, j] - centre) * factor)
        for i in rows:
            for j in range(x.shape[1]):
                sums[1, c, j] += g[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _rows_gradient(g, x, weight, mean, scale, centred, inner, slope, gx, sums):
    for c in range(sums.shape[1]):
        _chunk_gradient(g, x, c, weight, mean, scale, centred, inner[c], slope[c], gx, sums)


@njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def _rows_gradient_on_threads(g, x, weight, mean, scale, centred, inner, slope, gx, sums):
    for c in prange(sums.shape[1]):
        _chunk_gradient(g, x, c, weight, mean, scale, centred, inner[c], slope[c], gx, sums)


# ------------------------------------------------- channels: the lines c, C + c, 2 C + c, ... of x (N C, L)

def channel_norm(x, weight, bias, eps, mean, var, training):
    out = np.empty_like(x)
    n, channels, width = x.shape
    if width == 1:
        scratch = np.zeros((3, channels)), np.empty(channels, x.dtype)
        _columns(x.reshape(n, channels), weight, bias, eps, mean, var, training, out.reshape(n, channels), *scratch)
    else:
        spread(_channels, channels, x.size >= _LARGE, x.reshape(n * channels, width), weight, bias, eps, mean, var,
               training, out.reshape(n * channels, width))
    return out


def channel_norm_gradient(g, x, weight, eps, mean, var, training, gx):
    gw, gb = np.empty_like(weight), np.empty_like(weight)
    n, channels, width = x.shape
    if width == 1:
        scratch = np.zeros((2, channels)), np.zeros((3, channels), x.dtype)
        _columns_gradient(g.reshape(n, channels), x.reshape(n, channels), weight, eps, mean, var, training,
                          gx.reshape(n, channels), gw, gb, *scratch)
    else:
        shape = (n * channels, width)
        spread(_channels_gradient, channels, x.size >= _LARGE, g.reshape(shape), x.reshape(shape), weight, eps, mean,
               var, training, gx.reshape(shape), gw, gb)
    return gw, gb


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _channel(x, c, weight, bias, eps, mean, var, training, out):
    rows = range(c, len(x), len(weight))
    if training:
        count = float(len(x) // len(weight) * x.shape[1])
        total = rest = square = 0.0
        for i in rows:
            total += _sum(x, i)
        about = x.dtype.type(total / count)
        for i in rows:
            r, s = _moments(x, i, about)
            rest += r
            square += s
        mean[c] = about + rest / count
        var[c] = max(square / count - (rest / count) ** 2, 0.0)
    centre, scale, shift = mean[c], weight[c] / math.sqrt(var[c] + x.dtype.type(eps)), bias[c]
    for i in rows:
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - centre) * scale + shift


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _channel_gradient(g, x, c, weight, eps, mean, var, training, gx, gw, gb):
    rows, count = range(c, len(x), len(weight)), float(len(x) // len(weight) * x.shape[1])
    total = product = 0.0
    for i in rows:
        t, p = _products(g, x, i, mean[c])
        total += t
        product += p
    scale = x.dtype.type(1) / math.sqrt(var[c] + x.dtype.type(eps))
    gb[c] = total
    gw[c] = product * scale
    centre, factor, shift, tilt = mean[c], weight[c] * scale, x.dtype.type(0), x.dtype.type(0)
    if training:
        shift = x.dtype.type(total / count)
        tilt = x.dtype.type(product / count) * scale * scale
    for i in rows:
        for j in range(x.shape[1]):
            gx[i, j] = factor * (g[i, j] - shift - (x[i, j] - centre) * tilt)


@njit(cache=True, nogil=True, error_model="numpy")
def _channels(first, last, x, weight, bias, eps, mean, var, training, out):
    for c in range(first, last):
        _channel(x, c, weight, bias, eps, mean, var, training, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _channels_gradient(first, last, g, x, weight, eps, mean, var, training, gx, gw, gb):
    for c in range(first, last):
        _channel_gradient(g, x, c, weight, eps, mean, var, training, gx, gw, gb)


# -------------------------------------------------------------- channels next to each other: L = 1, x (N, C)

@njit(cache=True, nogil=True, error_model="numpy")
def _columns(x, weight, bias, eps, mean, var, training, out, sums, scale):
    n, width = x.shape
    eps = x.dtype.type(eps)
    if training:
        total, rest, square = sums[0], sums[1], sums[2]
        for i in range(n):
            for j in range(width):
                total[j] += x[i, j]
        for j in range(width):
            mean[j] = total[j] / n
        for i in range(n):
            for j in range(width):
                d = x[i, j] - mean[j]
                rest[j] += d
                square[j] += d * d
        for j in range(width):
            mean[j] += rest[j] / n
            var[j] = max(square[j] / n - (rest[j] / n) ** 2, 0.0)
    for j in range(width):
        scale[j] = weight[j] / math.sqrt(var[j] + eps)
    for i in range(n):
        for j in range(width):
            out[i, j] = (x[i, j] - mean[j]) * scale[j] + bias[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _columns_gradient(g, x, weight, eps, mean, var, training, gx, gw, gb, sums, factors):
    n, width = x.shape
    eps = x.dtype.type(eps)
    total, product = sums[0], sums[1]
    for i in range(n):
        for j in range(width):
            total[j] += g[i, j]
            product[j] += g[i, j] * (x[i, j] - mean[j])
    factor, inner, slope = factors[0], factors[1], factors[2]
    for j in range(width):
        scale = x.dtype.type(1) / math.sqrt(var[j] + eps)
        gb[j] = total[j]
        gw[j] = product[j] * scale
        factor[j] = weight[j] * scale
        if training:
            inner[j] = total[j] / n
            slope[j] = product[j] / n * scale * scale
    for i in range(n):
        for j in range(width):
            gx[i, j] = factor[j] * (g[i, j] - inner[j] - (x[i, j] - mean[j]) * slope[j])
