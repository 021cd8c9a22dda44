"""The gradient of every example of a batch by itself, for little more than that of their sum.

In a backward pass from the losses of all examples most gradients hold one example in one place, along some axis: they
are *apart*. Two passes at once tell where: one from the losses' sum, one from a sum with different weights; where the
second is the first times the weight of an example, it belongs to that example. From there the gradient of a parameter
is made for each example instead of for all: outer products that are not summed. Where examples have been mixed (by
batch norm), each is followed by itself, which is right, and as slow as a loop.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.engine import Leaf, Node, leading_to, reachable, recording
from minidl.errors import GradientError, name_of
from minidl.ops.factored import Outer
from minidl.ops.per_example_formulas import FORMULAS, THROUGH
from minidl.ops.reduce import sum_to
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor
from minidl.versions import clock, shield

__all__ = ["per_example_grads", "per_example_norms"]


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
    found = _each("per_example_grads", losses, wanted)
    return [_as(found.get(p.node), (len(losses), *p.shape), p.dtype) for p in wanted]


def per_example_norms(losses: Tensor, parameters: Iterable[Tensor]) -> np.ndarray:
    """The norm of the gradient of each of a batch of losses, of all parameters together.

    Parameters
    ----------
    losses, parameters
        As of `per_example_grads`; a parameter that is given twice counts once.

    Returns
    -------
    ndarray, float64, shape (B,)

    Raises
    ------
    GradientError
        As of `per_example_grads`; and where examples are mixed by batch norm, as an example has no gradient of its own
        there.

    Notes
    -----
    Of the weights of linear layers and of matrix products no gradient is made where its norm follows from less: with
    the rows x_t that an example brings and the gradients g_t of what comes out, the square is
    `sum_ts (x_t . x_s) (g_t . g_s)` (the ghost norm). Rows of tables are summed first where an example reads one twice.

    Source: Goodfellow 2015, "Efficient per-example gradient computations"; Li et al. 2022, "Large language models can
    be strong differentially private learners", section 4.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> w = minidl.tensor(np.zeros(2), requires_grad=True)
    >>> minidl.per_example_norms(np.array([[3.0, 4.0], [0.0, 1.0]]) @ w, [w])
    array([5., 1.])
    """
    wanted = list(parameters)
    if isinstance(losses, Tensor) and losses.node is not None:
        for node in reachable([losses.node], ()):
            if node.params.get("training") and name_of(node.rule) == "batch_norm":
                raise GradientError("per_example_norms: batch_norm mixes the examples of a batch, so that none of them "
                                    "has a gradient of its own; use LayerNorm or GroupNorm, or call eval() on it")
    found = _each("per_example_norms", losses, wanted)
    total = np.zeros(len(losses))
    for each in found.values():
        total += _squares(each, len(losses))
    return np.sqrt(total)


def _each(name: str, losses: Tensor, wanted: Sequence[Tensor]) -> dict[Any, Any]:
    """What each example gives for the nodes of the wanted parameters, where there is anything."""
    if not isinstance(losses, Tensor) or losses.ndim != 1:
        raise GradientError(f"{name}: losses have shape {np.shape(losses)}; they have to be a Tensor of one "
                            "axis, with one loss for each example (reduction='none')")
    if losses.node is None:
        raise GradientError(f"{name}: the losses do not depend on anything with requires_grad=True")
    count = len(losses)
    if any(p.node is None for p in wanted):
        raise GradientError(f"{name}: a parameter has requires_grad=False; leave it out")
    nodes = [p.node for p in wanted if p.node is not None]
    weights = (1 + np.arange(count) * 0.6180339887498949 % 1).astype(losses.dtype)  # all different, from 1 to 2
    with recording(False):
        return _Pass(weights, nodes).back(losses.node, np.ones(count, losses.dtype), weights, _Apart(0, False))


def _squares(each: Any, count: int) -> np.ndarray:
    """The squared norm of what each example gives: float64 (count,)."""
    if isinstance(each, Outer):
        return each.squares()
    if isinstance(each, RowGrad):
        each = each.coalesce()
        rows = each.rows.reshape((len(each.indices), -1)).astype(np.float64)
        return np.bincount(each.indices // (each.shape[0] // count), np.einsum("ri,ri->r", rows, rows), count)
    flat = each.reshape((count, -1)).astype(np.float64, copy=False)
    return np.einsum("bi,bi->b", flat, flat)


def _as(found: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """An answer in the parameter's dtype; zeros where there is none."""
    if found is None:
        return np.zeros(shape, dtype)
    found = found.dense() if isinstance(found, Outer) else found
    return found.astype(dtype) if isinstance(found, RowGrad) else found.astype(dtype, copy=False)


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
        self.each: Any = None  # (B, *shape), an Outer, or a RowGrad

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
        elif isinstance(self.each, Outer) and isinstance(each, Outer):
            self.each = self.each.plus(each)
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
    return g.to_dense() if isinstance(g, RowGrad) else g.dense() if isinstance(g, Outer) else g


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
        """Through a node to which the gradient of each example has come, at once or one after the other."""
        call = _Call(node)
        if not isinstance(each, Outer):
            each = _dense(each).reshape((self.count, *node.shape))
        through = THROUGH.get(call.rule)
        made = None if through is None else through(call, each)
        if made is None:
            needs = [p in self.alive for p in node.parents]
            columns = zip(*(call(g, needs) for g in _dense(each)), strict=True)
            made = [None if column[0] is None else np.stack(column) for column in columns]
        for parent, one in zip(node.parents, made if isinstance(made, list) else [made], strict=True):
            if parent in self.alive and one is not None:
                self._flow(parent).add_each(one)

    def _each(self, call: _Call, flow: _Flow, places: list[int]) -> dict[int, Any]:
        """Gradients of each example for some inputs of a node at which they are apart."""
        found: dict[int, Any] = {}
        formula = FORMULAS.get(getattr(call.rule, "reference", call.rule))
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
