"""Which column is what: the columns of delimited files, Parquet, JSON lines, data frames and records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from recsys.checks import words
from recsys.data.columns import as_values
from recsys.data.headers import Known
from recsys.data.held import Held, parse_json_lines, read_parquet
from recsys.data.ids import column_at
from recsys.data.missing import NA, refuse
from recsys.data.notes import Tell, unsaid
from recsys.data.opening import as_text, called, format_of, is_parquet, read_bytes
from recsys.data.readers import parse_table
from recsys.data.table import Table
from recsys.data.times import UNITS, guess_unit, is_date
from recsys.errors import DataError, ParameterError

__all__ = ["NAMES", "Choice", "Columns", "Options", "Source", "TableOptions", "choose", "from_csv", "from_dataframe",
           "from_file", "from_matrix", "from_records", "open_table", "plain_name"]

Choice = str | int | None  # a column's name or number, None for none, or "auto"
Source = Table | Held

_WORDS = {
    "users": "user userid uid customer customerid visitorid person personid reviewer reviewerid member memberid",
    "items": "item itemid iid movie movieid book bookid product productid artist artistid track trackid song songid "
             "content contentid article articleid stockcode asin isbn sku place placeid business businessid",
    "values": "rating ratings value score stars weight count plays playcount quantity",
    "times": "timestamp time unixtime date datetime ts createdat eventdate invoicedate",
    "events": "event events eventtype action actiontype behavior behaviour behaviortype kind type",
}
NAMES = {role: frozenset(words.split()) for role, words in _WORDS.items()}
_KINDS = NAMES["events"] - {"kind", "type"}  # which may be of items
_ROLES = ("users", "items", "values", "times")


class TableOptions(TypedDict, total=False):
    """What is said of a file; `Interactions.from_csv` describes them."""

    delimiter: str | None
    header: bool | None
    encoding: str
    decimal: str
    na: Sequence[str]


class Options(TypedDict, total=False):
    """What all doors take; `Interactions.from_csv` describes them."""

    users: Choice
    items: Choice
    values: Choice
    times: Choice
    events: Choice
    event_weights: Mapping[str, float | None] | None
    id_type: type | None
    na: Sequence[str]
    drop_missing: bool
    date_format: str | None
    time_unit: str | None
    negative: str
    name: str | None


@dataclass(frozen=True, eq=False)
class Columns:
    """Checked columns, ready for `Interactions.from_arrays`, and what there is to say about them."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray | None
    times: np.ndarray | None
    name: str
    negative: str
    notes: list[str]


@dataclass(frozen=True)
class _Wanted:
    """The options with their defaults, checked."""

    users: Choice = "auto"
    items: Choice = "auto"
    values: Choice = "auto"
    times: Choice = "auto"
    events: Choice = "auto"
    event_weights: Mapping[str, float | None] | None = None
    id_type: type | None = None
    na: Sequence[str] = NA
    drop_missing: bool = False
    date_format: str | None = None
    time_unit: str | None = None
    negative: str = "keep"
    name: str | None = None

    def __post_init__(self) -> None:
        words().require("Interactions", "na", self.na)
        if self.id_type not in (None, int, str):
            raise ParameterError(f"id_type must be int, str or None, got {self.id_type!r}.")
        if self.time_unit not in (None, *UNITS):
            raise ParameterError(f"time_unit must be one of {', '.join(UNITS)}, or None, got {self.time_unit!r}.")
        if self.events not in ("auto", None) and self.event_weights is None:
            raise ParameterError("events= names a column whose words need event_weights=, such as {'view': 1}.")
        if self.event_weights is not None and self.values not in ("auto", None):
            raise ParameterError("values= and event_weights= both say what an event is worth; give one of them.")

    @property
    def roles(self) -> dict[str, Choice]:
        """The column of each role, as asked for."""
        asked = {role: getattr(self, role) for role in _ROLES}
        return asked if self.event_weights is None else asked | {"values": None, "events": self.events}

    @property
    def by_name(self) -> bool:
        """Whether a column is asked for by its name, so that there must be names."""
        return any(isinstance(choice, str) and choice != "auto" for choice in (*self.roles.values(), self.events))


