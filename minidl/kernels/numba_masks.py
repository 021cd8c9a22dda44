"""The kernel of dropout masks in Numba; described at the NumPy reference."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from minidl.kernels.numpy_masks import GAMMA, MIX, threshold

__all__ = ["dropout_factors"]

_PART = 16384  # numbers that a thread draws at a time
_MIX1, _MIX2 = MIX
_S27, _S30, _S31, _S32, _LOW = (np.uint64(n) for n in (27, 30, 31, 32, 0xFFFFFFFF))


def dropout_factors(key: np.uint64, p: float, scale: float, out: np.ndarray) -> None:
    half = (len(out) + 1) // 2
    parts = (half + _PART - 1) // _PART
    draw = _draw if parts <= 2 else _draw_on_threads
    draw(0, parts, key, threshold(p), out.dtype.type(scale), out[:half], out[half:])


@njit(cache=True, nogil=True)
def _draw(first_part, last_part, key, least, scale, first, second):
    zero = scale * 0
    for j in range(first_part * _PART, min(last_part * _PART, len(second))):
        z = _number(key, j)
        first[j] = scale if z >> _S32 >= least else zero
        second[j] = scale if z & _LOW >= least else zero
    if last_part * _PART >= len(first) > len(second):
        first[-1] = scale if _number(key, len(second)) >> _S32 >= least else zero


@njit(cache=True, nogil=True, inline="always")
def _number(key, j):
    z = key + np.uint64(j + 1) * GAMMA
    z = (z ^ (z >> _S30)) * _MIX1
    z = (z ^ (z >> _S27)) * _MIX2
    return z ^ (z >> _S31)


@njit(cache=True, nogil=True, parallel=True)
def _draw_on_threads(first_part, last_part, key, least, scale, first, second):
    for part in prange(first_part, last_part):
        _draw(part, part + 1, key, least, scale, first, second)
