"""Items from a CSV file, as the service's settings name one."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from recsys.data.ids import IdMap
from recsys.data.intake import NAMES, plain_name
from recsys.errors import DataError
from recsys.events import Item
from recsys.serving.items import require_item
from recsys.serving.problems import Problem

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
        The file cannot be read, has no header with a column of ids, a row does not fit, or two have one id; the message
        names the lines.
    """
    name, lines = os.fspath(path), dict[int | str, int]()
    try:
        with _opened(name) as file:
            for line, item in _rows(name, csv.reader(file), ids):
                if item.id in lines:
                    raise DataError(f"{name}, line {line}: line {lines[item.id]} has the item {item.id!r}, too; keep "
                                    f"one of the two.")
                lines[item.id] = line
                yield item
    except FileNotFoundError:
        raise DataError(f"items: there is no file {name!r}; name one in [service] of the configuration, or none.") \
            from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"items: {name} cannot be read as CSV in UTF-8 ({getattr(error, 'strerror', None) or error}); "
                        f"mend it, or name another in [service] of the configuration.") from error


def _rows(name: str, rows: Any, ids: IdMap) -> Iterator[tuple[int, Item]]:
    """The items of a CSV reader, each with the number of the line where it begins."""
    names = [plain_name(each) for each in next(rows, [])]
    place = next((names.index(each) for each in names if each in _IDS), None)
    if place is None:
        raise DataError(f"{name}: the first line must name a column of item ids, such as item, among "
                        f"{', '.join(names) or 'nothing'}.")
    title, text = _first(names, _TITLES), _first(names, _TEXTS)
    line = rows.line_num + 1
    for row in rows:
        if row:
            yield line, _item(f"{name}, line {line}", row, names, place, title, text, ids)
        line = rows.line_num + 1


def _item(where: str, row: Sequence[str], names: Sequence[str], place: int, title: int | None, text: int | None,
          ids: IdMap) -> Item:
    if len(row) != len(names):
        raise DataError(f"{where}: {len(row)} fields, and the first line names {len(names)}; quote fields with commas.")
    field = dict(zip(names, row, strict=True))
    attributes = {name: [part.strip() for part in value.split("|") if part.strip()]
                  for number, (name, value) in enumerate(field.items()) if number not in (place, title, text)
                  and name not in _OWN}
    held = {name: values for name, values in attributes.items() if values}
    item = Item(_id(where, row[place], ids), None if title is None else row[title] or None,
                None if text is None else row[text] or None, held, field.get("image") or None,
                _available(where, field.get("available", "")))
    try:
        require_item(item)
    except Problem as problem:
        raise DataError(f"{where}: {problem.detail}") from None
    return item


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
