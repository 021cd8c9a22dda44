"""Arguments that have to be numbers, or words."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from recsys.errors import ParameterError

__all__ = ["number", "whole", "words"]


def whole(who: str, what: str, value: Any) -> None:
    """Raise ParameterError unless a value is an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ParameterError(f"{who}: {what} must be an integer, not {value!r}.")


def number(who: str, what: str, value: Any) -> None:
    """Raise ParameterError unless a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)) or not isfinite(value):
        raise ParameterError(f"{who}: {what} must be a finite number, not {value!r}.")


def words(what: str, value: Any) -> None:
    """Raise ParameterError unless a value is a list, tuple or set of strings."""
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(word, str) for word in value):
        raise ParameterError(f"{what} must be a sequence of words such as ('NA', 'null'), got {value!r}.")
