"""PyTorch's function for a row of the op table.

A row whose name PyTorch has, with the same arguments but for `axis`, `keepdims` and `ddof`, needs no line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from minidl.testing.spec import Op

__all__ = ["counterpart"]

_RENAMED = {"axis": "dim", "keepdims": "keepdim", "ddof": "correction", "a_min": "min", "a_max": "max"}
_PLACES = {op.name for family in ("index", "shape")
           for op in importlib.import_module(f"minidl.testing.table.{family}").OPS if len(op.linear) == 1}


def counterpart(op: Op) -> Callable[..., Any] | None:
    """A function of tensors, or None."""
    base = op.name.partition("[")[0]
    if WITHOUT & {base, op.name}:
        return None
    if op.name in _PLACES and op.name not in ADAPTED:
        return lambda x, *args, **kwargs: _rearranged(op, x, args, kwargs)
    if (adapted := ADAPTED.get(op.name, ADAPTED.get(base))) is not None:
        return adapted
    found = getattr(F, base, None) or getattr(torch, base, None) or getattr(torch.linalg, base, None)
    if found is None:
        return None
    return lambda *args, **kwargs: found(*args, **{_RENAMED.get(k, k): v for k, v in kwargs.items()})


def plain(x: Any) -> Any:
    """Tensors of indices, and of what else is not differentiated, as arrays."""
    if type(x) in (tuple, list):
        return type(x)(map(plain, x))
    return x.detach().numpy() if isinstance(x, torch.Tensor) else x


def _rearranged(op: Op, x: Any, args: Any, kwargs: Any) -> Any:
    """What moves elements, told where they are from: `torch.take` at the places that NumPy's function moves."""
    numbers = np.arange(x.numel()).reshape(x.shape)
    places = np.asarray(op.reference(numbers, *map(plain, args), **{k: plain(v) for k, v in kwargs.items()}))
    return torch.take(x, torch.from_numpy(places.astype(np.int64)))


