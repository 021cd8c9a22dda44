"""Record operations on Tensors and differentiate through them, to any order.

Reading order: `record` writes a `Node` for each operation; `pull_back` walks the nodes backwards;
`grad`, `vjp`, `jvp`, `hvp`, `jacobian` and `hessian` are short functions on top of it.

A derivative rule is written once, from operators and `minidl.ops` functions, which answer in kind:
an ordinary backward pass feeds it ndarrays, and `create_graph=True` feeds it Tensors, so that the
gradient is itself recorded and can be differentiated again.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minidl.errors import GradientError, explain
from minidl.rowgrad import RowGrad
from minidl.tensor import Tensor, as_array

__all__ = ["Node", "Leaf", "fused", "grad", "hessian", "hvp", "is_grad_enabled", "jacobian", "jvp",
           "keeps", "no_grad", "primitive", "pull_back", "record", "value_and_grad", "vjp"]

Rule = Callable[..., Sequence[Any]]
_F = TypeVar("_F", bound=Callable[..., Any])
_INPUTS, _OUTPUT = 1, 2
_tick = itertools.count(1).__next__


class _State(threading.local):
    recording = True


_state = _State()


class Node:
    """How a Tensor was made: the rule to go back through, and what the rule needs.

    `inputs` holds the input arrays if the rule keeps them, else the parents' nodes, which still
    know `shape` and `dtype`. A node never refers to the Tensor it belongs to, so there are no
    reference cycles and memory goes when the last Tensor does.
    """

    __slots__ = ("seq", "rule", "parents", "inputs", "out", "params", "shape", "dtype", "hooks")

    def __init__(self, rule: Rule | None, parents: Sequence[Node | None], inputs: Sequence[Any], out: Any,
                 params: dict[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.seq = _tick()  # creation order is a topological order
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


class Leaf(Node):
    """Where a gradient ends up: the node of a Tensor that the user made with `requires_grad=True`."""

    __slots__ = ("grad",)

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        super().__init__(None, (), (), None, {}, shape, dtype)
        self.grad: Any = None


# ---------------------------------------------------------------------------------------- recording

def keeps(*names: str) -> Callable[[_F], _F]:
    """Declare what a rule reads of the forward pass: `"inputs"`, `"output"`, both or nothing.

    What is not declared is not kept alive; an input's shape and dtype are always there.
    """
    flags = (_INPUTS if "inputs" in names else 0) | (_OUTPUT if "output" in names else 0)

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
    arrays = [a.data if isinstance(a, Tensor) else a for a in args]
    try:
        out = forward(*arrays, **params)
    except (ValueError, TypeError, IndexError, np.linalg.LinAlgError) as error:
        raise explain(error, rule, arrays, params) from error
    return _wrap(out, rule, args, arrays, params)


def _wrap(out: Any, rule: Rule, args: Sequence[Any], arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    parents = [a.node if isinstance(a, Tensor) else None for a in args]
    if not any(parents):
        return Tensor(as_array(out)) if any(isinstance(a, Tensor) for a in args) else out
    if type(out) is not np.ndarray:
        out = np.asarray(out)
    if not _state.recording or out.dtype.kind != "f":
        return Tensor(out)
    flags: int = rule.keeps  # type: ignore[attr-defined]
    return Tensor(out, Node(rule, parents, arrays if flags & _INPUTS else parents,
                            out if flags & _OUTPUT else None, params, out.shape, out.dtype))


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
    def apply(*args: Any, **params: Any) -> Any:
        return record(forward, marked, *args, **params)

    @keeps(*keep)
    def marked(g: Any, out: Any, inputs: Any, needs: Any, **params: Any) -> Sequence[Any]:
        return rule(g, out, inputs, needs, **params)

    apply.__name__ = marked.__name__ = name or getattr(forward, "__name__", "primitive")
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
    @keeps("inputs")  # the reference needs them, should the gradient be differentiated
    def rule(g: Any, out: Any, inputs: Any, needs: Any, *, saved: Any, **params: Any) -> Sequence[Any]:
        if not isinstance(g, Tensor):
            return backward(g, saved, inputs, needs, **params)
        slots = [alias(x) if need else x for x, need in zip(inputs, needs, strict=True)]
        wanted = [s.node for s, need in zip(slots, needs, strict=True) if need]
        found = pull_back([(reference(*slots, **params), g)], wanted, create_graph=True)
        return [found.get(s.node) if need else None for s, need in zip(slots, needs, strict=True)]

    def apply(*args: Any, **params: Any) -> Any:
        arrays = [a.data if isinstance(a, Tensor) else a for a in args]
        try:
            out, saved = forward(*arrays, **params)
        except (ValueError, TypeError, IndexError) as error:
            raise explain(error, rule, arrays, params) from error
        return _wrap(out, rule, args, arrays, {"saved": saved, **params})

    apply.__name__ = rule.__name__ = name or getattr(reference, "__name__", "fused")
    apply.__doc__ = reference.__doc__
    apply.reference = reference  # type: ignore[attr-defined]
    return apply


@contextmanager
def no_grad() -> Iterator[None]:
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
    before, _state.recording = _state.recording, False
    try:
        yield
    finally:
        _state.recording = before


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
    order = _reachable(list(grads), targets)
    alive = _leading_to(order, targets) if wanted is not None else None
    result: dict[Node, Any] = {}
    before, _state.recording = _state.recording, create_graph
    try:
        for node in order:
            g = grads.pop(node, None)
            if g is None or (alive is not None and node not in alive):
                continue
            own.discard(node)
            for hook in node.hooks or ():
                replaced = hook(g)
                g = g if replaced is None else replaced
            if node.rule is None or node in targets:
                result[node] = g
                continue
            _step(node, g, grads, own, alive, create_graph)
    finally:
        _state.recording = before
    return result


def _step(node: Node, g: Any, grads: dict[Node, Any], own: set[Node], alive: set[Node] | None,
          create_graph: bool) -> None:
    """Apply one node's rule and hand the gradients to its parents."""
    if isinstance(g, RowGrad):
        g = g.to_dense()
    parents, inputs, out = node.parents, node.inputs, node.out
    needs = [p is not None and (alive is None or p in alive) for p in parents]
    if create_graph:
        inputs = [Tensor(x, p) if p is not None and x is not p else x
                  for x, p in zip(inputs, parents, strict=True)]
        out = Tensor(out, node) if out is not None else None
    rule = node.rule
    if rule is None:  # only leaves have no rule, and they have no parents
        return
    contributions = rule(g, out, inputs, needs, **node.params)
    for parent, need, contribution in zip(parents, needs, contributions, strict=True):
        if need and parent is not None and contribution is not None:
            _accumulate(grads, own, parent, contribution)


