"""Gradients of which no example makes more than its share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minidl.errors import GradientError
from minidl.ops.per_example import per_example_norms
from minidl.tensors import Tensor

__all__ = ["add_noise", "clipped_backward"]

_INSIDE = 1 - 1e-5  # what rounding may add to a norm


def clipped_backward(losses: Tensor, parameters: Iterable[Tensor], max_norm: float, *, scale: float = 1.0
                     ) -> np.ndarray:
    """Add to every `.grad` the sum of the gradients of the losses, each scaled to a norm of at most `max_norm`.

    The norm is that of all parameters together. Losses are weighed by `min(1, max_norm / norm)` and gone back through
    once more: beyond the norms no example has a gradient of its own.

    Parameters
    ----------
    losses : Tensor, shape (B,)
        One for each example, or for whatever is one unit, such as a person. A loss must depend on its own example only.
    parameters : iterable of Tensor
        All that the losses depend on.
    max_norm : float
        Infinite clips nothing.
    scale : float
        The sum is multiplied by it: 1 / B for a mean.

    Returns
    -------
    ndarray, float64, shape (B,)
        The norms before; all 0 where nothing is clipped.

    Raises
    ------
    GradientError
        A norm is not finite; or as `minidl.per_example_norms`.

    Source: Abadi et al. 2016, "Deep learning with differential privacy", algorithm 1; Li et al. 2022, "Large language
    models can be strong differentially private learners", section 4 (by a second backward pass).

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.zeros(2), requires_grad=True)
    >>> norms = clipped_backward(np.array([[3.0, 4.0], [0.0, 1.0]]) @ w, [w], 1.0)
    >>> norms, w.grad.round(3)
    (array([5., 1.]), array([0.6, 1.8]))
    """
    if not max_norm > 0:
        raise ValueError(f"clipped_backward: max_norm={max_norm} has to be above 0")
    weights = np.full(np.shape(losses), scale)
    norms = np.zeros(len(weights))
    if math.isfinite(max_norm):
        norms = per_example_norms(losses, parameters)
        if not np.isfinite(norms).all():
            raise GradientError("clipped_backward: the gradient of an example is not finite; lower the learning rate")
        with np.errstate(divide="ignore"):
            weights *= np.minimum(1, _INSIDE * max_norm / norms)
    losses.backward(weights.astype(losses.dtype))
    return norms


def add_noise(parameters: Iterable[Tensor], deviation: float, generator: np.random.Generator) -> None:
    """Add independent normal numbers to every element of every gradient, rows that nobody has read included.

    Parameters
    ----------
    parameters : iterable of Tensor
        Those without a gradient get one; gradients of rows become dense.
    deviation : float
        0 changes nothing.
    generator : numpy.random.Generator

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor(np.zeros(2), requires_grad=True)
    >>> add_noise([w], 1.0, np.random.default_rng(0))
    >>> w.grad.round(2)
    array([ 0.13, -0.13])
    """
    if deviation < 0:
        raise ValueError(f"add_noise: deviation={deviation} has to be 0 or more")
    for p in parameters if deviation else ():
        drawn = generator.standard_normal(p.shape) * deviation
        p.grad = (drawn if p.grad is None else np.asarray(p.grad) + drawn).astype(p.dtype)