def _dims(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def _reduced(function: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """Over axes None, int or tuple; nothing is reduced where there is no axis."""
    def call(x: Any, axis: Any = None, keepdims: bool = False, ddof: int | None = None) -> Any:
        more = fixed if ddof is None else {"correction": ddof}
        return function(x, dim=_dims(x, axis), keepdim=keepdims, **more) if x.ndim else function(x[None], dim=0, **more)

    return call


def _one_by_one(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    for d in sorted((d % x.ndim for d in _dims(x, axis)), reverse=True):
        x = torch.prod(x, dim=d, keepdim=keepdims)
    return x


def _normalised(x: Any, axis: Any = -1) -> Any:
    return x - torch.logsumexp(x, _dims(x, axis), keepdim=True) if x.ndim else x - x


def _sort(x: Any, axis: Any = -1) -> Any:
    return torch.sort(x.reshape(-1) if axis is None else x, dim=-1 if axis is None else axis, stable=True).values


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.linalg.vector_norm(x, 2 if ord is None else ord, dim=axis, keepdim=keepdims)


def _solve(a: Any, b: Any) -> Any:
    return torch.linalg.solve(a, b[:, None])[..., 0] if b.ndim == 1 else torch.linalg.solve(a, b)


def _scatter_add(x: Any, index: Any, updates: Any) -> Any:
    places = np.arange(x.numel()).reshape(x.shape)[plain(index)]
    flat = torch.from_numpy(np.array(places).ravel())
    return x.reshape(-1).index_add(0, flat, updates.expand(np.shape(places)).reshape(-1)).reshape(x.shape)


def _joined(xs: Any, axis: Any) -> Any:
    return torch.cat([x.reshape(-1) for x in xs]) if axis is None else torch.cat(xs, axis)


def _topk(x: Any, k: int, axis: int = -1) -> Any:
    return torch.topk(x, k, axis).values


def _pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Any:
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
    return F.pad(x, widths, value=constant_values) if x.ndim else x


def _bag(indices: Any, weight: Any, offsets: Any, mode: str, factors: Any = None) -> Any:
    return F.embedding_bag(indices, weight, offsets, mode=mode, per_sample_weights=factors)


def _padded_bag(weight: Any, indices: Any, offsets: Any, mode: str, factors: Any = None) -> Any:
    return F.embedding_bag(indices, weight, offsets, mode=mode, per_sample_weights=factors, padding_idx=-1)


def _place(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without an axis PyTorch keeps the dimensions too, where there are any."""
    return lambda x, axis=None, keepdims=False: function(torch.as_tensor(x), axis, keepdim=keepdims)


def _cumprod(x: Any, axis: Any = None) -> Any:
    return torch.cumprod(x.reshape(-1) if axis is None else x, 0 if axis is None else axis)


def _dot(a: Any, b: Any) -> Any:
    return torch.tensordot(a, b, ([-1], [-2 if b.ndim > 1 else 0])) if a.ndim and b.ndim else a * b


def _product_by_rows(x, columns, ends, weights=None):
    owners = torch.repeat_interleave(torch.arange(len(ends) - 1), torch.diff(ends))
    rows = x[columns] if weights is None else x[columns] * weights[:, None]
    return torch.zeros((len(ends) - 1, x.shape[1]), dtype=x.dtype).index_add(0, owners, rows)


def _entries(x: Any, weight: Any, indices: Any, ends: Any) -> Any:
    rows = torch.repeat_interleave(torch.arange(len(x)), torch.diff(torch.as_tensor(ends)))
    return (x @ weight.T)[rows, indices]


def _clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    low, high = (torch.tensor(float(sign * np.inf)) if b is None else torch.as_tensor(b) for sign, b in
                 ((-1, a_min), (1, a_max)))
    return torch.clip(x, low, high)


def _both(function: Callable[..., Any]) -> Callable[..., Any]:
    """Numbers as tensors."""
    return lambda x, y: function(torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64))


def _pieces(function: Callable[..., Any], dims: int) -> Callable[..., Any]:
    """Adaptive pooling in which None is an axis that stays."""
    def call(x: Any, output_size: Any) -> Any:
        wanted = output_size if isinstance(output_size, tuple) else (output_size,) * dims
        return function(x, tuple(n if w is None else w for n, w in zip(x.shape[-dims:], wanted, strict=True)))

    return call


def _normed(function: Callable[..., Any]) -> Callable[..., Any]:
    """An integer for the shape of one axis."""
    return lambda x, shape, *args, **kwargs: function(x, (shape,) if isinstance(shape, int) else shape, *args, **kwargs)


def _attention(q: Any, k: Any, v: Any, attn_mask: Any = None, is_causal: bool = False, **kwargs: Any) -> Any:
    """A mask and causality at once, which PyTorch refuses."""
    if is_causal and attn_mask is not None:
        causal = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
        attn_mask = attn_mask & causal if attn_mask.dtype == torch.bool else attn_mask.masked_fill(~causal, -torch.inf)
        is_causal = False
    return F.scaled_dot_product_attention(q, k, v, attn_mask, is_causal=is_causal, **kwargs)


ADAPTED: dict[str, Callable[..., Any]] = {
    "astype": lambda x, dtype: x.double(),
    "sum_to": lambda x, shape: x.sum_to_size(shape),
    "power": torch.pow,
    "sum": _reduced(torch.sum), "mean": _reduced(torch.mean), "var": _reduced(torch.var, correction=0),
    "std": _reduced(torch.std, correction=0), "max": _reduced(torch.amax), "min": _reduced(torch.amin),
    "logsumexp": _reduced(torch.logsumexp), "prod": _one_by_one, "norm": _norm,
    "cumsum": lambda x, axis=None: torch.cumsum(x.reshape(-1) if axis is None else x, 0 if axis is None else axis),
    "softmax": lambda x, axis=-1: torch.exp(_normalised(x, axis)), "log_softmax": _normalised,
    "softmin": lambda x, axis=-1: torch.exp(_normalised(-x, axis)),
    "hardsigmoid": lambda x: torch.clip(x + 3, 0, 6) / 6,  # PyTorch's own has 1/6 in single precision
    "softplus": lambda x, beta=1.0, threshold=1e9: F.softplus(x, beta, threshold),
    "row_dot": lambda a, b: (a * b).sum(-1), "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
    "solve": _solve, "sort": _sort, "topk": _topk, "scatter_add": _scatter_add, "embedding_bag": _bag,
    "sampled_matmul": _entries, "sparse_matmul": _product_by_rows,
    "concatenate": lambda *xs, axis=None: _joined(xs, axis), "stack": lambda *xs, axis: torch.stack(xs, axis),
    "pad": _pad, "pad[value]": _pad, "clip": _clip, "maximum": _both(torch.maximum), "minimum": _both(torch.minimum),
    "embedding_bag[max, 2-d]": lambda weight, indices: F.embedding_bag(indices, weight, mode="max"),
    **{f"embedding_bag[{mode}, padding]": _padded_bag for mode in ("mean", "sum", "max")},
    "argmax": _place(torch.argmax), "argmin": _place(torch.argmin), "cumprod": _cumprod, "cumprod[zeros]": _cumprod,
    "diagonal": torch.diagonal, "tril": lambda x, k: torch.tril(x.expand(len(x), -1) if x.ndim < 2 else x, k),
    "triu": lambda x, k: torch.triu(x.expand(len(x), -1) if x.ndim < 2 else x, k),
    "dot": _dot, "hypot": _both(torch.hypot), "arctan2": _both(torch.arctan2), "logaddexp": _both(torch.logaddexp),
    "embedding[padding]": lambda weight, indices: F.embedding(indices, weight, padding_idx=-1),
    "cholesky": lambda a: torch.linalg.cholesky((a + a.mT) / 2), "inv": torch.linalg.inv,
    "layer_norm": _normed(F.layer_norm), "rms_norm": _normed(F.rms_norm), "scaled_dot_product_attention": _attention,
    **{f"adaptive_{kind}_pool{dims}d": _pieces(getattr(F, f"adaptive_{kind}_pool{dims}d"), dims)
       for kind in ("avg", "max") for dims in (1, 2)},
}
"""Name of a row, or its first part, to a function with the arguments of the row's."""

WITHOUT = frozenset({"rnn", "gru", "lstm", "scaled_dot_product_attention[dropout]"})
"""Rows whose name means something else in PyTorch (layers are compared in `test_layers`), or that draw at random."""
