"""Losses of a softmax over rows of logits, with kernels that pass once over the logits, forward and backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import kernels
from minidl.engine import fused
from minidl.errors import ShapeError, explained
from minidl.ops.activation import log_softmax, softplus
from minidl.ops.elementwise import where
from minidl.ops.index import as_indices, scatter
from minidl.ops.loss_parts import checked, constant, fitting, floating, pair, plain, reduce
from minidl.ops.reduce import logsumexp
from minidl.tensors import raw
from minidl.typing import Operand

__all__ = ["multinomial_loss", "sampled_softmax_loss"]


# ------------------------------------------------------------------------------------------ multinomial

@explained
def multinomial_loss(input: Operand, target: Operand, offsets: Any = None, counts: Any = None,
                     reduction: str = "mean") -> Any:
    """-sum_c x_c log softmax(z)_c of logits z and counts x: the likelihood of a user's items, as in Mult-VAE.

    Derivative: g (n softmax(z) - x) with n = sum_c x_c; for dense counts also -g log softmax(z). With `offsets`
    the counts are those of a sparse batch, and no dense target is ever made.

    Source: Liang et al. 2018, "Variational autoencoders for collaborative filtering", equation 2.

    Parameters
    ----------
    input : Tensor or array, shape (N, C) (or any (..., C) with dense counts)
        Logits.
    target : Tensor or array, shape of the input; or with offsets: integer array, shape (n,)
        Counts of the classes (or weights, or probabilities), differentiable; or the classes that were
        counted, row after row. A class that occurs twice counts twice.
    offsets : integer array, shape (N,) or (N + 1,), optional
        Where the classes of each row start, and perhaps their number n at the end, as the `indptr` of a CSR
        matrix. Rows may be empty: their loss is 0.
    counts : array, shape (n,), optional
        Counts that belong to the classes; 1 by default. A constant.
    reduction : {"mean", "sum", "none"}
        Over rows; the mean divides by their number.

    Returns
    -------
    Tensor or array
        Shape (), or that of the input without its last axis with `"none"`.

    Raises
    ------
    ShapeError
        When the shapes do not belong together.
    IndexError
        When a class is out of range.
    ValueError
        When the offsets do not cut the classes into rows.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    >>> dense = ops.multinomial_loss(logits, np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]), reduction="none")
    >>> sparse = ops.multinomial_loss(logits, np.array([0, 2, 2]), offsets=np.array([0, 3]), reduction="none")
    >>> dense.round(4), sparse.round(4)  # log 2 + 2 log 4
    (array([3.4657, 0.    ]), array([3.4657, 0.    ]))
    """
    name = "multinomial_loss"
    checked(name, reduction)
    x = floating(input)
    if not x.ndim or not x.shape[-1]:
        raise ShapeError(f"{name}: input of shape {x.shape} has no classes on its last axis")
    if offsets is None:
        if counts is not None:
            raise ValueError(f"{name}: counts go with offsets; a target without offsets is the counts")
        x, t = pair(name, x, target)
        classes = x.shape[-1]
        losses = soft_losses(name, x.reshape((-1, classes)), t.reshape((-1, classes))).reshape(x.shape[:-1])
    else:
        losses = _count_losses(x, **_sparse(name, x, target, offsets, counts))
    return reduce(losses, reduction)


def _sparse(name: str, x: Any, target: Any, offsets: Any, counts: Any) -> dict[str, np.ndarray]:
    """Classes, ends of rows and counts, all checked."""
    if x.ndim != 2:
        raise ShapeError(f"{name}: input has shape {x.shape}; with offsets it is (number of rows, classes)")
    classes, ends = as_indices(name, "target", target), as_indices(name, "offsets", offsets)
    if classes.ndim != 1 or ends.shape not in (x.shape[:1], (len(x) + 1,)):
        raise ShapeError(f"{name}: target has shape {classes.shape} and offsets {ends.shape}; for an input of shape "
                         f"{x.shape} they are (n,) and ({len(x)},) or ({len(x) + 1},)")
    if len(ends) == len(x):
        ends = np.append(ends, classes.size)
    if ends[0] != 0 or ends[-1] != classes.size or (np.diff(ends) < 0).any():
        raise ValueError(f"{name}: offsets must start at 0, not decrease and end within the {classes.size} classes of "
                         "the target")
    if classes.size and (classes.min() < 0 or classes.max() >= x.shape[1]):
        at = int(np.argmax((classes < 0) | (classes >= x.shape[1])))
        raise IndexError(f"{name}: target holds class {classes[at]} at position {at}, but the input has {x.shape[1]} "
                         f"classes, 0 to {x.shape[1] - 1}")
    weights = np.ones(classes.shape, x.dtype) if counts is None else constant(name, "counts", counts, x.dtype)
    if weights.shape != classes.shape:
        raise ShapeError(f"{name}: counts have shape {weights.shape}, the target {classes.shape}")
    return {"classes": np.ascontiguousarray(classes), "ends": np.ascontiguousarray(ends), "counts": weights}


# -------------------------------------------------------------------------------------- sampled softmax

@explained
def sampled_softmax_loss(positive: Operand, negative: Operand, positive_log_q: Any = None, negative_log_q: Any = None,
                         hits: Any = None, reduction: str = "mean") -> Any:
    """-log of the softmax share of a positive among itself and K sampled negatives, of scores s - log q.

    Taking log q off, the logarithm of how often an item is sampled, makes the gradient that of the softmax
    over all items as K grows; without it, popular items are pushed down for being sampled often. Computed as
    log(1 + e^(L - p)) with the corrected score p and the log-sum-exp L of the negatives' ones. Derivative:
    -g s(L - p) and g s(L - p) softmax(negatives), with s the sigmoid.

    Source: Bengio & Senecal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic
    language model", section III; Yi et al. 2019, "Sampling-bias-corrected neural modeling for large corpus item
    recommendations", equation 3.

    Parameters
    ----------
    positive : Tensor or array, shape (...)
        Score of the right item.
    negative : Tensor or array, shape (..., K)
        Scores of K > 0 sampled items.
    positive_log_q, negative_log_q : array, optional
        Logarithms of sampling probabilities (or of expected counts); they broadcast to the shape of the positive
        and the negative, such as (K,) for negatives that all rows share. Constants.
    hits : bool array, optional
        Accidental hits, which are left out: negatives that are the positive itself. It broadcasts to the shape of
        the negative. From identifiers it is `negative_ids == positive_ids[:, None]`.
    reduction : {"mean", "sum", "none"}
        Over all positives.

    Returns
    -------
    Tensor or array
        Shape (), or that of the positive with `"none"`; 0 where all negatives are hits.

    Raises
    ------
    ShapeError
        When the shapes do not belong together, or there are no negatives.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> positive_ids, negative_ids = np.array([3, 5]), np.array([5, 7, 9])
    >>> ops.sampled_softmax_loss(np.zeros(2), np.zeros((2, 3)), hits=negative_ids == positive_ids[:, None],
    ...                          reduction="none")  # log 4 and log 3
    array([1.38629436, 1.09861229])
    """
    name = "sampled_softmax_loss"
    checked(name, reduction)
    p, n = floating(positive), floating(negative)
    if n.shape[:-1] != p.shape or not n.ndim or not n.shape[-1]:
        raise ShapeError(f"{name}: positive has shape {p.shape} and negative {n.shape}; the negative has one more axis "
                         "than the positive, that of the samples, which is not empty")
    if positive_log_q is not None:
        p = p - fitting(name, "positive_log_q", positive_log_q, p)
    if negative_log_q is not None or hits is not None:
        n = n - _shift(name, 0.0 if negative_log_q is None else negative_log_q, False if hits is None else hits, n)
    rows = n.reshape((math.prod(p.shape), n.shape[-1]))
    return reduce(softplus(_row_logsumexp(rows).reshape(p.shape) - p), reduction)


def _shift(name: str, log_q: Any, hits: Any, n: Any) -> np.ndarray:
    """What to take off scores: log q, or for a hit so much that no softmax notices the rest.

    It is finite, so that a row of nothing but hits has a gradient of 0, not NaN.
    """
    shift = fitting(name, "negative_log_q", log_q, n)
    mask = np.asarray(raw(hits, f"{name}: hits"))
    if mask.dtype != bool:
        raise TypeError(f"{name}: hits have dtype {mask.dtype}, they have to be bool")
    if not mask.any():
        return shift
    return np.where(fitting(name, "hits", mask, n, bool), np.finfo(n.dtype).max / 4, shift)


# ------------------------------------------------------------- one kernel pass over rows of logits, (N, C)

_NO_CLASSES = np.zeros(0, np.int64)


def class_losses(logits: Any, target: np.ndarray, factor: np.ndarray | None = None, scale: float | None = None) -> Any:
    """Cross-entropy with a class a row, int64 of shape (N,): (N, C) -> (), or (N,) without a scale.

    A target of -1 has loss 0; the losses are multiplied by the factors, their sum by the scale.
    """
    return _class_losses(logits, target=target, factor=factor, scale=scale)


def _class_forward(logits: np.ndarray, target: np.ndarray, factor: np.ndarray | None,
                   scale: float | None) -> tuple[np.ndarray, Any]:
    rows = plain(logits)
    peak, rest = kernels.loss.exp_sums(rows)
    losses = np.log1p(rest) - (rows[np.arange(len(target)), target] - peak)
    losses = np.where(target >= 0, losses, 0)
    return np.asarray(summed(losses, factor, scale)).astype(logits.dtype, copy=False), (peak, rest)


def _class_backward(g: Any, saved: Any, inputs: Any, needs: Any, target: np.ndarray, factor: np.ndarray | None,
                    scale: float | None) -> Any:
    rows = plain(inputs[0])
    if scale is not None:
        g = np.full(len(target), g * scale)
    if factor is not None:
        g = g * factor
    g = plain(g, rows)
    return (kernels.loss.softmax_gradient(g, rows, *saved, target, np.arange(len(target) + 1), g),)


def _class_reference(logits: Any, target: np.ndarray, factor: np.ndarray | None, scale: float | None) -> Any:
    return summed(pick(log_softmax(logits, axis=1), target), factor, scale)


def pick(log_p: Any, index: np.ndarray) -> Any:
    """-log_p[i, index[i]], 0 where the index is -1."""
    rows = np.arange(len(index))
    return where(index >= 0, -log_p[rows, index], 0.0)


def summed(losses: Any, factor: np.ndarray | None, scale: float | None) -> Any:
    """Losses times factors, if any; with a scale their sum times it."""
    losses = losses if factor is None else losses * factor
    return losses if scale is None else losses.sum() * scale


_class_losses = fused(_class_forward, _class_backward, _class_reference, name="cross_entropy")


def _count_forward(logits: np.ndarray, classes: np.ndarray, ends: np.ndarray,
                   counts: np.ndarray) -> tuple[np.ndarray, Any]:
    rows, owner = plain(logits), _owners(ends)
    peak, rest = kernels.loss.exp_sums(rows)
    each = np.log1p(rest)[owner] - (rows[owner, classes] - peak[owner])
    losses = np.bincount(owner, each * counts, len(rows))
    return losses.astype(logits.dtype, copy=False), (owner, peak, rest)


def _count_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any, classes: np.ndarray, ends: np.ndarray,
                    counts: np.ndarray) -> Any:
    rows, (owner, peak, rest) = plain(inputs[0]), saved
    scale = g * np.bincount(owner, counts, len(rows))
    return (kernels.loss.softmax_gradient(plain(scale, rows), rows, peak, rest, classes, ends,
                                          plain(g[owner] * counts, rows)),)


def _count_reference(logits: Any, classes: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> Any:
    owner = _owners(ends)
    each = -log_softmax(logits, axis=1)[owner, classes]
    return scatter(each * counts, owner, logits.shape[:1])


def _owners(ends: np.ndarray) -> np.ndarray:
    """The row of each class, shape (n,)."""
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


_count_losses = fused(_count_forward, _count_backward, _count_reference, name="multinomial_loss")


def soft_losses(name: str, logits: Any, target: Any) -> Any:
    """Cross-entropy with a dense target, -sum_c t_c log softmax(z)_c: (N, C), (N, C) -> (N,)."""
    return _soft_losses[name](logits, target)


def _soft_forward(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, Any]:
    peak, rest, mass, gap = kernels.loss.soft_sums(plain(logits, target), plain(target, logits))
    losses = gap + mass * np.log1p(rest)
    return losses.astype(np.result_type(logits, target), copy=False), (peak, rest, mass)


def _soft_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any) -> Any:
    rows, target = plain(*inputs), plain(*reversed(inputs))
    peak, rest, mass = saved
    g = plain(g, rows)
    return (kernels.loss.soft_gradient(g, rows, target, peak, rest, mass) if needs[0] else None,
            (peak[:, None] - rows + np.log1p(rest)[:, None]) * g[:, None] if needs[1] else None)


def _soft_reference(logits: Any, target: Any) -> Any:
    return -(target * log_softmax(logits, axis=1)).sum(axis=1)


_soft_losses = {name: fused(_soft_forward, _soft_backward, _soft_reference, name=name)
                for name in ("cross_entropy", "multinomial_loss")}


def _logsumexp_forward(logits: np.ndarray) -> tuple[np.ndarray, Any]:
    peak, rest = kernels.loss.exp_sums(plain(logits))
    return (np.log1p(rest) + peak).astype(logits.dtype, copy=False), (peak, rest)


def _logsumexp_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any) -> Any:
    rows = plain(inputs[0])
    return (kernels.loss.softmax_gradient(plain(g, rows), rows, *saved, _NO_CLASSES, np.zeros(len(rows) + 1, np.int64),
                                          np.zeros(0, rows.dtype)),)


def _logsumexp_reference(logits: Any) -> Any:
    return logsumexp(logits, axis=-1)


_row_logsumexp = fused(_logsumexp_forward, _logsumexp_backward, _logsumexp_reference, name="sampled_softmax_loss")
