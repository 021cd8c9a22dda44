"""Rows of the op table: pooling. The references go through windows and planes in plain loops."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.ops import pool
from minidl.testing.cases import Values, between, spaced_out
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import conv_geometry, spaced

__all__ = ["OPS"]

# ------------------------------------------------------------------------------------------ references


def _both(value: Any, dims: int) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,) * dims


def _sliding(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[list[int]]:
    """The positions of every window along one axis, those in the padding and beyond it too."""
    reach, end = dilation * (kernel - 1) + 1, size + padding
    starts = [-padding]
    while True:
        following = starts[-1] + stride
        rest = starts[-1] + reach < end and following < size  # something is left, and a window may begin there
        if following + reach > end and not (ceil and rest):
            return [[start + k * dilation for k in range(kernel)] for start in starts]
        starts.append(following)


def _pieces(size: int, n: int) -> list[list[int]]:
    return [list(range(math.floor(Fraction(i * size, n)), math.ceil(Fraction((i + 1) * size, n)))) for i in range(n)]


def _pooled(x: Any, dims: int, windows: list[list[list[int]]], reduce: Any) -> Any:
    """`reduce(plane, rows, columns)` of every window of every plane; windows of each axis."""
    rows, cols = windows if dims == 2 else [[[0]], windows[0]]
    lead = x.shape[:-dims]
    planes = x.reshape((math.prod(lead), x.shape[-2] if dims == 2 else 1, x.shape[-1]))
    out = np.zeros((len(planes), len(rows), len(cols)), x.dtype)
    for p, i, j in np.ndindex(out.shape):
        out[p, i, j] = reduce(planes[p], rows[i], cols[j])
    return out.reshape(lead + out.shape[-dims:])


def _inside(plane: Any, rows: list[int], cols: list[int]) -> list[Any]:
    height, width = plane.shape
    return [plane[i, j] for i, j in itertools.product(rows, cols) if 0 <= i < height and 0 <= j < width]


def _largest(plane: Any, rows: list[int], cols: list[int]) -> Any:
    return max(_inside(plane, rows, cols), key=lambda value: value.real)


def _mean(plane: Any, rows: list[int], cols: list[int]) -> Any:
    values = _inside(plane, rows, cols)
    return sum(values) / len(values)


def _max_pool(dims: int) -> Any:
    def reference(x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                  ceil: bool = False) -> Any:
        options = [_both(v, dims) for v in (kernel, kernel if stride is None else stride, padding, dilation, ceil)]
        return _pooled(x, dims, [_sliding(*each) for each in zip(x.shape[-dims:], *options, strict=True)], _largest)

    return reference


def _avg_pool(dims: int) -> Any:
    def reference(x: Any, kernel: Any, stride: Any = None, padding: Any = 0, ceil: bool = False,
                  include: bool = True, divisor: int | None = None) -> Any:
        options = [_both(v, dims) for v in (kernel, kernel if stride is None else stride, padding, 1, ceil)]
        sizes, pads = (x.shape[-dims:], options[2]) if dims == 2 else ((1, *x.shape[-1:]), (0, *options[2]))

        def count(positions: list[int], size: int, pad: int) -> int:
            return sum(-pad * include <= k < size + pad * include for k in positions)

        def mean(plane: Any, rows: list[int], cols: list[int]) -> Any:
            return sum(_inside(plane, rows, cols)) / (divisor or count(rows, sizes[0], pads[0])
                                                      * count(cols, sizes[1], pads[1]))

        return _pooled(x, dims, [_sliding(*each) for each in zip(x.shape[-dims:], *options, strict=True)], mean)

    return reference


def _adaptive(dims: int, reduce: Any) -> Any:
    def reference(x: Any, output_size: Any) -> Any:
        sizes = [size if n is None else n for size, n in zip(x.shape[-dims:], _both(output_size, dims), strict=True)]
        return _pooled(x, dims, [_pieces(*each) for each in zip(x.shape[-dims:], sizes, strict=True)], reduce)

    return reference


# ------------------------------------------------------------------------------------------------ cases

_leads = st.sampled_from([(1,), (2,), (1, 2), (2, 1), (0, 2), (2, 0)])  # (C,) or (N, C)


@st.composite
def _slides(draw: Any, dims: int, values: Values, average: bool = False, divisor: bool = False) -> Case:
    fit = draw(conv_geometry(dims, max_out=2, max_stride=2, max_dilation=1 if average else 2))
    size = map(max, fit.size, fit.dilation)  # so that every window has an element
    x = draw(values((*draw(_leads), *size)))
    kernel, stride, padding, dilation = (v[0] if len(set(v)) == 1 and draw(st.booleans()) else v for v in fit[1:5])
    args = (x, kernel, None if stride == kernel and draw(st.booleans()) else stride, padding)
    if not average:
        return Case((*args, dilation, draw(st.booleans())))
    counts = (draw(st.booleans()), draw(st.booleans()))
    return Case((*args, *counts, draw(st.sampled_from([1, 3, -2])))) if divisor else Case((*args, *counts))


@st.composite
def _pieces_of(draw: Any, dims: int, values: Values) -> Case:
    x = draw(values((*draw(_leads), *(draw(st.integers(1, 5)) for _ in range(dims)))))
    one = st.one_of(st.integers(1, 4), st.none(), st.just(0))
    return Case((x, draw(st.one_of(one, st.tuples(*[one] * dims)))))


@st.composite
def _halves(draw: Any) -> Case:
    """Windows of 2 x 2 that do not overlap, the most common ones; a last row or column may be left over."""
    return Case((draw(spaced((*draw(_leads), draw(st.integers(2, 5)), draw(st.integers(2, 5))))), 2))


_NAN = np.nan
_TIES = (Convention("the first of equal elements", (np.ones((1, 1, 2, 3)), (2, 3)), [[[[1, 0, 0], [0, 0, 0]]]]),
         Convention("the last NaN", (np.array([[[[1, _NAN], [_NAN, 2.0]]]]), 2), [[[[0, 0], [1, 0]]]]))
_LINE_TIES = (Convention("the first of equal elements", (np.ones((1, 1, 3)), 3), [[[1, 0, 0]]]),)
_PIECE_TIES = (Convention("the first of equal elements", (np.ones((1, 1, 3)), 1), [[[1, 0, 0]]]),)

OPS = [
    Op("max_pool1d", pool.max_pool1d, _max_pool(1), _slides(1, spaced_out()), conventions=_LINE_TIES),
    Op("max_pool2d", pool.max_pool2d, _max_pool(2), _slides(2, spaced_out()), conventions=_TIES),
    Op("max_pool2d[halves]", pool.max_pool2d, _max_pool(2), _halves(), conventions=_TIES[:2]),
    Op("avg_pool1d", pool.avg_pool1d, _avg_pool(1), _slides(1, between(), average=True), linear=(0,)),
    Op("avg_pool2d", pool.avg_pool2d, _avg_pool(2), _slides(2, between(), average=True), linear=(0,)),
    Op("avg_pool2d[divisor]", pool.avg_pool2d, _avg_pool(2), _slides(2, between(), average=True, divisor=True),
       linear=(0,)),
    Op("adaptive_max_pool1d", pool.adaptive_max_pool1d, _adaptive(1, _largest), _pieces_of(1, spaced_out()),
       conventions=_PIECE_TIES),
    Op("adaptive_max_pool2d", pool.adaptive_max_pool2d, _adaptive(2, _largest), _pieces_of(2, spaced_out()),
       conventions=_PIECE_TIES),
    Op("adaptive_avg_pool1d", pool.adaptive_avg_pool1d, _adaptive(1, _mean), _pieces_of(1, between()), linear=(0,)),
    Op("adaptive_avg_pool2d", pool.adaptive_avg_pool2d, _adaptive(2, _mean), _pieces_of(2, between()), linear=(0,)),
]
