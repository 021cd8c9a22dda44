"""Reductions, with NumPy's names and keywords: `axis` (None, an int or a tuple), `keepdims`, `ddof`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record, register_sum_to
from minidl.errors import ShapeError
from minidl.names import either_name
from minidl.ops.functions import exp
from minidl.ops.loss_parts import floating
from minidl.ops.precision import in_single, widened
from minidl.ops.shape import broadcast_to, concatenate, flip, moveaxis, ravel, stack
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["cumprod", "cumsum", "logsumexp", "max", "mean", "min", "prod", "std", "sum", "sum_to", "var"]

Axis = int | tuple[int, ...] | None


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The reduced axes, none of them negative."""
    if axis is None or ndim == 0:  # NumPy lets 0-d have an axis -1
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape that `keepdims` gives."""
    axes = _axes(axis, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _number(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements go into one element of the result."""
    return math.prod(shape[a] for a in _axes(axis, len(shape)))


# ----------------------------------------------------------------------------------- sums and moments

@either_name
def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes. Derivative: g, broadcast back."""
    return record(_sum, _sum_rule, x, axis=axis, keepdims=keepdims)


def _sum(x: Any, axis: Axis, keepdims: bool) -> Any:
    """`np.sum`; along an axis in the middle `np.einsum` gives the same bits in a third of the time."""
    x = np.asarray(x)
    if x.dtype.char == "e":
        return _sum(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    if x.ndim == 3 and x.shape[2] > 1 and x.dtype.char in "fd" and x.flags.c_contiguous and _axes(axis, 3) == (1,):
        total = np.einsum("ikj->ij", x)
        return total[:, None] if keepdims else total
    return x.sum(axis=axis, keepdims=keepdims)


@keeps()
def _sum_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    shape = inputs[0].shape
    return (broadcast_to(g.reshape(kept_shape(shape, axis)), shape),)


@either_name
def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """Arithmetic mean over axes. Derivative: g / n, broadcast back."""
    return record(_mean, _mean_rule, x, axis=axis, keepdims=keepdims)


def _mean(x: Any, axis: Axis, keepdims: bool) -> Any:
    x = np.asarray(x)
    if x.dtype.char == "e":
        return _mean(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    return _sum(x, axis, keepdims) / _number(x.shape, axis)  # half the time of np.mean


@keeps()
def _mean_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    shape = inputs[0].shape
    share = g / (_number(shape, axis) or 1)
    return (broadcast_to(share.reshape(kept_shape(shape, axis)), shape),)


@either_name
def var(x: Operand, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Variance over axes, sum (x - mean)^2 / (n - ddof). Derivative: 2 g (x - mean) / (n - ddof)."""
    return record(_var, _var_rule, x, axis=axis, ddof=ddof, keepdims=keepdims)


_var, _std = in_single(np.var), in_single(np.std)


@keeps("inputs")
def _var_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, ddof: int, keepdims: bool) -> Any:
    x, g = widened(inputs[0]), widened(g)
    return (g.reshape(kept_shape(x.shape, axis)) * (2.0 * _share(x.shape, axis, ddof)) * _centred(x, axis),)


