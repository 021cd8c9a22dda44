"""Rows of the op table: rearranging. All are linear."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases
from minidl.testing.spec import Case, Op
from minidl.testing.strategies import arrays, axes, axis, broadcastable, shapes

__all__ = ["OPS"]


def _shapes_of_size(x: Any) -> Any:
    """Shapes that `x` can take, with a -1 where it is clear."""
    n = x.size
    options = [x.shape, x.shape[::-1], (n,), (1, n), (n, 1, 1)] + ([-1, (-1, 1)] if n else [])
    return st.sampled_from(options)


def _new_axes(x: Any) -> Any:
    return st.one_of(st.integers(-x.ndim - 1, x.ndim), st.sampled_from([(0, -1), (1, 0), (0, 2)]))


def _ones(x: Any) -> Any:
    """Axes of length 1: all of them, or some."""
    found = [i for i, n in enumerate(x.shape) if n == 1]
    return st.sampled_from([None, tuple(found), *found, *(i - x.ndim for i in found)])


def _order(x: Any) -> Any:
    some = st.permutations(range(x.ndim)).map(lambda p: tuple(i - x.ndim if i % 2 else i for i in p))
    return st.one_of(st.none(), some)


def _pairs(x: Any) -> Any:
    """Two axes, from either end."""
    return st.tuples(axis(x.ndim), axis(x.ndim))


def _swapaxes(x: Any, both: Any) -> Any:
    return np.swapaxes(x, *both)


@st.composite
def _moves(draw: Any) -> Case:
    x = draw(arrays(shapes(min_dims=1)))
    number = draw(st.integers(1, x.ndim))
    source, target = (draw(st.permutations(range(-x.ndim, 0)))[:number] for _ in range(2))
    return Case((x, source, target) if number > 1 else (x, source[0], target[0] + x.ndim))


@st.composite
def _wider(draw: Any) -> Case:
    small, other = draw(broadcastable(2))
    return Case((draw(arrays(small)), np.broadcast_shapes(small, other)))


@st.composite
def _lists(draw: Any, new_axis: bool) -> Case:
    """Arrays to join: `function(*arrays, axis=)`, sometimes the same one twice."""
    shape = draw(shapes(min_dims=0 if new_axis else 1))
    along = draw(axis(len(shape) + new_axis))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        own = shape if new_axis else (*shape[:along % len(shape)], draw(st.integers(0, 3)),
                                      *shape[along % len(shape) + 1:])
        parts.append(draw(arrays(own)))
    return Case(tuple(parts), {"axis": along}, tuple(range(len(parts))))


@st.composite
def _cuts(draw: Any, equal: bool) -> Case:
    """An array, where to cut it, which piece, and the axis."""
    shape = list(draw(shapes(min_dims=1)))
    along = draw(axis(len(shape)))
    number = draw(st.integers(1, 3))
    where: Any = number
    if equal:
        shape[along] = number * draw(st.integers(0, 2))
    elif draw(st.booleans()):
        where = sorted(draw(st.lists(st.integers(0, shape[along] + 1), min_size=1, max_size=2)))
        number = len(where) + 1
    return Case((draw(arrays(tuple(shape))), where, draw(st.integers(0, number - 1)), along))


def _split(x: Any, where: Any, piece: int, axis: int) -> Any:
    return ops.split(x, where, axis)[piece]


def _array_split(x: Any, where: Any, piece: int, axis: int) -> Any:
    return ops.array_split(x, where, axis)[piece]


def _widths(x: Any) -> Any:
    each = st.tuples(st.integers(0, 2), st.integers(0, 2))
    full = st.lists(each, min_size=x.ndim, max_size=x.ndim)
    return st.one_of(st.integers(0, 2), each, full) if x.ndim else st.integers(0, 2)


def _padded(mode: str, **kwargs: Any) -> Any:
    return cases(arrays(shapes(min_side=1)), _widths, mode=mode, **kwargs)


def _rolls(x: Any) -> Any:
    far = st.integers(-5, 5)
    single = st.tuples(far, axes(x.ndim, tuples=False))
    pair = st.tuples(st.tuples(far, far), st.tuples(axis(x.ndim), axis(x.ndim))) if x.ndim else single
    return st.one_of(single, pair)


def _times(x: Any) -> Any:
    return st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=4).map(tuple))


@st.composite
def _repeats(draw: Any) -> Case:
    x = draw(arrays(shapes()))
    along = draw(axes(x.ndim, tuples=False))
    n = x.size if along is None else x.shape[along]
    each = draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    return Case((x, np.asarray(each, int)), {"axis": along})


@st.composite
def _diagonals(draw: Any) -> Case:
    """Any two axes, and offsets beyond the corners."""
    x = draw(arrays(shapes(min_dims=2)))
    one, other = draw(st.permutations(range(x.ndim)))[:2]
    return Case((x, draw(st.integers(-4, 4)), one, draw(st.sampled_from([other, other - x.ndim]))))


def _triangles() -> Any:
    return cases(arrays(shapes(min_dims=1)), k=st.integers(-3, 3))


OPS = [
    Op("reshape", ops.reshape, np.reshape, cases(arrays(), _shapes_of_size), linear=(0,)),
    Op("ravel", ops.ravel, np.ravel, cases(arrays()), linear=(0,)),
    Op("squeeze", ops.squeeze, np.squeeze, cases(arrays(shapes(max_side=2)), axis=_ones), linear=(0,)),
    Op("expand_dims", ops.expand_dims, np.expand_dims, cases(arrays(shapes(min_dims=1)), _new_axes), linear=(0,)),
    Op("transpose", ops.transpose, np.transpose, cases(arrays(), axes=_order), linear=(0,)),
    Op("swapaxes", lambda x, both: ops.swapaxes(x, *both), _swapaxes, cases(arrays(shapes(min_dims=1)), _pairs),
       linear=(0,)),
    Op("moveaxis", ops.moveaxis, np.moveaxis, _moves(), linear=(0,)),
    Op("broadcast_to", ops.broadcast_to, np.broadcast_to, _wider(), linear=(0,)),
    Op("flip", ops.flip, np.flip, cases(arrays(), axis=lambda x: axes(x.ndim)), linear=(0,)),
    Op("roll", lambda x, how: ops.roll(x, *how), lambda x, how: np.roll(x, *how), cases(arrays(), _rolls),
       linear=(0,)),
    Op("concatenate", lambda *xs, axis: ops.concatenate(xs, axis), lambda *xs, axis: np.concatenate(xs, axis),
       _lists(False)),
    Op("concatenate[None]", lambda *xs: ops.concatenate(xs, None), lambda *xs: np.concatenate(xs, None),
       cases(arrays(), arrays())),
    Op("stack", lambda *xs, axis: ops.stack(xs, axis), lambda *xs, axis: np.stack(xs, axis), _lists(True)),
    Op("split", _split, lambda x, where, piece, axis: np.split(x, where, axis)[piece], _cuts(True), linear=(0,)),
    Op("array_split", _array_split, lambda x, where, piece, axis: np.array_split(x, where, axis)[piece],
       _cuts(False), linear=(0,)),
    Op("pad", ops.pad, np.pad, _padded("constant"), linear=(0,)),
    Op("pad[value]", ops.pad, np.pad, _padded("constant", constant_values=1.5)),
    *(Op(f"pad[{mode}]", ops.pad, np.pad, _padded(mode), linear=(0,))
      for mode in ("edge", "reflect", "symmetric", "wrap")),
    Op("diagonal", ops.diagonal, np.diagonal, _diagonals(), linear=(0,)),
    Op("tril", ops.tril, np.tril, _triangles(), linear=(0,)),
    Op("triu", ops.triu, np.triu, _triangles(), linear=(0,)),
    Op("repeat", ops.repeat, np.repeat, _repeats(), linear=(0,)),
    Op("tile", ops.tile, np.tile, cases(arrays(), _times), linear=(0,)),
]
