"""Record operations on Tensors and differentiate through them, to any order.

Reading order: `record` writes a `Node` for each operation; `pull_back` walks the nodes backwards.
`minidl.derivatives` (`grad`, `vjp`, `jacobian`, ...) is short functions on top of it.

A derivative rule is written once, from operators and `minidl.ops` functions, which answer in kind:
an ordinary backward pass feeds it ndarrays, and `create_graph=True` feeds it Tensors, so that the
gradient is itself recorded and can be differentiated again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np

from minidl.errors import GradientError, ShapeError, explain, locate, masked_in, name_of, refuse_masked
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor, as_array
from minidl.versions import clock, shield, tick

__all__ = ["INPUTS", "Leaf", "Node", "OUTPUT", "Observer", "Rule", "add_gradients", "alias", "backward",
           "depends_on_others", "fused", "is_grad_enabled", "keeps", "no_grad", "observe", "primitive", "pull_back",
           "reachable", "record", "recording", "register_sum_to", "settle", "upstream_of"]

Rule = Callable[..., Sequence[Any]]
_F = TypeVar("_F", bound=Callable[..., Any])
INPUTS, OUTPUT = 1, 2  # flags of `rule.keeps`
_USUAL = frozenset({np.ndarray, np.float64, np.float32, np.float16, np.int64, np.int32, np.bool_, float, int, bool, str,
                    type(None)})  # arguments that need no second look
_USUAL_PARAMS = _USUAL | {tuple}  # of lengths, axes, or an index that has been looked at


class _State(threading.local):
    recording = True


_state = _State()
_collecting = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child has no thread that would release it
    os.register_at_fork(after_in_child=_collecting._at_fork_reinit)  # type: ignore[attr-defined]


class Observer(Protocol):
    """Sees operations as they run; `minidl.debug.watching` passes them on to the watchers of a thread."""

    def recording(self, forward: Callable[..., Any], rule: Rule) -> tuple[Callable[..., Any], Rule]:
        """The functions to run and to record for an operation: the given ones, or wrappers of them."""

    def returning(self, rule: Rule, node: Node) -> Rule:
        """The rule to call for a node in a backward pass: the given one, or a wrapper of it."""


_observer: Observer | None = None


def observe(observer: Observer | None) -> None:
    """Show every operation of all threads to `observer` from now on; None ends it."""
    global _observer
    _observer = observer


class Node:
    """How a Tensor was made: the rule to go back through, and what the rule needs.

    `inputs` holds the input arrays if the rule keeps them, else the parents' nodes, which still
    know `shape` and `dtype`. A node never refers to the Tensor it belongs to, so there are no
    reference cycles and memory goes when the last Tensor does.
    """

    __slots__ = ("seq", "rule", "parents", "inputs", "out", "params", "shape", "dtype", "hooks")

    def __init__(self, rule: Rule | None, parents: Sequence[Node | None], inputs: Sequence[Any], out: Any,
                 params: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.seq = tick()  # creation order is a topological order
        self.rule = rule
        self.parents = parents
        self.inputs = inputs
        self.out = out
        self.params = params
        self.shape = shape
        self.dtype = dtype
        self.hooks: list[Callable[[Any], Any]] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes of the Tensor this node made."""
        return len(self.shape)

    def __reduce__(self) -> Any:
        """Refuse to be copied or pickled: a graph belongs to the process and the moment that made it."""
        raise GradientError(f"copy, pickle: this Tensor carries the graph that it was computed with (the last "
                            f"operation is {name_of(self.rule)}); use t.detach(), or minidl.tensor(t, "
                            f"requires_grad=True), instead")


class Leaf(Node):
    """Where a gradient ends up: the node of a Tensor that the user made with `requires_grad=True`."""

    __slots__ = ("grad",)

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(None, (), (), None, {}, shape, dtype)
        self.grad: Any = None

    def __reduce__(self) -> Any:
        """A copy is a leaf of its own, made when it is made: another process counts its nodes anew."""
        return Leaf, (self.shape, self.dtype), (None, {"grad": self.grad})