def _accumulate(grads: dict[Node, Any], own: set[Node], node: Node, g: Any) -> None:
    """Add a contribution: the first is borrowed, the second allocates, later ones go in place."""
    if g.shape != node.shape:
        g = ops.sum_to(g, node.shape)
    held = grads.get(node)
    if held is None:
        grads[node] = g
    elif node in own and isinstance(g, np.ndarray):
        held += g
    else:
        grads[node] = held = add_gradients(held, g)
        if type(held) is np.ndarray and held.ndim and held.dtype == np.result_type(held, g):
            own.add(node)


def add_gradients(a: Any, b: Any) -> Any:
    """Sum of two gradients in new memory; rows stay rows as long as both are."""
    if isinstance(a, RowGrad) and isinstance(b, RowGrad):
        return a.append(b)
    if isinstance(a, RowGrad):
        return a.add_to(b)
    if isinstance(b, RowGrad):
        return b.add_to(a)
    return a + b


def _reachable(roots: list[Node], stop: Collection[Node]) -> list[Node]:
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


def _leading_to(order: list[Node], targets: Collection[Node]) -> set[Node]:
    """The nodes of `order` (newest first) from which a target can be reached."""
    alive = set(targets)
    for node in reversed(order):
        if node not in alive and any(p in alive for p in node.parents):
            alive.add(node)
    return alive


