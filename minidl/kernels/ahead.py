"""Kernels that a process runs without Numba, whose import takes longer than a server may take to start.

A module of kernels takes `njit` from here. It is Numba's, unless `use` was called before the module was imported and
has found machine code that another process has left (`minidl.kernels.keeping`): then a kernel is what runs that code,
and, called with other types than any that the code was made for, imports Numba and is compiled after all.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.kernels.machine import UNEXPECTED, Machine, Run, path_of, read
from minidl.runtime import numba_enabled

__all__ = ["DISPATCHERS", "Native", "compiled", "in_use", "later", "njit", "overload", "state",
           "use"]

_LAYOUT = 0x103  # flags of an array: C order, Fortran order, aligned
_LAYOUTS = {0x100: "A", 0x101: "C", 0x102: "F", 0x103: "C"}

DISPATCHERS: list[tuple[str, Any]] = []  # Numba's kernels of this process, with their full names
_overloads: list[Callable[[], None]] = []
_lock = threading.RLock()
_machine: Machine | None = None


def use(packages: Sequence[str]) -> bool:
    """Run machine code of another process, where there is some, in modules of kernels that are imported from now on.

    Parameters
    ----------
    packages : sequence of str
        Those of the kernels, such as `["minidl.kernels"]`.

    Returns
    -------
    bool
        Whether there is some, in a file that is not damaged and is of this processor, these versions of the libraries
        and these sources. Otherwise kernels are Numba's, as without this call.
    """
    global _machine
    try:
        path = path_of(packages)
        _machine = None if path is None else Machine(read(path))
    except UNEXPECTED:
        _machine = None
    return in_use()


def in_use() -> bool:
    """Whether modules of kernels that are imported now run machine code of another process."""
    return _machine is not None


def compiled() -> list[str]:
    """The kernels that were compiled, or loaded from Numba's cache, in this process."""
    return sorted({name for name, dispatcher in DISPATCHERS if dispatcher.overloads})


def state() -> str:
    """Whose kernels this process runs: "ahead of time", "compiled", or "NumPy"."""
    if not numba_enabled():
        return "NumPy"
    return "ahead of time" if in_use() and "numba" not in sys.modules else "compiled"


# ----------------------------------------------------------------------------- what modules of kernels take from here

def njit(**options: Any) -> Callable[[Any], Any]:
    """`numba.njit(**options)`, or what makes a `Native` of a function."""
    if in_use():
        return lambda function: Native(function, options)
    from numba import njit as numbas

    def ordinary(function: Any) -> Any:
        dispatcher = numbas(**options)(function)
        DISPATCHERS.append((_name(function), dispatcher))
        return dispatcher

    return ordinary


def later(module: str, name: str) -> Any:
    """A name of a module that needs Numba, for use in kernels alone: what it stands for, as soon as one is compiled."""
    return _Later(module, name) if in_use() else getattr(importlib.import_module(module), name)


def overload(function: Any, **options: Any) -> Callable[[Any], Any]:
    """`numba.extending.overload`, as soon as a kernel is compiled."""
    def register(typed: Any) -> Any:
        def now() -> None:
            importlib.import_module("numba.extending").overload(function, **options)(typed)

        if in_use():
            _overloads.append(now)
        else:
            now()
        return typed

    return register


class _Later:
    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def load(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)


class Native:
    """A kernel of which the process has machine code for some types of arguments.

    Parameters
    ----------
    function : function
    options : mapping of str
        Of `numba.njit`.
    """

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        self._function, self._options = function, options
        self._runs: dict[tuple[Any, ...], Run | None] = {}
        self._dispatcher: Any = None

    def __call__(self, *args: Any) -> Any:
        """Run the code for these arguments."""
        types: list[Any] = []
        values: list[Any] = []
        for each in args:
            _describe(each, types, values)
        key = tuple(types)
        run = self._runs[key] if key in self._runs else self._find(key)
        if run is None:
            return self.load()(*args)
        if run(values):
            raise RuntimeError(f"{_name(self._function)} failed on {_text(key)}; delete the files kernels-*.zip in "
                               f"Numba's cache, and report this")
        return None

    def _find(self, key: tuple[Any, ...]) -> Run | None:
        try:
            run = None if _machine is None else _machine.find(f"{_name(self._function)}({_text(key)})")
        except UNEXPECTED:
            run = None
        self._runs[key] = run
        return run

    def load(self) -> Any:
        """Numba's kernel, in a module where all others are Numba's from now on."""
        with _lock:
            if self._dispatcher is None:
                importlib.import_module("minidl.kernels.listening").listen()
                while _overloads:
                    _overloads.pop()()
                self._dispatcher = importlib.import_module("numba").njit(**self._options)(self._function)
                DISPATCHERS.append((_name(self._function), self._dispatcher))
                names = self._function.__globals__
                for name, value in list(names.items()):
                    if isinstance(value, (Native, _Later)):
                        names[name] = value.load()
            return self._dispatcher


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


# -------------------------------------------------------------------------------------------- arguments and types

def _describe(each: Any, types: list[Any], values: list[Any]) -> None:
    """Add an argument's type, and its entries of the table."""
    kind = type(each)
    if kind is np.ndarray or isinstance(each, np.ndarray):
        types += (each.dtype, each.ndim, each.flags.num & _LAYOUT)
        values.append(id(each))
    elif kind is int or kind is float or kind is bool:
        types.append(kind)
        values.append(each)
    elif isinstance(each, np.generic):
        types.append(each.dtype)
        values.append(each)
    elif isinstance(each, tuple):
        types.append(kind)
        for one in each:
            _describe(one, types, values)
        types.append(None)
    else:
        types.append(kind)


def _text(key: Sequence[Any]) -> str:
    """Types as a file names them; ValueError for one that no code is made for."""
    words, at = [], 0
    while at < len(key):
        kind = key[at]
        at += 1
        if kind is None:
            words.append(")")
        elif isinstance(kind, np.dtype):
            if not kind.isnative or kind.kind not in "biuf":
                raise ValueError(f"no code is made for {kind}")
            if at < len(key) and type(key[at]) is int:
                words.append(f"{kind.name}/{key[at]}/{_LAYOUTS[key[at + 1]]}")
                at += 2
            else:
                words.append(kind.name)
        elif kind in (int, float, bool):
            words.append({int: "int64", float: "float64", bool: "bool"}[kind])
        elif issubclass(kind, tuple):
            words.append(f"{kind.__name__}(")
        else:
            raise ValueError(f"no code is made for {kind.__name__}")
    return ",".join(words)
