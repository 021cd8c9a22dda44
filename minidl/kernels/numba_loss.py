"""Loss kernels in Numba; described at the reference, `numpy_loss`.

Rows, or chunks of a fixed length, are what threads share out, so that no result depends on their number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.ahead import njit, overload
from minidl.kernels.launch import spread
from minidl.kernels.numpy_loss import BCE, BPR, CHUNK, MSE

__all__ = ["BCE", "BPR", "CHUNK", "MSE", "exp_sums", "pair_gradient", "pair_sum", "soft_gradient", "soft_sums",
           "softmax_gradient"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}, "error_model": "numpy"}
_IN_ORDER: Any = {"fastmath": {"contract"}, "error_model": "numpy"}  # where a different order would lose digits
_HIDDEN = 1.05  # a sum less than this has lost digits of what it is above 1
_LARGE = 8 * CHUNK  # elements; with fewer, other threads are not worth waking


# ---------------------------------------------------------------- functions that the compiler vectorises

def _exp(x: Any) -> Any:
    """e^x for x <= 0."""


def _log1p(z: Any) -> Any:
    """log(1 + z) for 0 <= z <= 1."""


@overload(_exp, jit_options=_IN_ORDER)
def _exp_typed(x: Any) -> Any:
    from numba import types

    def exact(x: Any) -> Any:
        return math.exp(x)

    def polynomial(x: Any) -> Any:  # relative error 2e-7; coefficients of S. Moshier, Cephes, expf
        k = np.rint(x * np.float32(1.44269504))  # x = k log 2 + r, |r| <= log(2) / 2; log 2 in two parts
        r = x - k * np.float32(0.693359375) - k * np.float32(-2.12194440e-4)
        p = np.float32(1.9875691500e-4) * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        p = p * (r * r) + r + np.float32(1)
        power_of_two = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
        return np.float32(0) if x < np.float32(-87) else p * power_of_two  # NaN stays NaN

    return polynomial if x == types.float32 else exact


@overload(_log1p, jit_options=_IN_ORDER)
def _log1p_typed(z: Any) -> Any:
    from numba import types

    def exact(z: Any) -> Any:
        return math.log1p(z)

    def series(z: Any) -> Any:  # 2 artanh(s) with s = z / (2 + z) <= 1/3
        s = z / (np.float32(2) + z)
        q = s * s
        p = np.float32(2 / 13) * q + np.float32(2 / 11)
        p = p * q + np.float32(2 / 9)
        p = p * q + np.float32(2 / 7)
        p = p * q + np.float32(2 / 5)
        p = p * q + np.float32(2 / 3)
        p = p * q + np.float32(2)
        return p * s

    return series if z == types.float32 else exact


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _sigmoid(x: Any, zero: Any, one: Any) -> Any:
    e = _exp(-abs(x))
    return (e if x < zero else one) / (one + e)


@njit(cache=True, nogil=True, forceinline=True, **_IN_ORDER)
def _logit_loss(x: Any, t: Any, zero: Any, one: Any) -> Any:
    return abs(x) * (one - t if x > zero else t) + _log1p(_exp(-abs(x)))


@njit(cache=True, nogil=True, forceinline=True, **_IN_ORDER)
def _logit_slope(x: Any, t: Any, zero: Any, one: Any) -> Any:
    """s(x) - t, as (1 - t) s(x) - t s(-x), which does not cancel."""
    e = _exp(-abs(x))
    low, high = one - t, t
    return (low - high * e if x > zero else low * e - high) / (one + e)


# ------------------------------------------------------------------------------- softmax cross-entropy

def _bits(logits: np.ndarray) -> np.ndarray:
    return logits.view(np.int32 if logits.dtype == np.float32 else np.int64)


def _largest(bits: np.ndarray) -> Any:
    """The maximum of floats, by way of integers in their order: one that has to mind NaN is not vectorised."""


@overload(_largest, jit_options=_IN_ORDER)
def _largest_typed(bits: Any) -> Any:
    from numba import types

    integer, dtype, sign = (np.int32, np.float32, 31) if bits.dtype == types.int32 else (np.int64, np.float64, 63)
    shift, mask, lowest = integer(sign), integer(np.iinfo(integer).max), integer(np.iinfo(integer).min)

    def largest(bits: Any) -> Any:
        top = lowest
        for j in range(bits.size):
            key = integer(bits[j] ^ ((bits[j] >> shift) & mask))
            top = max(top, key)
        return integer(top ^ ((top >> shift) & mask)).view(dtype)

    return largest


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _row_sum(row: np.ndarray, bits: np.ndarray) -> Any:
    peak = _largest(bits)
    total = rest = zero = row.dtype.type(0)
    for j in range(row.size):
        total += _exp(row[j] - peak)
    if not total < row.dtype.type(_HIDDEN):
        return peak, total - row.dtype.type(1)
    ties = -1  # an integer: the compiler would add floats to the rest one by one
    for j in range(row.size):
        below = row[j] - peak
        rest += zero if below == zero else _exp(below)
        ties += below == zero
    return peak, rest + row.dtype.type(ties)


def exp_sums(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    peak, rest = np.empty((2, len(logits)), logits.dtype)
    spread(_exp_sums, len(logits), logits.size >= _LARGE, logits, _bits(logits), peak, rest)
    return peak, rest


@njit(cache=True, nogil=True, **_FAST)
def _exp_sums(first: int, last: int, logits: np.ndarray, bits: np.ndarray, peak: np.ndarray, rest: np.ndarray
              ) -> None:
    for i in range(first, last):
        peak[i], rest[i] = _row_sum(logits[i], bits[i])


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _probabilities(row: np.ndarray, peak: Any, scale: Any, out: np.ndarray) -> Any:
    total = row.dtype.type(0)
    for j in range(row.size):
        out[j] = _exp(row[j] - peak) * scale
    for j in range(row.size):  # a loop of its own: one that also writes adds in another order where arrays are close
        total += out[j]
    return total


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _row_gradient(scale: Any, row: np.ndarray, peak: Any, classes: np.ndarray, drop: np.ndarray,
                  out: np.ndarray) -> None:
    several = classes.size == 0
    for k in range(1, classes.size):
        several |= classes[k] != classes[0]
    if several:
        _probabilities(row, peak, scale, out)
        for k in range(classes.size):
            out[classes[k]] -= drop[k]
    elif classes[0] < 0:
        for j in range(out.size):
            out[j] = 0
    else:
        t = classes[0]
        rest = _probabilities(row[:t], peak, scale, out[:t])
        rest += _probabilities(row[t + 1:], peak, scale, out[t + 1:])
        out[t] = -rest


def softmax_gradient(scale: np.ndarray, logits: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                     classes: np.ndarray, ends: np.ndarray, drop: np.ndarray) -> np.ndarray:
    out = np.empty_like(logits)
    spread(_softmax_gradient, len(logits), logits.size >= _LARGE, scale, logits, peak, rest,
           np.ascontiguousarray(classes, np.int64), np.ascontiguousarray(ends, np.int64), drop, out)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _softmax_gradient(first: int, last: int, scale: np.ndarray, logits: np.ndarray, peak: np.ndarray,
                      rest: np.ndarray, classes: np.ndarray, ends: np.ndarray, drop: np.ndarray, out: np.ndarray
                      ) -> None:
    one = logits.dtype.type(1)
    for i in range(first, last):
        lo, hi = ends[i], ends[i + 1]
        _row_gradient(scale[i] / (one + rest[i]), logits[i], peak[i], classes[lo:hi], drop[lo:hi], out[i])


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _row_gap(row: np.ndarray, target: np.ndarray, peak: Any) -> Any:
    mass = gap = zero = row.dtype.type(0)
    for j in range(row.size):
        t = target[j]
        mass += t
        gap += zero if t == zero else t * (peak - row[j])
    return mass, gap


def soft_sums(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    peak, rest, mass, gap = np.empty((4, len(logits)), logits.dtype)
    spread(_soft_sums, len(logits), logits.size >= _LARGE, logits, _bits(logits), target, peak, rest, mass, gap)
    return peak, rest, mass, gap


@njit(cache=True, nogil=True, **_FAST)
def _soft_sums(first: int, last: int, logits: np.ndarray, bits: np.ndarray, target: np.ndarray, peak: np.ndarray,
               rest: np.ndarray, mass: np.ndarray, gap: np.ndarray) -> None:
    for i in range(first, last):
        peak[i], rest[i] = _row_sum(logits[i], bits[i])
        mass[i], gap[i] = _row_gap(logits[i], target[i], peak[i])


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _soft_row(g: Any, row: np.ndarray, target: np.ndarray, peak: Any, share: Any, out: np.ndarray) -> None:
    for j in range(row.size):
        out[j] = g * (_exp(row[j] - peak) * share - target[j])


def soft_gradient(g: np.ndarray, logits: np.ndarray, target: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                  mass: np.ndarray) -> np.ndarray:
    out = np.empty_like(logits)
    spread(_soft_gradient, len(logits), logits.size >= _LARGE, g, logits, target, peak, rest, mass, out)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _soft_gradient(first: int, last: int, g: np.ndarray, logits: np.ndarray, target: np.ndarray, peak: np.ndarray,
                   rest: np.ndarray, mass: np.ndarray, out: np.ndarray) -> None:
    one = logits.dtype.type(1)
    for i in range(first, last):
        _soft_row(g[i], logits[i], target[i], peak[i], mass[i] / (one + rest[i]), out[i])


# ------------------------------------------------------------------------------------- pairs of arrays

@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _chunk_sum(kind: int, a: np.ndarray, b: np.ndarray) -> Any:
    total = zero = a.dtype.type(0)
    one = a.dtype.type(1)
    if kind == MSE:
        for i in range(a.size):
            d = a[i] - b[i]
            total += d * d
    elif kind == BCE:
        for i in range(a.size):
            total += _logit_loss(a[i], b[i], zero, one)
    else:
        for i in range(a.size):
            d = b[i] - a[i]
            total += max(d, zero) + _log1p(_exp(-abs(d)))
    return total


def pair_sum(kind: int, a: np.ndarray, b: np.ndarray) -> float:
    sums = np.empty((a.size + CHUNK - 1) // CHUNK, np.float64)
    spread(_chunk_sums, len(sums), a.size >= _LARGE, kind, a, b, sums)
    return float(_total(sums))


@njit(cache=True, nogil=True, **_FAST)
def _chunk_sums(first: int, last: int, kind: int, a: np.ndarray, b: np.ndarray, sums: np.ndarray) -> None:
    for c in range(first, last):
        sums[c] = _chunk_sum(kind, a[c * CHUNK:(c + 1) * CHUNK], b[c * CHUNK:(c + 1) * CHUNK])


@njit(cache=True, nogil=True, **_FAST)
def _total(sums: np.ndarray) -> Any:
    total = 0.0
    for c in range(len(sums)):
        total += sums[c]
    return total


@njit(cache=True, nogil=True, forceinline=True, **_FAST)
def _chunk_gradient(kind: int, g: Any, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    zero, one = a.dtype.type(0), a.dtype.type(1)
    if kind == MSE:
        for i in range(a.size):
            out[i] = (g + g) * (a[i] - b[i])
    elif kind == BCE:
        for i in range(a.size):
            out[i] = g * _logit_slope(a[i], b[i], zero, one)
    else:
        for i in range(a.size):
            out[i] = -g * _sigmoid(b[i] - a[i], zero, one)


def pair_gradient(kind: int, g: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty_like(a)
    spread(_pair_gradient, (a.size + CHUNK - 1) // CHUNK, a.size >= _LARGE, kind, g, a, b, out)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _pair_gradient(first: int, last: int, kind: int, g: Any, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    lo, hi = first * CHUNK, last * CHUNK
    _chunk_gradient(kind, g, a[lo:hi], b[lo:hi], out[lo:hi])