def backward(tensor: Tensor, gradient: Any = None, create_graph: bool = False) -> None:
    """Add the gradient of `tensor` to `.grad` of every leaf it depends on; see `Tensor.backward`."""
    if tensor.node is None:
        raise GradientError("backward: this Tensor does not depend on anything with requires_grad=True; "
                            "make a leaf with minidl.tensor(..., requires_grad=True) first")
    upstream = _upstream(tensor, gradient, "backward")
    found = pull_back([(tensor, Tensor(upstream) if create_graph else upstream)], create_graph=create_graph)
    given = {id(upstream)}
    for node, g in found.items():
        if isinstance(node, Leaf):
            g = _settle(g, node, given)
            node.grad = g if node.grad is None else add_gradients(node.grad, g)


def _upstream(tensor: Tensor, gradient: Any, verb: str) -> np.ndarray:
    if gradient is None:
        if tensor.data.size != 1:
            raise GradientError(f"{verb}: the output has shape {tensor.shape}, not one element; "
                                "reduce it first (.sum(), .mean()) or pass gradient= of that shape")
        return np.ones(tensor.shape, tensor.dtype)
    upstream = as_array(gradient.data if isinstance(gradient, Tensor) else gradient)
    if upstream.shape != tensor.shape:
        raise GradientError(f"{verb}: gradient has shape {upstream.shape} but the output has shape {tensor.shape}")
    return upstream


def _settle(g: Any, node: Node, given: set[int]) -> Any:
    """A gradient as the user gets it: the leaf's dtype, C order, memory shared with nothing."""
    if isinstance(g, (Tensor, RowGrad)):
        return g.astype(node.dtype) if g.dtype != node.dtype else g
    g = np.asarray(g)
    if g.dtype != node.dtype or g.base is not None or id(g) in given or not g.flags.c_contiguous:
        g = np.array(g, dtype=node.dtype, order="C")
    given.add(id(g))
    return g


# ------------------------------------------------------------------------------ functional interface

def _open(f: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int]) -> tuple[Any, list[Tensor], bool]:
    """Call `f` with the chosen arguments under nodes of their own; is the caller recording them?"""
    outer = _state.recording and any(isinstance(a, Tensor) and a.node is not None for a in args)
    slots: dict[int, Tensor] = {}
    before, _state.recording = _state.recording, True
    try:
        for i in argnums:
            a = args[i]
            if isinstance(a, Tensor) and a.node is not None:
                slots[i] = alias(a)
            else:
                a = as_array(a.data if isinstance(a, Tensor) else a)
                if a.dtype.kind != "f":
                    raise GradientError(f"argument {i} has dtype {a.dtype}; gradients need floating point "
                                        "numbers, pass x.astype(float)")
                slots[i] = Tensor(a, Leaf(a.shape, a.dtype))
        out = f(*(slots.get(i, a) for i, a in enumerate(args)))
    finally:
        _state.recording = before
    return out, [slots[i] for i in argnums], outer


def _in_kind(value: Any, wanted: bool) -> Any:
    """A Tensor for a caller who works with Tensors, otherwise an array."""
    if isinstance(value, Tensor):
        return value if wanted else value.data
    if isinstance(value, RowGrad):
        value = value.to_dense()
    return Tensor(as_array(value)) if wanted else value


def _numbers(argnums: int | Sequence[int], count: int, verb: str) -> list[int]:
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    for i in chosen:
        if not -count <= i < count:
            raise GradientError(f"{verb}: argnums={i} but the function was called with {count} argument(s)")
    return [i % count for i in chosen]