# ---------------------------------------------------------------------------------------- recording

def keeps(*names: str) -> Callable[[_F], _F]:
    """Declare what a rule reads of the forward pass: `"inputs"`, `"output"`, both or nothing.

    What is not declared is not kept alive; an input's shape and dtype are always there.
    """
    flags = (INPUTS if "inputs" in names else 0) | (OUTPUT if "output" in names else 0)

    def mark(rule: _F) -> _F:
        rule.keeps = flags  # type: ignore[attr-defined]
        return rule

    return mark


def record(forward: Callable[..., Any], rule: Rule, *args: Any, **params: Any) -> Any:
    """Apply `forward` to the arrays behind `args`, and remember how to go back.

    Parameters
    ----------
    forward : callable
        `forward(*arrays, **params) -> array`.
    rule : callable
        `rule(g, out, inputs, needs, **params) -> gradients`, one for each input, `None` where
        `needs[i]` is false. A gradient may have the shape that broadcasting gave its input: the
        engine sums it down. Marked with `keeps`.
    *args : Tensor, array or Python number
        What may need a gradient. Everything else (axes, indices, masks) goes into `params`.

    Returns
    -------
    Tensor or array
        A Tensor if one of `args` is, otherwise just what `forward` returned.
    """
    if (watching := _observer) is not None:
        forward, rule = watching.recording(forward, rule)
    arrays, parents = [], []
    tensors = tracked = False
    for a in args:  # one plain loop: this function is most of an operation's overhead
        if isinstance(a, Tensor):
            tensors = True
            arrays.append(a._array)
            node = a.node
            parents.append(node)
            if node is not None:
                tracked = True
        else:
            if type(a) not in _USUAL and masked_in(a) is not None:
                refuse_masked(f"{name_of(rule)}: argument {len(arrays)}", a)
            arrays.append(a)
            parents.append(None)
    if params:
        for name, value in params.items():
            if type(value) not in _USUAL_PARAMS and masked_in(value) is not None:
                refuse_masked(f"{name_of(rule)}: {name}", value)
    try:
        out = forward(*arrays, **params)
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError, np.linalg.LinAlgError) as error:
        raise explain(error, forward, rule, arrays, params) from error
    if type(out) is tuple:
        if not hasattr(rule, "reference"):
            raise TypeError(f"{name_of(rule)}: forward returned a tuple; it has to return one array")
        out, params["saved"] = out
    if not tensors:
        return out
    if type(out) is not np.ndarray:
        out = np.asarray(out)
    if not tracked or not _state.recording or (dtype := out.dtype).kind != "f":
        if out.dtype.kind == "c" and tracked and _state.recording:
            raise GradientError(f"{name_of(rule)}: the result is complex, which has no gradient here; "
                                "work with real and imaginary parts, or pass .data")
        return Tensor(out)
    flags: int = rule.keeps  # type: ignore[attr-defined]
    return Tensor(out, Node(rule, parents, arrays if flags & INPUTS else parents,
                            out if flags & OUTPUT else None, params, out.shape, dtype))


def primitive(forward: Callable[..., Any], rule: Rule, *, keep: Sequence[str] = ("inputs", "output"),
              name: str | None = None) -> Callable[..., Any]:
    """Make a differentiable function from a forward function and its derivative rule.

    Parameters
    ----------
    forward : callable
        `forward(*arrays, **params) -> array`.
    rule : callable
        `rule(g, out, inputs, needs, **params) -> gradients`, written with operators and
        `minidl.ops` functions only (then every order of derivative follows).
    keep : sequence of str
        What the rule reads: `"inputs"`, `"output"`.
    name : str, optional
        Name in error messages; by default the forward function's.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> cube = minidl.primitive(lambda x: x ** 3, lambda g, out, inputs, needs: (3 * g * inputs[0] ** 2,),
    ...                         keep=["inputs"], name="cube")
    >>> minidl.grad(minidl.grad(cube))(np.array(2.0))
    array(12.)
    """
    label = str(name or getattr(forward, "__name__", "primitive"))

    def apply(*args: Any, **params: Any) -> Any:
        return record(forward, marked, *args, **params)

    @keeps(*keep)
    def marked(g: Any, out: Any, inputs: Any, needs: Any, **params: Any) -> Sequence[Any]:
        return rule(g, out, inputs, needs, **params)

    apply.__name__ = marked.__name__ = label
    apply.__doc__ = forward.__doc__
    return apply


