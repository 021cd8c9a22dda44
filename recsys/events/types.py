"""Kinds of events: how much one counts, whether it is a success, and whether its item counts as seen."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recsys.checks import at_least
from recsys.errors import DataError, ParameterError
from recsys.events.records import Event

__all__ = ["Condition", "EventType", "EventTypes"]

_COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}  # the longer signs first
_WEIGHT = at_least(0)


@dataclass(frozen=True)
class Condition:
    """What the value of an event has to be for a success: a comparison with a number, or with the mean.

    Parameters
    ----------
    sign : str
        One of >=, <=, >, <.
    bound : float or None
        What to compare with; None for the mean of the values that a model has learned from.

    Examples
    --------
    >>> Condition.parse(">= 4").holds(3.5), Condition.parse("> mean").holds(3.5, mean=3.1)
    (False, True)
    """

    sign: str
    bound: float | None

    @classmethod
    def parse(cls, text: str) -> Condition:
        """The condition that a text such as ">= 4" or "> mean" says; ValueError when it says none."""
        sign = next((sign for sign in _COMPARISONS if text.startswith(sign)), None)
        if sign is None:
            raise ValueError(text)
        word = text.removeprefix(sign).strip()
        bound = None if word == "mean" else float(word)
        if bound is not None and not math.isfinite(bound):
            raise ValueError(text)
        return cls(sign, bound)

    def holds(self, value: float, mean: float | None = None) -> bool:
        """Whether a value meets it; ParameterError when it compares with the mean and none is given."""
        bound = mean if self.bound is None else self.bound
        if bound is None or not math.isfinite(bound):
            raise ParameterError(f"positive: mean must be a finite number for the condition '{self}', not {bound!r}.")
        return bool(_COMPARISONS[self.sign](value, bound))

    def __str__(self) -> str:
        return f"{self.sign} {'mean' if self.bound is None else f'{self.bound:g}'}"


@dataclass(frozen=True)
class EventType:
    """One kind of event.

    Parameters
    ----------
    name : str
        What events of this kind carry as their type.
    weight : float or None
        How much one counts in a history, 0 or more; None: as much as its own value says.
    positive : bool or Condition
        Whether it is a success, or what its value must be for one.
    seen : bool
        Whether its item counts as seen, and is left out of lists of what is new.
    undoes : bool
        Whether it takes back what was said of its item before: then it is as if there had been nothing.
    """

    name: str
    weight: float | None
    positive: bool | Condition
    seen: bool
    undoes: bool = False

    @property
    def needs_value(self) -> bool:
        """Whether an event of this type says nothing without a value."""
        return self.weight is None or isinstance(self.positive, Condition)

    def likes(self, value: float | None, mean: float | None = None) -> bool:
        """Whether an event of this type is a success; not, where what its condition compares is not there."""
        if isinstance(self.positive, bool):
            return self.positive
        if value is None or (mean is None and self.positive.bound is None):
            return False
        return self.positive.holds(value, mean)


_DEFAULTS = (
    EventType("impression", 0.0, False, False),
    EventType("view", 0.5, True, True),
    EventType("click", 1.0, True, True),
    EventType("like", 2.0, True, True),
    EventType("save", 2.0, True, True),
    EventType("purchase", 3.0, True, True),
    EventType("dislike", 0.0, False, True),
    EventType("undo", 0.0, False, False, undoes=True),
    EventType("rating", None, Condition(">=", None), True),
)


class EventTypes(Mapping[str, EventType]):
    """The kinds of events that a service takes, by name.

    Parameters
    ----------
    types : EventType
        The kinds; by default impression, view, click, like, save, purchase, dislike, rating and undo.

    Examples
    --------
    >>> types = EventTypes.of({"click": {"weight": 1.5},
    ...                        "stars": {"weight": "value", "positive": ">= 4", "seen": True}})
    >>> types.weight("click", None), types.weight("stars", 5.0), types.positive("stars", 3.0)
    (1.5, 5.0, False)
    >>> types.positive("rating", 4.0, mean=3.5)
    True
    """

    def __init__(self, *types: EventType) -> None:
        self._types = {type.name: type for type in types or _DEFAULTS}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> EventTypes:
        """The default kinds with those of a table `[events.NAME]` of a TOML file.

        Parameters
        ----------
        table : mapping of str to mapping
            By name: `weight` (a number or "value"), `positive` (true, false, or a condition such as ">= 4", "< 3" or
            ">= mean") and `seen` (true or false). A kind that there is by default keeps what is not named; a new one
            has to name all three.

        Raises
        ------
        ParameterError
            For an entry that cannot be; the message names table, key and value, and says what it may be.
        """
        types = cls()._types
        if not isinstance(table, Mapping):
            raise ParameterError(f"[events] must be a table of tables such as [events.click], not {table!r}.")
        for name, entries in table.items():
            types[name] = _entry(name, entries, types.get(name))
        return cls(*types.values())

    @property
    def by_name(self) -> dict[str, EventType]:
        """All of them; not to be changed."""
        return self._types

    def __getitem__(self, name: str) -> EventType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __repr__(self) -> str:
        return f"EventTypes({', '.join(self._types)})"

    def check(self, event: Event) -> None:
        """Raise DataError unless an event is of a known type and has the value that its type needs."""
        type = self._known(event.type)
        if type.needs_value:
            _valued(type, event.value)

    def weight(self, name: str, value: float | None) -> float:
        """How much an event of a type with this value counts; DataError as `check` does."""
        type = self._known(name)
        return _valued(type, value) if type.weight is None else type.weight

    def positive(self, name: str, value: float | None, mean: float | None = None) -> bool:
        """Whether an event is a success, where `mean` is that of the values a model has learned from.

        Raises
        ------
        DataError
            As `check` does.
        ParameterError
            The type compares with the mean, and none is given.
        """
        type = self._known(name)
        if isinstance(type.positive, Condition):
            return type.positive.holds(_valued(type, value), mean)
        return type.positive

    def seen(self, name: str) -> bool:
        """Whether the item of an event of this type counts as seen; DataError for an unknown type."""
        return self._known(name).seen

    def _known(self, name: str) -> EventType:
        type = self._types.get(name)
        if type is None:
            raise DataError(f"type must be one of {', '.join(map(repr, self._types))}, not {name!r}; "
                            f"name others in a table [events.NAME] of the configuration.")
        return type


def _valued(type: EventType, value: float | None) -> float:
    if value is None or not math.isfinite(value):
        raise DataError(f"value must be a finite number in an event of the type {type.name!r}, not {value!r}.")
    return value


def _entry(name: str, entries: Any, default: EventType | None) -> EventType:
    """One table `[events.NAME]`, over what there is by default."""
    who = f"[events.{name}]"
    if not isinstance(entries, Mapping):
        raise ParameterError(f"{who} must be a table with weight, positive and seen, not {entries!r}.")
    for key in entries:
        if key not in _READERS:
            raise ParameterError(f"{who}: there is no key {key!r}; it may have weight, positive and seen.")
    missing = [key for key in _READERS if key not in entries]
    if missing and default is None:
        raise ParameterError(f"{who}: {missing[0]} is missing; a new type needs weight, positive and seen.")
    read = {key: read(who, entries[key]) for key, read in _READERS.items() if key in entries}
    return EventType(name, **read) if default is None else replace(default, **read)


def _read_weight(who: str, value: Any) -> float | None:
    if value == "value":
        return None
    if not _WEIGHT.accepts(value):
        raise ParameterError(f'{who}: weight must be {_WEIGHT.says} or "value", not {value!r}.')
    return float(value)


def _read_positive(who: str, value: Any) -> bool | Condition:
    if isinstance(value, bool):
        return value
    try:
        return Condition.parse(value)
    except (AttributeError, ValueError):
        raise ParameterError(f'{who}: positive must be true, false, or a condition such as ">= 4", "< 3" or ">= mean", '
                             f"not {value!r}.") from None


def _read_seen(who: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ParameterError(f"{who}: seen must be true or false, not {value!r}.")
    return value


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "weight": _read_weight, "positive": _read_positive, "seen": _read_seen,
}
