"""Loss kernels in Numba; described at the twin, `numpy_loss`.

Rows, or chunks of a fixed length, are what threads share out, so that no result depends on their number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

from minidl.kernels.numpy_loss import BCE, BPR, CHUNK, MSE

__all__ = ["BCE", "BPR", "CHUNK", "MSE", "exp_sums", "pair_gradient", "pair_sum", "soft_gradient", "soft_sums",
           "softmax_gradient"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_IN_ORDER: Any = {"fastmath": {"contract"}, "error_model": "numpy"}  # where a different order would lose digits
_HIDDEN = 1.05  # a sum less than this has lost digits of what it is above 1
_SERIAL = 2 * CHUNK  # elements; a launch on all threads would cost more than it saves


# ---------------------------------------------------------------- functions that the compiler vectorises

def _exp(x: Any) -> Any:
    """e^x for x <= 0."""


def _log1p(z: Any) -> Any:
    """log(1 + z) for 0 <= z <= 1."""


@overload(_exp, jit_options=_IN_ORDER)
def _exp_typed(x: Any) -> Any:
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


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
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

def _largest(row: np.ndarray) -> Any:
    """The maximum, by way of integers in the order of the floats: one that has to mind NaN is not vectorised."""


@overload(_largest, jit_options=_IN_ORDER)
def _largest_typed(row: Any) -> Any:
    integer, dtype, sign = (np.int32, np.float32, 31) if row.dtype == types.float32 else (np.int64, np.float64, 63)
    shift, mask, lowest = integer(sign), integer(np.iinfo(integer).max), integer(np.iinfo(integer).min)

    def largest(row: Any) -> Any:
        bits = row.view(integer)
        top = lowest
        for j in range(bits.size):
            key = integer(bits[j] ^ ((bits[j] >> shift) & mask))
            top = max(top, key)
        return integer(top ^ ((top >> shift) & mask)).view(dtype)

    return largest


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _row_sum(row: np.ndarray) -> Any:
    peak = _largest(row)
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


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def exp_sums(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(logits)
    peak, rest = np.empty(n, logits.dtype), np.empty(n, logits.dtype)
    if logits.size < _SERIAL:
        for i in range(n):
            peak[i], rest[i] = _row_sum(logits[i])
    else:
        for i in prange(n):
            peak[i], rest[i] = _row_sum(logits[i])
    return peak, rest


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _probabilities(row: np.ndarray, peak: Any, scale: Any, out: np.ndarray) -> Any:
    total = row.dtype.type(0)
    for j in range(row.size):
        out[j] = _exp(row[j] - peak) * scale
        total += out[j]
    return total


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
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
        out[:] = 0
    else:
        t = classes[0]
        rest = _probabilities(row[:t], peak, scale, out[:t])
        rest += _probabilities(row[t + 1:], peak, scale, out[t + 1:])
        out[t] = -rest


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def softmax_gradient(scale: np.ndarray, logits: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                     classes: np.ndarray, ends: np.ndarray, drop: np.ndarray) -> np.ndarray:
    out, one = np.empty_like(logits), logits.dtype.type(1)
    if logits.size < _SERIAL:
        for i in range(len(logits)):
            lo, hi = ends[i], ends[i + 1]
            _row_gradient(scale[i] / (one + rest[i]), logits[i], peak[i], classes[lo:hi], drop[lo:hi], out[i])
    else:
        for i in prange(len(logits)):
            lo, hi = ends[i], ends[i + 1]
            _row_gradient(scale[i] / (one + rest[i]), logits[i], peak[i], classes[lo:hi], drop[lo:hi], out[i])
    return out


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _row_gap(row: np.ndarray, target: np.ndarray, peak: Any) -> Any:
    mass = gap = zero = row.dtype.type(0)
    for j in range(row.size):
        t = target[j]
        mass += t
        gap += zero if t == zero else t * (peak - row[j])
    return mass, gap


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def soft_sums(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n = len(logits)
    peak, rest = np.empty(n, logits.dtype), np.empty(n, logits.dtype)
    mass, gap = np.empty(n, logits.dtype), np.empty(n, logits.dtype)
    if logits.size < _SERIAL:
        for i in range(n):
            peak[i], rest[i] = _row_sum(logits[i])
            mass[i], gap[i] = _row_gap(logits[i], target[i], peak[i])
    else:
        for i in prange(n):
            peak[i], rest[i] = _row_sum(logits[i])
            mass[i], gap[i] = _row_gap(logits[i], target[i], peak[i])
    return peak, rest, mass, gap


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
def _soft_row(g: Any, row: np.ndarray, target: np.ndarray, peak: Any, share: Any, out: np.ndarray) -> None:
    for j in range(row.size):
        out[j] = g * (_exp(row[j] - peak) * share - target[j])


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def soft_gradient(g: np.ndarray, logits: np.ndarray, target: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                  mass: np.ndarray) -> np.ndarray:
    out, one = np.empty_like(logits), logits.dtype.type(1)
    if logits.size < _SERIAL:
        for i in range(len(logits)):
            _soft_row(g[i], logits[i], target[i], peak[i], mass[i] / (one + rest[i]), out[i])
    else:
        for i in prange(len(logits)):
            _soft_row(g[i], logits[i], target[i], peak[i], mass[i] / (one + rest[i]), out[i])
    return out


# ------------------------------------------------------------------------------------- pairs of arrays

@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
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


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def pair_sum(kind: int, a: np.ndarray, b: np.ndarray) -> float:
    n = (a.size + CHUNK - 1) // CHUNK
    sums = np.empty(n, np.float64)
    if a.size < _SERIAL:
        for c in range(n):
            sums[c] = _chunk_sum(kind, a[c * CHUNK:(c + 1) * CHUNK], b[c * CHUNK:(c + 1) * CHUNK])
    else:
        for c in prange(n):
            sums[c] = _chunk_sum(kind, a[c * CHUNK:(c + 1) * CHUNK], b[c * CHUNK:(c + 1) * CHUNK])
    total = 0.0
    for c in range(n):
        total += sums[c]
    return total


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST, error_model="numpy")
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


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST, error_model="numpy")
def pair_gradient(kind: int, g: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.empty_like(a)
    n = (a.size + CHUNK - 1) // CHUNK
    if a.size < _SERIAL:
        _chunk_gradient(kind, g, a, b, out)
    else:
        for c in prange(n):
            lo, hi = c * CHUNK, (c + 1) * CHUNK
            _chunk_gradient(kind, g, a[lo:hi], b[lo:hi], out[lo:hi])
    return out
