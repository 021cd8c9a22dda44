"""What arguments may be, as one-sentence rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

from recsys.errors import ParameterError

__all__ = ["PROGRESS", "Check", "above", "at_least", "between", "flag", "integer", "number", "one_of", "optional",
           "require", "sizes", "whole", "words"]


@dataclass(frozen=True)
class Check:
    """What an argument may be: a predicate, and the words that finish "must be ...".

    Attributes
    ----------
    accepts : callable
    says : str
    low, high : float
        Between which numbers are accepted, as far as it is known.
    choices : tuple
        All that is accepted, if it is so little.
    """

    accepts: Callable[[Any], bool]
    says: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()

    def require(self, who: str, name: str, value: Any) -> None:
        """Raise ParameterError unless an argument of `who`, a class or a verb, may have this value."""
        if not self.accepts(value):
            raise ParameterError(f"{who}: {name} must be {self.says}, not {value!r}.")


def require(who: str, checks: Mapping[str, Check], values: Mapping[str, Any]) -> None:
    """Raise ParameterError for the first argument that may not have the value that it has.

    Examples
    --------
    >>> require("evaluate", {"k": whole(1)}, {"k": "5", "model": None})
    Traceback (most recent call last):
    recsys.errors.ParameterError: evaluate: k must be an integer >= 1, not '5'.
    """
    for name, check in checks.items():
        check.require(who, name, values[name])


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float("-inf") < float(value) < float("inf")


def number() -> Check:
    """A finite number."""
    return Check(_real, "a finite number")


def integer() -> Check:
    """An integer of any sign."""
    return Check(lambda value: isinstance(value, Integral) and not isinstance(value, bool), "an integer")


def words() -> Check:
    """A few strings."""
    return Check(lambda value: isinstance(value, list | tuple | set | frozenset)
                 and all(isinstance(word, str) for word in value), "a sequence of words such as ('NA', 'null')")


def at_least(low: float) -> Check:
    """A finite number, `low` or more."""
    return Check(lambda value: _real(value) and value >= low, f"a finite number >= {low}", low)


def above(low: float) -> Check:
    """A finite number greater than `low`."""
    return Check(lambda value: _real(value) and value > low, f"a finite number > {low}", math.nextafter(low, math.inf))


def between(low: float, high: float) -> Check:
    """A number from `low` to `high`, both included."""
    return Check(lambda value: _real(value) and low <= value <= high, f"a number from {low} to {high}",
                 low, high)


def whole(low: int = 1, high: float = math.inf) -> Check:
    """An integer, `low` or more, up to `high` where there is an end."""
    return Check(lambda value: (isinstance(value, Integral) and not isinstance(value, bool) and
                                low <= int(value) <= high),
                 f"an integer >= {low}" if high == math.inf else f"an integer from {low} to {high}", low, high)


def one_of(*choices: str) -> Check:
    """One of a few words."""
    return Check(lambda value: isinstance(value, str) and value in choices,
                 "one of " + ", ".join(repr(choice) for choice in choices), choices=choices)


def flag() -> Check:
    """True or False."""
    return Check(lambda value: isinstance(value, bool), "True or False", choices=(True, False))


def sizes(least: int = 1) -> Check:
    """Widths of layers, such as (600, 200), at least so many."""
    return Check(lambda value: isinstance(value, (tuple, list)) and len(value) >= least
                 and all(whole(1).accepts(part) for part in value),
                 f"a tuple of {'one or more ' * (least > 0)}integers >= 1")


def optional(check: Check) -> Check:
    """None, or what `check` accepts."""
    return replace(check, accepts=lambda value: value is None or check.accepts(value), says=f"None or {check.says}")


PROGRESS = Check(lambda value: value is None or all(hasattr(value, name) for name in ("start", "advance", "stop")),
                 "None or an object with start, advance and stop, such as recsys.progress.make()")
