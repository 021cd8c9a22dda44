"""Rows of the op table: reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import between, cases, reduction, spaced_out
from minidl.testing.spec import Convention, Op
from minidl.testing.strategies import arrays, axes, axis, broadcastable, shapes, spaced

__all__ = ["OPS"]


def _var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    mean = np.mean(x, axis=axis, keepdims=True)
    squares = np.sum((x - mean) ** 2, axis=axis, keepdims=keepdims)
    return squares / (x.size // mean.size - ddof)


def _std(x: Any, **kwargs: Any) -> Any:
    return np.sqrt(_var(x, **kwargs))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    magnitude = x * np.sign(x.real)
    if ord == 1:
        return np.sum(magnitude, axis=axis, keepdims=keepdims)
    if ord == np.inf:
        return _max(magnitude, axis, keepdims)
    if ord not in (None, 2, "fro"):
        return np.sum(magnitude ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _normalize(x: Any, p: float, axis: int) -> Any:
    return x / np.sum((x * np.sign(x.real)) ** p, axis=axis, keepdims=True) ** (1 / p)


def _max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The element with the largest real part; there are no ties."""
    chosen = x.real == np.max(x.real, axis=axis, keepdims=True)
    return np.sum(np.where(chosen, x, 0), axis=axis, keepdims=keepdims)


def _min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return -_max(-x, axis, keepdims)


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    top = np.max(x.real)
    return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=keepdims)) + top


def _sum_to(x: Any, shape: Any) -> Any:
    lead = x.ndim - len(shape)
    for i, n in reversed(list(enumerate((1,) * lead + shape))):
        if n != x.shape[i]:
            x = np.add.reduce(x, axis=i, keepdims=True)
    return x.reshape(shape)


def _with_zeros(shape: Any) -> Any:
    return arrays(shape).map(lambda x: np.where(np.abs(x) < 0.6, 0.0, x))


def _small(values: Any, **limits: int) -> Any:
    """Reductions of few elements: differences of products of many are noise."""
    return cases(values(shapes(**{"max_side": 3, **limits})), axis=lambda x: axes(x.ndim), keepdims=st.booleans())


def _signed(shape: Any) -> Any:
    """Values whose magnitudes are all different, of both signs."""
    return spaced(shape, centre=10.0).map(lambda x: np.where(np.arange(x.size).reshape(x.shape) % 2, x, -x))


def _vectors(x: Any) -> Any:
    """What `axis` may be when a norm is one of vectors."""
    return axes(x.ndim, none=x.ndim < 2, tuples=False)


def _matrices(x: Any) -> Any:
    """Any axes but three."""
    return axes(x.ndim).filter(lambda a: not isinstance(a, tuple) or len(a) < 3)


OPS = [
    Op("sum", ops.sum, np.sum, reduction(), linear=(0,)),
    Op("mean", ops.mean, np.mean, reduction(min_side=1), linear=(0,)),
    Op("var", ops.var, _var, reduction(min_side=2, min_dims=1, ddof=st.sampled_from([0, 1])), order=3),
    Op("std", ops.std, _std, reduction(spaced_out(), min_side=3, min_dims=1, ddof=st.sampled_from([0, 1])), order=3,
       conventions=(Convention("0 where the standard deviation is 0", (np.full(3, 2.0),), np.zeros(3)),)),
    Op("norm", ops.norm, _norm,
       cases(between(0.3, 2, mirrored=True)(shapes(min_dims=1, min_side=2)), axis=_matrices, keepdims=st.booleans()),
       order=3,
       conventions=(Convention("0 at 0", (np.zeros(3),), np.zeros(3)),)),
    Op("norm[1]", ops.norm, _norm,
       cases(between(0.3, 2, mirrored=True)(shapes()), ord=1, axis=_vectors, keepdims=st.booleans()),
       conventions=(Convention("0 at 0", (np.array([0.0, -2.0]),), np.array([0.0, -1.0]), {"ord": 1}),)),
    Op("norm[inf]", ops.norm, _norm,
       cases(_signed(shapes(min_side=1)), ord=np.inf, axis=_vectors, keepdims=st.booleans()),
       conventions=(Convention("the first of the largest magnitudes takes it", (np.array([1.0, -2.0, 2.0]),),
                               np.array([0.0, -1.0, 0.0]), {"ord": np.inf}),)),
    Op("norm[p]", ops.norm, _norm,
       cases(between(0.3, 2, mirrored=True)(shapes(min_side=1)), ord=st.sampled_from([0.5, 1.5, 3, 4.0]), axis=_vectors,
             keepdims=st.booleans()), order=3,
       conventions=(Convention("0 where x is 0", (np.array([0.0, -2.0]),), np.array([0.0, -1.0]), {"ord": 3}),
                    Convention("0 at 0", (np.zeros(2),), np.zeros(2), {"ord": 1.5}))),
    Op("normalize", ops.normalize, _normalize,
       cases(between(0.3, 2, mirrored=True)(shapes(min_dims=1, min_side=2)), p=st.sampled_from([1, 2.0, 3.0]),
             axis=lambda x: axis(x.ndim)), order=3,
       conventions=(Convention("g / eps at 0", (np.zeros((1, 2)),), np.full((1, 2), 4.0), {"eps": 0.25}),)),
    Op("max", ops.max, _max, reduction(spaced_out(), min_side=1),
       conventions=(Convention("the first of the largest takes it", (np.array([1.0, 3.0, 3.0]),),
                               np.array([0.0, 1.0, 0.0])),)),
    Op("min", ops.min, _min, reduction(spaced_out(), min_side=1),
       conventions=(Convention("the first of the smallest takes it", (np.array([1.0, 3.0, 1.0]),),
                               np.array([1.0, 0.0, 0.0])),)),
    Op("prod", ops.prod, np.prod, _small(between(0.7, 1.4, mirrored=True)), order=3),
    Op("prod[zeros]", ops.prod, np.prod, _small(_with_zeros, max_dims=2, max_side=2), order=3),
    Op("logsumexp", ops.logsumexp, _logsumexp, reduction(min_side=1), order=3),
    Op("cumsum", ops.cumsum, np.cumsum, cases(arrays(), axis=lambda x: axes(x.ndim, tuples=False)), linear=(0,)),
    Op("cumsum[axis]", ops.cumsum, np.cumsum, cases(arrays(shapes(min_dims=1)), axis=lambda x: axis(x.ndim)),
       linear=(0,)),
    Op("cumprod", ops.cumprod, np.cumprod,
       cases(between(0.7, 1.4, mirrored=True)(shapes(max_side=3)), axis=lambda x: axes(x.ndim, tuples=False)), order=3),
    Op("cumprod[zeros]", ops.cumprod, np.cumprod,
       cases(_with_zeros(shapes(min_dims=1, max_dims=2)), axis=lambda x: axis(x.ndim)), order=3),
    Op("sum_to", ops.sum_to, _sum_to,
       broadcastable(2).flatmap(lambda pair: cases(arrays(np.broadcast_shapes(*pair)), pair[0])), linear=(0,)),
]
