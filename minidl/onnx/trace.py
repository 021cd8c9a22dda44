"""What a module does with its inputs, as a list of steps.

While a module runs, `Trace` sees every operation. It knows values by their memory: an array is
an input, a parameter or a result if it lies where one does, so that indices and masks, which ops take as plain
arrays, are found again too. What is found nowhere is a constant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import engine
from minidl.debug.watching import Watcher
from minidl.errors import name_of
from minidl.nn.module import Module
from minidl.tensors import Tensor

__all__ = ["Lost", "Step", "Trace", "Traced", "Value", "View", "run", "values_of"]


@dataclass(frozen=True)
class Value:
    """An input, a parameter or the result of a step; `varies` if it depends on an input."""

    name: str
    array: np.ndarray
    varies: bool


@dataclass(frozen=True)
class View:
    """Elements of a value in another arrangement: `places` are their positions in the flattened value."""

    value: Value
    places: np.ndarray


@dataclass(frozen=True)
class Lost:
    """What NumPy made of an input in a way that is not followed."""

    array: np.ndarray


@dataclass(frozen=True)
class Step:
    """One call of an op: its operands and parameters with arrays replaced by `Value` or `View` where they are known."""

    op: str
    module: str
    forward: Callable[..., Any]
    args: tuple[Any, ...]
    params: Mapping[str, Any]
    out: Value


_REDUCTIONS = {np.add: "sum", np.maximum: "max", np.minimum: "min", np.logical_or: "any", np.logical_and: "all"}


class Traced(np.ndarray):
    """An input of integers or booleans that notices NumPy's arithmetic: `items == 0` becomes a step."""

    _trace: Trace | None = None

    def __array_finalize__(self, source: Any) -> None:
        self._trace = getattr(source, "_trace", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [_plain(x) for x in inputs]
        out = getattr(ufunc, method)(*plain, **{k: _plain(v) for k, v in kwargs.items()})
        masked = kwargs.get("out") is not None or kwargs.get("where", True) is not True
        if method == "reduce" and ufunc in _REDUCTIONS and not masked:
            params = {"axis": kwargs.get("axis", 0), "keepdims": bool(kwargs.get("keepdims"))}
            return self._noticed(_REDUCTIONS[ufunc], ufunc.reduce, inputs[:1], params, out)
        if method == "__call__" and not kwargs:
            return self._noticed(ufunc.__name__, ufunc, inputs, {}, out)
        return self._unfollowed(out)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        plain = [_plain(x) for x in args]
        out = function(*plain, **{k: _plain(v) for k, v in kwargs.items()})
        if function is np.where and len(plain) == 3:
            return self._noticed("where", lambda x, y, condition: out, args[1:], {"condition": args[0]}, out)
        return self._unfollowed(out)

    def _unfollowed(self, out: Any) -> Any:
        """A traced array that lies nowhere: it is `Lost` when an op takes it."""
        return self._trace.traced(out) if self._trace is not None and isinstance(out, np.ndarray) else out

    def _noticed(self, op: str, forward: Any, args: Sequence[Any], params: Mapping[str, Any], out: Any) -> Any:
        if self._trace is None or self._trace.paused or not isinstance(out, np.ndarray):
            return out
        self._trace.add(op, forward, args, params, out)
        return self._trace.traced(out)

    def astype(self, dtype: Any, *args: Any, copy: Any = True, **kwargs: Any) -> Any:
        """A copy in another dtype, noticed."""
        if self.dtype == dtype and not copy:
            return self
        return self._noticed("astype", np.ndarray.astype, [self], {}, np.array(_plain(self), dtype))

    def copy(self, order: Any = "C") -> Any:
        """A copy, noticed; it cannot be written into either."""
        return self.astype(self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise ValueError("onnx.export: the module assigns into one of its inputs, or a mask made from it, which a "
                         "graph cannot do; write it with np.where or minidl.ops.where")


class Trace(Watcher):
    """Collects the steps of one run.

    Parameters
    ----------
    module : Module
        Its parameters and buffers are the values whose names are those of `state_dict()`.
    direct : set of str
        Ops to keep as one step.
    composed : mapping of str to callable
        Ops to run as a composition of others instead; a fused op brings its own.
    """

    def __init__(self, module: Module, direct: set[str], composed: Mapping[str, Callable[..., Any]]) -> None:
        self.steps: list[Step] = []
        self.paused = False
        self._direct, self._composed = direct, composed
        self._names = {id(m): name for name, m in module.named_modules()}
        self._exact: dict[Any, Value] = {}
        self._owned: dict[int, Value] = {}  # by the object that owns the memory
        for name, value in module.named_arrays():
            array = value.data if isinstance(value, Tensor) else value
            if _place(array) not in self._exact:  # a shared parameter goes by its first name
                self.know(Value(name, array, False))

    def know(self, value: Value) -> Value:
        """Recognise this value's memory from now on (and keep it, so that nothing else can lie there)."""
        if value.array.size:
            self._exact[_place(value.array)] = value
            if value.array.flags.c_contiguous:
                self._owned.setdefault(id(_owner(value.array)), value)
        return value

    def traced(self, array: np.ndarray) -> Any:
        """The array as one that notices arithmetic."""
        view = array.view(Traced)
        view.flags.writeable = False
        view._trace = self
        return view

    def find(self, a: Any) -> Any:
        """The `Value` or `View` at the memory of an array or Tensor; anything else as it is."""
        array = a.data if isinstance(a, Tensor) else a
        if not isinstance(array, np.ndarray):
            return type(a)(self.find(x) for x in a) if type(a) in (tuple, list) else a
        found = self._at(_plain(array))
        return Lost(found) if isinstance(array, Traced) and isinstance(found, np.ndarray) else found

    def _at(self, array: np.ndarray) -> Any:
        if (found := self._exact.get(_place(array))) is not None:
            return found
        held = self._owned.get(id(_owner(array)))
        if held is None or not array.size or not held.varies or held.array.dtype != array.dtype:
            return array
        places = _places(array, held.array)
        return View(held, places) if places.min() >= 0 and places.max() < held.array.size else array

    def recording(self, forward: Callable[..., Any], rule: Any) -> tuple[Callable[..., Any], Any]:
        """The forward function, or the composition it stands for, with a step for what it does."""
        if self.paused:  # an op inside of another's forward function is part of that one
            return forward, rule
        op = name_of(rule)
        whole = self._composed.get(op) or getattr(rule, "reference", None)
        if whole is not None and op not in self._direct:
            return lambda *args, **params: self._composition(whole, args, params), rule
        return lambda *args, **params: self._single(op, forward, args, params), rule

    def _composition(self, whole: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        known = (Tensor(a) if isinstance(self.find(a), (Value, View)) else a for a in args)
        out = whole(*known, **params)
        return out.data if isinstance(out, Tensor) else np.asarray(out)

    def _single(self, op: str, forward: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any]) -> Any:
        self.paused = True
        try:
            out = forward(*(_plain(a) for a in args), **{k: _plain(v) for k, v in params.items()})
        finally:
            self.paused = False
        out = np.asarray(out[0] if type(out) is tuple else out)
        self.add(op, forward, args, params, out)
        return out

    def add(self, op: str, forward: Callable[..., Any], args: Sequence[Any], params: Mapping[str, Any],
            out: np.ndarray) -> None:
        """Append a step, unless nothing in it is known: then the result is a constant."""
        found = tuple(self.find(a) for a in args)
        named = {k: self.find(v) for k, v in params.items()}
        known = list(values_of([*found, *named.values()]))
        varies = any(isinstance(v, Lost) or v.varies for v in known)
        if varies or (known and op in self._direct):
            module = self._module()
            name = f"{module.replace('.', '/')}/{op}_{len(self.steps)}".lstrip("/")
            self.steps.append(Step(op, module, forward, found, named, self.know(Value(name, out, varies))))

    def _module(self) -> str:
        """Name of the module that is running, "" for the outermost."""
        frame = sys._getframe(1)
        while frame is not None:
            name = self._names.get(id(frame.f_locals.get("self")))
            if name is not None:
                return name
            frame = frame.f_back  # type: ignore[assignment]
        return ""


def run(module: Module, inputs: Mapping[str, Any], direct: set[str],
        composed: Mapping[str, Callable[..., Any]]) -> tuple[Trace, Any]:
    """Call the module on named inputs (None stays None); the trace and what the module returned."""
    trace = Trace(module, direct, composed)
    given: list[Any] = []
    for name, array in inputs.items():
        if array is None:
            given.append(None)
            continue
        trace.know(Value(name, array, True))
        given.append(Tensor(array) if array.dtype.kind == "f" else trace.traced(array))
    with (engine.no_grad(), np.errstate(all="ignore"), trace,
          _noticing("array"), _noticing("asarray"), _noticing("ascontiguousarray")):
        return trace, module(*given)


@contextmanager
def _noticing(name: str) -> Iterator[None]:
    """Inside the block this function of NumPy, which would give a plain array, gives a traced one for a traced one."""
    original = getattr(np, name)

    def noticing(a: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(a, Traced) and len(args) < 2 and not kwargs.keys() - {"dtype"}:
            dtype = args[0] if args else kwargs.get("dtype")
            return a.astype(a.dtype if dtype is None else dtype, copy=name == "array")
        return original(a, *args, **kwargs)

    setattr(np, name, noticing)
    try:
        yield
    finally:
        setattr(np, name, original)


# ----------------------------------------------------------------------------------------- memory

def _plain(value: Any) -> Any:
    if type(value) in (tuple, list):
        return type(value)(_plain(v) for v in value)
    return value.view(np.ndarray) if isinstance(value, Traced) else value


def values_of(operands: Any) -> Iterator[Value | Lost]:
    """What operands, nested in sequences or not, refer to."""
    for a in operands:
        if isinstance(a, (Value, View, Lost)):
            yield a.value if isinstance(a, View) else a
        elif type(a) in (tuple, list):
            yield from values_of(a)


def _place(array: np.ndarray) -> Any:
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


def _owner(array: np.ndarray) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _places(array: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Position of each element of a view in the flattened array that it is a view of."""
    size = whole.dtype.itemsize
    first = (array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // size
    places = np.full(array.shape, first)
    for axis, (n, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        places += (np.arange(n) * (stride // size)).reshape((n,) + (1,) * (array.ndim - axis - 1))
    return places