def fused(forward: Callable[..., Any], backward: Callable[..., Any], reference: Callable[..., Any], *,
          name: str | None = None) -> Callable[..., Any]:
    """Make a differentiable function from a pair of kernels and a composition that defines it.

    An ordinary backward pass uses the `backward` kernel. Under `create_graph=True` the engine
    differentiates `reference` instead, so that the kernel pair needs no second rule.

    Parameters
    ----------
    forward : callable
        `forward(*arrays, **params) -> (out, saved)`; `saved` is whatever `backward` wants back.
    backward : callable
        `backward(g, saved, inputs, needs, **params) -> gradients`, one for each input; arrays only.
    reference : callable
        `reference(*inputs, **params) -> Tensor`, the same function written with `minidl.ops`.
    name : str, optional
        Name in error messages; by default the reference's.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> from minidl import ops
    >>> squared = minidl.fused(lambda x: (x * x, None), lambda g, saved, inputs, needs: (2 * g * inputs[0],),
    ...                        reference=ops.square, name="squared")
    >>> minidl.grad(squared)(np.array(3.0)), minidl.grad(minidl.grad(squared))(np.array(3.0))
    (array(6.), array(2.))
    """
    label = str(name or getattr(reference, "__name__", "fused"))

    @keeps("inputs")  # the reference needs them, should the gradient be differentiated
    def rule(g: Any, out: Any, inputs: Any, needs: Any, *, saved: Any, **params: Any) -> Sequence[Any]:
        if not isinstance(g, Tensor):
            return backward(g, saved, inputs, needs, **params)
        slots = [alias(x) if need else x for x, need in zip(inputs, needs, strict=True)]
        wanted = [s.node for s, need in zip(slots, needs, strict=True) if need]
        found = pull_back([(reference(*slots, **params), g)], wanted, create_graph=True)
        return [found.get(s.node) if need else None for s, need in zip(slots, needs, strict=True)]

    def apply(*args: Any, **params: Any) -> Any:
        return record(forward, rule, *args, **params)

    apply.__name__ = rule.__name__ = label
    apply.__doc__ = reference.__doc__
    apply.reference = rule.reference = reference  # type: ignore[attr-defined]
    return apply


@contextmanager
def recording(wanted: bool) -> Iterator[None]:
    """Switch recording on or off inside the block, for the calling thread."""
    before, _state.recording = _state.recording, wanted
    try:
        yield
    finally:
        _state.recording = before


