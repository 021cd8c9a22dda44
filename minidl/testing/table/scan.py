"""Rows of the op table: linear recurrences."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl.ops.scan import linear_scan
from minidl.testing.spec import Case, Op
from minidl.testing.strategies import arrays

__all__ = ["OPS"]


def _states(x: Any, decay: Any, h0: Any = None) -> Any:
    """One number of one sample at a time, as a matrix of 2 x 2 that turns and shrinks a pair."""
    n = len(decay) // 2
    out = np.zeros(x.shape, np.result_type(*(a for a in (x, decay, h0) if a is not None)))
    for place in np.ndindex(*x.shape[:-2]):
        for j in range(n):
            turn = np.array([[decay[j], -decay[n + j]], [decay[n + j], decay[j]]])
            pair = np.zeros(2) if h0 is None else h0[place][[j, n + j]]
            for t in range(x.shape[-2]):
                pair = turn @ pair + x[place][t, [j, n + j]]
                out[(*place, t, [j, n + j])] = pair
    return out


@st.composite
def _calls(draw: Any, start: bool = True) -> Case:
    """x (..., T, 2 N), factors, states before; no samples, steps or numbers too."""
    leading = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    steps, width = draw(st.integers(0, 3)), 2 * draw(st.integers(0, 2))
    shapes = [(*leading, steps, width), (width,), *([(*leading, width)] if start else [])]
    args = tuple(draw(arrays(shape, -1, 1)) for shape in shapes)
    return Case(args, {}, tuple(range(len(args))))


OPS = [
    Op("linear_scan", linear_scan, _states, _calls(), order=3),
    Op("linear_scan[from zero]", linear_scan, _states, _calls(start=False), linear=(0,)),
]
