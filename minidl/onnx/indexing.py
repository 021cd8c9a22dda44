"""Lowering of indexing: slices, one array along an axis, and arrays side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.onnx.graph import Call, Graph, Pair, array_of
from minidl.onnx.trace import Lost, Value, View

__all__ = ["getitem", "scatter_add", "take"]

_END = np.iinfo(np.int64).max


def take(g: Graph, c: Call) -> str:
    """Rows, or slices along an axis, at indices."""
    axis = c["axis"] if "axis" in c.params else 0
    return g.node("Gather", g.value(c.args[0]), g.value(c.params["indices"], np.int64), axis=axis)


def getitem(g: Graph, c: Call) -> str:
    """Slices and integers first, then the arrays, then the shape."""
    parts = _aligned(c.params["index"], c.shapes(c.args[0]))
    arrays = [i for i, p in enumerate(parts) if _is_array(p[0])]
    name = _sliced(g, g.value(c.args[0]), c.shapes(c.args[0]), parts)
    if not arrays:
        return g.reshape(name, c.shapes(c.out))
    if any(_is_array(p[0]) and array_of(p[0]).dtype == bool for p in parts):
        raise g.refusal("selects by a mask of booleans, whose result has no fixed shape; use minidl.ops.where")
    whole = [i for i, p in enumerate(parts) if not isinstance(p[0], slice)]
    if len(whole) == 1:
        name = g.node("Gather", name, g.value(parts[whole[0]], np.int64), axis=whole[0])
    else:
        if whole != list(range(whole[0], whole[-1] + 1)):
            raise g.refusal("has index arrays with slices between them; move the axes together first")
        name = _gathered(g, name, [parts[i] for i in whole], whole[0], len(parts))
    return g.reshape(name, c.shapes(c.out))


def _is_array(part: Any) -> bool:
    return isinstance(part, (np.ndarray, Lost, Value, View))


def _aligned(index: Pair, shapes: Pair) -> list[Pair]:
    """One part for each axis of the array: a slice, an integer or an array; new axes come with the final shape."""
    first, second = (i if isinstance(i, tuple) else (i,) for i in index)
    parts = [p for p in zip(first, second, strict=True) if p[0] is not None]
    at = next((i for i, p in enumerate(parts) if p[0] is Ellipsis), len(parts))
    missing = len(shapes[0]) - sum(p[0] is not Ellipsis for p in parts)
    return parts[:at] + [(slice(None), slice(None))] * missing + parts[at + 1:]


def _sliced(g: Graph, name: str, shapes: Pair, parts: list[Pair]) -> str:
    """The slices (and integers, as slices of length 1, where no arrays stand beside them) in one node."""
    alone = not any(_is_array(p[0]) for p in parts)
    bounds: list[tuple[int, Pair, Pair, int]] = []
    for axis, (part, lengths) in enumerate(zip(parts, zip(*shapes, strict=True), strict=True)):
        if isinstance(part[0], (int, np.integer)) and alone:
            part = tuple(slice(int(i) % n, int(i) % n + 1) for i, n in zip(part, lengths, strict=True))
        if not isinstance(part[0], slice):
            continue
        (start, stop, step), other = (p.indices(n) for p, n in zip(part, lengths, strict=True))
        starts, stops = (start, other[0]), (stop, other[1])
        if step > 0 and stops == lengths:
            stops = (_END, _END)
        if step < 0:
            starts = (_END, _END) if all(s == n - 1 for s, n in zip(starts, lengths, strict=True)) else starts
            stops = tuple(-_END if s < 0 else s for s in stops)  # type: ignore[assignment]
        if (starts, stops, step) != ((0, 0), (_END, _END), 1):
            bounds.append((axis, starts, stops, step))
    if not bounds:
        return name
    axes, starts_, stops_, steps = zip(*bounds, strict=True)
    return g.node("Slice", name, g.ints(*zip(*starts_, strict=True)), g.ints(*zip(*stops_, strict=True)),
                  g.constant(axes), g.constant(steps))


def _gathered(g: Graph, name: str, parts: list[Pair], at: int, ndim: int) -> str:
    """Several index arrays, which broadcast, along axes `at` and following."""
    order = [*range(at, at + len(parts)), *range(at), *range(at + len(parts), ndim)]
    index, width = _positions(g, parts)
    found = g.node("GatherND", g.node("Transpose", name, perm=order) if at else name, index)
    back = [*range(width, width + at), *range(width), *range(width + at, width + ndim - len(parts))]
    return g.node("Transpose", found, perm=back) if at else found


def _positions(g: Graph, parts: Sequence[Pair]) -> tuple[str, int]:
    """Index arrays, broadcast and put side by side on a last axis; and how many axes they broadcast to."""
    shapes = [np.broadcast_shapes(*(array_of(p[k]).shape
                                    for p in parts)) for k in (0, 1)]
    full = g.ints(*(tuple(s) + (1,) for s in shapes))
    columns = []
    for part in parts:
        name = g.value(part, np.int64)
        columns.append(g.node("Expand", g.node("Unsqueeze", name, g.constant([-1])), full))
    return g.node("Concat", *columns, axis=-1), len(shapes[0])


def scatter_add(g: Graph, c: Call) -> str:
    """Additions at positions that arrays or integers name along the first axes."""
    index = c.params["index"]
    parts = list(zip(*(i if isinstance(i, tuple) else (i,) for i in index), strict=True))
    if not parts or not all(_is_array(p[0]) or isinstance(p[0], (int, np.integer)) for p in parts):
        raise g.refusal("adds at slices or masks; index with arrays of integers")
    positions, _ = _positions(g, parts)
    shapes = c.shapes(c.args[0])
    lead = [np.broadcast_shapes(*(array_of(p[k]).shape for p in parts))
            for k in (0, 1)]
    full = g.ints(*(lead[k] + shapes[k][len(parts):] for k in (0, 1)))
    updates = g.node("Expand", g.value(c.args[1], c.dtype), full)
    return g.node("ScatterND", g.value(c.args[0], c.dtype), positions, updates, reduction="add")
