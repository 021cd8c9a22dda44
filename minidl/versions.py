"""What was written since an operation read it, so that a backward pass never works with other numbers unnoticed.

A node notes nothing. Every write of ours into an array (an optimizer's step, `load_state_dict`, `init`, `p.data -= x`)
leaves a `_Mark` with a tick of the clock that also numbers the nodes; an array that a node keeps has changed when its
mark is younger than the node. The mark belongs to the memory, so that views (`w.T`, `w.detach()`) share it.

A rule does not read all that its node keeps: the gradient of `w` in `x @ w` reads only `x`. So what has changed is
handed to it as a `Changed`, which has a shape and a dtype, and raises when anything else is asked of it. Either the
rule can do without, and the gradient is right, or there is an error.
"""

from __future__ import annotations

import itertools
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import GradientError
from minidl.locks import lock_across_forks

__all__ = ["Changed", "clock", "shield", "tick", "wrote"]

tick = itertools.count(1).__next__
_lock = lock_across_forks()  # two threads may write at once, and the clock must not go back


class _Clock:
    """When anything was last written: a node that is younger needs no look at its arrays."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0


clock = _Clock()


class _Mark:
    """The writes to one piece of memory: how many, when the latest were, and through which Tensor."""

    __slots__ = ("owner", "version", "ticks", "name", "shape")

    def __init__(self, owner: np.ndarray) -> None:
        key = id(owner)
        self.owner = weakref.ref(owner, lambda _: _marks.pop(key, None))
        self.version = 0
        self.ticks: deque[int] = deque(maxlen=64)
        self.name, self.shape = "", owner.shape


_marks: dict[int, _Mark] = {}


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory this one shows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _mark(array: np.ndarray) -> _Mark | None:
    owner = _owner(array)
    mark = _marks.get(id(owner))
    return mark if mark is not None and mark.owner() is owner else None


def wrote(written: Any, of: Any = None) -> None:
    """Note that an array has other numbers than before.

    Bringing rows up to date that an optimizer has left behind is no such change: they have not been read before
    (`minidl.behind`).

    Parameters
    ----------
    written : array or Tensor
    of : Tensor, optional
        Whose array it is, for messages.
    """
    array: np.ndarray = written if isinstance(written, np.ndarray) else written.data
    owner = written if of is None else of
    with _lock:
        memory = _owner(array)
        mark = _mark(array) or _Mark(memory)
        if owner is not array:
            mark.name, mark.shape = getattr(owner, "name", ""), array.shape
        mark.version += 1
        clock.latest = now = tick()
        mark.ticks.append(now)
        _marks[id(memory)] = mark  # last, for whoever reads it in another thread


def shield(op: str, node: Any) -> tuple[Sequence[Any], Any, dict[str, Any]]:
    """What a node keeps (inputs, output, parameters), with a `Changed` for every array written since."""
    def looked_at(label: str, x: Any) -> Any:
        mark = _mark(x) if isinstance(x, np.ndarray) else None
        if mark is None or mark.ticks[-1] < node.seq:
            return x
        since = sum(t > node.seq for t in list(mark.ticks))
        leaf = f"{mark.name or 'a Tensor'} of shape {mark.shape}"
        return Changed(x, f"{op}: its {label}, which is {leaf}, has been changed since the forward pass (it had "
                          f"version {mark.version - since}, now it has {mark.version}), so the gradient would be "
                          "wrong; call backward() before the step that changes it, or compute the forward pass again")

    return ([looked_at(f"argument {i}", x) for i, x in enumerate(node.inputs)], looked_at("result", node.out),
            {key: looked_at(key, x) for key, x in node.params.items()})


class Changed:
    """Stands for an array that is no longer what an operation read: nothing is left of it but shape and dtype."""

    __slots__ = ("shape", "dtype", "_said")

    def __init__(self, array: np.ndarray, said: str) -> None:
        self.shape, self.dtype, self._said = array.shape, array.dtype, said

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getattr__(self, name: str) -> Any:
        raise GradientError(self._said)


def _refuse(self: Changed, *args: Any, **kwargs: Any) -> Any:
    raise GradientError(self._said)


for _name in ("array", "array_ufunc", "getitem", "iter", "len", "contains", "bool", "float", "int", "index", "neg",
              "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Changed, f"__{_name}__", _refuse)
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Changed, f"__{_name}__", _refuse)
    setattr(Changed, f"__r{_name}__", _refuse)
Changed.__hash__ = object.__hash__  # type: ignore[method-assign]