def no_grad() -> AbstractContextManager[None]:
    """Record nothing inside the block; holds for the calling thread.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0], requires_grad=True)
    >>> with minidl.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    return recording(False)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return _state.recording


@keeps()
def _alias_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Sequence[Any]:
    return (g,)


def alias(x: Any) -> Any:
    """The same value under a node of its own, so that one use of a Tensor can be told from another."""
    return record(lambda a: a, _alias_rule, x)


# ----------------------------------------------------------------------------------- going backward

def pull_back(outputs: Sequence[tuple[Tensor, Any]], wanted: Collection[Node] | None = None, *,
              create_graph: bool = False) -> dict[Node, Any]:
    """Gradients of `sum(<output, upstream>)` with respect to the leaves, or to the nodes `wanted`.

    The walk is iterative: collect what is reachable, sort by creation, go from newest to oldest.
    It does not go past a wanted node. Nodes that no output depends on are not in the answer.
    """
    grads: dict[Node, Any] = {}
    own: set[Node] = set()  # nodes whose accumulated gradient the engine allocated: added to in place
    for tensor, g in outputs:
        if tensor.node is not None:
            _accumulate(grads, own, tensor.node, g)
    targets = frozenset(wanted or ())
    order = reachable(list(grads), targets)
    alive = leading_to(order, targets) if wanted is not None else None
    result: dict[Node, Any] = {}
    with recording(create_graph):
        for node in order:
            g = grads.pop(node, None)
            if g is None or (alive is not None and node not in alive):
                continue
            own.discard(node)
            try:
                if node.hooks is not None:
                    for hook in node.hooks:
                        g = _hooked(hook, g, node)
                if node.rule is None or node in targets:
                    result[node] = g
                else:
                    _step(node, g, grads, own, alive, create_graph)
            except Exception as error:
                locate(error, node.rule)
                raise
    return result


def _step(node: Node, g: Any, grads: dict[Node, Any], own: set[Node], alive: set[Node] | None,
          create_graph: bool) -> None:
    """Apply one node's rule and hand the gradients to its parents."""
    if isinstance(g, RowGrad):
        g = g.to_dense()
    parents, inputs, out, params = node.parents, node.inputs, node.out, node.params
    if node.seq < clock.latest:  # something was written since: perhaps what this node keeps
        inputs, out, params = shield(name_of(node.rule), node)
    needs = [p is not None and (alive is None or p in alive) for p in parents]
    if create_graph:
        inputs = [Tensor(x, p) if p is not None and x is not p else x
                  for x, p in zip(inputs, parents, strict=True)]
        out = Tensor(out, node) if out is not None else None
    rule = node.rule
    if rule is None:  # only leaves have no rule, and they have no parents
        return
    if (watching := _observer) is not None:
        rule = watching.returning(rule, node)
    contributions = rule(g, out, inputs, needs, **params)
    if len(contributions) != len(parents):
        raise GradientError(f"{name_of(rule)}: its rule gave {len(contributions)} gradients for {len(parents)} inputs")
    for parent, need, contribution in zip(parents, needs, contributions, strict=True):
        if need and parent is not None and contribution is not None:
            try:
                _accumulate(grads, own, parent, contribution)
            except ShapeError as error:
                raise GradientError(f"{name_of(rule)}: its rule gave a gradient of shape {contribution.shape} for an "
                                    f"input of shape {parent.shape}") from error


def _hooked(hook: Callable[[Any], Any], g: Any, node: Node) -> Any:
    """The gradient after a hook, which sees it read-only: others may hold the same memory."""
    shown = g
    if isinstance(g, np.ndarray):
        shown = g.view()
        shown.flags.writeable = False
    elif isinstance(g, RowGrad):
        shown = g.read_only()
    replaced = hook(shown)
    if replaced is None:
        return g
    refuse_masked("a hook: what it returned", replaced)
    if tuple(replaced.shape) != node.shape:
        raise GradientError(f"a hook returned shape {tuple(replaced.shape)} for a gradient of shape {node.shape}")
    return replaced


def _accumulate(grads: dict[Node, Any], own: set[Node], node: Node, g: Any) -> None:
    """Add a contribution: the first is borrowed, the second allocates, later ones go in place."""
    if g.shape != node.shape:
        g = _sum_to(g, node.shape)
    held = grads.get(node)
    if held is None:
        grads[node] = g
    elif node in own and isinstance(g, (np.ndarray, RowGrad)):
        held += g
    else:
        grads[node] = held = add_gradients(held, g)
        if type(held) is np.ndarray and held.ndim and held.dtype == np.result_type(held, g):
            own.add(node)


_sum_to: Callable[[Any, tuple[int, ...]], Any]


def register_sum_to(op: Callable[[Any, tuple[int, ...]], Any]) -> Callable[[Any, tuple[int, ...]], Any]:
    """Use an op of `minidl.ops`, which are written with this module, to undo broadcasting; a decorator."""
    global _sum_to
    _sum_to = op
    return op