@either_name
def std(x: Operand, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Standard deviation over axes, the root of `var`.

    Derivative: g (x - mean) / ((n - ddof) std), and 0 where the standard deviation is 0.
    """
    return record(_std, _std_rule, x, axis=axis, ddof=ddof, keepdims=keepdims)


@keeps("inputs", "output")
def _std_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, ddof: int, keepdims: bool) -> Any:
    x, g = widened(inputs[0]), widened(g)
    scaled = g / never_zero(out) * _share(x.shape, axis, ddof)
    return (scaled.reshape(kept_shape(x.shape, axis)) * _centred(x, axis),)


def _share(shape: tuple[int, ...], axis: Axis, ddof: int) -> float:
    freedom = _number(shape, axis) - ddof
    return 1.0 / freedom if freedom > 0 else math.nan


def _centred(x: Any, axis: Axis) -> Any:
    return x - mean(x, axis, keepdims=True)


def never_zero(x: Any) -> Any:
    """`x` with 1 in the place of 0: a divisor where the numerator is 0 too."""
    return x + (x == 0)


@either_name
def logsumexp(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """log sum exp(x) over axes, without overflow; -inf where all of x is.

    Derivative: g exp(x) / sum exp(x), the softmax, and 0 where all of x is -inf.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.ops.logsumexp(np.array([1000.0, 1000.0])).round(3)
    np.float64(1000.693)
    """
    return record(_logsumexp, _logsumexp_rule, x, axis=axis, keepdims=keepdims)


@in_single
def _logsumexp(x: Any, axis: Axis, keepdims: bool) -> Any:
    x = floating(x)
    top = _finite_max(x, axis)
    out = log_sum(x - top, axis) + top
    return out if keepdims else out.reshape(tuple(n for i, n in enumerate(x.shape) if i not in _axes(axis, x.ndim)))


def log_sum(z: np.ndarray, axis: Axis) -> Any:
    """log sum e^z with axes kept, for z of which the largest is 0: that one's 1 would hide the rest, so log1p."""
    e = np.exp(z)
    rest = np.sum(e, axis=axis, keepdims=True) - 1
    if np.any(rest < 0.05):  # digits are lost
        top = z == 0
        more = np.count_nonzero(top, axis=axis, keepdims=True) - 1
        rest = np.sum(np.where(top, 0, e), axis=axis, keepdims=True) + np.asarray(more, rest.dtype)
    with np.errstate(divide="ignore"):  # where there is nothing, or all is -inf
        return np.log1p(rest)


def _finite_max(x: np.ndarray, axis: Axis) -> np.ndarray:
    """The maximum with its axes kept, and 0 where it is infinite: what exp may be shifted by."""
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.where(np.isfinite(top), top, 0).astype(top.dtype, copy=False)


@keeps("inputs")
def _logsumexp_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    x = widened(inputs[0])
    weights = exp(x - _finite_max(x.data if isinstance(x, Tensor) else x, axis))  # the shift cancels
    total = sum(weights, axis, keepdims=True)
    return (g.reshape(kept_shape(x.shape, axis)) * (weights / never_zero(total)),)


# ----------------------------------------------------------------------------------- largest, product

@either_name
def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """Largest element over axes. Derivative: g at the first of the largest, 0 elsewhere.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(minidl.ops.max)(np.array([1.0, 3.0, 3.0]))
    array([0., 1., 0.])
    """
    return record(np.max, _max_rule, x, axis=axis, keepdims=keepdims)


@keeps("inputs")
def _max_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    x = inputs[0]
    return (g.reshape(kept_shape(x.shape, axis)) * _first(np.argmax, x, axis),)


@either_name
def min(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """Smallest element over axes. Derivative: g at the first of the smallest, 0 elsewhere."""
    return record(np.min, _min_rule, x, axis=axis, keepdims=keepdims)


@keeps("inputs")
def _min_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    x = inputs[0]
    return (g.reshape(kept_shape(x.shape, axis)) * _first(np.argmin, x, axis),)


def _first(where: Any, x: Any, axis: Axis) -> np.ndarray:
    """A mask of the element that `where` (argmax, argmin) points to, shape of x."""
    flat = _axes_last(x.data if isinstance(x, Tensor) else x, axis)  # (..., n)
    mask = np.zeros(flat.shape, bool)
    np.put_along_axis(mask, where(flat, axis=-1)[..., None], True, axis=-1)
    made: np.ndarray = _axes_back(mask, x.shape, axis)
    return made


def _axes_last(x: Any, axis: Axis) -> Any:
    """The reduced axes as one, at the end."""
    axes = _axes(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    return x.transpose(rest + axes).reshape((*(x.shape[i] for i in rest), _number(x.shape, axis)))


def _axes_back(flat: Any, shape: tuple[int, ...], axis: Axis) -> Any:
    """The inverse of `_axes_last`."""
    axes = _axes(axis, len(shape))
    order = tuple(i for i in range(len(shape)) if i not in axes) + axes
    return flat.reshape(tuple(shape[i] for i in order)).transpose(tuple(int(i) for i in np.argsort(order)))


@either_name
def prod(x: Operand, axis: Axis = None, keepdims: bool = False) -> Any:
    """Product over axes. Derivative: g times the product of the other elements, right where some are 0.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(minidl.ops.prod)(np.array([0.0, 2.0, 3.0]))
    array([6., 0., 0.])
    """
    return record(_prod, _prod_rule, x, axis=axis, keepdims=keepdims)


_prod = in_single(np.prod)


@keeps("inputs")
def _prod_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    x = widened(inputs[0])
    others = _axes_back(_others(_axes_last(x, axis)), x.shape, axis)
    return (g.reshape(kept_shape(x.shape, axis)) * others,)


def _others(x: Any) -> Any:
    """For each element the product of the others along the last axis: pairs going up, siblings coming down."""
    n = x.shape[-1]
    if n < 2:
        return np.ones(x.shape, x.dtype)
    if n % 2:
        return _others(concatenate([x, np.ones((*x.shape[:-1], 1), x.dtype)], axis=-1))[..., :n]
    left, right = x[..., 0::2], x[..., 1::2]
    above = _others(left * right)  # (..., n / 2)
    return stack([above * right, above * left], axis=-1).reshape(x.shape)


# --------------------------------------------------------------------------------- cumulative, broadcast

@either_name
def cumsum(x: Operand, axis: int | None = None) -> Any:
    """Running sum along an axis, or over the flattened array. Derivative: the running sum of g from the end."""
    return record(_cumsum, _cumsum_rule, x, axis=axis)


_cumsum, _cumprod = in_single(np.cumsum), in_single(np.cumprod)


@keeps()
def _cumsum_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int | None) -> Any:
    return (flip(cumsum(flip(g, axis), axis), axis).reshape(inputs[0].shape),)


@either_name
def cumprod(x: Operand, axis: int | None = None) -> Any:
    """Running product along an axis, or over the flattened array.

    Derivative: g_i + x_(i+1) (g_(i+1) + x_(i+2) (...)), times the product before i: no quotient, so that it is right
    where some elements are 0.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: minidl.ops.cumprod(x).sum())(np.array([2.0, 0.0, 3.0]))
    array([1., 8., 0.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    return record(_cumprod, _cumprod_rule, x, axis=axis)


@keeps("inputs", "output")
def _cumprod_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: int) -> Any:
    x, g, out = (moveaxis(widened(a), axis, -1) for a in (inputs[0], g, out))
    factors, step = _moved_up(x, 1), 1
    while step < x.shape[-1]:  # Horner's rule in log2(n) steps: each joins two sums of `step` terms
        g = g + factors * _moved_up(g, step)
        factors = factors * _moved_up(factors, step)
        step *= 2
    before = concatenate([np.ones(x[..., :1].shape, x.dtype), out[..., :-1]], axis=-1)
    return (moveaxis(before * g, -1, axis),)


def _moved_up(x: Any, step: int) -> Any:
    """x_(i + step) in place of x_i along the last axis, and 0 after the end."""
    return concatenate([x[..., step:], np.zeros(x[..., :step].shape, x.dtype)], axis=-1)


@register_sum_to
def sum_to(x: Operand, shape: tuple[int, ...]) -> Any:
    """Sum down to a shape that broadcasts to that of `x`. Derivative: g, broadcast back."""
    return record(_sum_to, _sum_to_rule, x, shape=shape)


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    lead = np.ndim(x) - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, x.shape[lead:], strict=True)):
        raise ShapeError(f"sum_to: {shape} does not broadcast to {np.shape(x)}, so it cannot be summed down to it")
    grown = tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    return _sum(x, (*range(lead), *grown), False).reshape(shape)


@keeps()
def _sum_to_rule(g: Any, out: Any, inputs: Any, needs: Any, shape: tuple[int, ...]) -> Any:
    return (broadcast_to(g, inputs[0].shape),)
