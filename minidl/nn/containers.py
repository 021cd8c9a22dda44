"""`ModuleDict`: modules by name."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView

from minidl.nn.module import Module

__all__ = ["ModuleDict"]


class ModuleDict(Module):
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

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._dict()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, key: str) -> bool:
        return key in self._dict()

    def __len__(self) -> int:
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def _dict(self) -> dict[str, Module]:
        return dict(self.named_children())

    def keys(self) -> KeysView[str]:
        """Names, in the order they were added."""
        return self._dict().keys()

    def values(self) -> ValuesView[Module]:
        """Modules."""
        return self._dict().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._dict().items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those of the same names."""
        for key, module in dict(modules).items():
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take a module out."""
        module = self[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in self.keys():
            delattr(self, key)