def add_gradients(a: Any, b: Any) -> Any:
    """Sum of two gradients in new memory; rows stay rows as long as both are."""
    if isinstance(a, RowGrad) and isinstance(b, RowGrad):
        return a.append(b)
    total = a + b
    return np.asarray(total) if isinstance(total, np.generic) else total  # NumPy's sums of 0-d arrays are no arrays


def reachable(roots: list[Node], stop: Collection[Node]) -> list[Node]:
    """All nodes that lead to the roots, newest first."""
    seen = set(roots)
    stack = roots
    order = []
    while stack:
        node = stack.pop()
        order.append(node)
        if node in stop:
            continue
        for parent in node.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    order.sort(key=_seq, reverse=True)
    return order


def _seq(node: Node) -> int:
    return node.seq


def leading_to(order: list[Node], targets: Collection[Node]) -> set[Node]:
    """The nodes of `order` (newest first) from which a target can be reached."""
    alive = set(targets)
    for node in reversed(order):
        if node not in alive and any(p in alive for p in node.parents):
            alive.add(node)
    return alive


def depends_on_others(out: Any, nodes: Collection[Node]) -> bool:
    """Whether a leaf that is not among `nodes` leads to `out`."""
    if not isinstance(out, Tensor) or out.node is None:
        return False
    return any(isinstance(node, Leaf) and node not in nodes for node in reachable([out.node], nodes))


def backward(tensor: Tensor, gradient: Any = None, create_graph: bool = False) -> None:
    """Add the gradient of `tensor` to `.grad` of every leaf it depends on; see `Tensor.backward`."""
    if tensor.node is None:
        raise GradientError("backward: this Tensor does not depend on anything with requires_grad=True; "
                            "make a leaf with minidl.tensor(..., requires_grad=True) first")
    upstream = upstream_of(tensor, gradient, "backward")
    seed: Any = upstream
    if create_graph:
        seed = gradient if isinstance(gradient, Tensor) else Tensor(upstream)
    found = pull_back([(tensor, seed)], create_graph=create_graph)
    given = {id(upstream)}
    with _collecting:  # of two threads that add to a leaf at once, one would be lost
        for node, g in found.items():
            if isinstance(node, Leaf):
                g = settle(g, node, given)
                node.grad = g if node.grad is None else add_gradients(node.grad, g)  # in new memory: others may read


def upstream_of(tensor: Tensor, gradient: Any, verb: str) -> np.ndarray:
    """The upstream gradient as an array of the output's shape; 1 for a single element when None is given."""
    if gradient is None:
        if tensor.data.size != 1:
            raise GradientError(f"{verb}: the output has shape {tensor.shape}, not one element; "
                                "reduce it first (.sum(), .mean()) or pass gradient= of that shape")
        return np.ones(tensor.shape, tensor.dtype)
    upstream = as_array(gradient.data if isinstance(gradient, Tensor) else gradient)
    if upstream.shape != tensor.shape:
        raise GradientError(f"{verb}: gradient has shape {upstream.shape} but the output has shape {tensor.shape}")
    return upstream.astype(tensor.dtype, copy=False)


def settle(g: Any, node: Node, given: set[int]) -> Any:
    """A gradient as the user gets it: the leaf's dtype, C order, memory shared with nothing."""
    if isinstance(g, RowGrad):
        rows = g.rows
        fresh = rows.base is None and id(rows) not in given
        given.add(id(rows))
        return g if fresh and g.dtype == node.dtype else g.astype(node.dtype)
    array = g.data if isinstance(g, Tensor) else np.asarray(g)
    fresh = array.base is None and id(array) not in given and array.flags.c_contiguous
    if isinstance(g, Tensor):
        if not fresh:
            g = record(_in_c_order, _alias_rule, g)
        if g.dtype != node.dtype:
            g = g.astype(node.dtype)
        given.add(id(g.data))
        return g
    if g.dtype != node.dtype or not fresh:
        array = np.array(array, dtype=node.dtype, order="C")
    given.add(id(array))
    return array


def _in_c_order(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C")
