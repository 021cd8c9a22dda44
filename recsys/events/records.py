"""What an event log keeps, and what it takes: each record is checked before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from recsys.errors import DataError

__all__ = ["Erased", "Event", "Id", "Item", "Shown", "State", "check_all", "check_event", "check_id", "check_item",
           "check_name", "check_number", "check_shown", "check_text"]

Id: TypeAlias = int | str

_LONGEST = 255  # bytes of an id: it stays on one page of the file, and so can be overwritten in one place
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1


class Event(NamedTuple):
    """What somebody did with an item.

    Parameters
    ----------
    id : str
        Names the event for good; one that comes twice counts once, as it came first.
    user, item : int or str
        The integer 7 and the text "7" are two different ids.
    type : str
        Such as click; see `EventTypes`.
    value : float or None
        Such as the stars of a rating.
    time : float
        When it happened, in seconds since 1970, as the sender says. Nothing is ordered by it.
    request_id : str or None
        The list that the item was taken from.
    seq : int
        Its place in the order of arrival, given by the log: ascending, with gaps.
    """

    id: str
    user: Id
    item: Id
    type: str
    value: float | None
    time: float
    request_id: str | None
    seq: int = 0


class Item(NamedTuple):
    """What is known of an item; one that is not `available` is not to be shown.

    Parameters
    ----------
    id : int or str
    title, text, image : str or None
        Name, description, address of a picture.
    attributes : dict of str to list of str
        Such as `{"genre": ["Drama", "War"]}`.
    available : bool
    """

    id: Id
    title: str | None
    text: str | None
    attributes: dict[str, list[str]]
    image: str | None
    available: bool


class Shown(NamedTuple):
    """A list that somebody was shown.

    Parameters
    ----------
    request_id : str
        Names the list for good; events refer to it.
    time : float
        In seconds since 1970.
    user : int, str or None
        None for somebody without an id.
    variant, model : str
        The variant of the experiment, and the name and version of the model that answered.
    items : list of int or str
        Best first.
    propensities : list of float
        The probability with which each was shown at its place, above 0 and at most 1, one for each of `items`.
    seq : int
        Its place in the order of arrival among lists, given by the log.
    """

    request_id: str
    time: float
    user: Id | None
    variant: str
    model: str
    items: list[Id]
    propensities: list[float]
    seq: int = 0


class Erased(NamedTuple):
    """How many events and shown lists of a person were deleted."""

    events: int
    shown: int


class State(NamedTuple):
    """How far a log is: four numbers that never fall; what has not risen has not changed.

    Parameters
    ----------
    seq : int
        Of the last event or erasure.
    change : int
        Of the last item that was put.
    generation : int
        How often a key of the service was bumped.
    epoch : int
        How many people were forgotten.
    """

    seq: int
    change: int
    generation: int
    epoch: int


def check_id(name: str, value: Any) -> None:
    """Raise DataError unless a value is an integer of 64 bits or a text of 1 to 255 bytes."""
    if type(value) is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise DataError(f"{name} must be an integer of 64 bits, not {value}; send it as text.")
    elif isinstance(value, str):
        check_text(name, value)
        if not (0 < len(value) <= _LONGEST and len(value.encode()) <= _LONGEST):
            raise DataError(f"{name} must have 1 to {_LONGEST} bytes, not {len(value.encode())}.")
    else:
        raise DataError(f"{name} must be an integer or a text, not {value!r}.")


def check_name(name: str, value: Any) -> None:
    """Raise DataError unless a value is a text of 1 to 255 bytes."""
    if not isinstance(value, str):
        raise DataError(f"{name} must be text, not {value!r}.")
    check_id(name, value)


def check_text(name: str, value: Any, *, optional: bool = False) -> None:
    """Raise DataError unless a value is text that can be written, or None where that may be."""
    if value is None and optional:
        return
    if not isinstance(value, str):
        raise DataError(f"{name} must be text{' or None' * optional}, not {value!r}.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise DataError(f"{name} must be valid Unicode, not {value!r}, which has half a surrogate pair.") from None


def check_number(name: str, value: Any, *, optional: bool = False) -> None:
    """Raise DataError unless a value is a finite number, or None where that may be."""
    if value is None and optional:
        return
    if type(value) not in (int, float) or not _is_finite(value):
        raise DataError(f"{name} must be a finite number{' or None' * optional}, not {value!r}.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def check_event(event: Event) -> None:
    """Raise DataError unless an event can be kept."""
    check_name("id", event.id)
    check_name("type", event.type)
    if event.request_id is not None:
        check_name("request_id", event.request_id)
    check_id("user", event.user)
    check_id("item", event.item)
    check_number("value", event.value, optional=True)
    check_number("time", event.time)


def check_item(item: Item) -> None:
    """Raise DataError unless an item can be kept."""
    check_id("id", item.id)
    for name in ("title", "text", "image"):
        check_text(name, getattr(item, name), optional=True)
    if not isinstance(item.attributes, dict):
        raise DataError(f"attributes must be a dict of lists of text, not {item.attributes!r}.")
    for key, values in item.attributes.items():
        check_text("attributes", key)
        if not isinstance(values, list):
            raise DataError(f"attributes: {key!r} must be a list of text, not {values!r}.")
        for value in values:
            check_text(f"attributes: {key!r}", value)
    if not isinstance(item.available, bool):
        raise DataError(f"available must be True or False, not {item.available!r}.")


def check_shown(shown: Shown) -> None:
    """Raise DataError unless a shown list can be kept."""
    for name in ("request_id", "variant", "model"):
        check_name(name, getattr(shown, name))
    check_number("time", shown.time)
    if shown.user is not None:
        check_id("user", shown.user)
    for item in shown.items:
        check_id("items", item)
    if len(shown.propensities) != len(shown.items):
        raise DataError(f"propensities must be as many as items, {len(shown.items)}, not {len(shown.propensities)}.")
    for value in shown.propensities:
        check_number("propensities", value)
        if not 0 < value <= 1:
            raise DataError(f"propensities must be above 0 and at most 1, not {value!r}.")


def check_all(records: Sequence[Any], what: str, check: Callable[[Any], None]) -> None:
    """Raise DataError for the first record that cannot be kept, and say which one it is."""
    for place, record in enumerate(records):
        try:
            check(record)
        except DataError as error:
            raise DataError(f"{what} {place + 1} of {len(records)}: {error}") from None
