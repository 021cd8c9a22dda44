"""Derivatives of functions: `grad`, `value_and_grad`, `vjp`, `jvp`, `hvp`, `jacobian`, `hessian`.

They answer in kind: arrays for arrays, and Tensors for Tensors, whose answers can be differentiated
again; so any of them can be nested in any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import ops
from minidl.engine import (
    Leaf,
    Node,
    alias,
    depends_on_others,
    is_grad_enabled,
    pull_back,
    recording,
    settle,
    upstream_of,
)
from minidl.errors import GradientError
from minidl.rowgrad import RowGrad
from minidl.tensors import Tensor, as_array

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


def _open(f: Callable[..., Any], args: Sequence[Any], argnums: Sequence[int]) -> tuple[Any, list[Tensor], bool]:
    """Call `f` with the chosen arguments under nodes of their own; is the caller recording anything in it?

    That is so when an argument has a history, or, for a caller who works with Tensors, when `f` refers to
    other leaves (a gradient penalty does).
    """
    outer = is_grad_enabled() and any(isinstance(a, Tensor) and a.node is not None for a in args)
    slots: dict[int, Tensor] = {}
    with recording(True):
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
    chosen = [slots[i] for i in argnums]
    if not outer and is_grad_enabled() and any(isinstance(a, Tensor) for a in args):
        outer = depends_on_others(out, _nodes(chosen))
    return out, chosen, outer


def _in_kind(value: Any, wanted: bool) -> Any:
    """A Tensor for a caller who works with Tensors, otherwise an array."""
    if isinstance(value, Tensor):
        return value if wanted else value.data
    if isinstance(value, RowGrad):
        value = value.to_dense()
    return Tensor(as_array(value)) if wanted else as_array(value)


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
            g = settle(g, node, given)
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
    out, pullback, _ = _linearised(f, primals)
    return out, pullback


def _linearised(f: Callable[..., Any], primals: Sequence[Any]) -> tuple[Any, Callable[[Any], tuple[Any, ...]], bool]:
    """What `vjp` returns, and whether the caller is recording it."""
    tensors = any(isinstance(a, Tensor) for a in primals)
    out, slots, outer = _open(f, primals, range(len(primals)))
    out = _as_output(out, "vjp")

    def pullback(u: Any) -> tuple[Any, ...]:
        tracked = outer or (isinstance(u, Tensor) and u.node is not None)
        seed = upstream_of(out, u, "vjp")
        g = (u if isinstance(u, Tensor) else Tensor(seed)) if tracked else seed
        found = pull_back([(out, g)], _nodes(slots), create_graph=tracked)
        return tuple(_collect(found, slots, {id(seed)}, tensors or isinstance(u, Tensor)))

    return _value(out, tensors, outer), pullback, outer


def _value(out: Tensor, tensors: bool, outer: bool) -> Any:
    """The function's value in kind; without the history that only these derivatives needed."""
    return _in_kind(out if outer else out.detach(), tensors)


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
        seed = upstream_of(out, None, "grad")
        found = pull_back([(out, Tensor(seed) if outer else seed)], _nodes(slots),
                          create_graph=outer)
        answers = _collect(found, slots, {id(seed)}, tensors)
        return _value(out, tensors, outer), answers[0] if isinstance(argnums, int) else tuple(answers)

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
    out, pullback, outer = _linearised(f, primals)
    value = as_array(out.data if isinstance(out, Tensor) else out)
    probe = Tensor(np.zeros(value.shape, value.dtype), Leaf(value.shape, value.dtype))
    pulled = pullback(probe)  # linear in the probe
    outer = outer or (is_grad_enabled() and any(isinstance(t, Tensor) and t.node is not None for t in tangents))
    seeds = []
    for p, t in zip(pulled, tangents, strict=True):
        seed = upstream_of(p, t, "jvp")
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
