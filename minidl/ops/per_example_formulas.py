"""How the gradient of each example is made for an input of an operation, and how it goes on through operations on it.

`FORMULAS` make it where examples are apart above an operation, and one of its inputs, such as a weight, belongs to all.
`THROUGH` takes gradients of all examples at once through an operation on what belongs to all, such as a transposed
table, or the part of a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.ops import activation_more, conv, elementwise, functions, index, linalg, shape
from minidl.ops.embeddings import _embedding_bag_rule, _embedding_rule, _weighted_reference
from minidl.ops.factored import Outer
from minidl.rowgrad import RowGrad

if TYPE_CHECKING:
    from minidl.ops.per_example import _Apart, _Call

__all__ = ["FORMULAS", "THROUGH"]


# ------------------------------------------------------------------------------------------- for each example

def _linear(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """Outer products of a row of g and a row of x, summed over the rows of an example."""
    if apart.axis == g.ndim - 1 or place == 0:
        return None
    rows = apart.rows(g, count)  # (B, n, out)
    if place == 2:
        return rows.sum(axis=1)
    return Outer(rows, apart.rows(call.inputs[0], count)).short()


def _matmul(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    x, weight = (np.asarray(a) if isinstance(a, (list, tuple)) else a for a in call.inputs)
    if place == 0 or x.ndim < 2 or weight.ndim != 2 or apart.axis == g.ndim - 1:
        return None
    return Outer(apart.rows(x, count), apart.rows(g, count)).short()


def _by_images(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """A convolution of one image at a time, when each example has one."""
    if apart.axis or apart.turns or len(g) != count or place == 0:
        return None
    needs = [i == place for i in range(len(call.node.parents))]
    x, *others = call.inputs
    return np.stack([call.rule(g[b:b + 1], None, [x[b:b + 1], *others], needs, **call.params)[place]
                     for b in range(count)])


def _elementwise(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """What belongs to an example, summed over what was broadcast."""
    needs = [i == place for i in range(len(call.node.parents))]
    c = call.rule(g, call.out, call.inputs, needs, **call.params)[place]
    parent: Any = call.node.parents[place]
    lengths = (1,) * (g.ndim - parent.ndim) + parent.shape
    if c.shape != g.shape or lengths[apart.axis] != 1:
        return None
    parts = apart.parts(c, count)  # (B, n, ...)
    rest = (*lengths[:apart.axis], *lengths[apart.axis + 1:])
    total = parts.sum(axis=(1, *(i + 2 for i, n in enumerate(rest) if n == 1 != parts.shape[i + 2])))
    return total.reshape((count, *parent.shape))


def _lookup(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """A row for each index: of `embedding`, `take` along the first axis, and an array of integers as an index."""
    params: Any = call.params
    found = params["indices"] if "indices" in params else params["index"]
    parent: Any = call.node.parents[place]
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu" or params.get("axis", 0) != 0:
        return None
    if apart.axis >= found.ndim:
        return None
    parts = apart.parts(found.astype(np.int64, copy=False), count).reshape(count, -1)
    flat = (parts % parent.shape[0] + parent.shape[0] * np.arange(count)[:, None]).reshape(-1)
    rows = apart.parts(g, count).reshape((flat.size, *parent.shape[1:])).copy()
    if (padding := params.get("padding")) is not None:
        real = parts.reshape(-1) != padding
        flat, rows = flat[real], rows[real]
    return RowGrad(flat, rows, (count * parent.shape[0], *parent.shape[1:]))


def _bag(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """A row for each index of a bag, times its factor."""
    if apart.axis or place:
        return None
    parent: Any = call.node.parents[0]
    ends = call.params["ends"]
    scale = call.params["scale"] if "scale" in call.params else call.params["saved"]
    bags = np.repeat(np.arange(len(g)), np.diff(ends))
    example = bags % count if apart.turns else bags // (len(g) // count)
    rows = (g[bags] * scale[:, None]).astype(g.dtype, copy=False)
    return RowGrad(call.params["indices"] + parent.shape[0] * example, rows,
                   (count * parent.shape[0], parent.shape[1]))


FORMULAS: dict[Any, Callable[..., Any]] = {
    linalg._linear_rule: _linear, linalg._matmul_rule: _matmul, _embedding_rule: _lookup,
    index._take_rule: _lookup, index._getitem_rule: _lookup, _embedding_bag_rule: _bag, _weighted_reference: _bag,
    conv._conv2d_rule: _by_images, conv._conv_transpose2d_rule: _by_images,
    **dict.fromkeys((elementwise._add_rule, elementwise._subtract_rule, elementwise._multiply_rule,
                     elementwise._divide_rule, elementwise._maximum_rule, elementwise._minimum_rule,
                     elementwise._where_rule, elementwise._power_rule, activation_more._prelu_rule),
                    _elementwise)}
"""Rule, or for a fused operation its reference, to the gradients of each example for one of its inputs, or None."""


# ------------------------------------------------------------------------------------------------- all at once

def _transposed(call: _Call, each: Any) -> Any:
    axes = call.params["axes"]
    if isinstance(each, Outer):
        return each.turned()
    back = range(each.ndim - 1)[::-1] if axes is None else np.argsort([a % len(axes) for a in axes])
    return each.transpose((0, *(int(i) + 1 for i in back)))


def _swapped(call: _Call, each: Any) -> Any:
    if isinstance(each, Outer):
        return each if call.params["axis1"] % 2 == call.params["axis2"] % 2 else each.turned()
    one, two = (a % (each.ndim - 1) + 1 for a in (call.params["axis1"], call.params["axis2"]))
    return each.swapaxes(one, two)


def _reshaped(call: _Call, each: Any) -> Any:
    parent: Any = call.node.parents[0]
    return _made(each).reshape((len(each), *parent.shape))


def _picked(call: _Call, each: Any) -> Any:
    """Of a part of an array, by slices and whole numbers."""
    parent, place = call.node.parents[0], call.params["index"]
    place = place if isinstance(place, tuple) else (place,)
    if not all(isinstance(i, (int, np.integer, slice)) for i in place):
        return None
    out = np.zeros((len(each), *parent.shape), each.dtype)  # type: ignore[union-attr]
    out[(slice(None), *place)] = _made(each)
    return out


def _joined(call: _Call, each: Any) -> list[Any]:
    axis, lengths = call.params["axis"], call.params["lengths"]
    return np.split(_made(each), np.cumsum(lengths)[:-1], axis=axis % call.node.ndim + 1)


def _pointwise(call: _Call, each: Any) -> list[Any]:
    """Of functions of each element: the rule takes any gradient that broadcasts, and what was broadcast is summed."""
    needs = [p is not None for p in call.node.parents]
    made = call.rule(_made(each), call.out, call.inputs, needs, **call.params)
    return [None if p is None or c is None else _down(c, p.shape) for c, p in zip(made, call.node.parents, strict=True)]


def _down(each: np.ndarray, form: tuple[int, ...]) -> np.ndarray:
    """(B, *shape) summed to (B, *form)."""
    extra = each.ndim - 1 - len(form)
    each = each.sum(axis=tuple(range(1, 1 + extra)))
    over = tuple(i + 1 for i, n in enumerate(form) if n == 1 != each.shape[i + 1])
    return each.sum(axis=over, keepdims=True)


def _made(each: Any) -> np.ndarray:
    return each.dense() if isinstance(each, Outer) else each


THROUGH: dict[Any, Callable[..., Any]] = {
    shape._transpose_rule: _transposed, shape._swapaxes_rule: _swapped, shape._reshape_rule: _reshaped,
    index._getitem_rule: _picked, shape._concatenate_rule: _joined,
    **dict.fromkeys((elementwise._add_rule, elementwise._subtract_rule, elementwise._multiply_rule,
                     elementwise._divide_rule, elementwise._negative_rule, functions._exp_rule, functions._log_rule,
                     functions._sin_rule, functions._cos_rule, functions._tanh_rule, functions._square_rule,
                     functions._sqrt_rule), _pointwise)}
"""Rule to a function of a call and the gradients (B, ...) of all examples, to those of its inputs, one or a list; None
where they have to be taken one by one."""
