"""How the texts of the command line become names, numbers, settings and ids."""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Sequence
from typing import Any

from recsys.errors import ParameterError

__all__ = ["count", "finite", "ids", "names", "numbers", "positive", "seed", "settings"]


def positive(text: str) -> int:
    """A whole number from 1 on, as the type of an option."""
    return _between(text, 1, 2**31 - 1)


def count(text: str) -> int:
    """A whole number from 0 on, as the type of an option."""
    return _between(text, 0, 2**31 - 1)


def seed(text: str) -> int:
    """A whole number that may seed a generator."""
    return _between(text, 0, 2**32 - 1)


def _between(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or len(text) > 10 or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return int(text)


def finite(text: str) -> float:
    """A finite number, as the type of an option."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


def names(text: str) -> list[str]:
    """The parts between commas, without blanks around them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def ids(text: str, flag: str) -> list[str]:
    """Ids separated by commas, as `names`; one that holds a comma or a quote stands in quotes, as in CSV.

    >>> ids('7, "tea, green",x', "--history")
    ['7', 'tea, green', 'x']
    """
    try:
        (found,) = csv.reader([text], skipinitialspace=True, strict=True) if text.strip() else [[]]
    except (csv.Error, ValueError) as error:
        raise ParameterError(f"{flag} {text!r}: {error}; put an id that holds a comma in double quotes, and double "
                             f"quotes inside of it twice.") from None
    return [part.strip() for part in found if part.strip()]


def numbers(text: str, flag: str) -> list[float]:
    """Finite numbers separated by commas."""
    try:
        return [finite(part) for part in names(text)]
    except argparse.ArgumentTypeError as error:
        raise ParameterError(f"{flag}: {error}.") from None


def settings(texts: Sequence[str], flag: str) -> dict[str, Any]:
    """NAME=VALUE texts as a dictionary; a value is a number, true, false, null, or else a text.

    Several values stand between commas, or as a JSON list; one alone, where several may stand, has a comma behind it.

    Examples
    --------
    >>> settings(["factors=64", "lr=0.1", "weights=binary", "implicit_feedback=True"], "--set")
    {'factors': 64, 'lr': 0.1, 'weights': 'binary', 'implicit_feedback': True}
    >>> settings(["models=ALS,ItemKNN", "hidden=64,32", 'fields=["genres"]'], "--set")
    {'models': ('ALS', 'ItemKNN'), 'hidden': (64, 32), 'fields': ('genres',)}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParameterError(f"{flag} {text!r} is not NAME=VALUE.")
        if name in found:
            raise ParameterError(f"{flag} {name} is given twice; give it once.")
        try:
            found[name] = _value(value)
        except ValueError:
            raise ParameterError(f"{flag} {name}: the number has too many digits.") from None
    return found


def _value(text: str) -> Any:
    try:
        return _tuple(json.loads(text))
    except (json.JSONDecodeError, RecursionError):
        if "," in text and text[0] not in '{["':  # which begin JSON, gone wrong
            return tuple(map(_value, names(text)))
        return {"True": True, "False": False, "None": None}.get(text, text)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
