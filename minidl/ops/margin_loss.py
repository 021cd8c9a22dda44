"""Losses of scores that should keep a margin; part of `minidl.ops.loss`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.errors import explained
from minidl.ops.activation import relu, softplus
from minidl.ops.class_loss import classes_of
from minidl.ops.elementwise import where
from minidl.ops.functions import square
from minidl.ops.loss_parts import checked, floating, pair, reduce, signs, turned
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "soft_margin_loss"]


@explained
def margin_ranking_loss(input1: Operand, input2: Operand, target: Operand, margin: float = 0.0,
                        reduction: str = "mean") -> Any:
    """max(0, margin - y (a - b)): a should exceed b by the margin where y = 1, and b exceed a where y = -1.

    Derivative: -g y and g y inside the margin, 0 beyond it and at its edge.

    Parameters
    ----------
    input1, input2 : Tensor or array, the same shape
        Scores; both are differentiable.
    target : array, the same shape
        1 or -1. A constant.
    margin : float
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ShapeError
        When the shapes differ.
    ValueError
        When the target holds something else.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.margin_ranking_loss(np.array([3.0, 3.0]), np.array([1.0, 1.0]), np.array([1, -1]), reduction="none")
    array([0., 2.])
    """
    name = "margin_ranking_loss"
    a, b = pair(name, input1, input2, ("input1", "input2"))
    y = signs(name, target, a, a.shape)
    return reduce(relu(margin - turned(a - b, y)), checked(name, reduction))


@explained
def hinge_embedding_loss(input: Operand, target: Operand, margin: float = 1.0, reduction: str = "mean") -> Any:
    """A distance x where y = 1, and max(0, margin - x) where y = -1. Derivative: g, and -g inside the margin.

    Parameters
    ----------
    input : Tensor or array
        Distances.
    target : array, shape of the input
        1 for what belongs together, -1 for what does not. A constant.
    margin : float
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ShapeError
        When the shapes differ.
    ValueError
        When the target holds something else.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.hinge_embedding_loss(np.array([0.25, 0.25, 2.0]), np.array([1, -1, -1]), reduction="none")
    array([0.25, 0.75, 0.  ])
    """
    name = "hinge_embedding_loss"
    x = floating(input)
    together = signs(name, target, x, x.shape) == 1
    return reduce(where(together, x, relu(margin - x)), checked(name, reduction))


@explained
def soft_margin_loss(input: Operand, target: Operand, reduction: str = "mean") -> Any:
    """log(1 + e^(-y x)) of a score x and its sign y. Derivative: -g y s(-y x) with s the sigmoid.

    Parameters
    ----------
    input : Tensor or array
        Scores.
    target : array, shape of the input
        1 or -1. A constant.
    reduction : {"mean", "sum", "none"}
        Over all elements.

    Raises
    ------
    ShapeError
        When the shapes differ.
    ValueError
        When the target holds something else.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.soft_margin_loss(np.array([0.0, 1000.0]), np.array([1, -1]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    name = "soft_margin_loss"
    x = floating(input)
    return reduce(softplus(-turned(x, signs(name, target, x, x.shape))), checked(name, reduction))


@explained
def multi_margin_loss(input: Operand, target: Operand, p: int = 1, margin: float = 1.0, weight: Operand | None = None,
                      reduction: str = "mean") -> Any:
    """w_t sum_(c != t) max(0, margin - x_t + x_c)^p / C: the score of the class t should exceed all others.

    Parameters
    ----------
    input : Tensor or array, shape (N, C) or (C,)
        Scores of C classes.
    target : integer array, shape (N,) or ()
        Classes.
    p : {1, 2}
    margin : float
    weight : array, shape (C,), optional
        Weight of each class. A constant.
    reduction : {"mean", "sum", "none"}
        Over samples; the mean divides by their number, not by the weights.

    Raises
    ------
    ShapeError
        When the shapes do not belong together.
    IndexError
        When a class is out of range.

    Notes
    -----
    Derivative: for p = 1, g w_t / C for each class inside the margin, 0 at its edge, and minus their sum for t.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> float(ops.multi_margin_loss(np.array([[0.5, 0.0, 3.0]]), np.array([0])))  # (0.5 + 3.5) / 3
    1.3333333333333333
    """
    name = "multi_margin_loss"
    checked(name, reduction)
    if p not in (1, 2):
        raise ValueError(f"{name}: p is {p}, it has to be 1 or 2")
    x, t = floating(input), target if isinstance(target, Tensor) else as_array(target)
    rows, index, factor, _ = classes_of(name, x, t, weight, None)
    samples = np.arange(len(index))
    over = relu(rows - rows[samples, index][:, None] + margin)  # (N, C)
    others = np.arange(rows.shape[1]) != index[:, None]
    losses = where(others, over if p == 1 else square(over), 0.0).sum(axis=1) * (1 / rows.shape[1])
    losses = losses if factor is None else losses * factor
    return reduce(losses.reshape(t.shape), reduction)
