"""Attention, and the bilinear form: scores of pairs of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import fused
from minidl.errors import ShapeError, explained
from minidl.kernels import Kernels, takes
from minidl.ops.activation import softmax
from minidl.ops.elementwise import add, astype, where
from minidl.ops.linalg import linear, matmul, row_dot
from minidl.ops.loss_parts import floating
from minidl.ops.masks import dropout_factors
from minidl.ops.shape import broadcast_to
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["bilinear", "scaled_dot_product_attention"]

_kernels = Kernels("minidl.kernels", "attention")


@explained
def scaled_dot_product_attention(query: Operand, key: Operand, value: Operand, attn_mask: Operand | None = None,
                                 dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
                                 generator: np.random.Generator | None = None) -> Any:
    """softmax(query key' scale + mask) value: for each query a mean of values, weighted by how its key fits.

    Derivative: with P the probabilities and A = P (g v' - sum(P (g v'))), row by row: A k scale for the query,
    A' q scale for the key, P' g for the value and A for the mask.

    Source: Vaswani et al. 2017, "Attention is all you need", equation 1.

    Parameters
    ----------
    query : Tensor or array, shape (..., T, D)
    key : Tensor or array, shape (..., S, D)
    value : Tensor or array, shape (..., S, E)
    attn_mask : Tensor or array that broadcasts to (..., T, S), optional
        Boolean: True takes part. Float: added to the scores, and differentiable.
    dropout_p : float
        Probability with which each weight becomes 0, the others grow by 1 / (1 - p). Here there is no training mode.
    is_causal : bool
        Query t sees the keys 0 to t only. Goes with a mask (PyTorch takes one or the other).
    scale : float, optional
        By default 1 / sqrt(D).
    generator : numpy.random.Generator
        Of the dropout; needed when `dropout_p` is positive.

    Returns
    -------
    Tensor or array, shape (..., T, E)
        A query that may see no key gets zeros, and gives no gradient, as in PyTorch since 2.5.

    Raises
    ------
    ShapeError
        When the shapes do not fit each other.
    ValueError
        When `dropout_p` is no probability or there is no generator for it.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> x = np.eye(2)
    >>> ops.scaled_dot_product_attention(x, x, np.array([[1.0], [3.0]]), is_causal=True).round(3)
    array([[1.  ],
           [2.34]])
    """
    q, k, v, mask = _checked(query, key, value, attn_mask)
    keep = _kept(dropout_p, (*q.shape[:-1], k.shape[-2]), q.dtype, generator)
    factor = 1 / math.sqrt(q.shape[-1] or 1) if scale is None else float(scale)
    return _attention(q, k, v, mask, keep=keep, causal=bool(is_causal), scale=factor)


def _kept(p: float, shape: tuple[int, ...], dtype: Any, generator: np.random.Generator | None) -> np.ndarray | None:
    """The mask of dropout; None when p is 0."""
    name = "scaled_dot_product_attention"
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout_p={p} is not a probability")
    if p == 0:
        return None
    if generator is None:
        raise ValueError(f"{name}: dropout_p={p} needs generator=, such as np.random.default_rng(seed)")
    return dropout_factors(p, shape, dtype, generator)


def _checked(query: Any, key: Any, value: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """All in floating point and with the same leading axes; the mask as what is added to scores."""
    name = "scaled_dot_product_attention"
    q, k, v = floating(query), floating(key), floating(value)
    shapes = f"query {q.shape}, key {k.shape}, value {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"{name}: {shapes} have to be (..., T, D), (..., S, D), (..., S, E)")
    if not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        try:
            lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
        except ValueError as error:
            raise ShapeError(f"{name}: the leading axes of {shapes} do not broadcast") from error
        q, k, v = (broadcast_to(a, lead + a.shape[-2:]) for a in (q, k, v))
    if mask is None:
        return q, k, v, None
    mask = mask if isinstance(mask, Tensor) else as_array(mask)
    full = (*q.shape[:-1], k.shape[-2])
    if mask.ndim > len(full) or any(m not in (1, n) for m, n in zip(mask.shape[::-1], full[::-1], strict=False)):
        raise ShapeError(f"{name}: attn_mask of shape {mask.shape} does not broadcast to {full}, the shape of scores")
    if mask.dtype == bool:
        mask = np.where(mask.data if isinstance(mask, Tensor) else mask, 0, -np.inf).astype(q.dtype)
    elif mask.dtype.kind != "f":
        raise TypeError(f"{name}: attn_mask has dtype {mask.dtype}; it is boolean (True takes part) or float (added)")
    return q, k, v, mask if mask.dtype == q.dtype else astype(mask, q.dtype)


# -------------------------------------------------------------------------------------- as one operation

def _attention_forward(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Any, keep: np.ndarray | None, causal: bool,
                       scale: float) -> Any:
    out_shape = (*q.shape[:-1], v.shape[-1])
    if not math.prod(out_shape) or not k.shape[-2]:
        return np.zeros(out_shape, q.dtype), None
    groups = [_grouped(a) for a in (q, k, v)]
    dtype = groups[0].dtype
    empty = np.empty((0, q.shape[-2], k.shape[-2]), dtype)
    kept = empty if keep is None else _grouped(keep)
    out, p = _kernels.attention(*groups, empty if mask is None else _bias(mask, q, k, dtype), kept, causal, scale)
    return out.reshape(out_shape).astype(q.dtype, copy=False), (p, kept)


def _attention_backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any, keep: Any, causal: bool,
                        scale: float) -> Any:
    q, k, v, _ = inputs
    scores = (*q.shape[:-1], k.shape[-2])
    if saved is None:
        return [np.zeros(a, q.dtype) for a in (q.shape, k.shape, v.shape, scores)]
    p, kept = saved
    made = [np.empty(a.shape, p.dtype) for a in (q, k, v)]
    gs = _kernels.attention_gradient(*(_grouped(a) for a in (g, q, k, v)), p, kept, causal, scale,
                                     *(a.reshape(math.prod(a.shape[:-2]), *a.shape[-2:]) for a in made))
    return [*made, gs.reshape(scores)]


def _grouped(x: np.ndarray) -> np.ndarray:
    """(..., T, D) -> (G, T, D), as kernels are compiled for."""
    dtype = np.float32 if x.dtype.itemsize <= 4 else np.float64
    x = x if x.dtype == dtype and takes(x) else np.array(x, dtype, order="C")
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def _bias(mask: np.ndarray, q: np.ndarray, k: np.ndarray, dtype: Any) -> np.ndarray:
    """The mask as (B, T, S), where B counts only the leading axes up to the last along which it differs."""
    lead = (1,) * (q.ndim - mask.ndim) + mask.shape[:-2] if mask.ndim > 2 else ()
    while lead and lead[-1] == 1:
        lead = lead[:-1]
    rows = mask.reshape(*lead, *(1, 1, *mask.shape)[-2:])
    full = (*q.shape[:len(lead)], q.shape[-2], k.shape[-2])
    return np.array(np.broadcast_to(rows, full), dtype, order="C").reshape(math.prod(full[:-2]), *full[-2:])


def _attention_reference(q: Any, k: Any, v: Any, mask: Any, keep: np.ndarray | None, causal: bool,
                         scale: float) -> Any:
    p = attention_weights(q, k, mask, causal, scale)
    return matmul(p if keep is None else p * keep, v)


def attention_weights(q: Any, k: Any, mask: Any, causal: bool, scale: float) -> Any:
    """softmax(q k' scale + mask) along the keys, zeros where nothing may be seen; shape (..., T, S)."""
    scores = matmul(q, k.swapaxes(-1, -2)) * scale
    allowed: Any = np.tri(*scores.shape[-2:], dtype=bool) if causal else np.True_
    if mask is not None:
        scores = scores + mask
        allowed = allowed & ((mask.data if isinstance(mask, Tensor) else mask) > -np.inf)
    if allowed is np.True_:
        return softmax(scores)
    allowed = np.broadcast_to(allowed, scores.shape)
    blind = ~allowed.any(axis=-1, keepdims=True)
    return where(blind, 0.0, softmax(where(blind, 0.0, where(allowed, scores, -np.inf))))


_attention = fused(_attention_forward, _attention_backward, _attention_reference, name="scaled_dot_product_attention")


# ------------------------------------------------------------------------------------------ bilinear form

@explained
def bilinear(input1: Operand, input2: Operand, weight: Operand, bias: Operand | None = None) -> Any:
    """x' W_o y + b_o for every output o. Derivative: those of the products, linear in each argument.

    Parameters
    ----------
    input1 : Tensor or array, shape (..., in1)
    input2 : Tensor or array, shape (..., in2)
    weight : Tensor or array, shape (out, in1, in2)
    bias : Tensor or array, shape (out,), optional

    Returns
    -------
    Tensor or array, shape (..., out)

    Raises
    ------
    ShapeError
        When the shapes do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.bilinear(np.array([1.0, 2.0]), np.array([3.0]), np.ones((1, 2, 1)))
    array([9.])
    """
    x, y, w = floating(input1), floating(input2), floating(weight)
    if (w.ndim != 3 or not x.ndim or x.shape[:-1] != y.shape[:-1] or (x.shape[-1], y.shape[-1]) != w.shape[1:]
            or (bias is not None and np.shape(bias) != w.shape[:1])):
        raise ShapeError(f"bilinear: input1 {x.shape}, input2 {y.shape}, weight {w.shape} and bias "
                         f"{None if bias is None else np.shape(bias)} have to be (..., in1), (..., in2), "
                         "(out, in1, in2) and (out,)")
    out, in1, in2 = w.shape
    left = linear(x, w.transpose((0, 2, 1)).reshape((out * in2, in1)))  # (..., out in2)
    scores = row_dot(left.reshape((*x.shape[:-1], out, in2)), y[..., None, :])
    return scores if bias is None else add(scores, bias)
