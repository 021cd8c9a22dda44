"""Windows that slide over images: their patches as columns, and back; what convolutions are made of."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minidl import blas
from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.kernels import Kernels
from minidl.ops.precision import in_single
from minidl.ops.shape import expand_dims
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["fold", "unfold"]

Ints = tuple[int, ...]
_kernels = Kernels("minidl.kernels", "conv")
_COLUMNS = 1536  # outputs of a block: measured best for 3 to 64 channels, and
_BUFFER = 2**20  # the most elements that a block of them may have
_COST = 16  # multiplications that take as long as copying an element


class Window(NamedTuple):
    """A window and its way over an image: of each, the number for rows and for columns.

    The window of output (r, q) starts at row `r * stride[0] - origin[0]`, column `q * stride[1] - origin[1]`; what it
    sees outside of the image is zero.
    """

    kernel: Ints
    stride: Ints
    dilation: Ints
    origin: Ints

    def extent(self) -> Ints:
        """Rows and columns from the first element to the last."""
        high, wide = (d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return high, wide

    def outputs(self, op: str, size: Sequence[int], after: Sequence[int]) -> Ints:
        """Rows and columns of positions on an image, `origin` zeros before and `after` zeros after it."""
        extent = self.extent()
        padded = [n + a + b for n, a, b in zip(size, self.origin, after, strict=True)]
        if any(e > n for e, n in zip(extent, padded, strict=True)):
            raise ShapeError(f"{op}: the kernel spans {extent} (kernel {self.kernel}, dilation {self.dilation}), the "
                             f"padded input only {tuple(padded)}; use a smaller kernel or more padding")
        rows, columns = ((n - e) // s + 1 for n, e, s in zip(padded, extent, self.stride, strict=True))
        return rows, columns

    def moved(self, row: int, column: int) -> Window:
        """The window whose output (0, 0) is the output (row, column) of this one."""
        return self._replace(origin=(self.origin[0] - row * self.stride[0], self.origin[1] - column * self.stride[1]))


class Block(NamedTuple):
    """Outputs that are computed together: whole rows, or a piece of one."""

    outputs: slice  # of all outputs, row by row
    window: Window
    width: int  # of a row

    @property
    def size(self) -> int:
        """Number of outputs."""
        return int(self.outputs.stop - self.outputs.start)


class Geometry(NamedTuple):
    """A convolution of images of `size` to images of `positions`."""

    window: Window
    size: Ints
    positions: Ints
    groups: int

    def blocks(self, rows: int) -> list[Block]:
        """The output in blocks, in order, for columns of `rows` elements; the first is the largest."""
        most = max(min(_COLUMNS, _BUFFER // max(rows, 1)), 1)
        high, wide = self.positions
        down, across = max(most // wide, 1), min(wide, most)
        return [Block(slice(r * wide + q, (min(r + down, high) - 1) * wide + min(q + across, wide)),
                       self.window.moved(r, q), min(across, wide - q))
                for r in range(0, high, down) for q in range(0, wide, across)]

    def pointwise(self) -> bool:
        """Whether patches are just the elements of the image."""
        return self.window._replace(dilation=(1, 1)) == ((1, 1), (1, 1), (1, 1), (0, 0)) and self.size == self.positions


def numbers(op: str, name: str, value: Any, count: int = 2, least: int = 0) -> tuple[int, ...]:
    """An argument that is an integer, or one integer for each axis, as a tuple."""
    try:
        found = tuple(map(operator.index, value)) if isinstance(value, (tuple, list)) else (operator.index(value),)
    except TypeError:
        found = ()
    found = found * count if len(found) == 1 else found
    if len(found) != count or min(found) < least:
        many = f", or {count} of them, one for each axis" if count > 1 else ""
        raise ValueError(f"{op}: {name}={value!r}; give an integer of at least {least}{many}")
    return found


def array_of(x: Any) -> Any:
    """A Tensor as it is, anything else as an array."""
    return x if isinstance(x, Tensor) else as_array(x)


def columns_of(dtype: Any) -> Any:
    """The module with `im2col` and `col2im` for arrays of this dtype."""
    return _kernels if np.dtype(dtype).char in "fd" else _kernels.module(numba=False)


# ---------------------------------------------------------------------------------------------- unfold, fold

def _window(op: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Window:
    named = {"kernel_size": (kernel_size, 1), "stride": (stride, 1), "dilation": (dilation, 1), "padding": (padding, 0)}
    return Window(*(numbers(op, name, value, 2, least) for name, (value, least) in named.items()))


@explained
def unfold(input: Operand, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Patches of images as columns, as `torch.nn.functional.unfold`.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (C, H, W)
    kernel_size, dilation, padding, stride : int or pair of int
        Of rows and columns.

    Returns
    -------
    array, shape (N, C * kh * kw, L) or (C * kh * kw, L)
        The L positions of the window row by row.

    Raises
    ------
    ShapeError
        When the window is larger than the padded image.

    Notes
    -----
    Derivative: `fold` of g.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.unfold(np.arange(6.0).reshape(1, 2, 3), 2)
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    """
    x = array_of(input)
    if x.ndim not in (3, 4):
        raise ShapeError(f"unfold: input has shape {x.shape}; images have shape (N, C, H, W) or (C, H, W)")
    if x.ndim == 3:
        return unfold(expand_dims(x, 0), kernel_size, dilation, padding, stride)[0]
    window = _window("unfold", kernel_size, dilation, padding, stride)
    return _patches(x, window, window.outputs("unfold", x.shape[2:], window.origin))


