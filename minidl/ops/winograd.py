"""Convolutions with 3x3 kernels by Winograd's algorithm, which needs a quarter of the multiplications.

Tiles of 6x6 elements of the image and the kernels are transformed, multiplied and summed over the channels (36
products of matrices), and transformed to tiles of 4x4 outputs. The gradient for the image is another convolution, of
the upstream gradient with the kernels turned around; that for the kernels is the adjoint, through the same products.

Arrays here are in C order and of one dtype, but for kernels and biases. It is used for float32 only: rounding is two
to three times that of the definition.

Rounding is relative to the largest element of a tile, though an output sees a window of 3x3 only. So rows of tiles in
which one element is `_APART` times the largest of some window, NaN, infinite or near to overflow, are computed by the
definition, and outputs of windows of zeros alone are set to the bias. Then the error of an output is bounded by what
its own window holds: |error| <= 1e-6 max|x| sum|w| with the maximum over the window and the sum over the kernel (a
quarter of it is the most that was found). NaN and infinity are where the definition has them.
`minidl.runtime.exact_convolutions` leaves the algorithm out.

Source: Lavin and Gray 2016, "Fast algorithms for convolutional neural networks".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minidl import blas, runtime
from minidl.kernels.numpy_conv import KERNEL
from minidl.ops.patches import Geometry, Ints, columns_of

__all__ = ["convolve", "image_gradient", "suits", "weight_gradient"]

_KERNEL = np.kron(KERNEL, KERNEL)  # (36, 9), of rows and columns
_CHANNELS = 16  # with fewer the transforms cost more than they save
_WEIGHTS = 2**17  # with more kernels, so do those of the kernels
_TILES = 64  # of a piece, about: up to two times as many
_WASTE = 1.5  # tiles cover at most so many times the outputs of the convolution
_APART = 8.0  # how many times the largest element of a tile may be that of a window; a power of 2
_MOST = 2.0**50  # elements and kernels up to here have transforms and products that cannot overflow
_PARTS = 8  # partial sums of a weight gradient, each of at least this many multiplications:
_PART = blas.BLAS_LARGE // 2
_NOTHING = np.empty((0, 0, 0), bool)


class _Piece(NamedTuple):
    """Tiles that are multiplied together: of some samples, some rows."""

    samples: slice
    first: int
    rows: int


def suits(geometry: Geometry, taken: int, made: int, dtype: np.dtype[Any], size: Ints) -> bool:
    """Whether this is the faster way to images of `size`, with kernels (made, taken, 3, 3); for any number of them."""
    return (dtype == np.float32 and geometry.groups == 1 and min(taken, made) >= _CHANNELS
            and taken * made <= _WEIGHTS and geometry.window[:3] == ((3, 3), (1, 1), (1, 1))
            and 16 * _count(size) <= _WASTE * math.prod(geometry.positions) and not runtime.convolutions_are_exact())


def _grid(size: Ints) -> Ints:
    """Rows and columns of tiles that cover so many outputs."""
    return -(-size[0] // 4), -(-size[1] // 4)


def _count(size: Ints) -> int:
    rows, across = _grid(size)
    return rows * across


def _pieces(samples: int, size: Ints) -> list[_Piece]:
    """The work in pieces: several samples if they are small, some rows of one if it is large."""
    rows, across = _grid(size)
    together, cuts = max(_TILES // (rows * across), 1), -(-rows * across // (2 * _TILES))
    down = -(-rows // cuts)
    return [_Piece(slice(n, min(n + together, samples)), r, min(down, rows - r))
            for n in range(0, samples, together) for r in range(0, rows, down)]


def _factors(weight: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Transformed kernels: (O, C, 3, 3) -> (36, C, O)."""
    with np.errstate(invalid="ignore"):  # of infinite ones, which are not used
        made = blas.matmul(_KERNEL, weight.swapaxes(0, 1).reshape(-1, 9).T.astype(float))
    return np.asarray(made, dtype).reshape(36, weight.shape[1], weight.shape[0])


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, origin: Ints, size: Ints) -> np.ndarray:
    """Convolution of images (N, C, H, W) with kernels (O, C, 3, 3) to images (N, O, *size)."""
    factors = _factors(weight, x.dtype)
    tame = bool(np.abs(factors).max(initial=0) <= _MOST)  # not if there is a NaN
    more = np.zeros(len(weight), x.dtype) if bias is None else np.ascontiguousarray(bias, x.dtype)
    out, across, kernels = np.empty((len(x), len(weight), *size), x.dtype), _grid(size)[1], columns_of(x.dtype)
    matrix = weight.reshape(len(weight), -1).astype(x.dtype, copy=False)

    def work(pieces: Iterator[_Piece]) -> None:
        tiles, products = _Buffer(x.shape[1], x.dtype), _Buffer(len(weight), x.dtype)
        for samples, first, rows in pieces:
            some = x[samples]
            blank = np.zeros((len(some), 4 * rows, 4 * across), bool)
            uneven = (_uneven(some, origin, size, first, rows, blank) if tame
                      else [*np.ndindex(len(some), rows)])
            if len(uneven) < len(some) * rows:
                count = len(some) * rows * across
                image, sums = tiles.of(count), products.of(count)
                kernels.to_tiles(some, image, 6, origin, across, first, rows)
                np.matmul(image, factors, out=sums)  # (36, T, C), (36, C, O) -> (36, T, O)
                kernels.from_tiles(sums, more, out[samples], across, first, rows)
                _set_blank(out[samples], blank, first, more)
            for n, r in uneven:
                cols, target = _columns(some[n], first + r, origin, size), out[samples][n, :, _lines(first + r)]
                target[...] = (matrix @ cols + more[:, None]).reshape(target.shape)

    blas.share(work, _pieces(len(x), size), len(x) * _count(size) * factors.size)
    return out