def from_csv(path: str | Path, delimiter: str | None = None, header: bool | None = None, encoding: str = "utf-8",
             decimal: str = ".", **options: Any) -> Columns:
    """The columns of a delimited file; parameters as in `Interactions.from_csv`."""
    wanted, notes, file = _wanted("from_csv", options), list[str](), called(path)
    text = as_text(read_bytes(path), file, (encoding,))
    table = parse_table(text, file, delimiter, _header(header, wanted, file), True, decimal, _is_header, notes.append)
    return _columns(table, wanted, notes)


def from_file(path: str | Path, delimiter: str | None = None, header: bool | None = None, encoding: str = "utf-8",
              decimal: str = ".", **options: Any) -> Columns:
    """The columns of a delimited, Parquet or JSON lines file, by its contents."""
    wanted, notes = _wanted("from_file", options), list[str]()
    header = _header(header, wanted, called(path))
    source = open_table(path, delimiter, header, encoding, decimal, _is_header, notes.append)
    if isinstance(source, Held):
        _only_for_text(source, decimal=decimal)
    return _columns(source, wanted, notes)


def open_table(path: str | Path, delimiter: str | None, header: bool | Known | None, encoding: str, decimal: str,
               known: Known, tell: Tell) -> Source:
    """A file's table, delimited, Parquet or JSON lines, by its contents; parameters as of `parse_table`."""
    file = called(path)
    if is_parquet(path):
        return _only_for_text(read_parquet(path), delimiter, header)
    raw = read_bytes(path)
    if format_of(raw) == "parquet":
        raise DataError(f"{file}: Parquet is read from a file alone, not gzipped and not from a pipe; unpack it, or "
                        f"name the file.")
    text = as_text(raw, file, (encoding,), refused=("json",))
    if format_of(text) == "jsonl":
        return _only_for_text(parse_json_lines(text, file), delimiter, header)
    return parse_table(text, file, delimiter, header, True, decimal, known, tell)


def _only_for_text(source: Held, delimiter: str | None = None, header: bool | Known | None = None,
                   decimal: str = ".") -> Held:
    """The source, unless what is said of it is about delimited text alone."""
    given = [name for name, is_given in (("delimiter=", delimiter is not None), ("header=False", header is False),
                                         ("decimal=", decimal != ".")) if is_given]
    if given:
        raise ParameterError(f"{source.file}: the file is Parquet or JSON lines, whose columns have names and whose "
                             f"values have types; leave {' and '.join(given)} out.")
    return source


def _header(header: bool | None, wanted: _Wanted, file: str) -> bool | None:
    """Whether there is a line of names, where that follows from how columns are asked for."""
    if header is False and wanted.by_name:
        raise ParameterError(f"{file}: columns are named by text, and header=False says that there are no names; use "
                             f"numbers from 0, or header=True.")
    return True if header is None and wanted.by_name else header


def from_dataframe(frame: Any, **options: Any) -> Columns:
    """The columns of a frame; parameters as in `Interactions.from_dataframe`."""
    if not hasattr(frame, "columns"):
        raise DataError(f"from_dataframe: a {type(frame).__name__} has no columns; pass a pandas or polars frame.")
    return _columns(hold(frame), _wanted("from_dataframe", options), [])


def hold(frame: Any) -> Held:
    """A frame's columns, which are fetched when they are read."""
    columns = {column: partial(_from_frame, frame, column) for column in frame.columns}
    count = len(frame) if hasattr(frame, "__len__") else len(_from_frame(frame, next(iter(frame.columns))))
    return Held(columns, "the frame", np.arange(count))


def _from_frame(frame: Any, column: Any) -> np.ndarray:
    return np.asarray(frame[column].to_numpy())


def from_records(records: Iterable[Any], **options: Any) -> Columns:
    """The columns of dicts or tuples; parameters as in `Interactions.from_records`."""
    wanted, rows = _wanted("from_records", options), list(records)
    if not rows:
        raise DataError("from_records: there are no records.")
    if isinstance(rows[0], str | bytes) or not hasattr(rows[0], "__getitem__") or not hasattr(rows[0], "__len__"):
        raise DataError(f"from_records: record 0 is {rows[0]!r}, not a dict or tuple of one event's fields; pass "
                        f"columns to from_arrays(users, items), or a frame to from_dataframe(frame).")
    named = isinstance(rows[0], Mapping)
    fields = list(rows[0]) if named else list(range(len(rows[0])))
    columns = {field: partial(_from_rows, rows, field) for field in fields}
    return _columns(Held(columns, "the records", np.arange(len(rows)), "record", named), wanted, [])


