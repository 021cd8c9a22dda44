"""Kinds of events: defaults, tables of a configuration, and conditions on values."""

from __future__ import annotations

import math
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError, ParameterError
from recsys.events import Condition, Event, EventType, EventTypes

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
SIGNS = {">=": lambda a, b: a >= b, ">": lambda a, b: a > b, "<=": lambda a, b: a <= b, "<": lambda a, b: a < b}


def event(type: str, value: float | None = None) -> Event:
    return Event("e", "u", "i", type, value, 0.0, None)


def test_defaults() -> None:
    types = EventTypes()
    assert {name for name in types if types.positive(name, 5.0, mean=3.0)} == {
        "view", "click", "like", "save", "purchase", "rating"}
    assert {name for name in types if not types.seen(name)} == {"impression", "undo"}
    assert [types.weight(name, None) for name in ("impression", "view", "click", "like", "purchase", "save")] == [
        0, 0.5, 1, 2, 3, 2]
    assert types.weight("rating", 3.5) == 3.5


@given(st.sampled_from(sorted(SIGNS)), st.one_of(st.none(), NUMBERS), NUMBERS, NUMBERS)
def test_conditions_compare(sign: str, bound: float | None, value: float, mean: float) -> None:
    condition = Condition.parse(f"{sign}{'mean' if bound is None else f' {bound!r}'}")
    assert condition == Condition(sign, bound)
    assert condition.holds(value, mean) is SIGNS[sign](value, mean if bound is None else bound)


@pytest.mark.parametrize("mean", [None, math.nan, math.inf])
def test_the_mean_has_to_be_given_where_it_is_compared_with(mean: float | None) -> None:
    with pytest.raises(ParameterError, match="mean must be a finite number for the condition '>= mean'"):
        EventTypes().positive("rating", 4.0, mean)
    assert EventTypes().positive("click", None, mean)


def test_a_table_adds_and_replaces() -> None:
    table = tomllib.loads("""
        [events.click]
        weight = 2
        [events.rating]
        positive = ">= 4"
        [events.listen]
        weight = "value"
        positive = true
        seen = false
    """)["events"]
    types = EventTypes.of(table)
    assert types["click"] == EventType("click", 2.0, True, True)
    assert types["rating"] == EventType("rating", None, Condition(">=", 4.0), True)
    assert types["listen"] == EventType("listen", None, True, False)
    assert set(types) == {*EventTypes(), "listen"}
    assert len(types) == 10
    assert dict(EventTypes.of({})) == dict(EventTypes())


@pytest.mark.parametrize(("table", "says"), [
    ([], "[events] must be a table"),
    ({"click": 1}, "[events.click] must be a table with weight, positive and seen, not 1"),
    ({"click": {"wieght": 1}}, "[events.click]: there is no key 'wieght'"),
    ({"click": {"weight": "heavy"}}, "[events.click]: weight must be a finite number >= 0 or \"value\", not 'heavy'"),
    ({"click": {"weight": -1}}, "[events.click]: weight"),
    ({"click": {"weight": math.nan}}, "[events.click]: weight"),
    ({"click": {"weight": True}}, "[events.click]: weight"),
    ({"click": {"positive": "yes"}}, "[events.click]: positive must be true, false, or a condition"),
    ({"click": {"positive": ">= four"}}, "[events.click]: positive"),
    ({"click": {"positive": ">= nan"}}, "[events.click]: positive"),
    ({"click": {"positive": "== 4"}}, "[events.click]: positive"),
    ({"click": {"positive": 4}}, "[events.click]: positive"),
    ({"click": {"seen": "no"}}, "[events.click]: seen must be true or false, not 'no'"),
    ({"nod": {"weight": 1, "positive": True}}, "[events.nod]: seen is missing"),
])
def test_a_bad_entry_is_named(table: object, says: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(says)):
        EventTypes.of(table)  # type: ignore[arg-type]


def test_events_are_checked() -> None:
    types = EventTypes()
    types.check(event("click"))
    types.check(event("rating", 4.0))
    with pytest.raises(DataError, match=r"type must be one of 'impression', .* not 'nod'"):
        types.check(event("nod"))
    for value in (None, math.nan, math.inf):
        with pytest.raises(DataError, match="value must be a finite number in an event of the type 'rating'"):
            types.check(event("rating", value))
    for asked in (lambda: types.weight("rating", None), lambda: types.positive("rating", None, 3.0),
                  lambda: types.seen("nod"), lambda: types.weight("nod", 1.0), lambda: types.positive("nod", 1.0)):
        with pytest.raises(DataError):
            asked()
