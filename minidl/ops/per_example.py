"""The gradient of every example of a batch by itself, for little more than that of their sum.

In a backward pass from the losses of all examples most gradients hold one example in one place, along some axis: they
are *apart*. Two passes at once tell where: one from the losses' sum, one from a sum with different weights; where the
second is the first times the weight of an example, it belongs to that example. From there the gradient of a parameter
is made for each example instead of for all: outer products that are not summed. Where examples have been mixed (by
batch norm), each is followed by itself, which is right, and as slow as a loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.engine import Leaf, Node, leading_to, reachable, recording
from minidl.errors import GradientError, name_of
from minidl.ops import activation_more, conv, elementwise, index, linalg, shape
from minidl.ops.embeddings import _embedding_bag_rule, _embedding_rule, _weighted_reference
from minidl.ops.reduce import sum_to
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor
from minidl.versions import clock, shield

__all__ = ["per_example_grads"]


def per_example_grads(losses: Tensor, parameters: Iterable[Tensor]) -> list[Any]:
    """The gradient of each of a batch of losses, for each parameter.

    Parameters
    ----------
    losses : Tensor, shape (B,)
        One for each example, such as a loss with `reduction="none"`.
    parameters : iterable of Tensor
        What to differentiate with respect to; `.grad` is left alone, and hooks are not called.

    Returns
    -------
    list, one for each parameter
        An array of shape (B, *parameter.shape). For a table of which only rows were read, of N rows: a `RowGrad` of B
        such tables one below the other, in which row b N + i is the gradient of row i in example b.

    Raises
    ------
    GradientError
        When the losses are not one axis, or depend on nothing that requires a gradient.

    Notes
    -----
    Of linear layers, matrix products, embeddings, bags, elementwise arithmetic and normalisation over one example the
    gradients are made in one pass; convolutions go image by image. Any other operation on a parameter is gone back
    through once for each example.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> from minidl import nn
    >>> layer, x, y = nn.Linear(3, 1), np.ones((5, 3), np.float32), np.zeros((5, 1), np.float32)
    >>> losses = nn.MSELoss(reduction="none")(layer(x), y)[:, 0]
    >>> [g.shape for g in minidl.per_example_grads(losses, layer.parameters())]
    [(5, 1, 3), (5, 1)]
    """
    wanted = list(parameters)
    if not isinstance(losses, Tensor) or losses.ndim != 1:
        raise GradientError(f"per_example_grads: losses have shape {np.shape(losses)}; they have to be a Tensor of one "
                            "axis, with one loss for each example (reduction='none')")
    if losses.node is None:
        raise GradientError("per_example_grads: the losses do not depend on anything with requires_grad=True")
    count = len(losses)
    if any(p.node is None for p in wanted):
        raise GradientError("per_example_grads: a parameter has requires_grad=False; leave it out")
    nodes = [p.node for p in wanted if p.node is not None]
    weights = (1 + np.arange(count) * 0.6180339887498949 % 1).astype(losses.dtype)  # all different, from 1 to 2
    with recording(False):
        found = _Pass(weights, nodes).back(losses.node, np.ones(count, losses.dtype), weights, _Apart(0, False))
    return [_as(found.get(p.node), (count, *p.shape), p.dtype) for p in wanted]


def _as(found: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """An answer in the parameter's dtype; zeros where there is none."""
    return np.zeros(shape, dtype) if found is None else found.astype(dtype, copy=False) if isinstance(
        found, np.ndarray) else found.astype(dtype)


# ------------------------------------------------------------------------------------- where examples are

