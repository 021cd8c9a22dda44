"""Where the hyper-parameters of a model are searched for.

A range follows from three things: how the parameter's word is searched (`recsys.estimator.glossary`), what its check
accepts, and what is usual: its default, or, where that is None, what a fit with the defaults took from the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from recsys.checks import Check
from recsys.estimator.glossary import GLOSSARY
from recsys.estimator.searches import Among, Times, Within

__all__ = ["Range", "Space", "space_of", "usual_of"]

_STEPS = (0.25, 0.5, 1, 2, 4)  # of a number that may not be any number


@dataclass(frozen=True)
class Range:
    """What values of a parameter are tried.

    Parameters
    ----------
    usual : object
        The default, or what stands for it.
    low, high : float
        Both included; of numbers alone.
    log : bool
        Evenly in the logarithm.
    whole : bool
        Integers.
    options : tuple
        Instead of numbers from `low` to `high`.
    """

    usual: Any
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    options: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.options:
            return ", ".join(map(str, self.options))
        return f"{self.low:.4g} to {self.high:.4g}{', by its logarithm' if self.log else ''}"

    def holds(self, value: Any) -> bool:
        """Whether it is a value of the range."""
        if self.options:
            return value in self.options
        number = float(value) if isinstance(value, Real) else math.nan
        return self.low <= number <= self.high and not (self.whole and number % 1)


Space = dict[str, Range]
"""The range of each parameter that is searched, by its name."""


def usual_of(model: Any) -> dict[str, Any]:
    """What a fit took from the data for parameters that are None, of a fitted model that says so.

    Examples
    --------
    >>> from recsys import Interactions
    >>> from recsys.models import EASE
    >>> usual_of(EASE().fit(Interactions.from_arrays([1, 1, 2], [7, 9, 7])))["reg"] > 0
    True
    """
    taken = {name: getattr(model, f"{name}_", None) for name, value in model.get_params().items() if value is None}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in taken.items()
            if isinstance(value, (Real, str))}


def space_of(model: Any, usual: dict[str, Any] | None = None, fixed: tuple[str, ...] = ()) -> Space:
    """What is searched of a model's hyper-parameters; nothing, of a model whose parameters are not tuned.

    Parameters
    ----------
    model : Recommender
        With the parameters around which it is searched.
    usual : dict, optional
        As `usual_of` gives it; the model's own parameters by default.
    fixed : tuple of str
        Parameters that stay as they are.

    Examples
    --------
    >>> from recsys.models import BPR, EASE
    >>> space = space_of(BPR())
    >>> list(space), str(space["lr"])
    (['factors', 'lr'], '0.006 to 0.15, by its logarithm')
    >>> space_of(EASE(), {"reg": 60.0})["reg"].high
    600.0
    """
    values = model.get_params() | (usual or {})
    found = {name: _range(name, values[name], _check(model, name)) for name in model.parameter_names()
             if name not in fixed}
    return {name: kept for name, kept in found.items() if kept is not None}


def _check(model: Any, name: str) -> Check | None:
    holders = (getattr(base, "checks", {}) for base in type(model).__mro__)
    return next((checks[name] for checks in holders if name in checks), None)


def _range(name: str, usual: Any, check: Check | None) -> Range | None:
    """None, if there is nothing to search."""
    search = GLOSSARY[name].search if name in GLOSSARY else None
    if search is None or check is None:
        return None
    if isinstance(search, Among):
        return _among(usual, check, search.values or check.choices)
    if usual is None and isinstance(search, Within):
        return None
    if isinstance(usual, bool) or not isinstance(usual, Real):
        return None
    if check.low == -math.inf and check.high == math.inf and isinstance(search, Times):  # it is more than a bound
        values = [float(usual) * step for step in _STEPS]
        return _among(usual, check, tuple(map(int, values) if isinstance(usual, Integral) else values))
    return _numbers(float(usual), check, search, isinstance(usual, Integral))


def _among(usual: Any, check: Check, values: tuple[Any, ...]) -> Range | None:
    options = tuple(value for value in values if check.accepts(value))
    options = options if usual in options else (usual, *options)
    return Range(usual, options=options) if len(options) > 1 else None


def _numbers(usual: float, check: Check, search: Times | Within, whole: bool) -> Range | None:
    if isinstance(search, Times):
        if usual <= 0:  # there is no logarithm of it
            return None
        low, high = usual / search.factor, usual * search.factor
    else:
        low, high = min(search.low, usual), max(search.high, usual)
    low, high = max(low, check.low), min(high, check.high)
    if whole:
        low, high = math.ceil(low), math.floor(high)
    kept = int(usual) if whole else usual
    return Range(kept, low, high, isinstance(search, Times), whole) if low < high else None
