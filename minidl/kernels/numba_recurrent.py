"""Kernels of recurrent layers in Numba; described at the reference, `numpy_recurrent`.

Each block of samples goes through all its steps by itself, on any thread: its gates and states stay in the cache,
and the weights in that of the core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.blas import share
from minidl.kernels.ahead import njit, overload
from minidl.kernels.copies import copied
from minidl.kernels.numpy_recurrent import GRU, LSTM, RELU, TANH

__all__ = ["GRU", "LSTM", "RELU", "TANH", "backward", "forward"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}, "error_model": "numpy"}
_ROWS = 16  # samples of a block
_COST = 8  # a multiplication here, with its share of the gates, takes as long as so many in a large product


def _tanh(x: Any) -> Any:
    """Hyperbolic tangent."""


@overload(_tanh, jit_options=_FAST)
def _tanh_typed(x: Any) -> Any:
    from numba import types

    def exact(x: Any) -> Any:
        return math.tanh(x)

    def rational(x: Any) -> Any:  # error 2.6e-7, and +-1 from 8.3 on; coefficients of Eigen's float tanh. NaN stays NaN
        z = np.float32(7.90531110763549805) if x > np.float32(7.90531110763549805) else x
        z = np.float32(-7.90531110763549805) if z < np.float32(-7.90531110763549805) else z
        q = z * z
        p = np.float32(-2.76076847742355e-16) * q + np.float32(2.00018790482477e-13)
        p = p * q + np.float32(-8.60467152213735e-11)
        p = p * q + np.float32(5.12229709037114e-08)
        p = p * q + np.float32(1.48572235717979e-05)
        p = p * q + np.float32(6.37261928875436e-04)
        p = p * q + np.float32(4.89352455891786e-03)
        d = np.float32(1.19825839466702e-06) * q + np.float32(1.18534705686654e-04)
        d = d * q + np.float32(2.26843463243900e-03)
        d = d * q + np.float32(4.89352518554385e-03)
        t = z * p / d
        t = np.float32(1) if x > np.float32(8.3) else t
        return np.float32(-1) if x < np.float32(-8.3) else t

    return rational if x == types.float32 else exact


# ------------------------------------------------- products of small matrices; loops that the compiler vectorises

@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_product(a, weight, out):
    """`out[:, :n] += a @ weight` for weights (k, n) with n large: along rows of the output."""
    k = len(weight)
    tiled, whole = len(a) - len(a) % 4, k - k % 4
    for i in range(0, tiled, 4):
        for p in range(0, whole, 4):
            _add_four_rows(a, i, weight, p, out)
    for i in range(len(a)):
        for p in range(0 if i >= tiled else whole, whole, 4):
            _add_row(a[i], weight, p, out[i])
        for p in range(whole, k):
            x, w, row = a[i, p], weight[p], out[i]
            for j in range(w.size):
                row[j] += x * w[j]


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_row(a, weight, p, out):
    x0, x1, x2, x3 = a[p], a[p + 1], a[p + 2], a[p + 3]
    w0, w1, w2, w3 = weight[p], weight[p + 1], weight[p + 2], weight[p + 3]
    for j in range(w0.size):
        out[j] += x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_four_rows(a, i, weight, p, out):
    a00, a01, a02, a03 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
    a10, a11, a12, a13 = a[i + 1, p], a[i + 1, p + 1], a[i + 1, p + 2], a[i + 1, p + 3]
    a20, a21, a22, a23 = a[i + 2, p], a[i + 2, p + 1], a[i + 2, p + 2], a[i + 2, p + 3]
    a30, a31, a32, a33 = a[i + 3, p], a[i + 3, p + 1], a[i + 3, p + 2], a[i + 3, p + 3]
    w0, w1, w2, w3 = weight[p], weight[p + 1], weight[p + 2], weight[p + 3]
    out0, out1, out2, out3 = out[i], out[i + 1], out[i + 2], out[i + 3]
    for j in range(w0.size):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        out0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
        out1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
        out2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
        out3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_inner_product(a, weight, out):
    """`out += a[:, :k] @ weight.T` for weights (n, k) with k large: sums, four by four where there are four."""
    n, k = weight.shape
    rows, tiled = len(a) - len(a) % 4, n - n % 4
    for j in range(0, tiled, 4):
        for i in range(0, rows, 4):
            _add_tile(k, a[i], a[i + 1], a[i + 2], a[i + 3], weight, j, out, i)
    for i in range(len(a)):
        for j in range(0 if i >= rows else tiled, n):
            row, w, total = a[i], weight[j], out.dtype.type(0)
            for p in range(k):
                total += row[p] * w[p]
            out[i, j] += total


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_four(s0, s1, s2, s3, row, j):
    row[j] += s0
    row[j + 1] += s1
    row[j + 2] += s2
    row[j + 3] += s3


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_tile(k, a0, a1, a2, a3, weight, j, out, i):
    w0, w1, w2, w3 = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
    zero = out.dtype.type(0)
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = zero
    for p in range(k):
        x0, x1, x2, x3, w = a0[p], a1[p], a2[p], a3[p], w0[p]
        s00, s10, s20, s30 = s00 + x0 * w, s10 + x1 * w, s20 + x2 * w, s30 + x3 * w
        w = w1[p]
        s01, s11, s21, s31 = s01 + x0 * w, s11 + x1 * w, s21 + x2 * w, s31 + x3 * w
        w = w2[p]
        s02, s12, s22, s32 = s02 + x0 * w, s12 + x1 * w, s22 + x2 * w, s32 + x3 * w
        w = w3[p]
        s03, s13, s23, s33 = s03 + x0 * w, s13 + x1 * w, s23 + x2 * w, s33 + x3 * w
    _add_four(s00, s01, s02, s03, out[i], j)
    _add_four(s10, s11, s12, s13, out[i + 1], j)
    _add_four(s20, s21, s22, s23, out[i + 2], j)
    _add_four(s30, s31, s32, s33, out[i + 3], j)


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _sigmoid(x):
    half = x.dtype.type(0.5)
    for j in range(x.size):
        x[j] = half + half * _tanh(half * x[j])


# ---------------------------------------- one step of one sample; few arrays a loop, or it is not vectorised

@njit(cache=True, nogil=True, inline="always", **_FAST)
def _plain_step(kind, row, h, c):
    if kind == TANH:
        for j in range(h.size):
            h[j] = _tanh(row[j])
    else:
        zero = h.dtype.type(0)
        for j in range(h.size):
            h[j] = zero if row[j] <= zero else row[j]


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _gru_step(kind, row, h, c):
    n = h.size
    _sigmoid(row[n:3 * n])
    m, r, z, candidate = row[:n], row[n:2 * n], row[2 * n:3 * n], row[3 * n:]
    for j in range(n):
        candidate[j] = _tanh(candidate[j] + r[j] * m[j])
    for j in range(n):
        h[j] = candidate[j] + z[j] * (h[j] - candidate[j])


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _lstm_step(kind, row, h, c):
    n = h.size
    _sigmoid(row[:2 * n])
    _sigmoid(row[3 * n:])
    i, f, g, o = row[:n], row[n:2 * n], row[2 * n:3 * n], row[3 * n:]
    for j in range(n):
        g[j] = _tanh(g[j])
    for j in range(n):
        c[j] = f[j] * c[j] + i[j] * g[j]
    for j in range(n):
        h[j] = o[j] * _tanh(c[j])


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _gru_back(kind, gates, out, h, cell, dh, dc, d):
    n, one = dh.size, dh.dtype.type(1)
    m, r, z, candidate = gates[:n], gates[n:2 * n], gates[2 * n:3 * n], gates[3 * n:]
    dm, dr, dz, dn = d[:n], d[n:2 * n], d[2 * n:3 * n], d[3 * n:]
    for j in range(n):
        dn[j] = dh[j] * (one - z[j]) * (one - candidate[j] * candidate[j])
    for j in range(n):
        dm[j] = dn[j] * r[j]
    for j in range(n):
        dr[j] = dm[j] * m[j] * (one - r[j])
    for j in range(n):
        dz[j] = dh[j] * (h[j] - candidate[j]) * z[j] * (one - z[j])
    for j in range(n):
        dh[j] *= z[j]


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _lstm_back(kind, gates, out, before, cell, dh, dc, d):
    n, one = dh.size, dh.dtype.type(1)
    i, f, g, o = gates[:n], gates[n:2 * n], gates[2 * n:3 * n], gates[3 * n:]
    di, df, dg, do = d[:n], d[n:2 * n], d[2 * n:3 * n], d[3 * n:]
    for j in range(n):
        do[j] = _tanh(cell[j])
    for j in range(n):
        dc[j] += dh[j] * o[j] * (one - do[j] * do[j])
    for j in range(n):
        do[j] *= dh[j] * o[j] * (one - o[j])
    for j in range(n):
        di[j] = dc[j] * g[j] * i[j] * (one - i[j])
    for j in range(n):
        df[j] = dc[j] * before[j] * f[j] * (one - f[j])
    for j in range(n):
        dg[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(n):
        dc[j] *= f[j]
    _clear(dh)


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _plain_back(kind, gates, out, before, cell, dh, dc, d):
    zero, one = dh.dtype.type(0), dh.dtype.type(1)
    if kind == TANH:
        for j in range(dh.size):
            d[j] = dh[j] * (one - out[j] * out[j])
    else:
        for j in range(dh.size):
            d[j] = dh[j] if out[j] > zero else zero
    _clear(dh)


# ------------------------------------------------------------------------------- all steps of a block of samples

@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _copy(source, target):  # written out, here and below: what NumPy's syntax stands for takes seconds to compile
    for j in range(target.size):
        target[j] = source[j]


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _clear(row):
    for j in range(row.size):
        row[j] = 0


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _add(source, target):
    for j in range(target.size):
        target[j] += source[j]


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _longest(lengths, low, high):
    found = 0
    for b in range(low, high):
        found = max(found, lengths[b])
    return found


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _clear_after(steps, array, low, high):
    for t in range(steps, len(array)):
        for b in range(low, high):
            _clear(array[t, b])


_step: Any = None  # these names have values in the copies only, one for each kind
_back: Any = None


def _forward_code(kind, gates, bias, weight, lengths, reverse, h, c, out, cells, low, high):
    start = h.shape[1] if kind == GRU else 0
    longest = _longest(lengths, low, high)
    _clear_after(longest, out, low, high)
    for step in range(longest):
        t = longest - 1 - step if reverse else step
        for b in range(low, high):
            _clear(gates[t, b][:start])
            _add(bias, gates[t, b])
        _add_product(h[low:high], weight, gates[t, low:high])
        for b in range(low, high):
            if t >= lengths[b]:
                _clear(out[t, b])
                continue
            _step(kind, gates[t, b], h[b], c[b])
            _copy(h[b], out[t, b])
            if kind == LSTM:
                _copy(c[b], cells[t, b])


def _backward_code(kind, g, gates, weight, lengths, reverse, out, cells, h0, c0, dh, dc, grad, total, low, high):
    longest = _longest(lengths, low, high)
    _clear_after(longest, grad, low, high)
    for step in range(longest):
        t = step if reverse else longest - 1 - step
        before = t + 1 if reverse else t - 1
        for b in range(low, high):
            if t >= lengths[b]:
                _clear(grad[t, b])
                continue
            _add(g[t, b], dh[b])
            inside = 0 <= before < lengths[b]
            # What the step began with: for LSTM the cells, else the states.
            if kind == LSTM:
                earlier, cell = cells[before, b] if inside else c0[b], cells[t, b]
            else:
                earlier, cell = out[before, b] if inside else h0[b], out[t, b]
            _back(kind, gates[t, b], out[t, b], earlier, cell, dh[b], dc[b], grad[t, b])
            _add(grad[t, b], total)
        _add_inner_product(grad[t, low:high], weight, dh[low:high])


def _compiled(code: Any) -> dict[int, Any]:
    """A kernel for each kind: a network has one, and all of them would take long to compile."""
    steps = {"plain": (_plain_step, _plain_back), "gru": (_gru_step, _gru_back), "lstm": (_lstm_step, _lstm_back)}
    made = {name: njit(cache=True, nogil=True, **_FAST)(copied(code, f"{name}{code.__name__}", _step=step, _back=back))
            for name, (step, back) in steps.items()}
    return {TANH: made["plain"], RELU: made["plain"], GRU: made["gru"], LSTM: made["lstm"]}


_FORWARD, _BACKWARD = _compiled(_forward_code), _compiled(_backward_code)


# ---------------------------------------------------------------------------------------------- all samples

def _each_block(samples: int, work: int, run: Callable[[int, int, int], None]) -> None:
    """Call `run(number, low, high)` for each block, on any free thread when there is enough to do.

    Python's threads, since the compiler takes five times as long over the same loop in `prange`.
    """
    def take(spans: Iterator[tuple[int, int, int]]) -> None:
        for span in spans:
            run(*span)

    share(take, [(k, k * _ROWS, min((k + 1) * _ROWS, samples)) for k in range(-(-samples // _ROWS))], _COST * work)


def forward(kind, gates, bias, weight, lengths, reverse, h, c, out, cells):
    def run(number, low, high):
        _FORWARD[kind](kind, gates, bias, weight, lengths, reverse, h, c, out, cells, low, high)

    _each_block(len(lengths), gates.shape[0] * len(lengths) * weight.size, run)


def backward(kind, g, gates, weight, lengths, reverse, out, cells, h0, c0, dh, dc, grad):
    totals = np.zeros((-(-len(lengths) // _ROWS), grad.shape[2]), grad.dtype)

    def run(number, low, high):
        _BACKWARD[kind](kind, g, gates, weight, lengths, reverse, out, cells, h0, c0, dh, dc, grad, totals[number], low,
                        high)

    _each_block(len(lengths), gates.shape[0] * len(lengths) * weight.size, run)
    return totals.sum(axis=0)
