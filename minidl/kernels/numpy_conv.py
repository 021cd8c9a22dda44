"""NumPy references of the convolution kernels.

A patch is what a window sees; `im2col` writes the patches of one sample as columns, and `col2im`, its adjoint, adds
columns back to where they came from. The window of output (r, q) starts at row `r * stride[0] - origin[0]` and
column `q * stride[1] - origin[1]` of the sample; what it sees outside is zero. So padding is an origin, and a block
of the output that starts elsewhere is another origin.

`to_tiles` and `from_tiles` are the transforms of Winograd's algorithm F(4x4, 3x3), which computes tiles of 4x4
outputs by 36 products where the definition has 144. Source: Lavin and Gray 2016, "Fast algorithms for convolutional
neural networks"; with the points 0, +-3/4, +-3/2 and infinity, which round to a third of the error of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["IMAGE", "KERNEL", "OUTPUT", "col2im", "from_tiles", "im2col", "to_tiles", "uneven"]

_POINTS = np.array([0, 0.75, -0.75, 1.5, -1.5])
_OTHERS = [np.delete(_POINTS, i) for i in range(5)]
OUTPUT = np.column_stack([_POINTS ** np.arange(4)[:, None], [0, 0, 0, 1]])
"""(4, 6): sums products to outputs; its transpose takes gradients of outputs to products."""
IMAGE = np.array([*(np.append(np.poly(others)[::-1], 0) for others in _OTHERS), np.poly(_POINTS)[::-1]])
"""(6, 6): an image's factors."""
KERNEL = np.array([*([1, p, p * p] / np.prod(p - others) for p, others in zip(_POINTS, _OTHERS, strict=True)),
                   [0, 0, 1]])
"""(6, 3): a kernel's factors."""

Pair = tuple[int, int]


def im2col(x: np.ndarray, cols: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair, origin: Pair,
           width: int) -> None:
    """Write the patches of a sample as columns.

    Parameters
    ----------
    x : float array, shape (C, H, W)
    cols : float array, shape (groups, M, rows * width)
        Overwritten, but for rows of a group beyond the C / groups * kh * kw that patches have.
    kernel, stride, dilation, origin : pair of int
        Of rows and columns.
    width : int
        Length of a row of the output.
    """
    for source, target, inside, window in _taps(x, cols, kernel, stride, dilation, origin, width):
        target[...] = 0
        target[inside] = source[window]


def col2im(cols: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair, origin: Pair,
           width: int) -> None:
    """Add columns to the elements that `im2col` reads them from, in place; arguments as there."""
    for source, target, inside, window in _taps(x, cols, kernel, stride, dilation, origin, width):
        source[window] += target[inside]


