"""Where a hyper-parameter is looked for, as its word says; `recsys.tuning.spaces` makes ranges of it."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Among", "Search", "Times", "Within"]


class Times(NamedTuple):
    """From the usual value divided by a factor to it times the factor, evenly in its logarithm."""

    factor: float


class Within(NamedTuple):
    """Evenly between two numbers, and the usual value if it lies outside."""

    low: float
    high: float


class Among(NamedTuple):
    """One of some values, the usual one too; of all that the parameter may be, if none are named."""

    values: tuple[Any, ...] = ()


Search = Times | Within | Among
