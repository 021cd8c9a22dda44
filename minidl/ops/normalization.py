"""Normalisation, with the names and argument order of `torch.nn.functional`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.engine import fused
from minidl.errors import ShapeError, explained, refuse_masked
from minidl.kernels import Kernels, takes
from minidl.ops.functions import rsqrt, square
from minidl.ops.loss_parts import floating
from minidl.replay import again
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["batch_norm", "group_norm", "layer_norm", "rms_norm"]

_kernels = Kernels("minidl.kernels", "norm")


# -------------------------------------------------------------------------------------------------- rows

@explained
def layer_norm(x: Operand, normalized_shape: int | Sequence[int], weight: Operand | None = None,
               bias: Operand | None = None, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over the last axes.

    Derivative: s (h - mean(h) - n mean(h n)) with h = g weight, s = 1 / sqrt(var + eps) and n the normalised x; sums of
    g n and of g for weight and bias.

    Source: Ba, Kiros and Hinton 2016, "Layer normalization", equation 3.

    Parameters
    ----------
    x : Tensor or array, shape (..., *normalized_shape)
    normalized_shape : int or sequence of int
        Lengths of the axes that are normalised together.
    weight, bias : Tensor or array, shape normalized_shape, optional
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    Tensor or array
        As x.

    Raises
    ------
    ShapeError
        When x does not end with `normalized_shape`, or weight or bias have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.layer_norm(np.array([[1.0, 3.0]]), 2, eps=0.0)
    array([[-1.,  1.]])
    """
    return _by_rows("layer_norm", x, normalized_shape, weight, bias, eps, True)


@explained
def rms_norm(x: Operand, normalized_shape: int | Sequence[int], weight: Operand | None = None,
             eps: float | None = None) -> Any:
    """x / sqrt(mean(x^2) + eps) * weight, with the mean over the last axes.

    Derivative: s (h - n mean(h n)) with h = g weight, s = 1 / sqrt(mean(x^2) + eps) and n = x s; the sum of g n for
    the weight.

    Source: Zhang and Sennrich 2019, "Root mean square layer normalization", equation 4.

    Parameters
    ----------
    x : Tensor or array, shape (..., *normalized_shape)
    normalized_shape : int or sequence of int
    weight : Tensor or array, shape normalized_shape, optional
    eps : float, optional
        By default the machine epsilon of x.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.rms_norm(np.array([[3.0, -3.0]]), 2)
    array([[ 1., -1.]])
    """
    x = floating(x)
    return _by_rows("rms_norm", x, normalized_shape, weight, None, np.finfo(x.dtype).eps if eps is None else eps, False)


def _by_rows(name: str, x: Any, normalized_shape: int | Sequence[int], weight: Any, bias: Any, eps: float,
             centred: bool) -> Any:
    x = floating(x)
    shape = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if not shape or x.shape[-len(shape):] != shape:
        raise ShapeError(f"{name}: x has shape {x.shape}, which does not end with normalized_shape={shape}")
    weight, bias = (a if a is None else floating(a) for a in (weight, bias))
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != shape:
            raise ShapeError(f"{name}: {argument} has shape {value.shape}; it has to be normalized_shape={shape}")
    return _row_norms[name](x, weight, bias, axes=len(shape), eps=float(eps), centred=centred)


def _row_norm_forward(x: np.ndarray, weight: Any, bias: Any, axes: int, eps: float, centred: bool) -> Any:
    shape = x.shape[x.ndim - axes:]
    if not x.size:
        return x.copy(), None
    rows = _plain(x).reshape(-1, math.prod(shape))
    out, mean, scale = _kernels.row_norm(rows, _affine(weight, 1, rows), _affine(bias, 0, rows), eps, centred)
    return out.reshape(x.shape).astype(x.dtype, copy=False), (mean, scale)


def _row_norm_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any, axes: int, eps: float,
                       centred: bool) -> Any:
    x, weight, _ = inputs
    shape = x.shape[x.ndim - axes:]
    if not x.size:
        return x.copy(), np.zeros(shape, x.dtype), np.zeros(shape, x.dtype)
    rows = _plain(x).reshape(-1, math.prod(shape))
    gx = np.empty(x.shape, rows.dtype)
    gw, gb = _kernels.row_norm_gradient(_plain(g, rows.dtype).reshape(rows.shape), rows, _affine(weight, 1, rows),
                                        *saved, centred, gx.reshape(rows.shape))
    return gx, gw.reshape(shape), gb.reshape(shape)