@explained
def fold(input: Operand, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
         stride: Any = 1) -> Any:
    """Images that are the sums of their patches, as `torch.nn.functional.fold`: the adjoint of `unfold`.

    Parameters
    ----------
    input : array, shape (N, C * kh * kw, L) or (C * kh * kw, L)
        L positions of the window, row by row.
    output_size : int or pair of int
        (H, W).
    kernel_size, dilation, padding, stride : int or pair of int
        Of rows and columns.

    Returns
    -------
    array, shape (N, C, H, W) or (C, H, W)
        Elements that several patches hold get the sum, those in no patch 0.

    Raises
    ------
    ShapeError
        When the patches are not those of such images.

    Notes
    -----
    Derivative: `unfold` of g.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.fold(np.ones((1, 4, 4)), 3, 2)[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    x = array_of(input)
    if x.ndim not in (2, 3):
        raise ShapeError(f"fold: input has shape {x.shape}; patches have shape (N, C * kh * kw, L) or (C * kh * kw, L)")
    if x.ndim == 2:
        return fold(expand_dims(x, 0), output_size, kernel_size, dilation, padding, stride)[0]
    window = _window("fold", kernel_size, dilation, padding, stride)
    high, wide = numbers("fold", "output_size", output_size, 2, 1)
    rows, columns = window.outputs("fold", (high, wide), window.origin)
    if x.shape[1] % math.prod(window.kernel) or x.shape[2] != rows * columns:
        raise ShapeError(f"fold: input has shape {x.shape}; images of {(high, wide)} have {rows * columns} patches, "
                         f"of a multiple of {math.prod(window.kernel)} elements each")
    return _images(x, window, (high, wide), (rows, columns))


def _patches(x: Any, window: Window, positions: Ints) -> Any:
    """(N, C, H, W) -> (N, C*kh*kw, OH*OW)."""
    return record(_unfold, _unfold_rule, x, window=window, positions=positions)


def _unfold(x: np.ndarray, window: Window, positions: Ints) -> np.ndarray:
    x = np.ascontiguousarray(x)
    cols = np.empty((len(x), x.shape[1] * math.prod(window.kernel), math.prod(positions)), x.dtype)
    im2col = columns_of(x.dtype).im2col

    def work(samples: Iterator[int]) -> None:
        for n in samples:
            im2col(x[n], cols[n][None], *window, positions[1])

    blas.share(work, range(len(x)), cols.size * _COST)
    return cols


@keeps()
def _unfold_rule(g: Any, out: Any, inputs: Any, needs: Any, window: Window, positions: Ints) -> Any:
    return (_images(g, window, inputs[0].shape[2:], positions),)


def _images(cols: Any, window: Window, size: Ints, positions: Ints) -> Any:
    """(N, C*kh*kw, OH*OW) -> (N, C, H, W)."""
    return record(_fold, _fold_rule, cols, window=window, size=size, positions=positions)


@in_single
def _fold(cols: np.ndarray, window: Window, size: Ints, positions: Ints) -> np.ndarray:
    cols = np.ascontiguousarray(cols)
    x = np.empty((len(cols), cols.shape[1] // math.prod(window.kernel), *size), cols.dtype)
    col2im = columns_of(x.dtype).col2im

    def work(samples: Iterator[int]) -> None:
        for n in samples:
            x[n] = 0
            col2im(cols[n][None], x[n], *window, positions[1])

    blas.share(work, range(len(x)), cols.size * _COST)
    return x


@keeps()
def _fold_rule(g: Any, out: Any, inputs: Any, needs: Any, window: Window, size: Ints, positions: Ints) -> Any:
    return (_patches(g, window, positions),)