def _collect(found: dict[Node, Any], slots: Sequence[Tensor], given: set[int], tensors: bool) -> list[Any]:
    answers = []
    for slot in slots:
        node = slot.node
        g = found.get(node) if node is not None else None
        if g is None or node is None:
            g = np.zeros(slot.shape, slot.dtype)
        else:
            g = _settle(g, node, given)
        answers.append(_in_kind(g, tensors))
    return answers


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of `f` and its pullback: u -> (u'J_0, u'J_1, ...).

    Parameters
    ----------
    f : callable
        Takes and returns a Tensor.
    *primals : Tensor or array
        Where to evaluate. Answers are arrays, or Tensors if one of the primals is a Tensor.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> out, pullback = minidl.vjp(np.sin, np.array([0.0, np.pi]))
    >>> pullback(np.ones(2))[0].round(12)
    array([ 1., -1.])
    """
    tensors = any(isinstance(a, Tensor) for a in primals)
    out, slots, outer = _open(f, primals, range(len(primals)))
    out = _as_output(out, "vjp")

    def pullback(u: Any) -> tuple[Any, ...]:
        tracked = outer or (isinstance(u, Tensor) and u.node is not None)
        seed = _upstream(out, u, "vjp")
        g = (u if isinstance(u, Tensor) else Tensor(seed)) if tracked else seed
        found = pull_back([(out, g)], _nodes(slots), create_graph=tracked)
        return tuple(_collect(found, slots, {id(seed)}, tensors or isinstance(u, Tensor)))

    return _in_kind(out, tensors), pullback


def _as_output(out: Any, verb: str) -> Tensor:
    if isinstance(out, Tensor):
        return out
    if isinstance(out, (np.ndarray, np.generic, float, int)):
        return Tensor(as_array(out))  # constant in its arguments
    raise GradientError(f"{verb}: the function must return one Tensor, it returned {type(out).__name__}")


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """Like `grad`, but the function made returns `(value, gradient)`."""
    def evaluate(*args: Any) -> tuple[Any, Any]:
        chosen = _numbers(argnums, len(args), "grad")
        tensors = any(isinstance(a, Tensor) for a in args)
        out, slots, outer = _open(f, args, chosen)
        out = _as_output(out, "grad")
        seed = _upstream(out, None, "grad")
        found = pull_back([(out, Tensor(seed) if outer else seed)], _nodes(slots),
                          create_graph=outer)
        answers = _collect(found, slots, {id(seed)}, tensors)
        return _in_kind(out, tensors), answers[0] if isinstance(argnums, int) else tuple(answers)

    return evaluate


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The gradient of a scalar function, as a function.

    Parameters
    ----------
    f : callable
        Returns a Tensor with one element.
    argnums : int or sequence of int
        The argument(s) to differentiate. An int gives one gradient, a sequence a tuple.

    Returns
    -------
    callable
        Takes the arguments of `f`. It answers with arrays, or with Tensors when it is given one, so
        that `grad(grad(f))` works.

    Raises
    ------
    GradientError
        When the output has more than one element or an argument is not floating point.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: x ** 3)(np.array(2.0))
    array(12.)
    >>> minidl.grad(minidl.grad(lambda x: x ** 3))(np.array(2.0))
    array(12.)
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any) -> Any:
        return both(*args)[1]

    return gradient


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `f` and its derivative in a direction, J v.

    The pullback u -> u'J is linear in u, so its own pullback at v is J v (Townsend 2017, "A new
    trick for calculating Jacobian vector products").

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.jvp(lambda x: x ** 2, [np.array([1.0, 2.0])], [np.array([1.0, 0.5])])
    (array([1., 4.]), array([2., 2.]))
    """
    primals, tangents = list(primals), list(tangents)
    if len(primals) != len(tangents):
        raise GradientError(f"jvp: {len(primals)} primal(s) but {len(tangents)} tangent(s)")
    tensors = any(isinstance(a, Tensor) for a in [*primals, *tangents])
    out, pullback = vjp(f, *primals)
    value = as_array(out.data if isinstance(out, Tensor) else out)
    probe = Tensor(np.zeros(value.shape, value.dtype), Leaf(value.shape, value.dtype))
    pulled = pullback(probe)  # linear in the probe
    outer = _state.recording and any(isinstance(a, Tensor) and a.node is not None for a in [*primals, *tangents])
    seeds = []
    for p, t in zip(pulled, tangents, strict=True):
        seed = _upstream(p, t, "jvp")
        seeds.append((p, (t if isinstance(t, Tensor) else Tensor(seed)) if outer else seed))
    found = pull_back(seeds, _nodes([probe]), create_graph=outer)
    tangent = _collect(found, [probe], {id(s) for _, s in seeds}, tensors)[0]
    return out if isinstance(out, Tensor) else _in_kind(out, tensors), tangent


