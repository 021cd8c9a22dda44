"""Modules by name, and parameters by name or number."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Generic, TypeVar

from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["ModuleDict", "ParameterDict", "ParameterList"]

_T = TypeVar("_T", Module, Parameter)


class _Dict(Module, Generic[_T]):
    """A dict of attributes; a subclass says what they are and how one is added."""

    _kind: Any  # a class

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.update(values)

    def __getitem__(self, key: str) -> _T:
        return self._dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._dict()

    def __len__(self) -> int:
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def _dict(self) -> dict[str, _T]:
        return {name: value for name, value in vars(self).items() if isinstance(value, self._kind)}

    def keys(self) -> KeysView[str]:
        """Names, in the order they were added."""
        return self._dict().keys()

    def values(self) -> ValuesView[_T]:
        """What has the names."""
        return self._dict().values()

    def items(self) -> ItemsView[str, _T]:
        """Names and what has them."""
        return self._dict().items()

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add some, or replace those of the same names."""
        for key, value in dict(values).items():
            self[key] = value

    def pop(self, key: str) -> _T:
        """Take one out."""
        value = self[key]
        delattr(self, key)
        return value

    def clear(self) -> None:
        """Take all out."""
        for key in self.keys():
            delattr(self, key)


class ModuleDict(_Dict[Module]):
    """Modules in a dict, so that their parameters are found.

    Parameters
    ----------
    modules : mapping of str to Module, or iterable of pairs
        A name may be any string without a dot that is no attribute of a module.

    Examples
    --------
    >>> from minidl import nn
    >>> heads = nn.ModuleDict({"rating": nn.Linear(4, 1), "genre": nn.Linear(4, 18)})
    >>> list(heads.state_dict())
    ['rating.weight', 'rating.bias', 'genre.weight', 'genre.bias']
    """

    _kind = Module

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__(modules)

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)


class ParameterDict(_Dict[Parameter]):
    """Parameters in a dict, so that they are found.

    Parameters
    ----------
    parameters : mapping of str to Parameter, or iterable of pairs
        Arrays and Tensors become Parameters. A name may be any string without a dot that is no attribute of a module.

    Examples
    --------
    >>> from minidl import nn
    >>> scales = nn.ParameterDict({"user": nn.Parameter([1.0]), "item": nn.Parameter([2.0, 3.0])})
    >>> {name: p.shape for name, p in scales.items()}
    {'user': (1,), 'item': (2,)}
    """

    _kind = Parameter

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(parameters)

    def __setitem__(self, key: str, value: Any) -> None:
        if not key or "." in key or (hasattr(self, key) and key not in self):
            raise KeyError(f"ParameterDict: {key!r} cannot be a name: it is empty, has a dot or is an attribute")
        setattr(self, key, _parameter(value))


class ParameterList(Module):
    """Parameters in a list, so that they are found.

    Parameters
    ----------
    parameters : iterable of Parameter
        Arrays and Tensors become Parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> weights = nn.ParameterList(nn.Parameter(np.ones(n)) for n in (2, 3))
    >>> list(weights.state_dict()), weights[-1].shape
    (['0', '1'], (3,))
    """

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        self.extend(parameters)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end."""
        setattr(self, str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._list())

    def __getitem__(self, index: int) -> Parameter:
        return self._list()[index]

    def __setitem__(self, index: int, value: Any) -> None:
        place = str(range(len(self))[index])
        setattr(self, place, _parameter(value))

    def _list(self) -> list[Parameter]:
        return [value for value in vars(self).values() if isinstance(value, Parameter)]