def image_gradient(g: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Geometry) -> np.ndarray:
    """The adjoint for the image: (N, O, OH, OW) and (O, C, 3, 3) -> (N, C, H, W), plus a bias (C,)."""
    origin = tuple(2 - n for n in geometry.window.origin)
    return convolve(g, weight[:, :, ::-1, ::-1].swapaxes(0, 1), bias, origin, geometry.size)


def weight_gradient(g: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The adjoint for kernels and bias: (N, O, OH, OW) and (N, C, H, W) -> (O, C * 9 + 1).

    Where g is not finite, or near to overflow, neither is the result, which is to be computed by the definition then.
    """
    made, taken, size, kernels = g.shape[1], x.shape[1], geometry.positions, columns_of(x.dtype)
    across, pieces, work_size = _grid(size)[1], _pieces(len(x), size), len(x) * _count(size) * 36 * made * taken
    count, origin = max(min(_PARTS, len(pieces), work_size // _PART), 1), geometry.window.origin
    sums, biases = np.zeros((count, 36, made, taken), x.dtype), np.zeros((count, made), x.dtype)
    rest: list[Any] = [0] * count  # of uneven rows

    def work(left: Iterator[int]) -> None:
        tiles, upstream, product = _Buffer(taken, x.dtype), _Buffer(made, x.dtype), np.empty_like(sums[0])
        for part in left:
            for samples, first, rows in pieces[len(pieces) * part // count:len(pieces) * (part + 1) // count]:
                some = x[samples]
                each = len(some) * rows * across
                image, up = tiles.of(each), upstream.of(each)
                kernels.to_tiles(some, image, 6, origin, across, first, rows)
                kernels.to_tiles(g[samples], up, 4, (0, 0), across, first, rows)
                for n, r in _uneven(some, origin, size, first, rows, _NOTHING):
                    skipped = slice((n * rows + r) * across, (n * rows + r + 1) * across)
                    image[:, skipped] = up[:, skipped] = 0
                    cols = _columns(some[n], first + r, origin, size)
                    rest[part] = rest[part] + g[samples][n, :, _lines(first + r)].reshape(made, -1) @ cols.T
                with np.errstate(over="ignore", invalid="ignore"):  # which the result tells
                    sums[part] += np.matmul(up.swapaxes(1, 2), image, out=product)  # (36, O, T), (36, T, C)
                biases[part] += g[samples, :, 4 * first:4 * (first + rows)].sum(axis=(0, 2, 3))

    blas.share(work, range(count), work_size)
    with np.errstate(over="ignore", invalid="ignore"):
        found = blas.matmul(np.add.reduce(sums, axis=0).reshape(36, made * taken).T.astype(float), _KERNEL)
    both = np.empty((made, taken * 9 + 1), x.dtype)
    both[:, :-1], both[:, -1] = found.reshape(made, taken * 9), np.add.reduce(biases, axis=0)
    for more in rest:
        both[:, :-1] += more
    return both


def _set_blank(out: np.ndarray, blank: np.ndarray, first: int, bias: np.ndarray) -> None:
    """Outputs of windows that hold nothing but zeros, which are the bias: of rounding elsewhere in a tile, too."""
    lines = out[:, :, 4 * first:4 * first + blank.shape[1]]
    for n in np.flatnonzero(blank.any(axis=(1, 2))):
        where = blank[n, :lines.shape[2], :lines.shape[3]]
        lines[n, :, where] = bias


def _uneven(x: np.ndarray, origin: Ints, size: Ints, first: int, rows: int, blank: np.ndarray
            ) -> list[tuple[int, int]]:
    """The sample and row, of rows of tiles, that are to be computed by the definition; see the kernel for `blank`."""
    found, across = np.empty((len(x), rows), bool), _grid(size)[1]
    bits = x.view(f"i{x.itemsize}")
    count = columns_of(x.dtype).uneven(bits, origin, size, across, first, rows, *_limits(x.dtype), found, blank)
    return [*zip(*np.nonzero(found), strict=True)] if count else []


@functools.cache
def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """`_APART` and `_MOST` as bits, for the kernel."""
    one, apart, most = np.array([1.0, _APART, _MOST], dtype).view(f"i{dtype.itemsize}").tolist()
    return apart - one, most


def _lines(row: int) -> slice:
    """The outputs of a row of tiles."""
    return slice(4 * row, 4 * row + 4)


def _columns(x: np.ndarray, row: int, origin: Ints, size: Ints) -> np.ndarray:
    """Patches of a sample (C, H, W), those of a row of tiles: (C * 9, outputs)."""
    cols = np.empty((1, len(x) * 9, min(4, size[0] - 4 * row) * size[1]), x.dtype)
    columns_of(x.dtype).im2col(x, cols, (3, 3), (1, 1), (1, 1), (origin[0] - 4 * row, origin[1]), size[1])
    return cols[0]


class _Buffer:
    """Room for the transformed tiles of so many channels, of one thread; it grows once."""

    def __init__(self, channels: int, dtype: np.dtype[Any]) -> None:
        self.channels, self.room = channels, np.empty(0, dtype)

    def of(self, count: int) -> np.ndarray:
        """Shape (36, count, channels)."""
        size = 36 * self.channels * count
        if size > self.room.size:
            self.room = np.empty(size, self.room.dtype)
        return self.room[:size].reshape(36, count, self.channels)