@dataclass(frozen=True)
class _Apart:
    """Examples lie along an axis, in blocks (a a b b) or in turns (a b a b)."""

    axis: int
    turns: bool

    def parts(self, x: np.ndarray, count: int) -> np.ndarray:
        """A view of shape (count, n, ...), the axis moved to the front."""
        x = np.moveaxis(x, self.axis, 0)
        if self.turns:
            return x.reshape((len(x) // count, count, *x.shape[1:])).swapaxes(0, 1)
        return x.reshape((count, len(x) // count, *x.shape[1:]))

    def rows(self, x: np.ndarray, count: int) -> np.ndarray:
        """All axes of an example but the last as one, (count, n, d)."""
        parts = self.parts(x, count)
        return parts.reshape((count, math.prod(parts.shape[1:-1]), x.shape[-1]))

    def along(self, weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The weight of the example that each place along the axis belongs to, to broadcast."""
        n = shape[self.axis] // len(weights)
        each = np.tile(weights, n) if self.turns else np.repeat(weights, n)
        return each.reshape((-1,) + (1,) * (len(shape) - self.axis - 1))

    def alone(self, x: np.ndarray, b: int, count: int) -> np.ndarray:
        """Zeros but for example `b`."""
        out = np.zeros_like(x, order="C", subok=False)
        self.parts(out, count)[b] = self.parts(x, count)[b]
        return out


def _where_apart(g: np.ndarray, other: np.ndarray, weights: np.ndarray, hint: _Apart) -> _Apart | None:
    """Where examples are, if `other` is `g` times their weights along some axis."""
    count, eps = len(weights), max(np.finfo(a.dtype).eps for a in (g, weights))
    if eps > 1e-4:  # in half precision rounding looks like other examples
        return None
    fits = [a for a in range(g.ndim) if g.shape[a] % count == 0]
    guesses = [hint, *(_Apart(a, turns) for a in fits for turns in (False, True))]
    known = np.isfinite(g) & np.isfinite(other)
    whole = bool(known.all())
    for guess in guesses:
        if guess.axis in fits:
            gap = other - guess.along(weights, g.shape) * g
            if not whole:
                gap, g, other = (np.where(known, a, 0) for a in (gap, g, other))
            if np.linalg.norm(gap) <= 1000 * eps * np.linalg.norm(other):
                return guess
    return None


# ------------------------------------------------------------------------------------------ going backward

class _Flow:
    """What arrives at a node: two sums that are apart, gradients of each example, or both."""

    def __init__(self) -> None:
        self.g: Any = None
        self.other: Any = None
        self.apart = _Apart(0, False)
        self.each: Any = None  # (B, *shape), or a RowGrad

    def add(self, g: np.ndarray, other: np.ndarray, apart: _Apart, count: int) -> None:
        if self.g is None:
            self.g, self.other, self.apart = g, other, apart
        elif apart == self.apart:
            self.g, self.other = self.g + g, self.other + other
        else:
            self.add_each(_each_alone(g, apart, count))

    def add_each(self, each: Any) -> None:
        if self.each is None:
            self.each = each
        elif isinstance(self.each, RowGrad) and isinstance(each, RowGrad):
            self.each = self.each.append(each)
        else:
            form = next(a.shape for a in (self.each, each) if not isinstance(a, RowGrad))
            self.each = _dense(self.each).reshape(form) + _dense(each).reshape(form)

    def whole(self, count: int) -> Any:
        """The gradients of each example, if any part has come as such."""
        if self.each is not None and self.g is not None:
            self.add_each(_each_alone(self.g, self.apart, count))
            self.g = None
        return self.each


def _each_alone(g: np.ndarray, apart: _Apart, count: int) -> np.ndarray:
    return np.stack([apart.alone(g, b, count) for b in range(count)])


def _dense(g: Any) -> np.ndarray:
    return g.to_dense() if isinstance(g, RowGrad) else g


class _Pass:
    """A backward pass that keeps examples apart.

    Parameters
    ----------
    weights : array, shape (B,)
        All different, of the second sum.
    wanted : sequence of Node
    """

    def __init__(self, weights: np.ndarray, wanted: Sequence[Node]) -> None:
        self.weights, self.wanted, self.count = weights, frozenset(wanted), len(weights)

    def back(self, root: Node, g: np.ndarray, other: np.ndarray, apart: _Apart) -> dict[Any, Any]:
        """Gradients of each example, for the wanted nodes that `root` depends on."""
        order = reachable([root], self.wanted)
        self.alive = leading_to(order, self.wanted)
        self.flows = {root: _Flow()}
        self.flows[root].add(g, other, apart, self.count)
        found: dict[Any, Any] = {}
        for node in order if self.count else []:
            flow = self.flows.pop(node, None)
            if flow is None or node not in self.alive:
                continue
            each = flow.whole(self.count)
            if node in self.wanted:
                found[node] = _each_alone(flow.g, flow.apart, self.count) if each is None else each
            elif each is None:
                self._apart(node, flow)
            else:
                self._one_by_one(node, each)
        return found

    def _flow(self, node: Node) -> _Flow:
        return self.flows.setdefault(node, _Flow())

    def _apart(self, node: Node, flow: _Flow) -> None:
        """Through a node at which examples are apart."""
        call = _Call(node)
        needs = [p in self.alive and p not in self.wanted for p in node.parents]
        late = [i for i, p in enumerate(node.parents) if p in self.wanted]
        both = [call(g, needs) for g in (flow.g, flow.other)] if any(needs) else []
        for i, (c, other) in enumerate(zip(*both, strict=True)):
            parent = node.parents[i]
            if parent is None or c is None:
                continue
            apart = _where_apart(c, other, self.weights, flow.apart)
            if apart is None:
                late.append(i)
            else:
                self._flow(parent).add(c, other, apart, self.count)
        for i, each in self._each(call, flow, late).items():
            self._flow(call.node.parents[i]).add_each(each)  # type: ignore[arg-type]

    def _one_by_one(self, node: Node, each: Any) -> None:
        """Through a node to which the gradient of each example has come."""
        each, call = _dense(each).reshape((self.count, *node.shape)), _Call(node)
        if call.rule is shape._reshape_rule and (only := node.parents[0]) is not None:
            self._flow(only).add_each(each.reshape((self.count, *only.shape)))
            return
        needs = [p in self.alive for p in node.parents]
        columns = zip(*(call(g, needs) for g in each), strict=True)
        for parent, column in zip(node.parents, columns, strict=True):
            if parent is not None and column[0] is not None:
                self._flow(parent).add_each(np.stack(column))

    def _each(self, call: _Call, flow: _Flow, places: list[int]) -> dict[int, Any]:
        """Gradients of each example for some inputs of a node at which they are apart."""
        found: dict[int, Any] = {}
        formula = _FORMULAS.get(getattr(call.rule, "reference", call.rule))
        for i in places:
            if formula is not None and (made := formula(call, flow.g, flow.apart, self.count, i)) is not None:
                found[i] = made
        left = [i for i in places if i not in found]
        if not left:
            return found
        if hasattr(call.rule, "reference"):
            return {**found, **self._by_reference(call, flow, left)}
        needs = [i in left for i in range(len(call.node.parents))]
        rows = [call(flow.apart.alone(flow.g, b, self.count), needs) for b in range(self.count)]
        return {**found, **{i: np.stack([row[i] for row in rows]) for i in left if rows[0][i] is not None}}

    def _by_reference(self, call: _Call, flow: _Flow, places: list[int]) -> dict[int, Any]:
        """Through the operations that define a fused one."""
        slots = {i: Tensor(call.inputs[i], Leaf(*_kind(call.node.parents[i]))) for i in places}
        with recording(True):
            out = call.rule.reference(*(slots.get(i, x) for i, x in enumerate(call.inputs)),
                                      **{k: v for k, v in call.params.items() if k != "saved"})
        if out.node is None:
            return {}
        found = _Pass(self.weights, [s.node for s in slots.values() if s.node is not None]).back(
            out.node, flow.g, flow.other, flow.apart)
        return {i: found[s.node] for i, s in slots.items() if s.node in found}


def _kind(node: Any) -> tuple[tuple[int, ...], Any]:
    return node.shape, node.dtype


class _Call:
    """A node's rule, and what it keeps."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.rule: Any = node.rule
        self.inputs, self.out, self.params = node.inputs, node.out, node.params
        if node.seq < clock.latest:
            self.inputs, self.out, self.params = shield(name_of(node.rule), node)

    def __call__(self, g: np.ndarray, needs: Sequence[bool]) -> list[Any]:
        """Gradients of the inputs, each of its input's shape."""
        made = self.rule(g, self.out, self.inputs, needs, **self.params)
        return [sum_to(_dense(c), p.shape) if need and c is not None and p is not None else None
                for c, need, p in zip(made, needs, self.node.parents, strict=True)]


# ------------------------------------------------------------------------------------------------ formulas

def _linear(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """Outer products of a row of g and a row of x, summed over the rows of an example."""
    if apart.axis == g.ndim - 1 or place == 0:
        return None
    rows = apart.rows(g, count)  # (B, n, out)
    if place == 2:
        return rows.sum(axis=1)
    return _outer(rows, apart.rows(call.inputs[0], count))


def _matmul(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    x, weight = (np.asarray(a) if isinstance(a, (list, tuple)) else a for a in call.inputs)
    if place == 0 or x.ndim < 2 or weight.ndim != 2 or apart.axis == g.ndim - 1:
        return None
    return _outer(apart.rows(x, count), apart.rows(g, count))


def _outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(B, n, i), (B, n, j) -> (B, i, j)."""
    if a.shape[1] == 1:
        return a[:, 0, :, None] * b
    return np.matmul(a.swapaxes(1, 2), b)


def _by_images(call: _Call, g: np.ndarray, apart: _Apart, count: int, place: int) -> Any:
    """A convolution of one image at a time, when each example has one."""
    if apart != _Apart(0, False) or len(g) != count or place == 0:
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


_FORMULAS: dict[Any, Callable[..., Any]] = {
    linalg._linear_rule: _linear, linalg._matmul_rule: _matmul, _embedding_rule: _lookup,
    index._take_rule: _lookup, index._getitem_rule: _lookup, _embedding_bag_rule: _bag, _weighted_reference: _bag,
    conv._conv2d_rule: _by_images, conv._conv_transpose2d_rule: _by_images,
    **dict.fromkeys((elementwise._add_rule, elementwise._subtract_rule, elementwise._multiply_rule,
                     elementwise._divide_rule, elementwise._maximum_rule, elementwise._minimum_rule,
                     elementwise._where_rule, elementwise._power_rule, activation_more._prelu_rule),
                    _elementwise)}
"""Rule, or for a fused operation its reference, to the gradients of each example for one of its inputs, or None."""
