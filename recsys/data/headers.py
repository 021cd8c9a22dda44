"""Whether the first line of a table names its columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from recsys.data.missing import stands_for_nothing
from recsys.data.notes import Tell
from recsys.data.numbers import is_number
from recsys.data.table import Table
from recsys.data.times import is_date
from recsys.errors import DataError

__all__ = ["Known", "has_header", "unknown_names"]

Known = Callable[[Sequence[str]], bool]  # whether fields are names of columns that are known

_WORDS = frozenset((
    "id", "ids", "uid", "iid", "user", "users", "item", "items", "name", "title", "customer", "client", "member",
    "visitor", "person", "reviewer", "product", "film", "movie", "book", "song", "track", "artist", "article",
    "content", "category", "genre", "tag", "tags", "brand", "price", "rating", "score", "stars", "value", "count",
    "weight", "quantity", "amount", "time", "timestamp", "date", "datetime", "event", "action", "type", "label",
    "text", "description", "session", "author", "year", "kind", "email", "url", "key", "code", "sku", "isbn", "asin",
    "friend", "friends", "trustee", "truster", "follower",
))
_SAMPLE, _MANY = 12, 10_000  # rows below that are looked at: for numbers, for what repeats
_REPEATED = 0.9


def unknown_names(fields: Sequence[str]) -> bool:
    """Knows no names: the columns of this table have none of their own."""
    return False


def has_header(table: Table, known: Known, tell: Tell) -> bool:
    """Whether the first line names the columns.

    It does if its names are known, or if a column is numbers or dates below a word. It does not if it holds a
    number or a date itself. Among words alone, it is a row if one of its fields occurs again in its column, and names
    if they are such as `userID` or all end in words such as `title`, or if nearly all that stands below repeats but
    nothing of the first line does (which `tell` gets to know).

    Raises
    ------
    DataError
        It cannot be known.
    """
    top = table.fields(0)
    if known(top):
        return True
    if any(is_number(field) or is_date(field) for field in top):
        return False
    below = [table.fields(i) for i in range(1, min(len(table), 1 + _SAMPLE))]
    said = ~stands_for_nothing(top)
    measured = [word and _measured([row[j] for row in below]) for j, word in enumerate(said)]
    again = [word and _recurs(table, j) for j, word in enumerate(said)]
    if any(measured) and not any(again):
        return True
    if any(again) and not _has_names(top):
        return False
    if not any(again):
        if _has_names(top):
            return True
        if said.all() and all(_repeats(table, j) for j in range(table.width)):
            tell(f"{table.file}: took the first line, {_shown(top)}, as names of the columns, since all below repeats "
                 f"and it does not; header=False makes it a row.")
            return True
    raise DataError(f"{table.file}: cannot tell whether the first line, {_shown(top)}, names the columns or is a row; "
                    f"pass header=True or header=False.")


def _measured(column: Sequence[str]) -> bool:
    """Whether a column holds numbers, or dates, and nothing else that means something."""
    present = [field for field, missing in zip(column, stands_for_nothing(column), strict=True) if not missing]
    return bool(present) and (all(map(is_number, present)) or all(map(is_date, present)))


def _recurs(table: Table, j: int) -> bool:
    """Whether the first field of a column occurs in it again."""
    length = table.ends[:, j] - table.starts[:, j]
    alike = 1 + np.flatnonzero(length[1:] == length[0])
    for p in range(int(length[0])):
        alike = alike[table.buffer[table.starts[alike, j] + p] == table.buffer[table.starts[0, j] + p]]
    return bool(len(alike))


def _repeats(table: Table, j: int) -> bool:
    """Whether nearly all fields below the first occur more than once."""
    below = table.take(slice(1, 1 + _MANY)).strings(j)
    counts = np.unique(below, return_counts=True)[1]
    return bool(len(below) and counts[counts > 1].sum() >= _REPEATED * len(below))


def _has_names(fields: Sequence[str]) -> bool:
    """Whether one field is such as `userID` or `product_name`, or all end in a word that is usual for a column."""
    named = [field.strip() for field in fields if field.strip()]
    words = [re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) for name in named]
    if not words or any(re.search(r"\d", name) for name in named) or not all(0 < len(found) <= 4 for found in words):
        return False
    return any(len(found) > 1 and found[-1] in ("id", "name") for found in words) or all(
        found[-1] in _WORDS for found in words)


def _shown(fields: Sequence[str]) -> str:
    shown = ", ".join(repr(field) for field in fields[:6])
    return f"{shown}, ..." if len(fields) > 6 else shown
