"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.errors import ShapeError
from minidl.nn import init
from minidl.nn.layers import Linear
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.attention import attention_weights
from minidl.ops.masks import dropout_factors
from minidl.tensors import Tensor, as_array

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Attention of several heads, each in a part of the embedding.

    Source: Vaswani et al. 2017, "Attention is all you need", section 3.2.2.

    Parameters
    ----------
    embed_dim, num_heads : int
        The first is a multiple of the second.
    dropout : float
        Probability with which a weight of the attention is dropped in training.
    bias : bool
        Whether all projections have one.
    add_bias_kv, add_zero_attn : bool
        Not supported.
    kdim, vdim : int, optional
        Lengths of keys and values, `embed_dim` by default.
    batch_first : bool
        Arrays are (N, L, E) instead of (L, N, E).
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values (Glorot's uniform ones) and of the dropout.

    Attributes
    ----------
    in_proj_weight : Parameter, shape (3 embed_dim, embed_dim), or None
        Of query, key and value, in this order.
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter, shape (embed_dim, embed_dim, kdim, vdim), or None
        Instead of it when `kdim` or `vdim` differ from `embed_dim`.
    in_proj_bias : Parameter, shape (3 embed_dim,), or None
    out_proj : Linear

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> attend = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = np.ones((3, 5, 8), np.float32)
    >>> out, weights = attend(x, x, x, is_causal=True)
    >>> out.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))

    A transformer block, with the norms first (Xiong et al. 2020):

    >>> class Block(nn.Module):
    ...     def __init__(self, dim, heads, hidden, dropout=0.1):
    ...         self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
    ...         self.attend = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
    ...         self.feed = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
    ...         self.dropout = nn.Dropout(dropout)
    ...     def forward(self, x):
    ...         h = self.norm1(x)
    ...         x = x + self.dropout(self.attend(h, h, h, need_weights=False, is_causal=True)[0])
    ...         return x + self.dropout(self.feed(self.norm2(x)))
    >>> Block(8, 2, 32)(x).shape
    (3, 5, 8)
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise ValueError(f"MultiheadAttention: embed_dim={embed_dim} has to be a positive multiple of "
                             f"num_heads={num_heads}")
        if add_bias_kv or add_zero_attn:
            raise ValueError("MultiheadAttention: add_bias_kv and add_zero_attn are not supported; leave them out")
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: dropout={dropout} is not a probability")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.generator = generator
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(np.empty((3 * embed_dim, embed_dim), dtype))
        else:
            self.q_proj_weight = Parameter(np.empty((embed_dim, embed_dim), dtype))
            self.k_proj_weight = Parameter(np.empty((embed_dim, self.kdim), dtype))
            self.v_proj_weight = Parameter(np.empty((embed_dim, self.vdim), dtype))
        self.in_proj_bias = Parameter(np.empty(3 * embed_dim, dtype)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype, generator)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew; biases are 0."""
        self.out_proj.reset_parameters(generator)
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)

    def forward(self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
                attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False) -> Any:
        """Attend from every query to the keys, and mix the values.

        Parameters
        ----------
        query : Tensor or array, shape (L, N, E), with `batch_first` (N, L, E); or (L, E)
        key : Tensor or array, shape (S, N, kdim), (N, S, kdim) or (S, kdim)
        value : Tensor or array, shape (S, N, vdim), (N, S, vdim) or (S, vdim)
        key_padding_mask : array, shape (N, S) or (S,), optional
            Boolean: True keeps the key out (the opposite of `scaled_dot_product_attention`, as in PyTorch). Float:
            added to the scores.
        need_weights : bool
            Give the weights too. Without, it is faster: one fused operation.
        attn_mask : array, shape (L, S) or (N num_heads, L, S), optional
            Boolean or float, as the other.
        average_attn_weights : bool
            Give the mean of the weights over the heads.
        is_causal : bool
            Query t sees the keys 0 to t only; no mask has to be given for it.

        Returns
        -------
        out : Tensor, shape of the query
            A query that may see nothing has weights of 0; in PyTorch they are NaN.
        weights : Tensor, shape (N, L, S), (N, num_heads, L, S) or without N; or None
        """
        query, key, value = (a if isinstance(a, Tensor) else as_array(a) for a in (query, key, value))
        single = query.ndim == 2
        shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
        if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
            raise ShapeError(f"MultiheadAttention: {shapes} have to have three axes, or two without a batch")
        q, k, v = self._projected(query, key, value)
        if single:
            q, k, v = q[None], k[None], v[None]
        elif not self.batch_first:
            q, k, v = (a.swapaxes(0, 1) for a in (q, k, v))
        if not len(q) == len(k) == len(v) or k.shape[1] != v.shape[1]:
            raise ShapeError(f"MultiheadAttention: {shapes} differ in the batch, or key and value in length")
        q, k, v = (self._heads(a) for a in (q, k, v))
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        out, weights = self._attended(q, k, v, mask, is_causal, need_weights)
        out = self.out_proj(out.swapaxes(1, 2).reshape((len(q), q.shape[2], self.embed_dim)))
        if weights is not None and average_attn_weights:
            weights = weights.mean(axis=1)
        if single:
            return out[0], None if weights is None else weights[0]
        return out if self.batch_first else out.swapaxes(0, 1), weights

    def _projected(self, query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
        if self.in_proj_weight is not None and query is key is value:  # one product instead of three
            q, k, v = ops.split(ops.linear(query, self.in_proj_weight, self.in_proj_bias), 3, axis=-1)
            return q, k, v
        weights = ((self.q_proj_weight, self.k_proj_weight, self.v_proj_weight) if self.in_proj_weight is None
                   else ops.split(self.in_proj_weight, 3))
        biases = (None,) * 3 if self.in_proj_bias is None else ops.split(self.in_proj_bias, 3)
        q, k, v = (ops.linear(a, w, b) for a, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v

    def _heads(self, x: Any) -> Any:
        """(N, L, E) -> (N, heads, L, E / heads)."""
        return x.reshape((*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads)).swapaxes(1, 2)

    def _mask(self, attn_mask: Any, key_padding_mask: Any, q: Any, k: Any) -> Any:
        """Both masks as one that is added to scores (N, heads, L, S)."""
        batch, heads, length = q.shape[:3]
        size = k.shape[2]
        shapes = {(length, size): (1, 1, length, size), (batch * heads, length, size): (batch, heads, length, size)}
        masks = [_added("attn_mask", attn_mask, shapes, q.dtype)]
        shapes = {(batch, size): (batch, 1, 1, size), (size,) if batch == 1 else (batch, size): (batch, 1, 1, size)}
        masks.append(_added("key_padding_mask", key_padding_mask, shapes, q.dtype))
        given = [m for m in masks if m is not None]
        return sum(given[1:], given[0]) if given else None

    def _attended(self, q: Any, k: Any, v: Any, mask: Any, is_causal: bool, need_weights: bool) -> tuple[Any, Any]:
        p = self.dropout if self.training else 0.0
        generator = self.generator or init.default_generator()
        if not need_weights:
            return ops.scaled_dot_product_attention(q, k, v, mask, p, is_causal, generator=generator), None
        weights = attention_weights(q, k, mask, is_causal, 1 / math.sqrt(q.shape[-1]))
        if p:
            weights = weights * dropout_factors(p, weights.shape, weights.dtype, generator)
        return ops.matmul(weights, v), weights


def _added(name: str, mask: Any, shapes: dict[Any, Any], dtype: Any) -> Any:
    """A mask as what is added to scores, in the shape that belongs to its own."""
    if mask is None:
        return None
    mask = mask if isinstance(mask, Tensor) else as_array(mask)
    if mask.shape not in shapes:
        raise ShapeError(f"MultiheadAttention: {name} has shape {mask.shape}; it has to be "
                         f"{' or '.join(map(str, shapes))}")
    if mask.dtype == bool:
        mask = np.where(mask.data if isinstance(mask, Tensor) else mask, -np.inf, 0).astype(dtype)
    elif mask.dtype.kind != "f":
        raise TypeError(f"MultiheadAttention: {name} has dtype {mask.dtype}; it is boolean (True keeps out) or float "
                        "(added)")
    return mask.reshape(shapes[mask.shape])
