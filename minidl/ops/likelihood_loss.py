"""Negative logarithms of likelihoods of numbers; part of `minidl.ops.loss`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.errors import ShapeError, explained
from minidl.ops.elementwise import where
from minidl.ops.functions import exp, log, square
from minidl.ops.loss_parts import checked, floating, pair, reduce
from minidl.ops.shape import expand_dims
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]


@explained
def poisson_nll_loss(input: Operand, target: Operand, log_input: bool = True, full: bool = False, eps: float = 1e-8,
                     reduction: str = "mean") -> Any:
    """e^x - t x for the logarithm x of an expected count and a count t, or x - t log(x + eps) for the count itself.

    Derivative: g (e^x - t), or g (1 - t / (x + eps)).

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Expected counts or their logarithms, and counts; both are differentiable.
    log_input : bool
        Whether the input is a logarithm.
    full : bool
        Add Stirling's approximation of log t!, t log t - t + log(2 pi t) / 2, where t > 1.
    eps : float
        Keeps the logarithm of the input finite, without `log_input`.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.poisson_nll_loss(np.array([0.0, 1.0]), np.array([3.0, 2.0]), reduction="none").round(4)
    array([1.    , 0.7183])
    """
    x, t = pair("poisson_nll_loss", input, target)
    losses = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        many = (t.data if isinstance(t, Tensor) else t) > 1
        n = where(many, t, 1.0)
        losses = losses + where(many, n * log(n) - n + 0.5 * log(2 * math.pi * n), 0.0)
    return reduce(losses, checked("poisson_nll_loss", reduction))


@explained
def gaussian_nll_loss(input: Operand, target: Operand, var: Operand, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Any:
    """(log v + (x - t)^2 / v) / 2 for a mean x and a variance v that a model predicts.

    Derivative: g (x - t) / v, its negative, and g (1 - (x - t)^2 / v) / 2v; v is at least eps everywhere.

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Means and numbers; both are differentiable.
    var : Tensor, array or float
        Variances, differentiable, not negative: a shape that broadcasts to the input's, or that without the last
        axis.
    full : bool
        Add the constant log(2 pi) / 2.
    eps : float
        Smallest variance; the gradient passes on to smaller ones unchanged.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ShapeError
        When the shapes do not belong together.
    ValueError
        When a variance is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.gaussian_nll_loss(np.array([0.0, 2.0]), np.zeros(2), np.array([1.0, 4.0]), reduction="none").round(4)
    array([0.    , 1.1931])
    """
    name = "gaussian_nll_loss"
    x, t = pair(name, input, target)
    v = _variance(name, var, x)
    values = v.data if isinstance(v, Tensor) else v
    if (values < 0).any():
        raise ValueError(f"{name}: var holds {values.min()}, variances are not negative")
    v = v + np.maximum(eps - values, 0)
    losses = 0.5 * (log(v) + square(x - t) / v)
    return reduce(losses + 0.5 * math.log(2 * math.pi) if full else losses, checked(name, reduction))


def _variance(name: str, var: Any, x: Any) -> Any:
    """The variance, with a shape that broadcasts to that of `x`."""
    v = floating(var)
    if v.dtype != x.dtype and not (isinstance(v, Tensor) and v.requires_grad):
        v = v.astype(x.dtype)
    if v.shape == x.shape[:-1] != x.shape:
        return expand_dims(v, -1)
    aligned = zip(reversed(v.shape), reversed(x.shape), strict=False)
    if v.ndim > x.ndim or any(n not in (1, m) for n, m in aligned):
        raise ShapeError(f"{name}: var has shape {v.shape}, for an input of shape {x.shape} it is that, or "
                         f"{x.shape[:-1]}, or one that broadcasts")
    return v
