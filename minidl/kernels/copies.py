"""Copies of a kernel's code with other functions in it, each compiled and kept in the cache as itself."""

from __future__ import annotations

from types import FunctionType
from typing import Any

__all__ = ["copied"]


def copied(function: Any, name: str, **names: Any) -> FunctionType:
    """The function under another name, in which some global names stand for something else.

    A closure over them would be compiled anew in every process, because Numba's cache on disk does not recognise it.

    Examples
    --------
    >>> def twice(x):
    ...     return 2 * shifted(x)
    >>> copied(twice, "twice_the_next", shifted=lambda x: x + 1)(3)
    8
    """
    made = FunctionType(function.__code__, {**function.__globals__, **names}, name)
    made.__qualname__ = name
    return made
