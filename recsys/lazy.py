"""Names of a package that resolve on first use, so that importing it costs next to nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["resolving"]


def resolving(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package; what has been found once is looked up no more.

    Parameters
    ----------
    package : str
        Its `__name__`.
    homes : mapping of str to str
        The full name of the module that each public name is in.
    """
    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = vars(sys.modules[package])[name] = getattr(importlib.import_module(homes[name]), name)
        return found

    return find, lambda: sorted(homes)