def _from_rows(rows: Sequence[Any], which: Any) -> np.ndarray:
    column = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        try:
            column[i] = row[which]
        except (KeyError, IndexError, TypeError):
            raise DataError(f"record {i} ({row!r}) has no field {which!r}.") from None
    return column


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


def _wanted(door: str, options: Mapping[str, Any]) -> _Wanted:
    unknown = set(options) - set(_Wanted.__dataclass_fields__)
    if unknown:
        raise ParameterError(f"{door}: there is no option {sorted(unknown)[0]!r}; there are "
                             f"{', '.join(_Wanted.__dataclass_fields__)}.")
    return _Wanted(**options)


def _columns(source: Source, wanted: _Wanted, notes: list[str]) -> Columns:
    """The columns that are wanted of a table, without rows that lack something if those are to be dropped."""
    tell, na = notes.append, wanted.na
    chosen = _chosen(source, wanted.roles, tell)
    if wanted.drop_missing:
        source = _without_missing(source, chosen, na, tell)
    values = None
    if chosen.get("events") is not None:
        source, values = _weighted(source, chosen["events"], wanted, tell)
    elif chosen["values"] is None:
        kinds = [name for name in source.names if plain_name(name) in _KINDS]
        if kinds:
            tell(f"{source.file}: all kinds of events in the column {kinds[0]!r} count alike; event_weights= weighs "
                 f"them.")
    time = chosen["times"]
    if chosen["values"] is not None:
        values = source.values(chosen["values"], na)
    return Columns(
        source.ids(chosen["users"], wanted.id_type, na, tell),
        source.ids(chosen["items"], wanted.id_type, na, tell),
        values,
        None if time is None else source.times(time, wanted.time_unit or _unit_in(source, time), wanted.date_format,
                                               na, tell),
        _stem(source) if wanted.name is None else wanted.name,
        wanted.negative,
        notes,
    )


def _stem(source: Source) -> str:
    return "" if source.file in ("the frame", "the records") else source.file.partition(".")[0]


def _without_missing(source: Source, chosen: Mapping[str, Any], na: Sequence[str], tell: Tell) -> Any:
    """The rows that have all that is wanted."""
    lacking, counts = np.zeros(len(source), np.bool_), []
    for role, which in chosen.items():
        if which is not None:
            missing = source.missing(which, na, {"users": "id", "items": "id"}.get(role, "value"))
            lacking |= missing
            counts += [f"{int(missing.sum()):,} without {role}"] if missing.any() else []
    if not counts:
        return source
    if lacking.all():
        raise DataError(f"{source.file}: every row lacks something ({', '.join(counts)}); choose other columns, or say "
                        f"with na= which words mean that.")
    tell(f"{source.file}: dropped {int(lacking.sum()):,} of {len(source):,} rows ({', '.join(counts)}).")
    return source.take(~lacking)


