"""Rows of the op table: tables of vectors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays, indices, shapes, spaced

__all__ = ["OPS"]

_tables = shapes(min_dims=2, max_dims=2, min_side=1)


@st.composite
def _lookups(draw: Any) -> Case:
    table = draw(arrays(_tables))
    return Case((draw(indices(len(table), negative=False)), table), wrt=(1,))


@st.composite
def _bags(draw: Any, mode: str, factors: bool = False) -> Case:
    """Indices in two dimensions, or in one with offsets; empty bags too."""
    table = draw((spaced if mode == "max" else arrays)(_tables))
    if draw(st.booleans()):
        offsets = None
        found = draw(indices(len(table), shapes(min_dims=2, max_dims=2), negative=False))
    else:
        found = draw(indices(len(table), shapes(min_dims=1, max_dims=1, max_side=6), negative=False))
        cuts = draw(st.lists(st.integers(0, found.size), max_size=3))
        offsets = np.array([0, *sorted(cuts)], draw(st.sampled_from([np.int64, np.uint8])))
    args = (found, table, offsets, mode)
    return Case((*args, draw(arrays(found.shape))), wrt=(1, 4)) if factors else Case(args, wrt=(1,))


def _bag(found: Any, table: Any, offsets: Any, mode: str, factors: Any = None) -> Any:
    """Bag by bag."""
    rows = table[found] * (1.0 if factors is None else factors[..., None])
    ends = None if offsets is None else [*offsets.tolist(), found.size]
    bags = list(rows) if ends is None else [rows[a:b] for a, b in pairwise(ends)]
    if mode == "max":
        sums = [np.take_along_axis(bag, np.argmax(bag.real, axis=0)[None], 0)[0] if len(bag) else np.zeros(bag.shape[1])
                for bag in bags]
    else:
        sums = [bag.sum(axis=0) / (max(len(bag), 1) if mode == "mean" else 1) for bag in bags]
    return np.stack(sums) if sums else np.zeros((0, table.shape[1]), rows.dtype)


@st.composite
def _entries(draw: Any) -> Case:
    """Rows and columns of any number, and entries that may repeat; rows without any, too."""
    weight, found, ends = _cut(draw)
    return Case((draw(arrays((len(ends) - 1, weight.shape[1]))), weight, found, ends), wrt=(0, 1))


def _products(x: Any, weight: Any, found: Any, ends: Any) -> Any:
    """All of the product, and of that the entries."""
    return (x @ weight.T)[np.repeat(np.arange(len(x)), np.diff(ends)), found]


@st.composite
def _padded_bags(draw: Any, mode: str) -> Case:
    """The last row of the table is the padding; factors of all indices for a sum."""
    case = draw(_bags(mode, factors=mode == "sum"))
    found, table, offsets, _, *factors = case.args
    return Case((table, found, offsets, mode, *factors), wrt=(0, 4) if factors else (0,))


def _padded_bag(table: Any, found: Any, offsets: Any, mode: str, factors: Any = None) -> Any:
    return ops.embedding_bag(found, table, offsets, mode, factors, padding_idx=-1)


def _unpadded_bag(table: Any, found: Any, offsets: Any, mode: str, factors: Any = None) -> Any:
    """The bags as lists, without the last row of the table."""
    ends = ([i * found.shape[1] for i in range(len(found) + 1)] if offsets is None else
            [*offsets.tolist(), found.size])
    flat = found.ravel()
    kept = [[k for k in range(a, b) if flat[k] != len(table) - 1] for a, b in pairwise(ends)]
    chosen = np.array([k for bag in kept for k in bag], int)
    starts = np.cumsum([0, *(len(bag) for bag in kept)])[:-1]
    return _bag(flat[chosen], table, starts, mode, None if factors is None else factors.ravel()[chosen])


@st.composite
def _matrices(draw: Any) -> Case:
    """A sparse matrix whose entries may repeat, with rows without any, or of ones alone, and what it multiplies."""
    x, found, ends = _cut(draw)
    weights = draw(st.none() | arrays((found.size,)))
    return Case((x, found, ends, weights), wrt=(0,))


def _cut(draw: Any) -> tuple[Any, Any, Any]:
    """A table, places in it, and where these begin anew."""
    table = draw(arrays(_tables))
    found = draw(indices(len(table), shapes(min_dims=1, max_dims=1, max_side=6), negative=False))
    return table, found, np.array([0, *sorted(draw(st.lists(st.integers(0, found.size), max_size=3))), found.size])


def _multiplied(x: Any, found: Any, ends: Any, weights: Any) -> Any:
    """The matrix, made dense, and the product."""
    dense = np.zeros((len(ends) - 1, len(x)))
    np.add.at(dense, (np.repeat(np.arange(len(ends) - 1), np.diff(ends)), found), 1.0 if weights is None else weights)
    return dense @ x


_LENGTHS = "bags of different lengths"

OPS = [
    Op("embedding", ops.embedding, lambda found, table: table[found], _lookups(), linear=(1,)),
    Op("embedding[padding]", lambda table, found: ops.embedding(found, table, padding_idx=-1),
       lambda table, found: table[found],
       cases(arrays(shapes(min_dims=2, max_dims=2, min_side=2)), lambda x: indices(len(x) - 1, negative=False)),
       linear=(0,), conventions=(Convention("the padding row gets none", (np.ones((3, 1)), np.array([0, 2, 2, 1])),
                                            np.array([[1.0], [1.0], [0.0]])),)),
    Op("embedding_bag", ops.embedding_bag, _bag, _bags("mean"), linear=(1,), onnx=_LENGTHS),
    Op("embedding_bag[sum]", ops.embedding_bag, _bag, _bags("sum"), linear=(1,), onnx=_LENGTHS),
    Op("embedding_bag[weights]", ops.embedding_bag, _bag, _bags("sum", factors=True), linear=(1, 4), onnx=_LENGTHS),
    Op("embedding_bag[max]", ops.embedding_bag, _bag, _bags("max"), onnx=_LENGTHS),
    Op("embedding_bag[max, 2-d]", lambda table, found: ops.embedding_bag(found, table, mode="max"),
       lambda table, found: _bag(found, table, None, "max"),
       cases(spaced(_tables), lambda x: indices(len(x), shapes(2, 2, min_side=1), negative=False)), onnx=_LENGTHS,
       conventions=(Convention("the first of the largest takes it",
                               (np.array([[1.0], [2.0], [2.0]]), np.array([[0, 2, 1]])),
                               np.array([[0.0], [0.0], [1.0]])),)),
    *(Op(f"embedding_bag[{mode}, padding]", _padded_bag, _unpadded_bag, _padded_bags(mode), onnx=_LENGTHS)
      for mode in ("mean", "sum", "max")),
    Op("sampled_matmul", ops.sampled_matmul, _products, _entries(), linear=(0, 1)),
    Op("sparse_matmul", ops.sparse_matmul, _multiplied, _matrices(), linear=(0,), onnx=None),
]
