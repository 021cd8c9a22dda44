"""Losses of classes and of distributions over them; part of `minidl.ops.loss`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.errors import ShapeError, explained
from minidl.ops.activation import log_softmax
from minidl.ops.elementwise import where
from minidl.ops.functions import exp, log
from minidl.ops.loss_parts import checked, constant, floating, inverse, pair, reduce, total
from minidl.ops.shape import moveaxis
from minidl.ops.softmax_loss import class_losses, pick, soft_losses, summed
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["cross_entropy", "kl_div", "nll_loss"]


@explained
def cross_entropy(input: Operand, target: Operand, weight: Operand | None = None, ignore_index: int = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Any:
    """-w_t log softmax(x)_t for a class t, or -sum_c w_c t_c log softmax(x)_c for probabilities t.

    Derivative: g w_t (softmax(x) - one-hot(t)), in one pass that allocates nothing but the gradient.

    Parameters
    ----------
    input : Tensor or array, shape (C,), (N, C) or (N, C, d1, ...)
        Logits.
    target : integer array, shape (), (N,) or (N, d1, ...); or probabilities, shape of the input
        Classes (any integer dtype, array or Tensor), or probabilities, which are differentiable.
    weight : array, shape (C,), optional
        Weight of each class. A constant.
    ignore_index : int
        Targets of this class count nothing.
    reduction : {"mean", "sum", "none"}
        The mean divides by the weights of the targets that count (NaN when there are none), or, with
        probabilities, by the number of distributions.
    label_smoothing : float
        Share of the uniform distribution that is mixed into the target, 0 to 1.

    Raises
    ------
    ShapeError
        When the target has neither of its shapes.
    IndexError
        When a class is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> float(ops.cross_entropy(np.log([[1.0, 3.0], [2.0, 2.0]]), np.array([0, 1])))  # (log 4 + log 2) / 2
    1.0397207708399179
    """
    name = "cross_entropy"
    checked(name, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing is {label_smoothing}, it has to be from 0 to 1")
    x, t = floating(input), target if isinstance(target, Tensor) else as_array(target)
    if t.dtype.kind == "f":
        return _soft_cross_entropy(*pair(name, x, t), weight, reduction, label_smoothing)
    rows, index, factor, scale = classes_of(name, x, t, weight, ignore_index)
    if not label_smoothing and reduction != "none":
        return class_losses(rows, index, factor, scale if reduction == "mean" else 1.0)
    losses = class_losses(rows, index, factor)
    if label_smoothing:
        smooth = log_softmax(rows, axis=1)
        smooth = smooth if weight is None else smooth * _class_weight(name, weight, rows)
        smooth = where(index >= 0, smooth.sum(axis=1), 0.0)
        losses = (1 - label_smoothing) * losses - label_smoothing / rows.shape[1] * smooth
    return losses.reshape(t.shape) if reduction == "none" else total(losses, reduction, scale)


def _soft_cross_entropy(x: Any, t: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = min(x.ndim - 1, 1)
    count = x.shape[axis] if x.ndim else 0
    if not count:
        raise ShapeError(f"cross_entropy: input of shape {x.shape} has no classes")
    if label_smoothing:
        t = (1 - label_smoothing) * t + label_smoothing / count
    if weight is not None:
        t = t * _class_weight("cross_entropy", weight, x, axis).reshape((count,) + (1,) * (x.ndim - 1 - axis))
    losses = soft_losses("cross_entropy", *(moveaxis(a, axis, -1).reshape((-1, count)) for a in (x, t)))
    return reduce(losses.reshape(x.shape[:axis] + x.shape[axis + 1:]), reduction)


@explained
def nll_loss(input: Operand, target: Operand, weight: Operand | None = None, ignore_index: int = -100,
             reduction: str = "mean") -> Any:
    """-w_t x_t for log-probabilities x and a class t. Derivative: -g w_t at the target, 0 elsewhere.

    Parameters, shapes and errors as in `cross_entropy`, which is `log_softmax` and this in one.
    """
    checked("nll_loss", reduction)
    x, t = floating(input), target if isinstance(target, Tensor) else as_array(target)
    rows, index, factor, scale = classes_of("nll_loss", x, t, weight, ignore_index)
    losses = summed(pick(rows, index), factor, None)
    return losses.reshape(t.shape) if reduction == "none" else total(losses, reduction, scale)


@explained
def kl_div(input: Operand, target: Operand, reduction: str = "mean", log_target: bool = False) -> Any:
    """t (log t - x) for log-probabilities x: the divergence of exp(x) from t. 0 log 0 is 0.

    Derivative: -g t, and g (log t + 1 - x) for the target (with log t taken as -1 where t is 0).

    Parameters
    ----------
    input : Tensor or array
        Log-probabilities.
    target : Tensor or array, shape of the input
        Probabilities, or their logarithms with `log_target`; differentiable.
    reduction : {"mean", "sum", "none", "batchmean"}
        `"batchmean"`, the sum over the length of the first axis, is the divergence; `"mean"` divides by all
        elements.
    log_target : bool
        Whether the target is in logarithms.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> float(ops.kl_div(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]), reduction="batchmean"))  # log 2
    0.6931471805599453
    """
    x, t = pair("kl_div", input, target)
    if log_target:
        losses = exp(t) * (t - x)
    else:
        losses = t * (log(where(t > 0, t, 1.0)) - x)
    if reduction == "batchmean":
        if not x.ndim:
            raise ShapeError("kl_div: reduction='batchmean' needs a batch axis but the input is 0-d")
        return total(losses, "mean", inverse(len(x)))
    return reduce(losses, checked("kl_div", reduction))


# ----------------------------------------------------------------------------------------- class indices

def classes_of(name: str, x: Any, target: Any, weight: Any,
               ignore_index: int | None) -> tuple[Any, np.ndarray, np.ndarray | None, float]:
    """Logits as rows, with the classes of the rows, their weights, and the scale of the mean.

    Returns
    -------
    rows : Tensor or array, shape (M, C)
    index : int64 array, shape (M,)
        -1 where the target is ignored.
    factor : float array, shape (M,), or None
        Weights of the targets, 0 where ignored; None without weights.
    scale : float
        1 over the total weight.
    """
    if not x.ndim:
        raise ShapeError(f"{name}: input is 0-d; it has to be (C,), (N, C) or (N, C, d1, ...)")
    axis = min(x.ndim - 1, 1)
    if not x.shape[axis]:
        raise ShapeError(f"{name}: input of shape {x.shape} has no classes on axis {axis}")
    expected = x.shape[:axis] + x.shape[axis + 1:]
    if target.shape != expected:
        raise ShapeError(f"{name}: input of shape {x.shape} needs class indices of shape {expected} (or "
                         f"probabilities of shape {x.shape}), but target has shape {target.shape}")
    if x.ndim > 2:
        x = x.transpose((0, *range(2, x.ndim), 1))  # (N, C, d1, ...) -> (N, d1, ..., C)
    rows = x if x.ndim == 2 else x.reshape((math.prod(expected), x.shape[-1]))
    index = _class_indices(name, target, rows.shape[1], ignore_index).ravel()
    if weight is None:
        return rows, index, None, inverse(int(np.count_nonzero(index >= 0)))
    factor = np.where(index >= 0, _class_weight(name, weight, rows)[index], 0)
    return rows, index, factor, inverse(float(factor.sum(dtype=np.float64)))


def _class_weight(name: str, weight: Any, x: Any, axis: int = 1) -> np.ndarray:
    value = constant(name, "weight", weight, x.dtype)
    if value.shape != (x.shape[axis],):
        raise ShapeError(f"{name}: weight has shape {value.shape}, but there are {x.shape[axis]} classes")
    return value


def _class_indices(name: str, target: Any, count: int, ignore_index: int | None) -> np.ndarray:
    """The target as contiguous int64 in [0, count), or -1 where it is ignored."""
    index = target.data if isinstance(target, Tensor) else target
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}: target has dtype {index.dtype}; class indices are integers and probabilities floats")
    kept = np.ones(index.shape, bool) if ignore_index is None else np.asarray(index != ignore_index)
    wrong = kept & ((index < 0) | (index >= count))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise IndexError(f"{name}: target holds class {index[at]} at position {at}, but the input has {count} "
                         f"classes, 0 to {count - 1}"
                         + ("" if ignore_index is None else f" (ignore_index is {ignore_index})"))
    return np.where(kept, index.astype(np.int64), -1)  # (an unsigned -1 would be huge)