def _weighted(source: Any, which: Choice, wanted: _Wanted, tell: Tell) -> tuple[Any, np.ndarray]:
    """The rows whose event has a weight, and these weights, float32."""
    if not len(source):
        return source, np.zeros(0, np.float32)
    refuse(source.missing(which, wanted.na, "event"), lambda i: source.strings(which)[i], source.place(which), "event")
    weights = {str(name).strip(): weight for name, weight in (wanted.event_weights or {}).items()}
    names, number, counts = np.unique(np.char.strip(source.strings(which)), return_inverse=True, return_counts=True)
    label = column_at(source.place(which))
    unknown = {name: int(n) for name, n in zip(names.tolist(), counts, strict=True) if name not in weights}
    if unknown and "*" not in weights:
        shown = ", ".join(f"{name!r} ({n:,} rows)" for name, n in list(unknown.items())[:6])
        raise DataError(f"{label}: no weight is given for {shown}; give event_weights= one for each, None to drop its "
                        f"rows; '*' stands for all others.")
    unused = [name for name in weights if name not in names and name != "*"]
    if unused:
        tell(f"{label}: no row has the event {', '.join(map(repr, unused))}.")
    given = [weights.get(name, weights.get("*")) for name in names.tolist()]
    dropped = {name: int(n) for name, n, weight in zip(names.tolist(), counts, given, strict=True) if weight is None}
    if dropped:
        tell(f"{label}: dropped {sum(dropped.values()):,} of {len(source):,} rows "
             f"({', '.join(f'{name!r} {n:,}' for name, n in dropped.items())}).")
    try:
        weight = np.array([np.nan if w is None else w for w in given], np.float32)[number]
    except (TypeError, ValueError):
        raise ParameterError(f"event_weights must be numbers, or None to drop, got {dict(weights)}.") from None
    if any(w is not None and w != w for w in given):
        raise ParameterError(f"event_weights must be numbers, or None to drop, got {dict(weights)}.")
    kept = ~np.isnan(weight)
    if not kept.any():
        raise DataError(f"{label}: every event is dropped; give one of them a weight.")
    return (source if kept.all() else source.take(kept)), weight[kept]


def _unit_in(source: Source, which: str | int) -> str | None:
    """The unit that the name of a column of times ends with, as `time:s` does."""
    name = source.names[source.column(which)] if source.names else ""
    return next((unit for unit in UNITS if name.endswith(f":{unit}")), None)


def choose(names: Sequence[str], width: int, source: str, asked: Mapping[str, Choice], tell: Tell = unsaid
           ) -> dict[str, Any]:
    """The column of each role: as asked, by its name, or by its place (user, item, value, time)."""
    chosen: dict[str, Any] = {}
    for place, (role, choice) in enumerate(asked.items()):
        if choice != "auto":
            chosen[role] = choice
        elif names:
            fitting = [name for name in names if plain_name(name) in NAMES[role] and name not in asked.values()]
            chosen[role] = fitting[0] if fitting else None
            if len(fitting) > 1:
                others = ", ".join(map(repr, fitting[1:]))
                tell(f"{source}: took the column {fitting[0]!r} for the {role}; {others} could be meant, too ({role}= "
                     f"says which).")
        else:
            chosen[role] = place if place < width and role in _ROLES else None
    if not names and width > len(_ROLES) and "auto" in asked.values():
        raise DataError(f"{source}: {width} columns without names; say which is which: users=0, items=1, values=2 "
                        "(or None), times=3 (or None).")
    for role in ("users", "items", "events"):
        if role in asked and chosen[role] is None:
            have = f"columns are {list(names)}" if names else f"there is {width} column (check the delimiter)"
            raise DataError(f"{source}: no column looks like the {role}; {have}; pass {role}=.")
    return chosen


def _chosen(source: Source, asked: Mapping[str, Choice], tell: Tell) -> dict[str, Any]:
    """The column of each role; of three columns without names, the last may be times."""
    chosen = choose(source.names, source.width, source.file, asked, tell)
    if not source.names and "auto" in asked.values():
        if source.width == 3 and asked["values"] == asked["times"] == "auto" and _looks_like_time(source, 2):
            chosen |= {"values": None, "times": 2}
        taken = ", ".join(f"{which} as {role}" for role, which in chosen.items() if which is not None)
        if isinstance(source, Table):
            tell(f"{source.file}: no line of names; took column {taken}.")
    return chosen


def _looks_like_time(source: Source, which: int) -> bool:
    """Whether the first rows of a column are dates, or numbers of the size of times since 1980."""
    few = source.take(slice(0, 100))
    texts = few.strings(which).tolist()
    if all(map(is_date, texts)):
        return True
    numbers = np.array([int(text) if re.fullmatch(r"\d{8,19}", text, re.ASCII) else 0 for text in texts])
    return bool((numbers >= 315_532_800).all()) or guess_unit(numbers) == "date"


def _is_header(fields: Sequence[str]) -> bool:
    return all(any(plain_name(field) in NAMES[role] for field in fields) for role in ("users", "items"))


def plain_name(name: str) -> str:
    """`userId`, `user_id` and RecBole's `user_id:token` alike."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())
