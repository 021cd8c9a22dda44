"""Which column is what: the columns of delimited files, data frames and records."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.data.columns import as_times, as_values
from recsys.data.ids import as_ids
from recsys.data.readers import read_table
from recsys.errors import DataError
from recsys.files import replacing

__all__ = ["Columns", "from_csv", "from_dataframe", "from_matrix", "from_records", "write_csv"]

Choice = str | int | None  # a column's name or number, None for none, or "auto"

_WORDS = {
    "users": "user userid uid customer customerid visitorid person personid reviewer reviewerid member memberid",
    "items": "item itemid iid movie movieid book bookid product productid artist artistid track trackid song songid "
             "content contentid article articleid stockcode asin isbn sku place placeid business businessid",
    "values": "rating ratings value score stars weight count plays playcount quantity",
    "times": "timestamp time unixtime date datetime ts createdat eventdate invoicedate",
}
_NAMES = {role: frozenset(words.split()) for role, words in _WORDS.items()}
_ROLES = ("users", "items", "values", "times")


@dataclass(frozen=True, eq=False)
class Columns:
    """Checked columns, ready for `Interactions.from_arrays`."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray | None
    times: np.ndarray | None
    name: str


def from_csv(
    path: str | Path,
    users: Choice = "auto",
    items: Choice = "auto",
    values: Choice = "auto",
    times: Choice = "auto",
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    id_type: type | None = None,
    name: str | None = None,
) -> Columns:
    """The columns of a delimited file; parameters as in `Interactions.from_csv`."""
    table = read_table(path, delimiter, header, (encoding,), is_header=_is_header)
    chosen = choose(table.names, table.width, table.file,
                    {"users": users, "items": items, "values": values, "times": times})
    value, time = chosen["values"], chosen["times"]
    return Columns(
        table.ids(chosen["users"], id_type),
        table.ids(chosen["items"], id_type),
        None if value is None else table.values(value),
        None if time is None else table.times(time),
        table.file.partition(".")[0] if name is None else name,
    )


def from_dataframe(
    frame: Any,
    users: Choice = "auto",
    items: Choice = "auto",
    values: Choice = "auto",
    times: Choice = "auto",
    name: str = "",
) -> Columns:
    """The columns of a frame; parameters as in `Interactions.from_dataframe`."""
    if not hasattr(frame, "columns"):
        raise DataError(f"from_dataframe: a {type(frame).__name__} has no columns; pass a pandas or polars frame.")
    names = [str(column) for column in frame.columns]
    chosen = choose(names, len(names), "the frame", {"users": users, "items": items, "values": values, "times": times})
    held = {role: frame[list(frame.columns)[_number(which, names)]].to_numpy()
            for role, which in chosen.items() if which is not None}
    return _checked(held, {role: f"column {str(which)!r}" for role, which in chosen.items()}, name)


def from_records(
    records: Iterable[Any],
    users: Choice = "auto",
    items: Choice = "auto",
    values: Choice = "auto",
    times: Choice = "auto",
    name: str = "",
) -> Columns:
    """The columns of dicts or tuples; parameters as in `Interactions.from_records`."""
    rows = list(records)
    if not rows:
        raise DataError("from_records: there are no records.")
    if isinstance(rows[0], str | bytes) or not hasattr(rows[0], "__getitem__") or not hasattr(rows[0], "__len__"):
        raise DataError(f"from_records: record 0 is {rows[0]!r}, not a dict or tuple of one event's fields; pass "
                        f"columns to from_arrays(users, items), or a frame to from_dataframe(frame).")
    if isinstance(rows[0], Mapping):
        names, width = [str(key) for key in rows[0]], len(rows[0])
    else:
        names, width = [], len(rows[0])
    chosen = choose(names, width, "the records", {"users": users, "items": items, "values": values, "times": times})
    held = {role: _field(rows, which) for role, which in chosen.items() if which is not None}
    return _checked(held, {role: f"field {which!r}" for role, which in chosen.items()}, name)


