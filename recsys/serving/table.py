"""Items from a CSV file, as the service's settings name one."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from typing import IO

from recsys.data.ids import IdMap
from recsys.data.intake import NAMES, plain_name
from recsys.errors import DataError
from recsys.events import Item

__all__ = ["read_items"]

_IDS = NAMES["items"] | {"id"}
_TITLES = ("title", "name", "itemname", "productname", "movietitle", "booktitle")
_TEXTS = ("text", "description", "plot", "overview", "summary", "abstract")
_OWN = {"image", "available"}
_NO = {"0", "no", "false", "f", "n"}
_YES = {"1", "yes", "true", "t", "y", ""}


def read_items(path: str | os.PathLike[str], ids: IdMap) -> Iterator[Item]:
    """The items of a CSV file with a header, gzipped if it ends in `.gz`.

    One column holds ids; `title`, `text`, `image` and `available` are taken as such where they are there; every other
    column is an attribute, and `|` parts its values.

    Parameters
    ----------
    path : path
    ids : IdMap
        Of a model's items: integers here mean integers there.

    Raises
    ------
    DataError
        There is no header with a column of ids, or a row does not fit; the message names the line.
    """
    with _opened(path) as file:
        rows = csv.reader(file)
        names = [plain_name(name) for name in next(rows, [])]
        place = next((names.index(name) for name in names if name in _IDS), None)
        if place is None:
            raise DataError(f"{os.fspath(path)}: the first line must name a column of item ids, such as item, among "
                            f"{', '.join(names) or 'nothing'}.")
        title, text = _first(names, _TITLES), _first(names, _TEXTS)
        for line, row in enumerate(rows, 2):
            if row:
                yield _item(f"{os.fspath(path)}, line {line}", row, names, place, title, text, ids)


def _item(where: str, row: Sequence[str], names: Sequence[str], place: int, title: int | None, text: int | None,
          ids: IdMap) -> Item:
    if len(row) != len(names):
        raise DataError(f"{where}: {len(row)} fields, and the first line names {len(names)}; quote fields with commas.")
    field = dict(zip(names, row, strict=True))
    attributes = {name: [part.strip() for part in value.split("|") if part.strip()]
                  for number, (name, value) in enumerate(field.items()) if number not in (place, title, text)
                  and name not in _OWN}
    held = {name: values for name, values in attributes.items() if values}
    return Item(_id(where, row[place], ids), None if title is None else row[title] or None,
                None if text is None else row[text] or None, held, field.get("image") or None,
                _available(where, field.get("available", "")))


def _id(where: str, text: str, ids: IdMap) -> int | str:
    if not ids.integers or not len(ids):
        return text
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where}: the model's items are integers, and {text!r} is none.") from None


def _available(where: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise DataError(f"{where}: available must be yes or no, not {text!r}.")
    return word in _YES


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _opened(path: str | os.PathLike[str]) -> IO[str]:
    if os.fspath(path).endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")