def _taps(x: np.ndarray, cols: np.ndarray, kernel: Pair, stride: Pair, dilation: Pair, origin: Pair,
          width: int) -> Iterator[tuple[np.ndarray, np.ndarray, tuple[slice, ...], tuple[slice, ...]]]:
    """For each element of the kernel: the sample and its rows of columns, and the slices of both that meet."""
    groups, _, count = cols.shape
    channels, taps = x.shape[0] // groups, kernel[0] * kernel[1]
    grouped = x.reshape(groups, channels, *x.shape[1:])
    for tap in range(taps):
        target = cols[:, tap:channels * taps:taps].reshape(groups, channels, count // width, width)
        inside, window = [slice(None)] * 2, [slice(None)] * 2
        for axis, at in enumerate(divmod(tap, kernel[1])):
            offset, step = at * dilation[axis] - origin[axis], stride[axis]
            first = max(-(offset // step), 0)
            stop = max(min((grouped.shape[2 + axis] - 1 - offset) // step + 1, target.shape[2 + axis]), first)
            inside.append(slice(first, stop))
            start = first * step + offset
            window.append(slice(start, start + (stop - first) * step, step))
        yield grouped, target, tuple(inside), tuple(window)


def to_tiles(x: np.ndarray, tiles: np.ndarray, side: int, origin: Pair, across: int, first: int, rows: int) -> None:
    """Write the tiles of samples, transformed.

    Parameters
    ----------
    x : float array, shape (S, C, H, W)
    tiles : float array, shape (36, T, C), T = S * rows * across
        Overwritten: `tiles[6 i + j, t]` is element (i, j) of tile t, the samples one after the other.
    side : int
        6 for tiles of images, which overlap, 4 for tiles of gradients of outputs.
    origin : pair of int
        Tile (r, q) starts at row `4 r - origin[0]`, column `4 q - origin[1]`; outside is zero.
    across : int
        Tiles in a row.
    first, rows : int
        The first row of tiles of each sample, and how many.
    """
    matrix = (IMAGE if side == 6 else OUTPUT.T).astype(x.dtype)
    count, channels = rows * across, x.shape[1]
    for n, sample in enumerate(x):
        cols = np.empty((1, channels * side * side, count), x.dtype)
        im2col(sample, cols, (side, side), (4, 4), (1, 1), (origin[0] - 4 * first, origin[1]), across)
        made = np.einsum("ai,cijt,bj->abtc", matrix, cols.reshape(channels, side, side, count), matrix)
        tiles[:, n * count:(n + 1) * count] = made.reshape(36, count, channels)


def from_tiles(tiles: np.ndarray, bias: np.ndarray, y: np.ndarray, across: int, first: int, rows: int) -> None:
    """Write rows of tiles of 4x4 outputs, which are sums of 36 products, plus a bias.

    Parameters
    ----------
    tiles : float array, shape (36, T, O), T = S * rows * across
        Products, tile by tile as in `to_tiles`.
    bias : float array, shape (O,)
    y : float array, shape (S, O, H, W)
        What of a tile lies outside is left out.
    across, first, rows : int
        As in `to_tiles`.
    """
    matrix = OUTPUT.astype(y.dtype)
    taken = tiles.reshape(6, 6, len(y), rows, across, y.shape[1])
    made = np.einsum("pa,abnrqo,sb->norpqs", matrix, taken, matrix)
    made = made.reshape(*y.shape[:2], 4 * rows, 4 * across)
    target = y[:, :, 4 * first:4 * (first + rows)]
    target[...] = made[:, :, :target.shape[2], :target.shape[3]] + bias[:, None, None]


def uneven(bits: np.ndarray, origin: Pair, size: Pair, across: int, first: int, rows: int, gap: int, most: int,
           found: np.ndarray, blank: np.ndarray) -> int:
    """Find rows of tiles that Winograd's algorithm would smear: what is large reaches windows where all is small.

    The bits of a float but for its sign are an integer that grows with its magnitude, NaN above all; of two that differ
    by a factor of 2^k, for normal numbers, by k times those of 2 less those of 1. So all is done in integers.

    Parameters
    ----------
    bits : int array, shape (S, C, H, W)
        Samples, seen as integers of their own size.
    origin, across, first, rows
        As in `to_tiles`.
    size : pair of int
        Rows and columns of outputs; what tiles have beyond does not count.
    gap : int
        How far the largest magnitude in a tile may be above the largest of any window of an output.
    most : int
        What no magnitude may exceed.
    found : bool array, shape (S, rows)
        Written: whether the row has a tile that breaks one of the two.
    blank : bool array, shape (S, 4 * rows, 4 * across), or of size 0
        Written: which windows hold nothing but zeros. What is computed of them is known, so they do not count as small;
        without this array they do.

    Returns
    -------
    int
        How many such rows there are.
    """
    shape = 4 * rows + 2, 4 * across + 2
    pixels = np.zeros((len(bits), *shape), bits.dtype)
    begin = 4 * first - origin[0], -origin[1]
    low = [max(b, 0) for b in begin]
    high = [max(min(b + s, n), a) for b, s, n, a in zip(begin, shape, bits.shape[2:], low, strict=True)]
    inside = tuple(slice(a - b, c - b) for a, b, c in zip(low, begin, high, strict=True))
    seen = bits[:, :, low[0]:high[0], low[1]:high[1]] & np.iinfo(bits.dtype).max
    pixels[:, *inside] = seen.max(axis=1, initial=0)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3), axis=(1, 2)).max(axis=(3, 4))
    outputs = np.indices(windows.shape[1:]) + np.reshape((4 * first, 0), (2, 1, 1)) < np.reshape(size, (2, 1, 1))
    counted = outputs.all(axis=0)
    if blank.size:
        blank[...] = windows == 0
        counted = counted & ~blank
    small = np.where(counted, windows, np.iinfo(bits.dtype).max)
    largest, least = (a.reshape(len(bits), rows, 4, across, 4) for a in (windows, small))
    top, bottom = largest.max(axis=(2, 4)), least.min(axis=(2, 4))
    found[...] = ((top > most) | (top - bottom > gap)).any(axis=2)
    return int(np.count_nonzero(found))
