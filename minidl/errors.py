"""Exceptions, and the words for a failed operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["GradientError", "MissingExtraError", "ShapeError", "explain", "name_of"]


class GradientError(RuntimeError):
    """A derivative was asked for that does not exist, or a graph was used in a way that breaks it."""


class ShapeError(ValueError):
    """Shapes that do not fit together."""


class MissingExtraError(ImportError):
    """An optional package is needed; the message names the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}; run: pip install 'minidl[{extra}]'")


def explain(error: Exception, rule: Any, arrays: Sequence[Any], params: Mapping[str, Any]) -> Exception:
    """The same kind of error, with the operation, shapes, dtypes and arguments in one sentence."""
    if isinstance(error, (ShapeError, GradientError)):  # explained by the operation itself
        return error
    name = name_of(rule)
    said = str(error).removeprefix(f"{name}: ")
    operands = ", ".join(f"{a.dtype}{a.shape}" if isinstance(a, np.ndarray) else repr(a) for a in arrays)
    extras = "".join(f", {k}={_short(v)}" for k, v in params.items() if k != "saved")
    message = f"{name}({operands}{extras}): {said}"
    for kind in (IndexError, TypeError, np.linalg.LinAlgError):
        if isinstance(error, kind):
            return kind(message)
    return ShapeError(message)


def name_of(rule: Any) -> str:
    """The operation that a rule belongs to."""
    return str(getattr(rule, "__name__", "operation")).strip("_").removesuffix("_rule")


def _short(value: Any) -> str:
    return f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else repr(value)


def locate(error: Exception, rule: Any) -> None:
    pass