def from_matrix(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Row, column and value of each stored entry of a sparse matrix, by row and column; a mask has no values."""
    if not hasattr(matrix, "tocoo"):
        what = f"an array of shape {matrix.shape}" if isinstance(matrix, np.ndarray) else f"a {type(matrix).__name__}"
        raise DataError(f"from_matrix: this is {what}, not a sparse matrix; of a dense one m, pass "
                        f"scipy.sparse.csr_matrix(m), or u, i = m.nonzero() to from_arrays(u, i, m[u, i]).")
    held = matrix.tocoo()
    if len(held.shape) != 2:
        raise DataError(f"from_matrix: the matrix has shape {held.shape}; it must be users x items.")
    order = np.lexsort((held.col, held.row))
    values = None if held.data.dtype == np.bool_ else as_values(
        held.data[order], len(order), lambda i: f"from_matrix: values, row {held.row[order[i]]}, column "
                                                f"{held.col[order[i]]}")
    return held.row[order], held.col[order], values


def choose(names: Sequence[str], width: int, source: str, asked: Mapping[str, Choice]) -> dict[str, Any]:
    """The column of each role: as asked, by its name, or by its place (user, item, value, time)."""
    asked = {role: asked[role] for role in _ROLES}
    chosen: dict[str, Any] = {}
    for place, (role, choice) in enumerate(asked.items()):
        if choice != "auto":
            chosen[role] = choice
        elif names:
            chosen[role] = next((n for n in names if _plain(n) in _NAMES[role] and n not in asked.values()), None)
        else:
            chosen[role] = place if place < width else None
    if not names and width > len(_ROLES) and "auto" in asked.values():
        raise DataError(f"{source}: {width} columns without names; say which is which: users=0, items=1, values=2 "
                        "(or None), times=3 (or None).")
    for role in ("users", "items"):
        if chosen[role] is None:
            have = f"columns are {list(names)}" if names else f"there is {width} column (check the delimiter)"
            raise DataError(f"{source}: no column looks like the {role}; {have}; pass {role}=.")
    return chosen


def write_csv(path: str | Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns with a header, gzipped if the name ends in `.gz`, all or nothing."""
    with replacing(path) as file, _packed(file, Path(path).suffix == ".gz") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows(zip(*(column.astype(np.str_).tolist() for column in columns.values()), strict=True))
        text.detach()  # flushed, and left open


def _packed(file: IO[bytes], gzipped: bool) -> AbstractContextManager[Any]:
    """What is written to it arrives in the file, gzipped or not; the same contents are the same bytes."""
    return gzip.GzipFile("", "wb", fileobj=file, mtime=0) if gzipped else nullcontext(file)


def _is_header(fields: Sequence[str]) -> bool:
    return all(any(_plain(field) in _NAMES[role] for field in fields) for role in ("users", "items"))


def _plain(name: str) -> str:
    """`userId`, `user_id` and RecBole's `user_id:token` alike."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())


def _number(which: str | int, names: Sequence[str]) -> int:
    if isinstance(which, str) and which in names:
        return list(names).index(which)
    if isinstance(which, int) and 0 <= which < len(names):
        return which
    raise DataError(f"the frame: there is no column {which!r}; columns are {list(names)}.")


def _field(rows: Sequence[Any], which: str | int) -> np.ndarray:
    column = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        try:
            column[i] = row[which]
        except (KeyError, IndexError, TypeError):
            raise DataError(f"record {i} ({row!r}) has no field {which!r}.") from None
    return column


def _checked(held: Mapping[str, np.ndarray], labels: Mapping[str, str], name: str) -> Columns:
    def place(role: str) -> Any:
        return lambda i: f"{labels[role]}, row {i}"

    users, items = as_ids(held["users"], place("users")), as_ids(held["items"], place("items"))
    values, times = held.get("values"), held.get("times")
    return Columns(
        users, items,
        None if values is None else as_values(values, len(users), place("values")),
        None if times is None else as_times(times, len(users), place("times")),
        name,
    )
