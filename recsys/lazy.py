"""Names of a package that resolve on first use, so that importing it costs next to nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["resolving"]


def resolving(package: str, homes: Mapping[str, str | None], hint: Callable[[str], str] = lambda name: "",
              ) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package; what has been found once is looked up no more.

    Parameters
    ----------
    package : str
        Its `__name__`.
    homes : mapping of str to str or None
        The full name of the module that each public name is in; None for a module of the package itself.
    hint : callable, optional
        What to say, besides, of a name that is not there.
    """
    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint(name)}")
        home = homes[name]
        if home is None:
            return importlib.import_module(f"{package}.{name}")
        found = vars(sys.modules[package])[name] = getattr(importlib.import_module(home), name)
        return found

    return find, lambda: sorted({*vars(sys.modules[package])["__all__"], *homes})
