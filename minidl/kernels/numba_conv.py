"""Convolution kernels in Numba; described at the NumPy twins.

They are serial: one call is one block of one sample, which a thread goes on to multiply while it is in its cache.
Inner loops run over slices, from 0: an index that might be negative, for all that the compiler knows, has to be
checked each time, which takes five times as long.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["col2im", "from_tiles", "im2col", "to_tiles"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_P, _P2, _P3 = (np.float32(0.75**n) for n in (1, 2, 3))  # exact, so they do for float64 too
_Q, _Q2, _Q3 = (np.float32(1.5**n) for n in (1, 2, 3))
_PRODUCT, _SUM = np.float32(0.75**2 * 1.5**2), np.float32(0.75**2 + 1.5**2)


@njit(cache=True, nogil=True)
def _inside(offset, stride, size, count):
    """The outputs, from and to, whose window element at `offset` lies within the sample."""
    first = max(-(offset // stride), 0)
    return first, max(min((size - 1 - offset) // stride + 1, count), first)


@njit(cache=True, nogil=True)
def im2col(x, cols, kernel, stride, dilation, origin, width):
    channels, step = x.shape[0] // cols.shape[0], stride[1]
    for c in range(x.shape[0]):
        for tap in range(kernel[0] * kernel[1]):
            target = cols[c // channels, c % channels * kernel[0] * kernel[1] + tap]
            y = tap // kernel[1] * dilation[0] - origin[0]
            start = tap % kernel[1] * dilation[1] - origin[1]
            first, stop = _inside(start, step, x.shape[2], width)
            for r in range(cols.shape[2] // width):
                row, line = target[r * width:(r + 1) * width], r * stride[0] + y
                if line < 0 or line >= x.shape[1] or first == stop:
                    row[:] = 0
                    continue
                row[:first] = 0
                row[stop:] = 0
                inner, source = row[first:stop], x[c, line, first * step + start:]
                if step == 1:  # a loop that the compiler knows to be contiguous
                    for q in range(len(inner)):
                        inner[q] = source[q]
                else:
                    for q in range(len(inner)):
                        inner[q] = source[q * step]


@njit(cache=True, nogil=True)
def col2im(cols, x, kernel, stride, dilation, origin, width):
    channels, step = x.shape[0] // cols.shape[0], stride[1]
    for c in range(x.shape[0]):
        for tap in range(kernel[0] * kernel[1]):
            source = cols[c // channels, c % channels * kernel[0] * kernel[1] + tap]
            y = tap // kernel[1] * dilation[0] - origin[0]
            start = tap % kernel[1] * dilation[1] - origin[1]
            first, stop = _inside(start, step, x.shape[2], width)
            for r in range(cols.shape[2] // width):
                line = r * stride[0] + y
                if line < 0 or line >= x.shape[1] or first == stop:
                    continue
                inner, target = source[r * width + first:r * width + stop], x[c, line, first * step + start:]
                if step == 1:
                    for q in range(len(inner)):
                        target[q] += inner[q]
                else:
                    for q in range(len(inner)):
                        target[q * step] += inner[q]


@njit(cache=True, nogil=True, fastmath=_FAST)
def _image(u0, u1, u2, u3, u4, u5):
    """`IMAGE @ u`."""
    even, odd, even2, odd2 = u4 - _Q2 * u2, _P * (u3 - _Q2 * u1), u4 - _P2 * u2, _Q * (u3 - _P2 * u1)
    return (_PRODUCT * u0 - _SUM * u2 + u4, even + odd, even - odd, even2 + odd2, even2 - odd2,
            _PRODUCT * u1 - _SUM * u3 + u5)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _spread(u0, u1, u2, u3):
    """`OUTPUT.T @ u`."""
    even, odd, even2, odd2 = u0 + _P2 * u2, _P * u1 + _P3 * u3, u0 + _Q2 * u2, _Q * u1 + _Q3 * u3
    return u0, even + odd, even - odd, even2 + odd2, even2 - odd2, u3


@njit(cache=True, nogil=True, fastmath=_FAST)
def _output(u0, u1, u2, u3, u4, u5):
    """`OUTPUT @ u`."""
    even, odd, even2, odd2 = u1 + u2, u1 - u2, u3 + u4, u3 - u4
    return u0 + even + even2, _P * odd + _Q * odd2, _P2 * even + _Q2 * even2, _P3 * odd + _Q3 * odd2 + u5


@njit(cache=True, nogil=True, fastmath=_FAST)
def to_tiles(x, tiles, side, origin, across, first, rows, at):
    lines = np.zeros((6, 4 * across + 2), x.dtype)  # of the sample, as far as a row of tiles goes
    half = np.empty_like(lines)  # transformed along the columns
    start, stop = max(origin[1], 0), min(x.shape[2] + origin[1], lines.shape[1])
    for c in range(x.shape[0]):
        for r in range(rows):
            for i in range(side):
                y = 4 * (first + r) - origin[0] + i
                if y < 0 or y >= x.shape[1] or start >= stop:
                    lines[i] = 0
                    continue
                line, source = lines[i, start:stop], x[c, y, start - origin[1]:]
                for k in range(len(line)):
                    line[k] = source[k]
            for k in range(half.shape[1]):
                a, b, d, e = lines[0, k], lines[1, k], lines[2, k], lines[3, k]
                if side == 6:
                    made = _image(a, b, d, e, lines[4, k], lines[5, k])
                else:
                    made = _spread(a, b, d, e)
                half[0, k], half[1, k], half[2, k], half[3, k], half[4, k], half[5, k] = made
            for i in range(6):
                line, out = half[i], tiles[6 * i:6 * i + 6, c, at + r * across:at + (r + 1) * across]
                for t in range(across):
                    k = 4 * t
                    if side == 6:
                        made = _image(line[k], line[k + 1], line[k + 2], line[k + 3], line[k + 4], line[k + 5])
                    else:
                        made = _spread(line[k], line[k + 1], line[k + 2], line[k + 3])
                    out[0, t], out[1, t], out[2, t], out[3, t], out[4, t], out[5, t] = made


@njit(cache=True, nogil=True, fastmath=_FAST)
def from_tiles(tiles, bias, y, across, first, rows, at):
    half = np.empty((4, 6, rows * across), y.dtype)  # summed along the columns
    line = np.empty(4 * across, y.dtype)
    for o in range(y.shape[0]):
        taken = tiles[:, o, at:at + rows * across]
        for j in range(6):
            for t in range(rows * across):
                made = _output(taken[j, t], taken[6 + j, t], taken[12 + j, t], taken[18 + j, t], taken[24 + j, t],
                               taken[30 + j, t])
                half[0, j, t], half[1, j, t], half[2, j, t], half[3, j, t] = made
        for r in range(min(4 * rows, y.shape[1] - 4 * first)):
            part = half[r % 4, :, r // 4 * across:(r // 4 + 1) * across]
            for t in range(across):
                k = 4 * t
                made = _output(part[0, t], part[1, t], part[2, t], part[3, t], part[4, t], part[5, t])
                line[k], line[k + 1], line[k + 2], line[k + 3] = made
            out, more = y[o, 4 * first + r], bias[o]
            for k in range(len(out)):
                out[k] = line[k] + more
