"""Losses, with the names, keywords and reductions of `torch.nn.functional`.

Every loss takes `reduction="mean"`, `"sum"` or `"none"`. None broadcasts: input and target have one shape, or a
`ShapeError` says what to reshape. A target that needs no gradient takes the input's dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import kernels
from minidl.engine import fused, keeps, record
from minidl.errors import ShapeError, explained
from minidl.kernels.numpy_loss import BCE, BPR, MSE
from minidl.ops.activation import relu, sigmoid, softplus
from minidl.ops.elementwise import abs, clip, maximum
from minidl.ops.functions import log, square
from minidl.ops.loss_parts import averaged, checked, fitting, inverse, pair, plain, reduce, weighted
from minidl.tensors import Tensor
from minidl.typing import Operand

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "bpr_loss", "hinge_loss", "huber_loss",
           "l1_loss", "mse_loss", "multilabel_soft_margin_loss", "smooth_l1_loss"]


# ------------------------------------------------------------------------------------------ regression

@explained
def mse_loss(input: Operand, target: Operand, reduction: str = "mean", weight: Operand | None = None) -> Any:
    """Squared error (x - t)^2. Derivative: 2 g (x - t) and its negative.

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Prediction and truth; both are differentiable.
    reduction : {"mean", "sum", "none"}
        Over all elements.
    weight : array, optional
        Weight of each element; broadcasts to the input's shape. The mean divides by the sum of the weights. A
        constant.

    Returns
    -------
    Tensor or array
        Shape (), or that of the input with `"none"`.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> float(ops.mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    x, t = pair("mse_loss", input, target)
    checked("mse_loss", reduction)
    if weight is None:
        return _pair_loss(MSE, x, t, reduction)
    return averaged("mse_loss", square(x - t), weight, reduction)


@explained
def l1_loss(input: Operand, target: Operand, reduction: str = "mean", weight: Operand | None = None) -> Any:
    """Absolute error |x - t|. Derivative: g sign(x - t), 0 at 0. Parameters as in `mse_loss`."""
    x, t = pair("l1_loss", input, target)
    return averaged("l1_loss", abs(x - t), weight, checked("l1_loss", reduction))


@explained
def huber_loss(input: Operand, target: Operand, reduction: str = "mean", delta: float = 1.0,
               weight: Operand | None = None) -> Any:
    """d^2 / 2 of d = x - t where |d| <= delta, and delta (|d| - delta / 2) beyond.

    Derivative: g d limited to [-delta, delta]. The second derivative at the seam is that of the inside.

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Prediction and truth; both are differentiable.
    reduction : {"mean", "sum", "none"}
        Over all elements.
    delta : float
        Where the square becomes a line; positive.
    weight : array, optional
        Weight of each element; broadcasts to the input's shape. The mean divides by the number of elements, as in
        PyTorch (and unlike `mse_loss`). A constant.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.huber_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta is {delta}, it has to be positive")
    x, t = pair("huber_loss", input, target)
    return reduce(weighted("huber_loss", _huber(x - t, delta), weight), checked("huber_loss", reduction))


def _huber(d: Any, delta: float) -> Any:
    limited = clip(d, -delta, delta)
    return limited * (d - 0.5 * limited)


@explained
def smooth_l1_loss(input: Operand, target: Operand, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Huber's loss divided by its width: d^2 / (2 beta) where |d| <= beta, |d| - beta / 2 beyond.

    Parameters as in `huber_loss`; beta = 0 is `l1_loss`.
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}, it has to be positive or 0")
    x, t = pair("smooth_l1_loss", input, target)
    losses = _huber(x - t, beta) / beta if beta else abs(x - t)
    return reduce(losses, checked("smooth_l1_loss", reduction))


# --------------------------------------------------------------------------------- binary cross-entropy

@explained
def binary_cross_entropy(input: Operand, target: Operand, weight: Operand | None = None,
                         reduction: str = "mean") -> Any:
    """-(t log x + (1 - t) log(1 - x)) for a probability x; logarithms are kept above -100, as in PyTorch.

    Derivative: g ((1 - t) / (1 - x) - t / x) with denominators of at least 1e-12, and g (log(1 - x) - log x) for
    the target. From logits, `binary_cross_entropy_with_logits` is faster and loses nothing.

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Probabilities, both differentiable.
    weight : array, optional
        Weight of each element; broadcasts to the input's shape. A constant.
    reduction : {"mean", "sum", "none"}
        The mean divides by the number of elements, not by the weights.

    Raises
    ------
    ShapeError
        When the shapes differ.
    ValueError
        When the input leaves [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.binary_cross_entropy(np.array([0.5, 1.0]), np.array([1.0, 1.0]), reduction="none").round(4)
    array([ 0.6931, -0.    ])
    """
    name = "binary_cross_entropy"
    x, t = pair(name, input, target)
    if ((x < 0) | (x > 1)).any():
        values = x.data if isinstance(x, Tensor) else x
        raise ValueError(f"{name}: input holds values from {values.min()} to {values.max()}, probabilities are in "
                         "[0, 1]; for logits use binary_cross_entropy_with_logits")
    losses = record(_bce, _bce_rule, x, t)
    return reduce(weighted(name, losses, weight), checked(name, reduction))


def _bce(x: Any, t: Any) -> Any:
    with np.errstate(divide="ignore"):  # log 0 is cut off at -100
        return -(t * np.maximum(np.log(x), -100) + (1 - t) * np.maximum(np.log1p(-x), -100))


@keeps("inputs")
def _bce_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, t = inputs
    here, there = maximum(x, 1e-12), maximum(1 - x, 1e-12)
    return g * ((1 - t) / there - t / here) if needs[0] else None, g * (log(there) - log(here)) if needs[1] else None


@explained
def binary_cross_entropy_with_logits(input: Operand, target: Operand, weight: Operand | None = None,
                                     reduction: str = "mean", pos_weight: Operand | None = None) -> Any:
    """-(p t log s(x) + (1 - t) log(1 - s(x))) for a logit x, with s the sigmoid and p `pos_weight`.

    Computed as |x| (1 - t or t) + log(1 + e^-|x|), exact in both tails, as is the derivative (p = 1): g (s(x) - t),
    that is g ((1 - t) s(x) - t s(-x)), and -g x.

    Parameters
    ----------
    input, target : Tensor or array, the same shape
        Logits and probabilities, both differentiable.
    weight : array, optional
        Weight of each element; broadcasts to the input's shape. A constant.
    reduction : {"mean", "sum", "none"}
        The mean divides by the number of elements, not by the weights.
    pos_weight : array, optional
        Factor of the positive part, for unbalanced classes; broadcasts to the input's shape. A constant.

    Raises
    ------
    ShapeError
        When the shapes differ or a weight does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.binary_cross_entropy_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 0.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    name = "binary_cross_entropy_with_logits"
    x, t = pair(name, input, target)
    checked(name, reduction)
    if weight is None and pos_weight is None:
        return _pair_loss(BCE, x, t, reduction)
    losses = _bce_with_logits(x, t)
    if pos_weight is not None:
        losses = (1 - t) * softplus(x) + t * softplus(-x) * fitting(name, "pos_weight", pos_weight, x)
    return reduce(weighted(name, losses, weight), reduction)


def _bce_with_logits(x: Any, t: Any) -> Any:
    return record(_bce_logits, _bce_logits_rule, x, t)


def _bce_logits(x: Any, t: Any) -> Any:
    size = np.abs(x)
    return size * np.where(x > 0, 1 - t, t) + np.log1p(np.exp(-size))


@keeps("inputs")
def _bce_logits_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, t = inputs
    gx = g * ((1 - t) * sigmoid(x) - t * sigmoid(-x)) if needs[0] else None  # s(x) - t, without cancellation
    return gx, -g * x if needs[1] else None


@explained
def multilabel_soft_margin_loss(input: Operand, target: Operand, weight: Operand | None = None,
                                reduction: str = "mean") -> Any:
    """`binary_cross_entropy_with_logits`, averaged over the classes on the last axis: a loss for each sample.

    Parameters
    ----------
    input, target : Tensor or array, the same shape (N, C), (C,) or (..., C)
        Logits and probabilities, both differentiable.
    weight : array, optional
        Weight of each class, or of each element; broadcasts to the input's shape. A constant.
    reduction : {"mean", "sum", "none"}
        Over samples.

    Raises
    ------
    ShapeError
        When the shapes differ, or there is no class.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.multilabel_soft_margin_loss(np.zeros((2, 3)), np.ones((2, 3)), reduction="none")
    array([0.69314718, 0.69314718])
    """
    name = "multilabel_soft_margin_loss"
    x, t = pair(name, input, target)
    if not x.ndim or not x.shape[-1]:
        raise ShapeError(f"{name}: input of shape {x.shape} has no classes on its last axis")
    if checked(name, reduction) == "mean":
        return binary_cross_entropy_with_logits(x, t, weight)
    losses = binary_cross_entropy_with_logits(x, t, weight, reduction)
    return (losses.sum(axis=-1) if reduction == "none" else losses) * (1 / x.shape[-1])


# --------------------------------------------------------------------------------------------- ranking

@explained
def bpr_loss(positive: Operand, negative: Operand, reduction: str = "mean") -> Any:
    """-log s(p - n): Bayesian personalised ranking, of a score p that should exceed a score n.

    Derivative: -g s(n - p) and its negative, with s the sigmoid.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback", section 4.1.

    Parameters
    ----------
    positive, negative : Tensor or array, the same shape
        Scores of an item that was chosen and of one that was not.
    reduction : {"mean", "sum", "none"}
        Over all pairs.

    Raises
    ------
    ShapeError
        When the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.bpr_loss(np.array([0.0, 1000.0]), np.array([0.0, 0.0]), reduction="none")
    array([0.69314718, 0.        ])
    """
    p, n = pair("bpr_loss", positive, negative, ("positive", "negative"))
    return _pair_loss(BPR, p, n, checked("bpr_loss", reduction))


@explained
def hinge_loss(positive: Operand, negative: Operand, margin: float = 1.0, reduction: str = "mean") -> Any:
    """max(0, margin - (p - n)) of a score p that should exceed a score n by the margin.

    Derivative: -g and g inside the margin, 0 beyond it and at its edge. Parameters as in `bpr_loss`.
    """
    p, n = pair("hinge_loss", positive, negative, ("positive", "negative"))
    return reduce(relu(margin - (p - n)), checked("hinge_loss", reduction))


# ------------------------------------------------------- one kernel pass over both arrays (mean and sum)

def _pair_forward(a: np.ndarray, b: np.ndarray, kind: int, scale: float) -> tuple[np.ndarray, None]:
    total = kernels.loss.pair_sum(kind, plain(a, b).ravel(), plain(b, a).ravel())
    return np.asarray(total * scale, np.result_type(a, b)), None


def _pair_backward(g: Any, saved: None, inputs: Any, needs: Any, kind: int, scale: float) -> Any:
    a, b = plain(*inputs), plain(*reversed(inputs))
    slope = a.dtype.type(float(g) * scale)
    ga = gb = None
    if needs[0] or kind != BCE:
        ga = kernels.loss.pair_gradient(kind, slope, a.ravel(), b.ravel()).reshape(a.shape)
    if needs[1]:
        gb = -slope * a if ga is None or kind == BCE else -ga
    return ga, gb


def _pair_reference(a: Any, b: Any, kind: int, scale: float) -> Any:
    return _PAIR[kind](a, b).sum() * scale


def _squared_error(a: Any, b: Any) -> Any:
    return square(a - b)


def _bpr(a: Any, b: Any) -> Any:
    return softplus(b - a)


_PAIR = {MSE: _squared_error, BCE: _bce_with_logits, BPR: _bpr}
_totals = {kind: fused(_pair_forward, _pair_backward, _pair_reference, name=name) for kind, name in (
    (MSE, "mse_loss"), (BCE, "binary_cross_entropy_with_logits"), (BPR, "bpr_loss"))}


def _pair_loss(kind: int, a: Any, b: Any, reduction: str) -> Any:
    if reduction == "none":
        return _PAIR[kind](a, b)
    return _totals[kind](a, b, kind=kind, scale=1.0 if reduction == "sum" else inverse(a.size))
