"""Distances and similarities of vectors, and losses of them; part of `minidl.ops.loss`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.errors import ShapeError, explained
from minidl.ops.activation import relu
from minidl.ops.elementwise import abs, clip, minimum, power, where
from minidl.ops.linalg import row_dot
from minidl.ops.loss_parts import checked, floating, pair, reduce, signs
from minidl.ops.norms import largest, norm
from minidl.ops.shape import broadcast_to, moveaxis
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["cosine_embedding_loss", "cosine_similarity", "pairwise_distance", "triplet_margin_loss"]


@explained
def cosine_similarity(x1: Operand, x2: Operand, dim: int = 1, eps: float = 1e-8) -> Any:
    """<a, b> / (max(|a|, eps) max(|b|, eps)): the cosine of the angle between vectors, 0 for a vector of zeros.

    Derivative: g (b / |b| - cos a / |a|) / |a|, and the same with a and b exchanged.

    Parameters
    ----------
    x1, x2 : Tensor or array, shapes that broadcast
        Vectors; both are differentiable.
    dim : int
        The axis of their common shape that holds a vector.
    eps : float
        Shorter vectors are divided by this.

    Returns
    -------
    Tensor or array
        The common shape without the axis.

    Raises
    ------
    ShapeError
        When the shapes do not broadcast, or there is no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.cosine_similarity(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[1.0, 0.0]]))
    array([0.6, 0. ])
    """
    a, b = floating(x1), floating(x2)
    ndim = max(a.ndim, b.ndim)
    if not -ndim <= dim < ndim:
        raise ShapeError(f"cosine_similarity: dim={dim} is not an axis of inputs of shapes {a.shape} and {b.shape}")
    shape = _common("cosine_similarity", a, b)
    a, b = (_vectors(v, shape, dim % ndim - ndim) for v in (a, b))
    a, b = (v / clip(norm(v, axis=-1, keepdims=True), eps, None) for v in (a, b))  # first: no product overflows
    return row_dot(a, b)


def _vectors(x: Any, shape: tuple[int, ...], axis: int) -> Any:
    """What is along an axis (negative) of a common shape, moved to the last."""
    if x.shape[axis:][:1] != shape[axis:][:1]:  # one number that is repeated along it
        x = broadcast_to(x, shape)
    return x if axis == -1 else moveaxis(x, axis, -1)


def _common(name: str, a: Any, b: Any) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError as error:
        raise ShapeError(f"{name}: the shapes {a.shape} and {b.shape} do not broadcast") from error


@explained
def pairwise_distance(x1: Operand, x2: Operand, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """|a - b + eps|_p over the last axis: distances of pairs of vectors.

    Derivative (p = 2): g d / |d| with d = a - b + eps, and its negative; 0 at d = 0.

    Parameters
    ----------
    x1, x2 : Tensor or array, shapes (..., D) that broadcast
        Vectors; both are differentiable.
    p : float
        1, 2, `inf` or another positive order of the norm.
    eps : float
        Added to each difference, so that the distance of equal vectors has a gradient.
    keepdim : bool
        Keep the last axis, with length 1.

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.pairwise_distance(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), eps=0.0)
    array([5.])
    """
    name = "pairwise_distance"
    a, b = floating(x1), floating(x2)
    if not a.ndim and not b.ndim:
        raise ShapeError(f"{name}: both inputs are 0-d; vectors have a last axis")
    if not p > 0:
        raise ValueError(f"{name}: p is {p}, it has to be positive")
    _common(name, a, b)
    return _norm(a - b + eps, p, keepdim)


def _norm(d: Any, p: float, keepdims: bool = False) -> Any:
    """The p-norm over the last axis."""
    if p in (1, 2, math.inf):
        return norm(d, p, axis=-1, keepdims=keepdims)
    top = largest(d.data if isinstance(d, Tensor) else d, -1)  # a constant: what is divided by it is multiplied by it
    powers = power(abs(d / top), p).sum(axis=-1, keepdims=keepdims)
    nothing = (powers.data if isinstance(powers, Tensor) else powers) == 0
    root = where(nothing, 0.0, power(powers + nothing, 1 / p))  # the root has no slope at 0
    return root * (top if keepdims else top[..., 0])


@explained
def cosine_embedding_loss(input1: Operand, input2: Operand, target: Operand, margin: float = 0.0,
                          reduction: str = "mean") -> Any:
    """1 - cos(a, b) where y = 1, and max(0, cos(a, b) - margin) where y = -1.

    Parameters
    ----------
    input1, input2 : Tensor or array, shape (N, D) or (D,)
        Vectors; both are differentiable.
    target : array, shape (N,) or ()
        1 for vectors that belong together, -1 for those that do not. A constant.
    margin : float
        From -1 to 1; 0 to 0.5 make sense.
    reduction : {"mean", "sum", "none"}
        Over pairs.

    Raises
    ------
    ShapeError
        When the shapes do not belong together.
    ValueError
        When the target holds something else.

    Notes
    -----
    Derivative: that of `cosine_similarity` times -g, or g beyond the margin; 0 at its edge.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> a, b = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[3.0, 4.0], [3.0, 4.0]])
    >>> ops.cosine_embedding_loss(a, b, np.array([1, -1]), margin=0.5, reduction="none").round(4)
    array([0.4, 0.1])
    """
    name = "cosine_embedding_loss"
    a, b = pair(name, input1, input2, ("input1", "input2"))
    if a.ndim not in (1, 2):
        raise ShapeError(f"{name}: inputs have shape {a.shape}, it has to be (N, D) or (D,)")
    together = signs(name, target, a, a.shape[:-1]) == 1
    cosine = cosine_similarity(a, b, dim=-1, eps=1e-6)
    return reduce(where(together, 1 - cosine, relu(cosine - margin)), checked(name, reduction))


@explained
def triplet_margin_loss(anchor: Operand, positive: Operand, negative: Operand, margin: float = 1.0, p: float = 2.0,
                        eps: float = 1e-6, swap: bool = False, reduction: str = "mean") -> Any:
    """max(0, |a - b| - |a - c| + margin): an anchor a should be nearer to b than to c by the margin.

    Source: Balntas et al. 2016, "Learning local feature descriptors with triplets and shallow convolutional neural
    networks", section 3 (with `swap` in 3.3).

    Parameters
    ----------
    anchor, positive, negative : Tensor or array, the same shape (N, D) or (D,)
        Vectors a, b and c; all are differentiable.
    margin : float
        Positive.
    p, eps
        Of `pairwise_distance`.
    swap : bool
        Take |b - c| for |a - c| where it is smaller.
    reduction : {"mean", "sum", "none"}
        Over triplets.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Notes
    -----
    Derivative: those of the distances where the loss is positive, else 0.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> a, b, c = np.zeros((1, 2)), np.array([[0.0, 1.0]]), np.array([[3.0, 4.0]])
    >>> ops.triplet_margin_loss(a, b, c, margin=4.5, eps=0.0, reduction="none")
    array([0.5])
    """
    name = "triplet_margin_loss"
    a, b = pair(name, anchor, positive, ("anchor", "positive"))
    a, c = pair(name, a, negative, ("anchor", "negative"))
    if not margin > 0:
        raise ValueError(f"{name}: margin is {margin}, it has to be positive")
    checked(name, reduction)
    near, far = (pairwise_distance(a, v, p, eps) for v in (b, c))
    if swap:
        far = minimum(far, pairwise_distance(b, c, p, eps))
    return reduce(relu(near - far + margin), reduction)
