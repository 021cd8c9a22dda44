"""Hyper-parameters: read from the signature of `__init__`, checked by the rules of `recsys.checks`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ClassVar, Self

from recsys.checks import Check, above, at_least, between, flag, number, one_of, optional, sizes, whole
from recsys.errors import ParameterError

__all__ = ["Check", "Parameters", "above", "at_least", "between", "flag", "number", "one_of", "optional",
           "sizes", "whole"]


class Parameters:
    """Keyword-only hyper-parameters stored under their own names; `checks` says what each may be.

    A subclass writes `__init__(self, *, a=1, b=2)` that calls `self.store_parameters(locals())`, and
    `checks = {"a": whole(), "b": above(0)}`. Values are checked when the model is fitted, not when
    it is made, so that a search may set them one by one.
    """

    checks: ClassVar[dict[str, Check]] = {}
    renamed: ClassVar[Mapping[str, str]] = {}  # names, and values as "loss=mse", of before: they stay for a version

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.renamed and "__init__" in vars(cls):
            cls.__init__ = _taking_old_names(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    def current(cls, given: Mapping[str, Any], say: bool = True) -> dict[str, Any]:
        """Hyper-parameters by their names and values of now; a FutureWarning for each that is of before, to `say` so.

        Examples
        --------
        >>> from recsys.models import SASRec
        >>> SASRec.current({"max_length": 20, "factors": 8}, say=False)
        {'recent': 20, 'factors': 8}
        """
        found = {}
        for name, value in given.items():
            new = cls.renamed.get(name, name)
            _, _, changed = cls.renamed.get(f"{new}={value}", "").partition("=")
            if say and (new != name or changed):
                before, now = (f"{name}={value!r}", f"{new}={changed!r}") if changed else (name, new)
                warnings.warn(f"{cls.__name__}: {before} is {now} now; the old name goes with the next version.",
                              FutureWarning, stacklevel=4)
            found[new] = changed or value
        return found

    def store_parameters(self, given: Mapping[str, Any]) -> None:
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
        names, params = self.parameter_names(), self.current(params)
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
            if check is not None:
                check.require(type(self).__name__, name, getattr(self, name))

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self).__init__).parameters.items()}
        changed = (f"{name}={value!r}" for name, value in self.get_params().items()
                   if not (value is defaults[name] or value == defaults[name]))
        return f"{type(self).__name__}({', '.join(changed)})"


def _taking_old_names(init: Callable[..., None]) -> Callable[..., None]:
    """An `__init__` that takes the names of before, too."""
    @wraps(init)
    def taking(self: Parameters, *arguments: Any, **given: Any) -> None:
        init(self, *arguments, **self.current(given))
    return taking
