"""Rows of the op table: products, einsum, linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Case, Op
from minidl.testing.strategies import arrays, broadcastable, shapes

__all__ = ["OPS"]

_SUBSCRIPTS = ["ij,jk->ik", "ij,jk", "ij,ij->", "bij,bjk->bik", "i,j->ij", "ij->ji", "ij->", "ij->j", "ii", "ii->i",
               "iij->j", "iij,j->ij", "ij,j,jk->k", "ij,kj,kl->il", "ijk,j->j", "ij,kl->i", "i,i,i->i", "ji,ji->i",
               "iij,jki->k"]
_ELLIPSIS = ["...i,...i->...", "...ij,...jk", "...ij,jk->...ik", "...,...", "...ii->...i", "i...,i->...", "...i->..."]


@st.composite
def _products(draw: Any) -> Case:
    """Vectors, matrices and stacks that broadcast."""
    found = draw(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=3))
    left, right = found.input_shapes
    return Case((draw(arrays(left)), draw(arrays(right))), wrt=(0, 1))


@st.composite
def _affine(draw: Any, bias: bool) -> Case:
    x = draw(arrays(shapes(min_dims=1)))
    weight = draw(arrays((draw(st.integers(0, 3)), x.shape[-1])))
    return Case((x, weight, draw(arrays(weight.shape[:1]))) if bias else (x, weight), wrt=(0, 1, 2)[:2 + bias])


def _linear(x: Any, weight: Any, bias: Any = 0.0) -> Any:
    return np.sum(x[..., None, :] * weight, axis=-1) + bias


@st.composite
def _pairs(draw: Any) -> Case:
    shape = draw(shapes(min_dims=1))
    return Case((draw(arrays(shape)), draw(arrays(shape))), wrt=(0, 1))


def _outer(a: Any, b: Any) -> Any:
    return a.reshape(-1, 1) * b.reshape(1, -1)


@st.composite
def _dots(draw: Any) -> Case:
    """Numbers, vectors, matrices and stacks, of which the axes that are summed over are equally long."""
    a, b = draw(shapes(max_side=3)), list(draw(shapes(max_side=3)))
    if a and b:
        b[-2 if len(b) > 1 else 0] = a[-1]
    return Case((draw(arrays(a)), draw(arrays(tuple(b)))), wrt=(0, 1))


@st.composite
def _contracted(draw: Any) -> Case:
    """So many axes, or which ones of each, in any order and from either end."""
    n = draw(st.integers(0, 2))
    common = draw(shapes(min_dims=n, max_dims=n, max_side=3))
    ours, theirs = draw(shapes(max_dims=2, max_side=2)), draw(shapes(max_dims=2, max_side=2))
    if draw(st.booleans()):
        return Case((draw(arrays(ours + common)), draw(arrays(common + theirs)), n), wrt=(0, 1))
    places = [draw(st.permutations(range(n + len(rest))))[:n] for rest in (ours, theirs)]
    filled = []
    for rest, along in zip((ours, theirs), places, strict=True):
        left = iter(rest)
        filled.append(tuple(common[along.index(i)] if i in along else next(left) for i in range(n + len(rest))))
    a, b = (draw(arrays(shape)) for shape in filled)
    return Case((a, b, (places[0], [i - b.ndim for i in places[1]])), wrt=(0, 1))


@st.composite
def _contractions(draw: Any) -> Case:
    """Terms in letters, a length for each letter."""
    subscripts = draw(st.sampled_from(_SUBSCRIPTS))
    lengths = {c: draw(st.integers(0, 3)) for c in sorted(set(subscripts)) if c.isalpha()}
    terms = subscripts.partition("->")[0].split(",")
    operands = [draw(arrays(tuple(lengths[c] for c in term))) for term in terms]
    return Case((subscripts, *operands), wrt=tuple(range(1, len(operands) + 1)))


@st.composite
def _batched_contractions(draw: Any) -> Case:
    """Terms with an ellipsis, whose axes broadcast."""
    subscripts = draw(st.sampled_from(_ELLIPSIS))
    terms = subscripts.partition("->")[0].split(",")
    lengths = {c: draw(st.integers(1, 3)) for c in sorted(set(subscripts)) if c.isalpha()}
    batches = draw(broadcastable(len(terms), max_dims=2, max_side=2))
    operands = []
    for term, batch in zip(terms, batches, strict=True):
        before, dots, after = term.partition("...")
        shape = [lengths[c] for c in before], (batch if dots else ()), [lengths[c] for c in after]
        operands.append(draw(arrays(tuple(n for part in shape for n in part))))
    return Case((subscripts, *operands), wrt=tuple(range(1, len(operands) + 1)))


def _dominant(batch: Any = ()) -> Any:
    """Well-conditioned matrices: small elements and a diagonal of 2."""
    sizes = st.integers(1, 3)
    return sizes.flatmap(lambda n: arrays((*batch, n, n), -0.4, 0.4)).map(lambda a: a + 2 * np.eye(a.shape[-1]))


@st.composite
def _systems(draw: Any, vector: bool) -> Case:
    left, right = draw(broadcastable(2, max_dims=2, max_side=2))
    a = draw(_dominant(left))
    n = a.shape[-1]
    b = draw(arrays((n,) if vector else (*right, n, draw(st.integers(0, 2)))))
    return Case((a, b), wrt=(0, 1))


def _symmetric(a: Any) -> Any:
    return (a + a.swapaxes(-1, -2)) / 2


def _cholesky(a: Any) -> Any:
    """Column by column, for complex numbers without conjugation."""
    a = _symmetric(a)
    low = np.zeros_like(a)
    for j in range(a.shape[-1]):
        rest = a[..., j:, j] - np.sum(low[..., j:, :j] * low[..., j:j + 1, :j], axis=-1)
        low[..., j:, j] = rest / np.sqrt(rest[..., :1])
    return low


_batches = shapes(max_dims=2, max_side=2)

OPS = [
    Op("matmul", ops.matmul, np.matmul, _products(), linear=(0, 1)),
    Op("linear", ops.linear, _linear, _affine(True)),
    Op("linear[no bias]", ops.linear, _linear, _affine(False), linear=(0, 1)),
    Op("row_dot", ops.row_dot, lambda a, b: np.sum(a * b, axis=-1), _pairs(), linear=(0, 1)),
    Op("outer", ops.outer, _outer, cases(arrays(), arrays()), linear=(0, 1)),
    Op("dot", ops.dot, np.dot, _dots(), linear=(0, 1)),
    Op("tensordot", ops.tensordot, np.tensordot, _contracted(), linear=(0, 1)),
    Op("einsum", ops.einsum, np.einsum, _contractions(), order=3),
    Op("einsum[...]", ops.einsum, np.einsum, _batched_contractions()),
    Op("inv", ops.inv, np.linalg.inv, cases(_batches.flatmap(_dominant)), order=3, onnx=None),
    Op("det", ops.det, np.linalg.det, cases(_batches.flatmap(_dominant)), order=3),
    Op("solve", ops.solve, np.linalg.solve, _systems(False), order=3, linear=(1,), onnx=None),
    Op("solve[vector]", ops.solve, np.linalg.solve, _systems(True), order=3, linear=(1,), onnx=None),
    Op("cholesky", lambda a: ops.cholesky(_symmetric(a)), _cholesky, cases(_batches.flatmap(_dominant)), order=3,
       onnx=None),
]
