"""Rows of the op table: attention and the bilinear form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.ops.masks import dropout_factors
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays, shapes

__all__ = ["OPS"]


@st.composite
def _queries(draw: Any, mask: str = "") -> Case:
    """Queries, keys and values of any lengths; a mask of bits, or of numbers that are -inf here and there."""
    lead = draw(st.sampled_from([(), (1,), (2,), (2, 1), (1, 2), (0,)]))
    t, s, d, e = (draw(st.integers(low, 5)) for low in (0, 0, 0, 0))
    args = [draw(arrays((*lead, *tail), -1.5, 1.5)) for tail in ((t, d), (s, d), (s, e))]
    kwargs = {"is_causal": draw(st.booleans()), "scale": draw(st.sampled_from([None, 0.5]))}
    if not mask:
        return Case(tuple(args), kwargs, (0, 1, 2))
    full = (*lead, t, s)
    cut = draw(st.integers(0, len(full)))
    shape = tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in full[cut:])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    seen = rng.random(shape) < 0.7
    if mask == "bits":
        return Case((*args, seen), kwargs, (0, 1, 2))
    if mask == "-inf":
        return Case((*args, np.where(seen, rng.normal(size=shape), -np.inf)), kwargs, (0, 1, 2))
    shape = (*shape[:-1], s) if shape else (s,)  # along one number for all keys the gradient is 0 but for rounding
    return Case((*args, draw(arrays(shape))), kwargs, (0, 1, 2, 3))


def _attention(q: Any, k: Any, v: Any, mask: Any = None, is_causal: bool = False, scale: float | None = None) -> Any:
    """Query by query, over the keys that it may see."""
    t, s = q.shape[-2], k.shape[-2]
    lead = q.shape[:-2]
    kind = np.result_type(q, k, v, *([mask] if mask is not None and mask.dtype != bool else []))
    out = np.zeros((*lead, t, v.shape[-1]), kind)
    mask = np.zeros((t, s)) if mask is None else np.where(mask, 0, -np.inf) if mask.dtype == bool else mask
    mask = np.broadcast_to(mask, (*lead, t, s))
    factor = 1 / math.sqrt(q.shape[-1] or 1) if scale is None else scale
    for at in np.ndindex(*lead, t):
        seen = [j for j in range(s) if mask[(*at, j)].real > -np.inf and not (is_causal and j > at[-1])]
        weights = [np.exp(factor * np.sum(q[at] * k[(*at[:-1], j)]) + mask[(*at, j)]) for j in seen]
        for j, w in zip(seen, weights, strict=True):
            out[at] += w / sum(weights) * v[(*at[:-1], j)]
    return out


def _kept(q: Any, k: Any, v: Any) -> Any:
    return ops.scaled_dot_product_attention(q, k, v, dropout_p=0.4, generator=np.random.default_rng(7))


def _kept_reference(q: Any, k: Any, v: Any) -> Any:
    keep = dropout_factors(0.4, (*q.shape[:-1], k.shape[-2]), np.float64, np.random.default_rng(7))
    scores = np.exp(np.sum(q[..., :, None, :] * k[..., None, :, :], axis=-1) / math.sqrt(q.shape[-1] or 1))
    weights = scores / np.sum(scores, axis=-1, keepdims=True) * keep
    return np.sum(weights[..., None] * v[..., None, :, :], axis=-2)


@st.composite
def _unmasked(draw: Any) -> Case:
    return Case(draw(_queries()).args, {}, (0, 1, 2))


@st.composite
def _forms(draw: Any, bias: bool) -> Case:
    lead = draw(shapes(max_dims=2, max_side=3))
    in1, in2, out = (draw(st.integers(0, 3)) for _ in range(3))
    args = [draw(arrays((*lead, in1))), draw(arrays((*lead, in2))), draw(arrays((out, in1, in2)))]
    return Case((*args, draw(arrays((out,)))) if bias else tuple(args), {}, (0, 1, 2, 3)[:3 + bias])


def _bilinear(x: Any, y: Any, weight: Any, bias: Any = 0.0) -> Any:
    return np.sum(x[..., None, :, None] * weight * y[..., None, None, :], axis=(-1, -2)) + bias


_ROW = (np.ones((1, 2)), np.ones((2, 2)), np.array([[1.0], [3.0]]), np.array([[False, False]]))

OPS = [
    Op("scaled_dot_product_attention", ops.scaled_dot_product_attention, _attention, _queries(), order=3, linear=(2,),
       conventions=(Convention("nothing to see: no gradient", _ROW, np.zeros((1, 2))),)),
    Op("scaled_dot_product_attention[bits]", ops.scaled_dot_product_attention, _attention, _queries("bits"), order=3,
       linear=(2,)),
    Op("scaled_dot_product_attention[-inf]", ops.scaled_dot_product_attention, _attention, _queries("-inf"),
       linear=(2,)),
    Op("scaled_dot_product_attention[mask]", ops.scaled_dot_product_attention, _attention, _queries("numbers"),
       order=3, linear=(2,)),
    Op("scaled_dot_product_attention[dropout]", _kept, _kept_reference, _unmasked(), linear=(2,)),
    Op("bilinear", ops.bilinear, _bilinear, _forms(True)),
    Op("bilinear[no bias]", ops.bilinear, _bilinear, _forms(False), order=3, linear=(0, 1, 2)),
]
