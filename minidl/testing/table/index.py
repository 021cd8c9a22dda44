"""Rows of the op table: reading and adding at indices, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays, axes, axis, index_for, indices, shapes, spaced

__all__ = ["OPS"]


def _scatter_add(x: Any, index: Any, updates: Any) -> Any:
    out = np.array(x, dtype=np.result_type(x, updates))
    np.add.at(out, index, np.broadcast_to(updates, out[index].shape))  # NumPy 2.4 itself broadcasts beyond the end
    return out


@st.composite
def _updates(draw: Any) -> Case:
    """An array, any index of it, and updates that broadcast to what the index selects."""
    x = draw(arrays())
    index = draw(index_for(x.shape))
    shape = x[index].shape
    if draw(st.booleans()):
        shape = shape[draw(st.integers(0, len(shape))):]
    return Case((x, index, draw(arrays(shape))), wrt=(0, 2))


@st.composite
def _takes(draw: Any) -> Case:
    x = draw(arrays(shapes(min_side=1)))
    along = draw(axes(x.ndim, tuples=False))
    return Case((x, draw(indices(x.size if along is None else x.shape[along]))), {"axis": along})


@st.composite
def _along(draw: Any) -> Case:
    x = draw(arrays(shapes(min_dims=1, min_side=1)))
    along = draw(axis(x.ndim))
    shape = [draw(st.sampled_from([1, n])) for n in x.shape]
    shape[along] = draw(st.integers(0, 3))
    return Case((x, draw(indices(x.shape[along], tuple(shape)))), {"axis": along})


def _sort(x: Any, axis: Any = -1) -> Any:
    flat = x.ravel() if axis is None else x
    along = -1 if axis is None else axis
    return np.take_along_axis(flat, np.argsort(flat.real, axis=along), along)


@st.composite
def _tops(draw: Any) -> Case:
    x = draw(spaced(shapes(min_dims=1)))
    along = draw(axis(x.ndim))
    return Case((x, draw(st.integers(0, x.shape[along])), along))


def _topk(x: Any, k: int, axis: int) -> Any:
    return np.take(np.flip(_sort(x, axis), axis), np.arange(k), axis)


def _places() -> Any:
    """Calls that nothing is differentiated in."""
    return cases(spaced(shapes(min_side=1)), axis=lambda x: axes(x.ndim, tuples=False), keepdims=st.booleans(), wrt=())


OPS = [
    Op("getitem", ops.getitem, lambda x, index: x[index], cases(arrays(), lambda x: index_for(x.shape)), linear=(0,),
       onnx="masks of booleans, whose result has no fixed shape"),
    Op("scatter_add", ops.scatter_add, _scatter_add, _updates(), onnx="slices and masks"),
    Op("take", ops.take, lambda x, indices, axis: np.take(x, indices.astype(int), axis), _takes(), linear=(0,)),
    Op("gather", ops.gather, lambda x, indices: x[indices],
       cases(arrays(shapes(min_dims=1, min_side=1)), lambda x: indices(len(x))), linear=(0,)),
    Op("take_along_axis", ops.take_along_axis, np.take_along_axis, _along(), linear=(0,)),
    Op("sort", ops.sort, _sort, cases(spaced(shapes(min_dims=1)), axis=lambda x: axes(x.ndim, tuples=False)),
       conventions=(Convention("equal elements keep their order", (np.array([[1.0, 1.0], [2.0, 2.0]]),),
                               np.ones((2, 2))),)),
    Op("topk", lambda x, k, axis=-1: ops.topk(x, k, axis)[0], _topk, _tops(),
       conventions=(Convention("among equals the lower index is chosen", (np.array([1.0, 3.0, 3.0]), 1),
                               np.array([0.0, 1.0, 0.0])),)),
    Op("argmax", ops.argmax, np.argmax, _places()),
    Op("argmin", ops.argmin, np.argmin, _places()),
    Op("one_hot", ops.one_hot, lambda found, num_classes: np.eye(num_classes, dtype=int)[found],
       cases(indices(4, negative=False), num_classes=st.integers(4, 6), wrt=())),
]