def hvp(f: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """Hessian times vector, H v, of a scalar function: the gradient of <grad f(x), v>.

    Parameters
    ----------
    f : callable
        Returns one element.
    primals, tangents : array or Tensor, or a sequence of them
        Points and directions of the same shapes. One array gives one array, a sequence a tuple.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.hvp(lambda x: (x ** 3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    array([ 6., 12.])
    """
    many = isinstance(primals, (list, tuple))
    xs, vs = (list(primals), list(tangents)) if many else ([primals], [tangents])
    if len(xs) != len(vs):
        raise GradientError(f"hvp: {len(xs)} primal(s) but {len(vs)} tangent(s)")
    gradient = grad(f, range(len(xs)))

    def along(*points: Any) -> Any:
        parts = [(g * v).sum() for g, v in zip(gradient(*points), vs, strict=True)]
        return sum(parts[1:], parts[0])

    answer = grad(along, range(len(xs)))(*xs)
    return answer if many else answer[0]


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """All first derivatives of `f`, as a function; shape `out.shape + x.shape`.

    One backward pass for each output element.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.jacobian(lambda x: x[::-1] ** 2)(np.array([1.0, 2.0]))
    array([[0., 4.],
           [2., 0.]])
    """
    def matrix(*args: Any) -> Any:
        chosen = _numbers(argnums, len(args), "jacobian")
        tensors = any(isinstance(a, Tensor) for a in args)
        out, slots, outer = _open(f, args, chosen)
        out = _as_output(out, "jacobian")
        rows = []
        for i in range(out.data.size):
            unit = np.zeros(out.shape, out.dtype)
            unit.flat[i] = 1
            found = pull_back([(out, Tensor(unit) if outer else unit)], _nodes(slots), create_graph=outer)
            rows.append(_collect(found, slots, {id(unit)}, tensors))
        answers = []
        for j, slot in enumerate(slots):
            shape = out.shape + slot.shape
            full = ops.stack([row[j] for row in rows]) if rows else np.zeros(shape, slot.dtype)
            answers.append(_in_kind(full.reshape(shape), tensors) if rows else _in_kind(full, tensors))
        return answers[0] if isinstance(argnums, int) else tuple(answers)

    return matrix


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """All second derivatives of a scalar function; shape `x.shape + x.shape`.

    With a sequence of `argnums` the answer is a nested tuple, `h[i][j]` of shape
    `args[i].shape + args[j].shape`.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    def matrix(*args: Any) -> Any:
        if isinstance(argnums, int):
            return jacobian(grad(f, argnums), argnums)(*args)
        return tuple(jacobian(grad(f, i), argnums)(*args) for i in argnums)

    return matrix


def _nodes(tensors: Sequence[Tensor]) -> list[Node]:
    return [t.node for t in tensors if t.node is not None]


from minidl import ops  # noqa: E402  (the ops are written with `record`, so they come after it)
