"""Modules and parameters by name or number, and modules one after the other."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar, Generic, Self, TypeVar

from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

_T = TypeVar("_T", Module, Parameter)


class _Parts(Module, Generic[_T]):
    """What has modules, or parameters, for attributes; a subclass says which, and how one is added."""

    _kind: ClassVar[Any]
    _add: ClassVar[Callable[..., None]]

    def _dict(self) -> dict[str, _T]:
        return {name: value for name, value in vars(self).items() if isinstance(value, self._kind)}

    def __len__(self) -> int:
        return len(self._dict())


def _add_parameter(self: _Parts[Parameter], name: str, value: Any) -> None:
    if not name or "." in name or (hasattr(self, name) and name not in self._dict()):
        raise KeyError(f"{type(self).__name__}: {name!r} cannot be a name: it is empty, has a dot or is an attribute")
    setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))


# ------------------------------------------------------------------------------------------------ by name

class _Dict(_Parts[_T]):
    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.update(values)

    def __getitem__(self, key: str) -> _T:
        return self._dict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._add(key, value)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

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

    _kind, _add = Module, Module.add_module

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        super().__init__(modules)


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

    _kind, _add = Parameter, _add_parameter

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(parameters)


# ----------------------------------------------------------------------------------------------- by number

class _Ordered(_Parts[_T]):
    def __iter__(self) -> Iterator[_T]:
        return iter(self._dict().values())

    def __getitem__(self, index: int) -> _T:
        return list(self._dict().values())[index]


class _List(_Ordered[_T]):
    def append(self, value: Any) -> Self:
        """Add one at the end."""
        self._add(str(len(self)), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add some at the end."""
        for value in values:
            self.append(value)
        return self

    def __setitem__(self, index: int, value: Any) -> None:
        self._add(list(self._dict())[index], value)


class ModuleList(_List[Module]):
    """Modules in a list, so that their parameters are found.

    Parameters
    ----------
    modules : iterable of Module

    Examples
    --------
    >>> from minidl import nn
    >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    _kind, _add = Module, Module.add_module

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ParameterList(_List[Parameter]):
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

    _kind, _add = Parameter, _add_parameter

    def __init__(self, parameters: Iterable[Any] = ()) -> None:
        self.extend(parameters)


class Sequential(_Ordered[Module]):
    """Modules one after the other.

    Parameters
    ----------
    *modules : Module, or one mapping of str to Module

    Examples
    --------
    >>> from minidl import nn
    >>> nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
      (1): ReLU()
    )
    """

    _kind, _add = Module, Module.add_module

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        for i, module in enumerate(modules):
            for name, each in module.items() if isinstance(module, Mapping) else [(str(i), module)]:
                self.add_module(name, each)

    def forward(self, x: Any) -> Any:
        """Through all modules in turn."""
        for module in self.children():
            x = module(x)
        return x
