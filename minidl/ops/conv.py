"""Convolutions: a family of three linear primitives that are each other's derivatives.

`_convolution` (in x and weight), `_transposed` (its adjoint in x) and `_weight_gradient` (its adjoint in weight and
bias) are bilinear, and each rule is made of the other two, so every order of derivative follows.

Each is a product of matrices for each sample: the patches of a block of outputs are written as columns, into a
buffer that stays in the cache, with a row of ones for the bias below; then multiplied. What is added up is cut by
the shapes alone, so the bits do not depend on the number of threads. Many 3x3 kernels in float32 go through
`minidl.ops.winograd` instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import blas
from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.ops import winograd
from minidl.ops.patches import Block, Geometry, Window, array_of, columns_of, numbers
from minidl.ops.precision import in_single
from minidl.ops.shape import expand_dims
from minidl.typing import Operand

__all__ = ["conv1d", "conv2d", "conv_transpose2d"]

_PARTS = 8  # partial sums of a weight gradient, each of at least this many multiplications:
_PART = blas.BLAS_LARGE // 2
_SMALL = 2**16  # elements of the columns of samples that are worked on at once,
_SHARES = 4  # but so that there are as many portions for threads to share


# --------------------------------------------------------------------------------------- public functions

@explained
def conv2d(input: Operand, weight: Operand, bias: Operand | None = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Any:
    """Cross-correlation of images with kernels, as `torch.nn.functional.conv2d`.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (C, H, W)
    weight : array, shape (O, C / groups, kh, kw)
    bias : array, shape (O,), optional
    stride, dilation : int or pair of int
        Of rows and columns.
    padding : int, pair of int, "same" or "valid"
        Zeros on both sides. "same" keeps H and W, for a stride of 1; what does not halve goes to the end.
    groups : int
        Each group of channels is convolved by itself.

    Returns
    -------
    array, shape (N, O, OH, OW) or (O, OH, OW)
        OH = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1, and OW alike.

    Raises
    ------
    ShapeError
        When channels, groups and shapes do not fit, or the kernel is larger than the padded image.
    ValueError
        For strides and the like that are not integers.

    Notes
    -----
    out[n, o, r, q] = bias[o] + sum_cij weight[o, c, i, j] input[n, c, r stride + i dilation - padding, ...].
    Derivative: for input the transposed convolution of g, for weight the correlation of input and g, for bias the
    sum of g.
    In the backward pass patches are made again rather than kept.
    For float32, 3x3 kernels of stride 1 between 16 or more channels go by Winograd's algorithm, F(4x4, 3x3), in about
    half the time. It rounds two to three times as much as the definition: an output errs by at most 1e-6 max|input|
    sum|weight|, with the maximum over its own window and the sum over its kernel. Where a window is next to elements
    of more than 8 times its largest, and near NaN and infinity, the definition is used.
    `minidl.runtime.exact_convolutions` uses it everywhere.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.conv2d(np.arange(9.0).reshape(1, 3, 3), np.ones((1, 1, 2, 2)))
    array([[[ 8., 12.],
            [20., 24.]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@explained
def conv1d(input: Operand, weight: Operand, bias: Operand | None = None, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, groups: int = 1) -> Any:
    """Cross-correlation of sequences with kernels, as `torch.nn.functional.conv1d`: `conv2d` with a height of 1.

    Parameters
    ----------
    input : array, shape (N, C, L) or (C, L)
    weight : array, shape (O, C / groups, k)
    bias : array, shape (O,), optional
    stride, padding, dilation, groups
        As in `conv2d`, for one axis.

    Returns
    -------
    array, shape (N, O, OL) or (O, OL)

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.conv1d(np.array([[1.0, 2.0, 4.0]]), np.array([[[-1.0, 1.0]]]))
    array([[1., 2.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@explained
def conv_transpose2d(input: Operand, weight: Operand, bias: Operand | None = None, stride: Any = 1, padding: Any = 0,
                     output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:
    """The adjoint of `conv2d`, as `torch.nn.functional.conv_transpose2d`: each element adds a kernel to the output.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (C, H, W)
    weight : array, shape (C, O / groups, kh, kw)
    bias : array, shape (O,), optional
    stride, dilation : int or pair of int
        Of rows and columns.
    padding : int or pair of int
        Rows and columns that are left out on both sides.
    output_padding : int or pair of int
        Rows and columns that are added at the end; less than stride or dilation.
    groups : int

    Returns
    -------
    array, shape (N, O, OH, OW) or (O, OH, OW)
        OH = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1, and OW alike.

    Raises
    ------
    ShapeError
        When channels, groups and shapes do not fit, or nothing is left of the output.
    ValueError
        For strides and the like that are not integers.

    Notes
    -----
    Derivative: for x `conv2d` of g, for weight the correlation of g and input, for bias the sum of g.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.conv_transpose2d(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 1, 2)), stride=2)
    array([[[1., 1., 2., 2.]]])
    """
    op = "conv_transpose2d"
    x, weight = _operands(op, 2, input, weight)
    if x.ndim == 3:
        return conv_transpose2d(x[None], weight, bias, stride, padding, output_padding, groups, dilation)[0]
    groups = _check_channels(op, x, weight, bias, groups, transposed=True)
    steps, spread = numbers(op, "stride", stride, 2, 1), numbers(op, "dilation", dilation, 2, 1)
    origin, more = numbers(op, "padding", padding), numbers(op, "output_padding", output_padding)
    if any(m >= max(s, d) for m, s, d in zip(more, steps, spread, strict=True)):
        raise ValueError(f"{op}: output_padding={output_padding!r} must be less than stride={stride!r} or "
                         f"dilation={dilation!r}")
    window = Window(weight.shape[2:], steps, spread, origin)
    high, wide = ((n - 1) * s - 2 * p + e + m for n, s, p, e, m in
                  zip(x.shape[2:], steps, origin, window.extent(), more, strict=True))
    if min(high, wide, *x.shape[2:]) < 1:
        raise ShapeError(f"{op}: the output would have the size {(high, wide)} for input of shape {x.shape} and "
                         f"padding={padding!r}; use a larger input or less padding")
    return _transposed(x, weight, bias, Geometry(window, (high, wide), x.shape[2:], groups))


# ---------------------------------------------------------------------------------------------- arguments

def _convolve(op: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
              groups: int) -> Any:
    """Check the arguments, and give one axis a second one of length 1."""
    x, weight = _operands(op, axes, x, weight)
    if x.ndim == axes + 1:
        return _convolve(op, axes, x[None], weight, bias, stride, padding, dilation, groups)[0]
    groups = _check_channels(op, x, weight, bias, groups)
    steps, spread = numbers(op, "stride", stride, axes, 1), numbers(op, "dilation", dilation, axes, 1)
    before, after = _sides(op, padding, weight.shape[2:], steps, spread)
    if axes == 1:
        x, weight = expand_dims(x, 2), expand_dims(weight, 2)
        steps, spread, before, after = (1, *steps), (1, *spread), (0, *before), (0, *after)
    window = Window(weight.shape[2:], steps, spread, before)
    positions = window.outputs(op, x.shape[2:], after)
    out = _convolution(x, weight, bias, Geometry(window, x.shape[2:], positions, groups))
    return out if axes == 2 else out[:, :, 0]


def _operands(op: str, axes: int, x: Any, weight: Any) -> tuple[Any, Any]:
    """Arrays or Tensors of the right number of axes."""
    x, weight = array_of(x), array_of(weight)
    names = ("L", "H, W")[axes - 1]
    if x.ndim not in (axes + 1, axes + 2):
        raise ShapeError(f"{op}: input has shape {x.shape}; it must be (N, C, {names}) or (C, {names})")
    if weight.ndim != axes + 2 or min(weight.shape[2:]) < 1:
        raise ShapeError(f"{op}: weight has shape {weight.shape}; it must have {axes + 2} axes, of which the last "
                         f"{axes}, the kernel's, are not empty")
    return x, weight


def _check_channels(op: str, x: Any, weight: Any, bias: Any, groups: Any, transposed: bool = False) -> int:
    """Channels, groups and bias fit; the number of groups."""
    (groups,) = numbers(op, "groups", groups, 1, 1)
    taken, made = weight.shape[1] * groups, weight.shape[0]
    if transposed:
        taken, made = made, taken
    if x.shape[1] % groups or weight.shape[0] % groups:
        raise ShapeError(f"{op}: the {x.shape[1]} channels of input and the first axis of weight, of shape "
                         f"{weight.shape}, must both divide by groups={groups}")
    if x.shape[1] != taken:
        raise ShapeError(f"{op}: input has {x.shape[1]} channels, but weight of shape {weight.shape} with "
                         f"groups={groups} takes {taken}")
    if bias is not None and np.shape(bias) != (made,):
        raise ShapeError(f"{op}: bias has shape {np.shape(bias)}; weight of shape {weight.shape} with "
                         f"groups={groups} needs {(made,)}")
    return int(groups)


def _sides(op: str, padding: Any, kernel: tuple[int, ...], stride: tuple[int, ...],
           dilation: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after, for each axis."""
    if not isinstance(padding, str):
        both = numbers(op, "padding", padding, len(kernel))
        return both, both
    if padding not in ("same", "valid"):
        raise ValueError(f"{op}: padding={padding!r}; give an integer, one for each axis, 'same' or 'valid'")
    if padding == "same" and max(stride) > 1:
        raise ValueError(f"{op}: padding='same' goes with a stride of 1 only, not with {stride}")
    total = [d * (k - 1) * (padding == "same") for k, d in zip(kernel, dilation, strict=True)]
    return tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)


