"""NumPy called on a Tensor: `np.exp(t)` goes to `minidl.ops.exp`, and nothing is detached in silence.

A ufunc or function of NumPy goes to the op of the same name, with NumPy's keywords. What answers with
booleans, integers or shapes has no derivative and works on the bare array. Everything else raises
and says what to write.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.tensors import Tensor

__all__ = ["dispatch_function", "dispatch_ufunc"]

_RENAMED = {"absolute": "abs", "fabs": "abs", "amax": "max", "amin": "min", "vecdot": "row_dot", "around": "round"}

_PLAIN_UFUNCS = frozenset({np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
                           np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
                           np.isnan, np.isfinite, np.isinf, np.signbit})

_PLAIN_FUNCTIONS = frozenset({
    np.shape, np.ndim, np.size, np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero,
    np.flatnonzero, np.count_nonzero, np.searchsorted, np.any, np.all, np.isclose, np.allclose, np.array_equal,
    np.array_equiv, np.isposinf, np.isneginf, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast,
    np.shares_memory, np.may_share_memory, np.array_repr, np.array_str, np.array2string})

_LIKE = frozenset({np.zeros_like, np.ones_like, np.empty_like, np.full_like})

_METHODS = {"reduce": {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"},
            "accumulate": {"add": "cumsum", "multiply": "cumprod"}, "outer": {"multiply": "outer"},
            "at": {"add": "scatter_add"}}


def dispatch_ufunc(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `Tensor.__array_ufunc__` does: send `ufunc(*inputs)` to the op of that name.

    Raises
    ------
    TypeError
        For methods such as `np.add.reduce`, for `out=`, `where=`, `dtype=`, and where there is no op.
    """
    name = ufunc.__name__
    if method != "__call__":
        instead = _METHODS.get(method, {}).get(name)
        raise TypeError(f"np.{name}.{method} has no differentiable op in minidl; use "
                        + (f"minidl.ops.{instead}, or " if instead else "") + "t.data for the bare array (detached)")
    if ufunc in _PLAIN_UFUNCS:
        return ufunc(*_bare(inputs), **_bare(kwargs))
    op = _op(ufunc)
    _refuse(f"np.{name}", kwargs)
    return op(*inputs)


def dispatch_function(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `Tensor.__array_function__` does: send `function(*args, **kwargs)` to the op of that name.

    Raises
    ------
    TypeError
        For keywords the op does not have (`out=`, `where=`, `dtype=`), and where there is no op.
    """
    if function in _PLAIN_FUNCTIONS:
        return function(*_bare(args), **_bare(kwargs))
    if function in _LIKE:
        first = args[0].data if args and isinstance(args[0], Tensor) else args[0]
        return function(first, *args[1:], **kwargs)
    if function in _ADAPTED:
        return _ADAPTED[function](*args, **kwargs)
    op = _op(function)
    positional, named = _fit(function, op, args, kwargs)
    _refuse(_title(function), {k: v for k, v in named.items() if k not in _names(op)})
    return op(*positional, **{k: v for k, v in named.items() if k in _names(op)})


# ------------------------------------------------------------------------------ from NumPy's names to ours

def _op(function: Any) -> Callable[..., Any]:
    """The op that stands for a NumPy function, or a TypeError that says what to do."""
    name = _RENAMED.get(function.__name__, function.__name__)
    known = function.__module__ in ("numpy", "numpy.linalg") if not isinstance(function, np.ufunc) else (
        getattr(np, function.__name__, None) is function)
    found: Callable[..., Any] | None = getattr(ops, name, None) if known else None
    if callable(found):  # not a module, such as minidl.ops.index
        return found
    raise TypeError(f"{_title(function)} has no differentiable op in minidl; write it with minidl.ops, "
                    "or use t.data for the bare array (detached)")


def _title(function: Any) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"


@functools.cache
def _names(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # some of NumPy's C functions tell their signature from version 2.4 on
        return None


def _fit(function: Callable[..., Any], op: Callable[..., Any], args: Sequence[Any],
         kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by name, but by position where NumPy requires one as `a`, `arr`, `m`, ... and the op calls it `x`."""
    signature = _signature(function)
    if signature is None:
        return list(args), dict(kwargs)
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif parameter.default is parameter.empty and name not in _names(op):
            positional.append(value)
        elif value is not parameter.default:
            named[name] = value
    return positional, named


def _refuse(title: str, extras: Mapping[str, Any]) -> None:
    given = [name for name, value in extras.items() if value is not None]
    if given:
        raise TypeError(f"{title}: {given[0]}= is not supported on Tensors; leave it out, "
                        "or use t.data for the bare array (detached)")


def _bare(value: Any) -> Any:
    """Tensors replaced by their arrays, inside tuples, lists and mappings too."""
    if isinstance(value, Tensor):
        return value.data
    if isinstance(value, (tuple, list)):
        return type(value)(_bare(v) for v in value)
    if isinstance(value, Mapping):
        return {k: _bare(v) for k, v in value.items()}
    return value


# ----------------------------------------------------------- functions whose arguments do not map one to one

def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None,
          **kwargs: Any) -> Any:
    _refuse("np.clip", {"out": out, **kwargs})
    return ops.clip(a, a_min if min is None else min, a_max if max is None else max)


def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return ops.diagonal(x, offset, -2, -1)  # NumPy has two functions of this name, which differ in the axes


def _einsum(*operands: Any, out: Any = None, optimize: Any = None, **kwargs: Any) -> Any:
    _refuse("np.einsum", {"out": out, **kwargs})
    return ops.einsum(*operands)


def _sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    _refuse("np.sort", {"order": order})
    return ops.sort(a, axis=axis)  # always stable


_ADAPTED: dict[Callable[..., Any], Callable[..., Any]] = {
    np.clip: _clip, np.linalg.diagonal: _linalg_diagonal, np.einsum: _einsum, np.sort: _sort}


from minidl import ops  # noqa: E402  (its names are looked up when NumPy calls, not before)
