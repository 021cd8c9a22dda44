"""Tables with deferred updates: rows that are behind catch up when the table is read.

An optimizer with `exact=True` leaves the rows that got no gradient as they are. While there are such rows, the slot
`_array` of the table holds the deferred updates, its `Debt`, in place of the array, and the table's class has a
property in front of the slot. So every read applies the updates first, and ordinary Tensors cost nothing.

This does not change the value of a table, which is that of the dense optimizer at any time: only a step does.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np

from minidl.locks import lock_across_forks
from minidl.tensors import Tensor

__all__ = ["Debt", "debt_of", "lock", "owe", "pay", "with_rows"]

lock = lock_across_forks()  # two readers must not make up for the same step
_slot: Any = Tensor.__dict__["_array"]


class Debt(Protocol):
    """Updates of a table that an optimizer has deferred."""

    data: np.ndarray

    def catch_up(self, indices: np.ndarray | None = None) -> None:
        """Give rows, by default all, the steps they have missed; `indices` may have any shape, and duplicates."""


class _Behind:
    """Mixed into the class of a table while rows are behind."""

    __slots__ = ()

    @property
    def _array(self) -> np.ndarray:
        pay(self)
        return _slot.__get__(self)

    @_array.setter
    def _array(self, array: np.ndarray) -> None:
        pay(self)
        _slot.__set__(self, array)

    @property
    def shape(self) -> tuple[int, ...]:
        return _bare(self).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return _bare(self).dtype

    @property
    def ndim(self) -> int:
        return _bare(self).ndim

    @property
    def size(self) -> int:
        return _bare(self).size

    def __len__(self) -> int:
        return len(_bare(self))

    def __reduce_ex__(self, protocol: Any) -> Any:
        pay(self)
        return self.__reduce_ex__(protocol)  # that of its own class, which it is of again


@functools.cache
def _behind(cls: type) -> type:
    return type(cls.__name__, (_Behind, cls), {"__slots__": (), "__module__": cls.__module__, "__doc__": cls.__doc__})


def _bare(table: Any) -> np.ndarray:
    """The array as it is, whether rows are behind or not."""
    held = _slot.__get__(table)
    return held if isinstance(held, np.ndarray) else held.data


def owe(table: Tensor, debt: Debt) -> None:
    """Defer updates: every read of `table` calls `debt.catch_up` first; `debt.data` is its array."""
    cls: Any = type(table)
    if not issubclass(cls, _Behind):
        table.__class__ = _behind(cls)
    _slot.__set__(table, debt)


def debt_of(table: Any) -> Debt | None:
    """The deferred updates of `table`, if there are any."""
    held = _slot.__get__(table)
    return None if isinstance(held, np.ndarray) else held


def pay(table: Any, indices: np.ndarray | None = None) -> None:
    """Bring rows up to date; if all, as by default, the table is an ordinary Tensor again from now on."""
    with lock:
        debt = debt_of(table)
        if debt is not None:
            debt.catch_up(indices)
            if indices is None:
                _slot.__set__(table, debt.data)
        if indices is None and isinstance(table, _Behind):
            table.__class__ = type(table).__bases__[1]


def with_rows(table: Any, indices: np.ndarray) -> Any:
    """A Tensor of the same leaf whose rows at `indices` are up to date, for an operation that reads no others."""
    if not issubclass(type(table), _Behind):
        return table
    with lock:
        debt = debt_of(table)
        if debt is None:
            return table
        pay(table, indices)
        return Tensor(debt.data, table.node)
