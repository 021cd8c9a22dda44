"""Norms, and what is divided by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.errors import explained
from minidl.ops.elementwise import abs, maximum, power, sign, where
from minidl.ops.loss_parts import floating, real
from minidl.ops.precision import in_single, widened
from minidl.ops.reduce import Axis, kept_shape, max, never_zero, sum
from minidl.tensors import raw
from minidl.typing import Operand

__all__ = ["norm", "normalize"]


@explained
def norm(x: Operand, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Norm of vectors, or the Frobenius norm, with the keywords of `numpy.linalg.norm`.

    Parameters
    ----------
    x : array
        With `axis=None` and `ord=None` all elements are one vector.
    ord : None, positive number, inf or "fro"
        The p of the norm, (sum |x|^p)^(1/p): 1 is the sum of magnitudes, 2 the root of the sum of squares (None too),
        inf the largest magnitude.
    axis : int or tuple of two ints, optional
        One axis holds vectors; two hold matrices, of which only the Frobenius norm is offered.

    Raises
    ------
    ValueError
        For other orders.

    Notes
    -----
    Derivative of the 2-norm: g x / norm, and 0 at 0. For `ord=1` it is g sign(x), for `ord=inf` g sign(x)
    at the first element of largest magnitude. For other p it is g sign(x) (|x| / norm)^(p-1), and 0 where x is 0.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(minidl.ops.norm)(np.array([3.0, 4.0]))
    array([0.6, 0.8])
    """
    x = real(x)
    ndim = x.ndim
    matrices = ndim > 1 if axis is None else isinstance(axis, tuple) and len(axis) > 1
    if ord is None or (ord == "fro" and matrices) or (ord == 2 and not matrices):
        return record(_euclid, _norm_rule, x, axis=axis, keepdims=keepdims)
    if ord == 1 and not matrices:
        return sum(abs(x), axis, keepdims)
    if ord == np.inf and not matrices:
        return max(abs(x), axis, keepdims)
    if not matrices and isinstance(ord, (int, float, np.integer, np.floating)) and 0 < ord < np.inf:
        return record(_power_norm, _power_norm_rule, x, axis=axis, keepdims=keepdims, p=float(ord))
    kind = ("matrices, over two axes, has ord None or 'fro'" if matrices else
            "vectors has ord None, a positive number or inf")
    raise ValueError(f"norm: ord={ord!r} with axis={axis} on {ndim} dimension(s) is not offered; the norm of {kind}")


@in_single
def _euclid(x: Any, axis: Axis, keepdims: bool) -> Any:
    """The root of the sum of squares; divided by the largest magnitude before, where squares over- or underflow."""
    x = np.asarray(x) if x.dtype.kind == "f" else x.astype(float)
    with np.errstate(over="ignore", under="ignore"):
        squares = np.sum(np.square(x), axis=axis, keepdims=keepdims)
        if np.all((squares >= _SAFE[x.dtype.itemsize > 4]) & np.isfinite(squares)):
            return np.sqrt(squares)
        top = largest(x, axis)
        scaled = np.sqrt(np.sum(np.square(x / top), axis=axis, keepdims=True)) * top
    return scaled.reshape(np.shape(squares)).astype(x.dtype, copy=False)


_SAFE = 1e-24, 1e-276  # of float32 and float64: the squares that underflow are rounding, compared to this


def largest(x: np.ndarray, axis: Axis) -> np.ndarray:
    """The largest magnitude with its axes kept, and 1 where it is 0 or infinite: what a norm may be divided by."""
    top = np.max(np.abs(x), axis=axis, keepdims=True, initial=0)
    return np.where((top > 0) & np.isfinite(top), top, 1).astype(top.dtype, copy=False)


@keeps("inputs", "output")
def _norm_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool) -> Any:
    x, g, out = widened(inputs[0]), widened(g), widened(out)
    kept = kept_shape(x.shape, axis)
    return (g.reshape(kept) * (x / never_zero(out).reshape(kept)),)  # no quotient of g, which would overflow


@in_single
def _power_norm(x: Any, axis: Axis, keepdims: bool, p: float) -> Any:
    """Divided by the largest magnitude, so that no power over- or underflows."""
    x = np.asarray(x) if x.dtype.kind == "f" else x.astype(float)
    top = largest(x, axis)
    powers = np.sum(np.abs(x / top) ** p, axis=axis, keepdims=True)
    out = (powers ** (1 / p) * top).astype(x.dtype, copy=False)
    return out if keepdims else np.squeeze(out, tuple(range(x.ndim)) if axis is None else axis)


@keeps("inputs", "output")
def _power_norm_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Axis, keepdims: bool, p: float) -> Any:
    x, g, out = widened(inputs[0]), widened(g), widened(out)
    kept = kept_shape(x.shape, axis)
    ratio = abs(x) / never_zero(out).reshape(kept)
    slope = power(where(raw(x) == 0, 1.0, ratio), p - 1)  # finite, where the sign is 0
    return (g.reshape(kept) * (sign(x) * slope),)


@explained
def normalize(x: Operand, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Any:
    """Vectors along an axis divided by their p-norm, as `torch.nn.functional.normalize`.

    Derivative: that of the quotient. Where the norm is below `eps`, which then stands in its place, it is g / eps.

    Parameters
    ----------
    x : Tensor or array
    p : float
        As `ord` of `norm`.
    axis : int
    eps : float
        The least that is divided by.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    x = floating(x)
    return x / maximum(norm(x, p, axis, keepdims=True), eps)
