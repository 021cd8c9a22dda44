"""Pooling, with the names, arguments and semantics of `torch.nn.functional`.

Inputs are (N, C, H, W) or (C, H, W), in one dimension (N, C, L) or (C, L), which is a plane of height 1. Global
pooling is adaptive pooling to size 1. A window is told by where it begins and ends on each axis, so that
sliding and adaptive pooling are one function. Average pooling and spreading are adjoint to each other; so are,
once max pooling has chosen its elements, reading and adding there: derivatives of every order follow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.errors import explained
from minidl.kernels import Kernels, numpy_pool, takes
from minidl.ops.pool_windows import Windows, adaptive, counted, sliding
from minidl.ops.precision import in_single
from minidl.tensors import as_array
from minidl.typing import Operand

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
           "avg_pool2d", "max_pool1d", "max_pool2d"]

_kernels = Kernels("minidl.kernels", "pool")


# ------------------------------------------------------------------------------------- calls of kernels

def _family(*arrays: np.ndarray) -> Any:
    """The kernels that take these arrays: the references have loops for any dtype."""
    return _kernels if takes(*arrays) else numpy_pool


def _ready(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """In native C order, and in this shape; a copy only where one is needed."""
    x = as_array(x)
    return (x if takes(x) else np.require(x, requirements=["C", "A", "W"])).reshape(shape)


def _planes(shape: tuple[int, ...], dims: int) -> tuple[int, int, int]:
    """(..., H, W) -> (P, H, W), or (..., L) -> (P, 1, L)."""
    return math.prod(shape[:-dims]), shape[-2] if dims == 2 else 1, shape[-1]


# --------------------------------------------------------------------------------------------- maximum

@explained
def max_pool2d(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """Largest element of every window, as `torch.nn.functional.max_pool2d`.

    Parameters
    ----------
    input : float array, shape (N, C, H, W) or (C, H, W)
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default that of `kernel_size`.
    padding : int or (int, int)
        Elements -inf on both sides; at most half of `kernel_size`.
    dilation : int or (int, int)
        Steps between the elements of a window.
    ceil_mode : bool
        Round the number of windows up. The last one has to start inside the input or the left padding.
    return_indices : bool
        Give the places i W + j of the elements too.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)
        O = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1, rounded down. NaN is larger than anything.
    indices : int64 array
        With `return_indices` only.

    Raises
    ------
    ShapeError
        When no window fits.
    ValueError
        For a padding of more than half of the kernel, and for windows that hold nothing but padding, as dilated ones
        may (in PyTorch their maximum is -inf).

    Notes
    -----
    Derivative: g, added into zeros at the elements chosen. Of equal ones that is the first in row-major order, of
    several NaN the last (as in PyTorch on CPUs).

    Examples
    --------
    >>> import numpy as np, minidl
    >>> x = np.array([[[1.0, 2.0, 2.0], [0.0, 2.0, 5.0]]])
    >>> minidl.ops.max_pool2d(x, 2, stride=1)
    array([[[2., 5.]]])
    >>> minidl.grad(lambda x: minidl.ops.max_pool2d(x, 2, stride=1).sum())(x)
    array([[[0., 1., 0.],
            [0., 0., 1.]]])
    """
    windows = sliding("max_pool2d", input, 2, kernel_size, stride, padding, dilation, ceil_mode)
    return _choose(input, windows, return_indices)


@explained
def max_pool1d(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """Largest element of every window along the last axis, (N, C, L) or (C, L); otherwise as `max_pool2d`."""
    windows = sliding("max_pool1d", input, 1, kernel_size, stride, padding, dilation, ceil_mode)
    return _choose(input, windows, return_indices)


@explained
def adaptive_max_pool2d(input: Operand, output_size: Any, return_indices: bool = False) -> Any:
    """Largest elements of as many windows as are asked for, as `torch.nn.functional.adaptive_max_pool2d`.

    Parameters
    ----------
    input : float array, shape (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        None for an axis that stays; 1 is global pooling. Window i of n covers floor(i H / n) to ceil((i + 1) H / n).
    return_indices : bool
        Give the places i W + j of the elements too.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)
    indices : int64 array
        With `return_indices` only.

    Notes
    -----
    Derivative, ties and NaN as in `max_pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.adaptive_max_pool2d(np.arange(12.0).reshape(1, 3, 4), (None, 1))
    array([[[ 3.],
            [ 7.],
            [11.]]])
    """
    return _choose(input, adaptive("adaptive_max_pool2d", input, 2, output_size), return_indices)


@explained
def adaptive_max_pool1d(input: Operand, output_size: Any, return_indices: bool = False) -> Any:
    """Largest elements of so many windows along the last axis, (N, C, L) or (C, L); as `adaptive_max_pool2d`."""
    return _choose(input, adaptive("adaptive_max_pool1d", input, 1, output_size), return_indices)


def _choose(x: Any, windows: Windows, return_indices: bool) -> Any:
    small = math.prod(x.shape[-windows.dims:]) <= np.iinfo(np.int32).max
    index = np.empty(windows.out_shape(x.shape), np.int32 if small else np.int64)  # the forward pass fills it in
    out = record(_max_pool, _max_pool_rule, x, windows=windows, index=index)
    return (out, index.astype(np.int64)) if return_indices else out


def _max_pool(x: np.ndarray, windows: Windows, index: np.ndarray) -> np.ndarray:
    planes = _ready(x, _planes(x.shape, windows.dims))
    out = np.empty(index.shape, planes.dtype)
    folded = _planes(out.shape, windows.dims)
    _family(planes).max_pool(planes, windows.rows, windows.cols, windows.dilation, out.reshape(folded),
                             index.reshape(folded))
    return out


@keeps()
def _max_pool_rule(g: Any, out: Any, inputs: Any, needs: Any, windows: Windows, index: np.ndarray) -> Any:
    return (_put(g, index, inputs[0].shape, windows.dims),)


def _put(g: Any, index: np.ndarray, shape: tuple[int, ...], dims: int) -> Any:
    """Zeros of `shape` with g added at places in the planes. Derivative: g, read there."""
    return record(_max_spread, _put_rule, g, index=index, shape=shape, dims=dims)


@in_single
def _max_spread(g: np.ndarray, index: np.ndarray, shape: tuple[int, ...], dims: int) -> np.ndarray:
    planes, height, width = _planes(shape, dims)
    g = _ready(g, (planes, math.prod(index.shape[-dims:])))
    out = np.empty(shape, g.dtype)
    _family(g).max_spread(g, index.reshape(g.shape), out.reshape(planes, height * width))
    return out


@keeps()
def _put_rule(g: Any, out: Any, inputs: Any, needs: Any, index: np.ndarray, shape: tuple[int, ...], dims: int) -> Any:
    return (record(_read, _read_rule, g, index=index, dims=dims),)


def _read(x: np.ndarray, index: np.ndarray, dims: int) -> np.ndarray:
    planes, height, width = _planes(x.shape, dims)
    place = index.reshape(planes, math.prod(index.shape[-dims:]))
    return np.take_along_axis(x.reshape(planes, height * width), place, axis=1).reshape(index.shape)


@keeps()
def _read_rule(g: Any, out: Any, inputs: Any, needs: Any, index: np.ndarray, dims: int) -> Any:
    return (_put(g, index, inputs[0].shape, dims),)


# --------------------------------------------------------------------------------------------- average

@explained
def avg_pool2d(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:
    """Mean of every window, as `torch.nn.functional.avg_pool2d`.

    Parameters
    ----------
    input : float array, shape (N, C, H, W) or (C, H, W)
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default that of `kernel_size`.
    padding : int or (int, int)
        Zeros on both sides; at most half of `kernel_size`.
    ceil_mode : bool
        Round the number of windows up. The last one has to start inside the input or the left padding.
    count_include_pad : bool
        Divide by the number of elements of the padded input; otherwise of the input. What a window has beyond
        the padding, with `ceil_mode`, counts in neither.
    divisor_override : int, optional
        Divide by this instead; not 0.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)
        Sizes as in `max_pool2d`.

    Raises
    ------
    ShapeError
        When no window fits.
    ValueError
        For a padding of more than half of the kernel, and for a divisor of 0.

    Notes
    -----
    Derivative: g over the divisor, added to every element of its window.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.avg_pool2d(np.array([[[1.0, 2.0, 3.0, 4.0]]]), (1, 2))
    array([[[1.5, 3.5]]])
    """
    windows = sliding("avg_pool2d", input, 2, kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    if divisor_override is not None:
        if not isinstance(divisor_override, (int, np.integer)) or divisor_override == 0:
            raise ValueError(f"avg_pool2d: divisor_override={divisor_override!r} has to be an int other than 0")
        windows = counted(windows, int(divisor_override))
    return record(_avg_pool, _avg_pool_rule, input, windows=windows)


@explained
def avg_pool1d(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Any:
    """Mean of every window along the last axis, (N, C, L) or (C, L); otherwise as `avg_pool2d`."""
    windows = sliding("avg_pool1d", input, 1, kernel_size, stride, padding, 1, ceil_mode, count_include_pad)
    return record(_avg_pool, _avg_pool_rule, input, windows=windows)


@explained
def adaptive_avg_pool2d(input: Operand, output_size: Any) -> Any:
    """Means of as many windows as are asked for, as `torch.nn.functional.adaptive_avg_pool2d`.

    Parameters
    ----------
    input : float array, shape (N, C, H, W) or (C, H, W)
    output_size : int or (int, int)
        None for an axis that stays; 1 is global pooling. Window i of n covers floor(i H / n) to ceil((i + 1) H / n).

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)

    Notes
    -----
    Derivative: g over the number of elements, added to every element of its window.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.adaptive_avg_pool2d(np.arange(6.0).reshape(1, 2, 3), 1)
    array([[[2.5]]])
    """
    return record(_avg_pool, _avg_pool_rule, input, windows=adaptive("adaptive_avg_pool2d", input, 2, output_size))


@explained
def adaptive_avg_pool1d(input: Operand, output_size: Any) -> Any:
    """Means of so many windows along the last axis, (N, C, L) or (C, L); otherwise as `adaptive_avg_pool2d`."""
    return record(_avg_pool, _avg_pool_rule, input, windows=adaptive("adaptive_avg_pool1d", input, 1, output_size))


@in_single
def _avg_pool(x: np.ndarray, windows: Windows) -> np.ndarray:
    planes = _ready(x, _planes(x.shape, windows.dims))
    out = np.empty(windows.out_shape(x.shape), planes.dtype)
    _family(planes).avg_pool(planes, windows.rows, windows.cols, out.reshape(_planes(out.shape, windows.dims)))
    return out


@keeps()
def _avg_pool_rule(g: Any, out: Any, inputs: Any, needs: Any, windows: Windows) -> Any:
    return (record(_avg_spread, _avg_spread_rule, g, windows=windows, shape=inputs[0].shape),)


@in_single
def _avg_spread(g: np.ndarray, windows: Windows, shape: tuple[int, ...]) -> np.ndarray:
    planes = _ready(g, _planes(g.shape, windows.dims))
    out = np.empty(shape, planes.dtype)
    _family(planes).avg_spread(planes, windows.rows, windows.cols, out.reshape(_planes(shape, windows.dims)))
    return out


@keeps()
def _avg_spread_rule(g: Any, out: Any, inputs: Any, needs: Any, windows: Windows, shape: tuple[int, ...]) -> Any:
    return (record(_avg_pool, _avg_pool_rule, g, windows=windows),)
