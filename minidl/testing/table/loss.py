"""Rows of the op table: losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Convention, Op
from minidl.testing.strategies import arrays, indices, shapes

__all__ = ["OPS"]

# ------------------------------------------------------------------------------------------ references


def _reduced(losses: Any, reduction: str = "mean") -> Any:
    return {"none": losses, "sum": np.sum(losses), "mean": np.sum(losses) / max(losses.size, 1)}[reduction]


def _mse(x: Any, t: Any, reduction: str = "mean") -> Any:
    return _reduced((x - t) ** 2, reduction)


def _abs(d: Any) -> Any:
    return np.where(d.real < 0, -d, d)


def _l1(x: Any, t: Any, reduction: str = "mean") -> Any:
    return _reduced(_abs(x - t), reduction)


def _huber(x: Any, t: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    d = _abs(x - t)
    return _reduced(np.where(d.real < delta, d * d / 2, delta * (d - delta / 2)), reduction)


def _smooth_l1(x: Any, t: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    d = _abs(x - t)
    inside = d * d / (2 * beta) if beta else d
    return _reduced(np.where(d.real < beta, inside, d - beta / 2), reduction)


def _bce(x: Any, t: Any, weight: Any = 1.0, reduction: str = "mean") -> Any:
    return _reduced(-weight * (t * np.log(x) + (1 - t) * np.log(1 - x)), reduction)


def _bce_with_logits(x: Any, t: Any, weight: Any = 1.0, reduction: str = "mean", pos_weight: Any = 1.0) -> Any:
    p = 1 / (1 + np.exp(-x))
    return _reduced(-weight * (pos_weight * t * np.log(p) + (1 - t) * np.log(1 - p)), reduction)


def _bpr(p: Any, n: Any, reduction: str = "mean") -> Any:
    return _reduced(np.log(1 + np.exp(n - p)), reduction)


def _hinge(p: Any, n: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    short = margin - (p - n)
    return _reduced(np.where(short.real > 0, short, 0), reduction)


def _kl(x: Any, t: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    p, log_p = (np.exp(t), t) if log_target else (t, np.log(t))
    losses = p * (log_p - x)
    return np.sum(losses) / len(x) if reduction == "batchmean" else _reduced(losses, reduction)


def _log_softmax(x: Any, axis: int) -> Any:
    x = x - np.max(x.real, initial=0.0)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


def _class_loss(x: Any, t: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                label_smoothing: float = 0.0, log: Any = _log_softmax) -> Any:
    """-sum_c q_c log p_c of the distribution q that the target stands for."""
    axis = min(x.ndim - 1, 1)
    count = x.shape[axis]
    weight = np.ones(count) if weight is None else weight
    soft = t.shape == x.shape
    q = t if soft else np.moveaxis(np.arange(count) == np.asarray(t)[..., None], -1, axis)
    q = (1 - label_smoothing) * q + label_smoothing / count
    counts = True if soft else t != ignore_index
    losses = -np.sum(q * log(x, axis) * weight.reshape((count,) + (1,) * (x.ndim - 1 - axis)), axis=axis) * counts
    if reduction != "mean":
        return _reduced(losses, reduction)
    return np.sum(losses) / (losses.size if soft else np.sum(np.where(counts, weight[np.where(counts, t, 0)], 0)))


def _nll(x: Any, t: Any, **kwargs: Any) -> Any:
    return _class_loss(x, t, log=lambda x, axis: x, **kwargs)


# ------------------------------------------------------------------------------------------------ cases

_REDUCTION = st.sampled_from(["mean", "sum", "none"])
_TOTAL = st.sampled_from(["sum", "none"])
_FULL = shapes(min_side=1)


def _pairs(left: Any, right: Any = None, **kwargs: Any) -> Any:
    """Two arrays of one shape; the mean only of something."""
    right = right or (lambda x: arrays(x.shape))
    return st.one_of(cases(left(_FULL), right, reduction=_REDUCTION, **kwargs),
                     cases(left(shapes()), right, reduction=_TOTAL, **kwargs))


def _apart(*kinks: float, low: float = -3.0, high: float = 3.0) -> Any:
    """A second array whose distance from the first stays away from the kinks."""
    return lambda x: arrays(x.shape, low, high, away_from=kinks).map(lambda d: np.asarray(x - d))


def _probabilities(x: Any) -> Any:
    return arrays(x.shape, 0.1, 0.9)


def _logits(shape: Any) -> Any:
    return arrays(shape, -4, 4)


def _classes(x: Any) -> Any:
    axis = min(x.ndim - 1, 1)
    return indices(x.shape[axis], x.shape[:axis] + x.shape[axis + 1:], negative=False)


def _weights(x: Any, t: Any) -> Any:
    return arrays((x.shape[min(x.ndim - 1, 1)],), 0.4, 2, layout=False)


def _alike(x: Any, t: Any) -> Any:
    return arrays(x.shape, 0.4, 2)


def _two_classes(shape: Any) -> Any:
    """With one class the loss is 0: all that oracles would see is their own rounding."""
    axis = min(len(shape) - 1, 1)
    return shape[:axis] + (shape[axis] + 1,) + shape[axis + 1:]


def _class_cases(target: Any = _classes, shape: Any = None, **kwargs: Any) -> Any:
    shape = shapes(min_dims=1, max_dims=4, min_side=1, max_side=3).map(_two_classes) if shape is None else shape
    return cases(_logits(shape), target, **{"reduction": _REDUCTION, **kwargs})


_TABLE = st.tuples(st.integers(0, 5), st.integers(2, 5))  # (N, C), no rows included
_EDGE = np.array([1.0])

OPS = [
    Op("mse_loss", ops.mse_loss, _mse, _pairs(arrays), order=3),
    Op("l1_loss", ops.l1_loss, _l1, _pairs(arrays, _apart(0)),
       conventions=(Convention("0 at 0", (np.zeros(2), np.zeros(2)), np.zeros(2)),)),
    Op("huber_loss", ops.huber_loss, _huber, _pairs(arrays, _apart(-1, 1))),
    Op("huber_loss[delta]", ops.huber_loss, _huber, _pairs(arrays, _apart(-0.5, 0.5), delta=0.5)),
    Op("smooth_l1_loss", ops.smooth_l1_loss, _smooth_l1, _pairs(arrays, _apart(-2, 2), beta=2)),
    Op("smooth_l1_loss[0]", ops.smooth_l1_loss, _smooth_l1, _pairs(arrays, _apart(0), beta=0.0)),

    Op("binary_cross_entropy", ops.binary_cross_entropy, _bce,
       _pairs(lambda shape: arrays(shape, 0.1, 0.9), _probabilities), order=3,
       conventions=(Convention("one-sided at 0 and 1", (np.array([0.0, 1.0]), np.array([0.0, 1.0])),
                               np.array([1.0, -1.0]), {"reduction": "sum"}),)),
    Op("binary_cross_entropy[weight]", ops.binary_cross_entropy, _bce,
       _pairs(lambda shape: arrays(shape, 0.1, 0.9), _probabilities, weight=_alike)),
    Op("binary_cross_entropy_with_logits", ops.binary_cross_entropy_with_logits, _bce_with_logits,
       _pairs(_logits, _probabilities), order=3),
    Op("binary_cross_entropy_with_logits[weight]", ops.binary_cross_entropy_with_logits, _bce_with_logits,
       _pairs(_logits, _probabilities, weight=_alike), order=3),
    Op("binary_cross_entropy_with_logits[pos_weight]", ops.binary_cross_entropy_with_logits, _bce_with_logits,
       _pairs(_logits, _probabilities, pos_weight=_alike), order=3),

    Op("bpr_loss", ops.bpr_loss, _bpr, _pairs(arrays), order=3),
    Op("hinge_loss", ops.hinge_loss, _hinge, _pairs(arrays, _apart(1)),
       conventions=(Convention("0 at the edge of the margin", (_EDGE, np.zeros(1)), np.zeros(1)),)),
    Op("hinge_loss[margin]", ops.hinge_loss, _hinge, _pairs(arrays, _apart(0.3), margin=0.3)),

    Op("cross_entropy", ops.cross_entropy, _class_loss, _class_cases(), order=3),
    Op("cross_entropy[rows]", ops.cross_entropy, _class_loss, _class_cases(shape=_TABLE, reduction=_TOTAL), order=3),
    Op("cross_entropy[ignore]", ops.cross_entropy, _class_loss, _class_cases(ignore_index=0, reduction=_TOTAL)),
    Op("cross_entropy[weight]", ops.cross_entropy, _class_loss, _class_cases(weight=_weights)),
    Op("cross_entropy[smoothing]", ops.cross_entropy, _class_loss, _class_cases(label_smoothing=0.2), order=3),
    Op("cross_entropy[all]", ops.cross_entropy, _class_loss,
       _class_cases(weight=_weights, label_smoothing=0.3, ignore_index=1, reduction="sum")),
    Op("cross_entropy[probabilities]", ops.cross_entropy, _class_loss, _class_cases(_probabilities), order=3),
    Op("cross_entropy[probabilities, all]", ops.cross_entropy, _class_loss,
       _class_cases(_probabilities, weight=_weights, label_smoothing=0.3)),
    Op("nll_loss", ops.nll_loss, _nll, _class_cases(), linear=(0,)),
    Op("nll_loss[all]", ops.nll_loss, _nll, _class_cases(weight=_weights, ignore_index=0, reduction=_TOTAL),
       linear=(0,)),

    Op("kl_div", ops.kl_div, _kl, _pairs(arrays, _probabilities), order=3),
    Op("kl_div[log]", ops.kl_div, _kl, _pairs(arrays, log_target=True), order=3),
    Op("kl_div[batchmean]", ops.kl_div, _kl,
       cases(arrays(shapes(min_dims=1, min_side=1)), _probabilities, reduction="batchmean")),
]