def _row_norm_reference(x: Any, weight: Any, bias: Any, axes: int, eps: float, centred: bool) -> Any:
    over = tuple(range(-axes, 0))
    if not x.size:
        return _scaled(x, weight, bias)
    if centred:
        x = x - x.mean(axis=over, keepdims=True)
    return _scaled(x * rsqrt(square(x).mean(axis=over, keepdims=True) + eps), weight, bias)


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


_row_norms = {name: fused(_row_norm_forward, _row_norm_backward, _row_norm_reference, name=name)
              for name in ("layer_norm", "rms_norm")}


# ---------------------------------------------------------------------------------------------- channels

@explained
def group_norm(x: Any, num_groups: int, weight: Operand | None = None, bias: Operand | None = None,
               eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over a group of channels of one sample.

    Derivative: that of `layer_norm` over each group, and of a product and a sum for weight and bias.

    Source: Wu and He 2018, "Group normalization", equations 1 to 3.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...)
    num_groups : int
        Divides C; neighbouring channels are one group.
    weight, bias : Tensor or array, shape (C,), optional
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    Tensor or array
        As x.

    Raises
    ------
    ShapeError
        When C is no multiple of `num_groups`, or weight or bias do not have one value for each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.group_norm(np.array([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    x, weight, bias = (a if a is None else floating(a) for a in (x, weight, bias))
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: x has shape {x.shape}; it has to be (N, C, ...) with a C that "
                         f"num_groups={num_groups} divides")
    for argument, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.shape != x.shape[1:2]:
            raise ShapeError(f"group_norm: {argument} has shape {value.shape}, but x of shape {x.shape} has "
                             f"{x.shape[1]} channels")
    size = math.prod(x.shape[1:]) // num_groups
    groups = x.reshape((x.shape[0] * num_groups, size))
    normal = _row_norms["layer_norm"](groups, None, None, axes=1, eps=float(eps), centred=True).reshape(x.shape)
    return _scaled(normal, *(a if a is None else _along(a, x) for a in (weight, bias)))


@explained
def batch_norm(x: Any, running_mean: np.ndarray | None, running_var: np.ndarray | None, weight: Operand | None = None,
               bias: Operand | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with a mean and a variance for each channel.

    In training they are those of the batch, over all axes but the second, and the running ones move towards them:
    r <- (1 - momentum) r + momentum b, with the unbiased variance of the batch. Otherwise they are the running ones.

    Derivative: s weight (g - mean(g) - n mean(g n)) with s = 1 / sqrt(var + eps) and n the normalised x in training,
    s weight g otherwise; sums of g n and of g for weight and bias.

    Source: Ioffe and Szegedy 2015, "Batch normalization", algorithms 1 and 2.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...)
        An empty batch gives an empty result, and leaves the running statistics alone.
    running_mean, running_var : array, shape (C,), or None
        Updated in place in training; may be None then.
    weight, bias : Tensor or array, shape (C,), optional
    training : bool
    momentum : float
        Share of the batch in the running statistics.
    eps : float
        Added to the (biased) variance.

    Returns
    -------
    Tensor or array
        As x.

    Raises
    ------
    ShapeError
        When an argument does not have one value for each channel.
    ValueError
        In training with one value per channel, whose variance is 0; otherwise without running statistics.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> ops.batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, eps=0.0).ravel()
    array([-1.,  1.])
    >>> mean, var
    (array([0.2]), array([1.1]))
    """
    x, weight, bias = (a if a is None else floating(a) for a in (x, weight, bias))
    count = _checked_channels(x, running_mean, running_var, weight, bias, training)
    if not training or not count:  # (running statistics are copied: later updates change them)
        given = (running_mean, 0.0), (running_var, 1.0)
        mean, var = (np.full(x.shape[1], otherwise if r is None else r, x.dtype) for r, otherwise in given)
        return _channel_norm(x, weight, bias, mean=mean, var=var, eps=float(eps), training=False)
    dtype = np.float32 if x.dtype.itemsize <= 4 else np.float64
    mean, var = np.empty(x.shape[1], dtype), np.empty(x.shape[1], dtype)
    out = _channel_norm(x, weight, bias, mean=mean, var=var, eps=float(eps), training=True)
    for running, found in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
        if running is not None and not again():
            running *= 1 - momentum
            running += momentum * found
    return out


def _checked_channels(x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool) -> int:
    """The number of values of each channel."""
    if x.ndim < 2:
        raise ShapeError(f"batch_norm: x has shape {x.shape}; it has to be (N, C, ...)")
    channels = (x.shape[1],)
    for argument, value in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight),
                            ("bias", bias)):
        refuse_masked(f"batch_norm: {argument}", value)
        if value is not None and value.shape != channels:
            raise ShapeError(f"batch_norm: {argument} has shape {value.shape}, but x of shape {x.shape} has "
                             f"{channels[0]} channels")
    if isinstance(running_mean, Tensor) or isinstance(running_var, Tensor):
        raise TypeError("batch_norm: running statistics are plain arrays, updated in place; pass .data of a Tensor")
    if not training and (running_mean is None or running_var is None):
        raise ValueError("batch_norm: outside training running_mean and running_var are needed")
    count = x.shape[0] * math.prod(x.shape[2:])
    if training and count == 1:
        raise ValueError(f"batch_norm: x of shape {x.shape} has one value per channel, whose variance is 0; "
                         "training needs more, so drop a last batch of one")
    return count


def _along(values: Any, x: Any) -> Any:
    """One value a channel, (C,) -> (C, 1, ...), to broadcast against x (N, C, ...)."""
    return values.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim > 2 else values


def _lines(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """(N, C, ...) -> (N, C, L)."""
    return _plain(x, dtype).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _channel_norm_forward(x: np.ndarray, weight: Any, bias: Any, mean: np.ndarray, var: np.ndarray, eps: float,
                          training: bool) -> Any:
    if not x.size:
        return x.copy(), None
    lines = _lines(x)
    mean, var = (a if a.dtype == lines.dtype else a.astype(lines.dtype) for a in (mean, var))
    out = _kernels.channel_norm(lines, _affine(weight, 1, lines[0, :, 0]), _affine(bias, 0, lines[0, :, 0]), eps, mean,
                                var, training)
    return out.reshape(x.shape).astype(x.dtype, copy=False), (mean, var)


def _channel_norm_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any, mean: np.ndarray, var: np.ndarray,
                           eps: float, training: bool) -> Any:
    x, weight, _ = inputs
    if not x.size:
        return x.copy(), np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    lines = _lines(x)
    gx = np.empty(x.shape, lines.dtype)
    gw, gb = _kernels.channel_norm_gradient(_lines(g, lines.dtype), lines, _affine(weight, 1, lines[0, :, 0]), eps,
                                            *saved, training, gx.reshape(lines.shape))
    return gx, gw, gb


def _channel_norm_reference(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float, training: bool) -> Any:
    weight, bias = (a if a is None else _along(a, x) for a in (weight, bias))
    if not training:
        return _scaled((x - _along(mean, x)) * _along(1 / np.sqrt(var + eps), x), weight, bias)
    over = (0, *range(2, x.ndim))
    x = x - x.mean(axis=over, keepdims=True)
    return _scaled(x * rsqrt(square(x).mean(axis=over, keepdims=True) + eps), weight, bias)


_channel_norm = fused(_channel_norm_forward, _channel_norm_backward, _channel_norm_reference, name="batch_norm")


# ------------------------------------------------------------------------------------------ for kernels

def _plain(x: np.ndarray, dtype: Any = None) -> np.ndarray:
    """`x` as kernels are compiled for: C order, aligned, writeable, float32 or float64."""
    dtype = dtype or (np.float32 if x.dtype.itemsize <= 4 else np.float64)
    return x if x.dtype == dtype and takes(x) else np.array(x, dtype, order="C")


def _affine(values: Any, otherwise: float, rows: np.ndarray) -> np.ndarray:
    """Weight or bias as a vector of the dtype and width of `rows`; where there is none, of its neutral value."""
    if values is None:
        return np.full(rows.shape[-1], otherwise, rows.dtype)
    return _plain(values, rows.dtype).reshape(-1)
