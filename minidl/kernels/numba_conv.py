"""Convolution kernels in Numba; described at the NumPy references.

They are serial: one call is one block of a few samples, which a thread goes on to multiply while it is in its cache.
Inner loops count unsigned: an index that might be negative, for all that the compiler knows, has to be checked each
time, and a slice for each short line takes longer than the line.
"""

from __future__ import annotations

import numpy as np

from minidl.kernels.ahead import njit

__all__ = ["col2im", "from_tiles", "im2col", "to_tiles", "uneven"]

_U = np.uintp
_LANES = 32  # channels that are transformed side by side: small images have short lines, but many channels
_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_P, _P2, _P3 = (np.float32(0.75**n) for n in (1, 2, 3))  # exact, so they do for float64 too
_Q, _Q2, _Q3 = (np.float32(1.5**n) for n in (1, 2, 3))
_PRODUCT, _SUM = np.float32(0.75**2 * 1.5**2), np.float32(0.75**2 + 1.5**2)


@njit(cache=True, nogil=True)
def _inside(offset, stride, size, count):
    """The outputs, from and to, whose window element at `offset` lies within the sample."""
    first = max(-(offset // stride), 0)
    return first, max(min((size - 1 - offset) // stride + 1, count), first)


def im2col(x, cols, kernel, stride, dilation, origin, width):
    _im2col(x, x.reshape(-1), cols, kernel, stride, dilation, origin, width)


@njit(cache=True, nogil=True)
def _im2col(x, flat, cols, kernel, stride, dilation, origin, width):
    channels, step = x.shape[0] // cols.shape[0], _U(stride[1])
    for c in range(x.shape[0]):
        for tap in range(kernel[0] * kernel[1]):
            target = cols[c // channels, c % channels * kernel[0] * kernel[1] + tap]
            y = tap // kernel[1] * dilation[0] - origin[0]
            start = tap % kernel[1] * dilation[1] - origin[1]
            first, stop = _inside(start, stride[1], x.shape[2], width)
            count = _U(stop - first)
            for r in range(cols.shape[2] // width):
                row, line = r * width, r * stride[0] + y
                if line < 0 or line >= x.shape[1] or first == stop:
                    for q in range(_U(row), _U(row + width)):
                        target[q] = 0
                    continue
                for q in range(_U(row), _U(row + first)):
                    target[q] = 0
                for q in range(_U(row + stop), _U(row + width)):
                    target[q] = 0
                inner, source = _U(row + first), _U((c * x.shape[1] + line) * x.shape[2] + first * stride[1] + start)
                if step == _U(1):  # a loop that the compiler knows to be contiguous
                    for q in range(count):
                        target[inner + q] = flat[source + q]
                else:
                    for q in range(count):
                        target[inner + q] = flat[source + q * step]


@njit(cache=True, nogil=True)
def col2im(cols, x, kernel, stride, dilation, origin, width):
    channels, step, flat = x.shape[0] // cols.shape[0], _U(stride[1]), x.reshape(-1)
    for c in range(x.shape[0]):
        for tap in range(kernel[0] * kernel[1]):
            source = cols[c // channels, c % channels * kernel[0] * kernel[1] + tap]
            y = tap // kernel[1] * dilation[0] - origin[0]
            start = tap % kernel[1] * dilation[1] - origin[1]
            first, stop = _inside(start, stride[1], x.shape[2], width)
            count = _U(stop - first)
            for r in range(cols.shape[2] // width):
                line = r * stride[0] + y
                if line < 0 or line >= x.shape[1] or first == stop:
                    continue
                inner = _U(r * width + first)
                target = _U((c * x.shape[1] + line) * x.shape[2] + first * stride[1] + start)
                if step == _U(1):
                    for q in range(count):
                        flat[target + q] += source[inner + q]
                else:
                    for q in range(count):
                        flat[target + q * step] += source[inner + q]


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _image(u0, u1, u2, u3, u4, u5):
    """`IMAGE @ u`."""
    even, odd, even2, odd2 = u4 - _Q2 * u2, _P * (u3 - _Q2 * u1), u4 - _P2 * u2, _Q * (u3 - _P2 * u1)
    return (_PRODUCT * u0 - _SUM * u2 + u4, even + odd, even - odd, even2 + odd2, even2 - odd2,
            _PRODUCT * u1 - _SUM * u3 + u5)


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _spread(u0, u1, u2, u3):
    """`OUTPUT.T @ u`."""
    even, odd, even2, odd2 = u0 + _P2 * u2, _P * u1 + _P3 * u3, u0 + _Q2 * u2, _Q * u1 + _Q3 * u3
    return u0, even + odd, even - odd, even2 + odd2, even2 - odd2, u3


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _output(u0, u1, u2, u3, u4, u5):
    """`OUTPUT @ u`."""
    even, odd, even2, odd2 = u1 + u2, u1 - u2, u3 + u4, u3 - u4
    return u0 + even + even2, _P * odd + _Q * odd2, _P2 * even + _Q2 * even2, _P3 * odd + _Q3 * odd2 + u5


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _transformed(side, u, step, out):
    """`IMAGE @ u` (side 6) or `OUTPUT.T @ u` (4), in all lanes: u[i] at `i * step * _LANES`, out[i] at `i * _LANES`."""
    for v in range(_LANES):
        a, b, d, e = u[v], u[step * _LANES + v], u[2 * step * _LANES + v], u[3 * step * _LANES + v]
        if side == 6:
            made = _image(a, b, d, e, u[4 * step * _LANES + v], u[5 * step * _LANES + v])
        else:
            made = _spread(a, b, d, e)
        out[v], out[_LANES + v], out[2 * _LANES + v], out[3 * _LANES + v] = made[:4]
        out[4 * _LANES + v], out[5 * _LANES + v] = made[4:]


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _summed(u, step, out):
    """`OUTPUT @ u`, in all lanes."""
    for v in range(_LANES):
        out[v], out[_LANES + v], out[2 * _LANES + v], out[3 * _LANES + v] = _output(
            u[v], u[step * _LANES + v], u[2 * step * _LANES + v], u[3 * step * _LANES + v], u[4 * step * _LANES + v],
            u[5 * step * _LANES + v])


@njit(cache=True, nogil=True, fastmath=_FAST)
def to_tiles(x, tiles, side, origin, across, first, rows):
    column, width = 6 * _LANES, 4 * across + 2
    lines = np.zeros(width * column, x.dtype)  # of some channels, as far as a row of tiles goes: [column, line, lane]
    half, made = np.empty_like(lines), np.empty(column, x.dtype)  # transformed along the columns, and along both
    start, stop = max(origin[1], 0), min(x.shape[3] + origin[1], width)
    flat, plane = tiles.reshape(-1), tiles.shape[1] * tiles.shape[2]
    for n in range(len(x)):
        for c in range(0, x.shape[1], _LANES):
            lanes = min(_LANES, x.shape[1] - c)
            for r in range(rows):
                known = 2 if r > 0 and side == 6 else 0  # the last lines of the tiles above are the first of these
                for k in range(width if known else 0):
                    above, line = lines[k * column + 4 * _LANES:], lines[k * column:]
                    for v in range(2 * _LANES):
                        line[v] = above[v]
                for i in range(known, side):
                    _take(x[n, c:c + lanes], 4 * (first + r) - origin[0] + i, start, stop, origin[1],
                          lines[i * _LANES:], column)
                for k in range(width):
                    _transformed(side, lines[k * column:], 1, half[k * column:])
                for q in range(across):
                    for i in range(6):
                        _transformed(side, half[4 * q * column + i * _LANES:], 6, made)
                        place = 6 * i * plane + ((n * rows + r) * across + q) * tiles.shape[2] + c
                        for j in range(6):
                            out, source = _U(place + j * plane), _U(j * _LANES)
                            for v in range(_U(lanes)):
                                flat[out + v] = made[source + v]


@njit(cache=True, nogil=True)
def _take(x, y, start, stop, origin, line, column):
    """Line y of each channel, zeros outside: x[v, y, k - origin] to `line[k * column + v]`."""
    if y < 0 or y >= x.shape[1] or start >= stop:
        for k in range(0, len(line), column):
            line[k:k + _LANES] = 0
        return
    source, target = x.reshape(-1)[y * x.shape[2] + start - origin:], line[start * column:]
    plane, step = _U(x.shape[1] * x.shape[2]), _U(column)
    for v in range(_U(len(x))):
        for k in range(_U(stop - start)):
            target[k * step + v] = source[v * plane + k]


@njit(cache=True, nogil=True, fastmath=_FAST)
def from_tiles(tiles, bias, y, across, first, rows):
    column = 4 * _LANES
    taken, half = np.zeros(6 * _LANES, y.dtype), np.empty(6 * column, y.dtype)  # summed along the rows
    lines = np.empty(4 * across * column, y.dtype)  # of some channels, a row of tiles: [column, line, lane]
    flat, plane, step = tiles.reshape(-1), tiles.shape[1] * tiles.shape[2], _U(column)
    for n in range(len(y)):
        for c in range(0, y.shape[1], _LANES):
            lanes = _U(min(_LANES, y.shape[1] - c))
            for r in range(rows):
                for q in range(across):
                    place = ((n * rows + r) * across + q) * tiles.shape[2] + c
                    for i in range(6):
                        for j in range(6):
                            source, target = _U(place + (6 * i + j) * plane), _U(j * _LANES)
                            for v in range(lanes):
                                taken[target + v] = flat[source + v]
                        _summed(taken, 1, half[i * column:])
                    for s in range(4):
                        _summed(half[s * _LANES:], 4, lines[(4 * q + s) * column:])
                for i in range(min(4, y.shape[2] - 4 * (first + r))):
                    made, out, more = lines[i * _LANES:], y[n, c:, 4 * (first + r) + i], bias[c:]
                    for v in range(lanes):
                        for k in range(_U(y.shape[3])):
                            out[v, k] = made[k * step + v] + more[v]


@njit(cache=True, nogil=True)
def uneven(bits, origin, size, across, first, rows, gap, most, found, blank):
    magnitude, (height, wide), width = np.iinfo(bits.dtype).max, bits.shape[2:], 4 * across + 2
    above, start, stop = 4 * first - origin[0], max(origin[1], 0), min(bits.shape[3] + origin[1], width)
    top, bottom = max(above, 0), min(above + 4 * rows + 2, height)
    flat, count = bits.reshape(-1), _U(max(bottom - top, 0) * wide)
    largest = np.empty(count, bits.dtype)  # of the channels of a pixel
    windows = np.empty((4 * rows + 2) * width + 2, bits.dtype)  # those of 3x3 pixels, where zeros surround the sample
    total, known = 0, blank.size > 0
    for n in range(len(bits)):
        largest[:] = 0
        for c in range(0, bits.shape[1], 2):  # two at a time, or the last one twice
            place = _U(((n * bits.shape[1] + c) * height + top) * wide)
            other = place + _U(min(bits.shape[1] - 1 - c, 1) * height * wide)
            for j in range(count):
                largest[j] = max(max(flat[place + j] & magnitude, flat[other + j] & magnitude), largest[j])
        windows[:] = 0
        for i in range(bottom - top):
            inside, source = _U((top - above + i) * width + start), _U(i * wide + start - origin[1])
            for k in range(_U(max(stop - start, 0))):
                windows[inside + k] = largest[source + k]
        for j in range(_U((4 * rows + 2) * width)):
            windows[j] = max(max(windows[j], windows[j + 1]), windows[j + 2])
        for j in range(_U(4 * rows * width)):
            windows[j] = max(max(windows[j], windows[j + _U(width)]), windows[j + _U(2 * width)])
        if known:
            for i in range(4 * rows):
                for k in range(4 * across):
                    blank[n, i, k] = windows[i * width + k] == 0
        for r in range(rows):
            high = min(4, size[0] - 4 * (first + r))
            lines = windows[4 * r * width:]
            apart = _apart(lines, width, high, size[1], 0, 4 * across, gap, most, known)
            if apart:  # in the row of tiles; perhaps in none of them
                apart = False
                for q in range(across):
                    apart |= _apart(lines, width, high, size[1], 4 * q, 4 * q + 4, gap, most, known)
            found[n, r] = apart
            total += apart
    return total


@njit(cache=True, nogil=True)
def _apart(lines, width, high, wide, start, stop, gap, most, known):
    """Whether of columns of windows, four lines of them, the largest is far above the least of an output."""
    largest, highest = lines.dtype.type(0), lines.dtype.type(np.iinfo(lines.dtype).max)
    least, nothing = highest, highest if known else lines.dtype.type(0)  # what a window of zeros counts as
    for i in range(4):
        for k in range(_U(i * width + start), _U(i * width + stop)):
            largest = max(largest, lines[k])
    for i in range(high):
        for k in range(_U(i * width + start), _U(i * width + min(stop, wide))):
            least = min(least, lines[k] if lines[k] else nothing)
    return largest > most or largest - least > gap
