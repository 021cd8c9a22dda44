"""Hyper-parameters: read from the signature of `__init__`, checked by one-sentence rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from recsys.errors import ParameterError

__all__ = ["Check", "Parameters", "above", "at_least", "between", "flag", "one_of", "optional", "sizes",
           "whole"]


@dataclass(frozen=True)
class Check:
    """What a hyper-parameter may be: a predicate, and the words that finish "must be ..."."""

    accepts: Callable[[Any], bool]
    says: str


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float("-inf") < float(value) < float("inf")


def at_least(low: float) -> Check:
    """A finite number, `low` or more."""
    return Check(lambda value: _real(value) and value >= low, f"a finite number >= {low}")


def above(low: float) -> Check:
    """A finite number greater than `low`."""
    return Check(lambda value: _real(value) and value > low, f"a finite number > {low}")


def between(low: float, high: float) -> Check:
    """A number from `low` to `high`, both included."""
    return Check(lambda value: _real(value) and low <= value <= high, f"a number from {low} to {high}")


def whole(low: int = 1) -> Check:
    """An integer, `low` or more."""
    return Check(lambda value: isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low,
                 f"an integer >= {low}")


def one_of(*choices: str) -> Check:
    """One of a few words."""
    return Check(lambda value: isinstance(value, str) and value in choices,
                 "one of " + ", ".join(repr(choice) for choice in choices))


def flag() -> Check:
    """True or False."""
    return Check(lambda value: isinstance(value, bool), "True or False")


def sizes(least: int = 1) -> Check:
    """Widths of layers, such as (600, 200), at least so many."""
    return Check(lambda value: isinstance(value, (tuple, list)) and len(value) >= least
                 and all(whole(1).accepts(part) for part in value),
                 f"a tuple of {'one or more ' * (least > 0)}integers >= 1")


def optional(check: Check) -> Check:
    """None, or what `check` accepts."""
    return Check(lambda value: value is None or check.accepts(value), f"None or {check.says}")


class Parameters:
    """Keyword-only hyper-parameters stored under their own names; `checks` says what each may be.

    A subclass writes `__init__(self, *, a=1, b=2)` that calls `self._store(locals())`, and
    `checks = {"a": whole(), "b": above(0)}`. Values are checked when the model is fitted, not when
    it is made, so that a search may set them one by one.
    """

    checks: ClassVar[dict[str, Check]] = {}

    def _store(self, given: Mapping[str, Any]) -> None:
        """Keep the arguments of `__init__`, its `locals()`, under their own names."""
        for name in given:
            if name not in ("self", "__class__"):
                setattr(self, name, given[name])

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """The names of the hyper-parameters, in the order of the signature."""
        if cls.__init__ is object.__init__:
            return ()
        return tuple(name for name, p in inspect.signature(cls.__init__).parameters.items()
                     if p.kind is inspect.Parameter.KEYWORD_ONLY)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The hyper-parameters, each the very object given, as a dictionary that `type(model)(**params)` takes back.

        `deep` is scikit-learn's, whose `clone` asks with it; nothing is nested here, so it changes nothing.
        """
        return {name: getattr(self, name) for name in self.parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change hyper-parameters; they count from the next `fit`.

        Raises
        ------
        ParameterError
            A name that `__init__` does not have; the message lists the valid ones.
        """
        names = self.parameter_names()
        unknown = [name for name in params if name not in names]
        if unknown:
            raise ParameterError(f"{type(self).__name__} has no parameter {', '.join(map(repr, unknown))}; "
                                 f"valid ones are {', '.join(names) or 'none'}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def clone(self) -> Self:
        """A model with the same hyper-parameters that has not been fitted."""
        return type(self)(**self.get_params())

    def remedy(self) -> str:
        """What helps when numbers are no longer finite, in terms of the parameters that this model has.

        Examples
        --------
        >>> from recsys.models import BPR, EASE, Popular
        >>> BPR().remedy(), EASE().remedy(), Popular().remedy()
        ('lower lr or raise reg', 'raise reg', 'scale the values of the data down')
        """
        known = self.parameter_names()
        penalty = next((name for name in ("reg", "weight_decay", "reg_user", "shrink") if name in known), None)
        found = ["lower lr"] * ("lr" in known) + ([] if penalty is None else [f"raise {penalty}"])
        return " or ".join(found) or "scale the values of the data down"

    def check_parameters(self) -> None:
        """Raise ParameterError for the first hyper-parameter that is out of its range."""
        for name in self.parameter_names():
            holders = (getattr(base, "checks", {}) for base in type(self).__mro__)
            check = next((checks[name] for checks in holders if name in checks), None)
            value = getattr(self, name)
            if check is not None and not check.accepts(value):
                raise ParameterError(f"{type(self).__name__}: {name} must be {check.says}, not {value!r}.")

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = (f"{name}={value!r}" for name, value in self.get_params().items()
                   if not (value is defaults[name] or value == defaults[name]))
        return f"{type(self).__name__}({', '.join(changed)})"