# ------------------------------------------------------------------------------------------ the linear family

def _convolution(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    """(N, C, H, W), (O, C/G, kh, kw), (O,) or None -> (N, O, OH, OW)."""
    return record(_conv2d, _conv2d_rule, x, weight, bias, geometry=geometry)


def _transposed(g: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    """(N, O, OH, OW), (O, C/G, kh, kw), (C,) or None -> (N, C, H, W)."""
    return record(_conv_transpose2d, _conv_transpose2d_rule, g, weight, bias, geometry=geometry)


def _weight_gradient(g: Any, x: Any, geometry: Geometry) -> Any:
    """(N, O, OH, OW), (N, C, H, W) -> (O, C/G*kh*kw + 1), the weight's as rows and the bias's as the last column."""
    return record(_correlation, _correlation_rule, g, x, geometry=geometry)


@keeps("inputs")
def _conv2d_rule(g: Any, out: Any, inputs: Any, needs: Any, geometry: Geometry) -> Any:
    x, weight, _ = inputs
    gx = _transposed(g, weight, None, geometry) if needs[0] else None
    if not needs[1]:
        return gx, None, g.sum(axis=(0, 2, 3)) if needs[2] else None
    both = _weight_gradient(g, x, geometry)
    return gx, both[:, :-1].reshape(weight.shape), both[:, -1] if needs[2] else None


@keeps("inputs")
def _conv_transpose2d_rule(v: Any, out: Any, inputs: Any, needs: Any, geometry: Geometry) -> Any:
    g, weight, _ = inputs
    gg = _convolution(v, weight, None, geometry) if needs[0] else None
    gw = _weight_gradient(g, v, geometry)[:, :-1].reshape(weight.shape) if needs[1] else None
    return gg, gw, v.sum(axis=(0, 2, 3)) if needs[2] else None


@keeps("inputs")
def _correlation_rule(v: Any, out: Any, inputs: Any, needs: Any, geometry: Geometry) -> Any:
    g, x = inputs
    weight = v[:, :-1].reshape((v.shape[0], x.shape[1] // geometry.groups, *geometry.window.kernel))
    gg = _convolution(x, weight, v[:, -1], geometry) if needs[0] else None
    return gg, _transposed(g, weight, None, geometry) if needs[1] else None


# ---------------------------------------------------------------------------------- products with columns

@in_single
def _conv2d(x: Any, weight: Any, bias: Any, geometry: Geometry) -> np.ndarray:
    groups, made, taps = geometry.groups, len(weight) // geometry.groups, math.prod(weight.shape[1:])
    x = np.ascontiguousarray(x, _common(x, weight, bias))
    if winograd.suits(geometry, x.shape[1], made, x.dtype, geometry.positions):
        return winograd.convolve(x, weight, bias, geometry.window.origin, geometry.positions)
    matrix = np.zeros((groups, made, taps + 1), x.dtype)  # the bias in the last column
    matrix[..., :-1] = weight.reshape(groups, made, taps)
    if bias is not None:
        matrix[..., -1] = bias.reshape(groups, made)
    out = np.empty((len(x), groups, made, math.prod(geometry.positions)), x.dtype)

    def work(tasks: Iterator[tuple[slice, Block]]) -> None:
        columns = _columns(x, geometry)
        for samples, block in tasks:
            cols, target = columns(samples, block), out[samples, ..., block.outputs]
            if cols.shape[2] > taps:
                np.matmul(matrix, cols, out=target)
            else:
                np.matmul(matrix[..., :-1], cols, out=target)
                target += matrix[..., -1:]

    blas.share(work, _tasks(x, geometry), out.size * taps)
    return out.reshape(len(x), groups * made, *geometry.positions)


@in_single
def _correlation(g: Any, x: Any, geometry: Geometry) -> np.ndarray:
    groups, made = geometry.groups, g.shape[1] // geometry.groups
    taps = x.shape[1] // groups * math.prod(geometry.window.kernel)
    x = np.ascontiguousarray(x, _common(g, x))
    g = np.ascontiguousarray(g, x.dtype)
    if winograd.suits(geometry, x.shape[1], made, x.dtype, geometry.positions):
        found = winograd.weight_gradient(g, x, geometry)
        if np.isfinite(found).all():
            return found
    g = g.reshape(len(x), groups, made, math.prod(geometry.positions))
    tasks = _tasks(x, geometry)
    count = max(min(_PARTS, len(tasks), g.size * taps // _PART), 1)
    parts = [tasks[len(tasks) * i // count:len(tasks) * (i + 1) // count] for i in range(count)]
    sums = np.zeros((count, groups, made, taps + 1), x.dtype)

    def work(left: Iterator[int]) -> None:
        columns, buffer = _columns(x, geometry), np.empty((_together(x, geometry), *sums.shape[1:]), x.dtype)
        for i in left:
            for samples, block in parts[i]:
                cols, up = columns(samples, block), g[samples, ..., block.outputs]
                product = buffer[:len(cols)]
                if cols.shape[2] > taps:
                    np.matmul(up, cols.swapaxes(2, 3), out=product)
                else:
                    np.matmul(up, cols.swapaxes(2, 3), out=product[..., :-1])
                    product[..., -1] = up.sum(axis=-1)
                sums[i] += np.add.reduce(product, axis=0)

    blas.share(work, range(count), g.size * taps)
    return np.add.reduce(sums, axis=0).reshape(groups * made, taps + 1)


@in_single
def _conv_transpose2d(g: Any, weight: Any, bias: Any, geometry: Geometry) -> np.ndarray:
    groups, made, taps = geometry.groups, len(weight) // geometry.groups, math.prod(weight.shape[1:])
    g = np.ascontiguousarray(g, _common(g, weight, bias))
    if winograd.suits(geometry, weight.shape[1], made, g.dtype, geometry.size):
        return winograd.image_gradient(g, weight, bias, geometry)
    g = g.reshape(len(g), groups, made, math.prod(geometry.positions))
    matrix = weight.astype(g.dtype, copy=False).reshape(groups, made, taps).swapaxes(1, 2)  # (G, K, O/G)
    x = np.empty((len(g), groups * weight.shape[1], *geometry.size), g.dtype)
    start = g.dtype.type(0) if bias is None else bias[:, None, None]
    blocks, col2im = geometry.blocks(groups * taps), columns_of(g.dtype).col2im

    def work(parts: Iterator[slice]) -> None:
        buffer = np.empty(together * blocks[0].size * groups * taps, g.dtype)
        for samples in parts:
            up, image = g[samples], x[samples]
            if geometry.pointwise():
                np.matmul(matrix, up, out=image.reshape(len(up), groups, taps, g.shape[-1]))
                image += start
                continue
            image[...] = start
            for block in blocks:
                cols = _carved(buffer, len(up), groups, taps, block.size)
                np.matmul(matrix, up[..., block.outputs], out=cols)
                col2im(_stacked(cols), _stacked(image), *block.window, block.width)

    together = _together(x, geometry)
    blas.share(work, _parts(len(g), together), g.size * taps)
    return x


def _columns(x: np.ndarray, geometry: Geometry) -> Callable[[slice, Block], np.ndarray]:
    """A function of some samples and a block, which gives the patches as columns: of each sample and group (K + 1, B),
    the last row ones, in a buffer that the next call overwrites; or (K, B), where the patches are just the elements of
    the sample.
    """
    groups, channels = geometry.groups, x.shape[1] // geometry.groups
    if geometry.pointwise():
        flat = x.reshape(len(x), groups, channels, math.prod(geometry.size))
        return lambda samples, block: flat[samples, ..., block.outputs]
    rows = channels * math.prod(geometry.window.kernel) + 1
    buffer = np.empty(_together(x, geometry) * groups * rows * geometry.blocks(groups * rows)[0].size, x.dtype)
    im2col = columns_of(x.dtype).im2col

    def columns(samples: slice, block: Block) -> np.ndarray:
        cols = _carved(buffer, samples.stop - samples.start, groups, rows, block.size)
        im2col(_stacked(x[samples]), _stacked(cols), *block.window, block.width)
        cols[:, :, -1] = 1
        return cols

    return columns


def _stacked(x: np.ndarray) -> np.ndarray:
    """(S, C, ...) -> (S*C, ...): to a kernel, the groups of some samples are groups of one."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _tasks(x: np.ndarray, geometry: Geometry) -> list[tuple[slice, Block]]:
    """All blocks of all samples; of small samples, some at a time."""
    blocks = geometry.blocks(x.shape[1] * math.prod(geometry.window.kernel) + geometry.groups)
    return list(itertools.product(_parts(len(x), _together(x, geometry)), blocks))


def _together(x: np.ndarray, geometry: Geometry) -> int:
    """How many samples are so small that they are worked on at once: calls would take longer than their work."""
    numbers = x.shape[1] * math.prod(geometry.window.kernel) * math.prod(geometry.positions)
    return max(min(_SMALL // max(numbers, 1), len(x) // _SHARES), 1)


def _parts(n: int, together: int) -> list[slice]:
    return [slice(i, min(i + together, n)) for i in range(0, n, together)]


def _carved(buffer: np.ndarray, *shape: int) -> np.ndarray:
    return buffer[:math.prod(shape)].reshape(shape)


def _common(*arrays: Any) -> np.dtype[Any]:
    return np.result_type(*(a for a in arrays if a is not None))
