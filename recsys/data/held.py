"""Columns that have types already: of Parquet files, JSON lines, data frames and records."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from minidl.errors import MissingExtraError
from recsys.data.columns import as_floats, as_times, as_values
from recsys.data.ids import as_ids, whole_number
from recsys.data.missing import NA, is_null, refuse, stands_for_nothing
from recsys.data.notes import Tell, unsaid
from recsys.errors import DataError

__all__ = ["Held", "parse_json_lines", "read_parquet"]


@dataclass(frozen=True, eq=False, repr=False)
class Held:
    """Named columns of one length, with the verbs of `recsys.data.table.Table`.

    Parameters
    ----------
    columns : mapping of name to array, shape (n_rows,)
        Or to a function that fetches it, which is called once.
    file : str
        For messages.
    rows : int array, shape (n_rows,)
        The number of each row, for messages.
    row : str
        What messages call a row.
    named : bool
        Whether the columns have names, else numbers.
    """

    columns: Mapping[Any, np.ndarray | Callable[[], np.ndarray]]
    file: str
    rows: np.ndarray
    row: str = "row"
    named: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {name: cache(column) if callable(column) else column
                                             for name, column in self.columns.items()})

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of the columns, if they have some."""
        return [str(name) for name in self.columns] if self.named else []

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def column(self, which: str | int) -> int:
        """The number of a column given by name or by number (from 0)."""
        if isinstance(which, str) and self.names.count(which) == 1:
            return self.names.index(which)
        if isinstance(which, int) and 0 <= which < self.width:
            return which
        shown = f"columns are {self.names}" if self.named else f"there are {self.width} columns without names"
        raise DataError(f"{self.file}: there is no column {which!r}; {shown}.")

    def array(self, which: str | int) -> np.ndarray:
        """A column as it is."""
        found = list(self.columns.values())[self.column(which)]
        array = np.asarray(found() if callable(found) else found)
        return array.astype(np.object_) if array.dtype.kind == "T" else array

    def take(self, rows: Any) -> Held:
        """Some of the rows (numbers, a mask or a slice)."""
        columns = {name: partial(lambda i: self.array(i)[rows], i) for i, name in enumerate(self.columns)}
        return replace(self, columns=columns, rows=self.rows[rows])

    def place(self, which: str | int) -> Callable[[int], str]:
        """For messages: where row `i` of a column stands."""
        label = repr(self.names[self.column(which)]) if self.named else str(which)
        return lambda i: f"{self.file}, column {label}, {self.row} {self.rows[i]}"

    def missing(self, which: str | int, words: Sequence[str] = NA, what: str = "id") -> np.ndarray:
        """Which rows of a column have nothing, or a text that says so: bool (n_rows,)."""
        array = self.array(which)
        missing = is_null(array)
        if array.dtype.kind == "U":
            missing |= stands_for_nothing(array.tolist(), words)
        elif array.dtype.kind == "O":
            texts = np.flatnonzero([isinstance(x, str) for x in array])
            missing[texts] |= stands_for_nothing(array[texts].tolist(), words)
        return missing

    def ids(self, which: str | int, id_type: type | None = None, na: Sequence[str] = NA,
            tell: Tell = unsaid) -> np.ndarray:
        """A column as ids, int64 or str, in the kind that it has, unless `id_type` asks for another."""
        self._refuse_missing(which, na, "id")
        held = self.array(which)
        if id_type is str and held.dtype.kind == "O":
            held = _in_texts(held)
        try:
            ids = as_ids(held, self.place(which))
        except DataError as error:
            if {type(x) for x in held.tolist()} != {int, str}:
                raise
            raise DataError(f"{str(error).removesuffix('.')}; id_type=str takes them as strings.") from None
        if id_type is str:
            return ids.astype(np.str_)
        if id_type is int and ids.dtype.kind == "U":
            numbers = list(map(whole_number, ids.tolist()))
            if None in numbers:
                bad = numbers.index(None)
                raise DataError(f"{self.place(which)(bad)}: the id {str(ids[bad])!r} is not a whole number of 64 bits; "
                                f"correct the row, or pass id_type=str.")
            return np.array(numbers, np.int64)
        return ids

    def strings(self, which: str | int) -> np.ndarray:
        """A column as a str array, shape (n_rows,); nothing is an empty text."""
        array = self.array(which)
        texts = ["" if null else str(x) for x, null in zip(array.tolist(), is_null(array), strict=True)]
        return np.array(texts, np.str_)

    def lists(self, which: str | int) -> list[list[str]] | None:
        """A column of lists as texts, empty ones where there is none; None if it holds something else."""
        array = self.array(which)
        held = [x for x, null in zip(array, is_null(array), strict=True) if not null]
        if not held or not all(isinstance(x, list | tuple | np.ndarray) for x in held):
            return None
        return [[str(label) for label in x] if isinstance(x, list | tuple | np.ndarray) else [] for x in array]

    def texts(self, which: str | int) -> np.ndarray:
        """A column of free text as a StringDType array, shape (n_rows,)."""
        return np.array(self.strings(which).tolist(), np.dtypes.StringDType())

    def values(self, which: str | int, na: Sequence[str] = NA) -> np.ndarray:
        """A column as float32, shape (n_rows,), finite."""
        self._refuse_missing(which, na, "value")
        return as_values(self.array(which), len(self), self.place(which))

    def floats(self, which: str | int, na: Sequence[str] = NA) -> np.ndarray:
        """A column as float64, shape (n_rows,)."""
        self._refuse_missing(which, na, "value")
        return as_floats(self.array(which), self.place(which))

    def times(self, which: str | int, unit: str | None = "s", format: str | None = None, na: Sequence[str] = NA,
              tell: Tell = unsaid) -> np.ndarray:
        """A column as int64, shape (n_rows,): see `recsys.data.columns.as_times`."""
        self._refuse_missing(which, na, "time")
        return as_times(self.array(which), len(self), self.place(which), unit, format, tell)

    def _refuse_missing(self, which: str | int, na: Sequence[str], what: str) -> None:
        refuse(self.missing(which, na), lambda i: self.array(which)[i], self.place(which), what)


def _in_texts(ids: np.ndarray) -> np.ndarray:
    """Integers among strings as strings; anything else as it is."""
    texts = np.empty(len(ids), np.object_)
    texts[:] = [str(x) if isinstance(x, int | np.integer) and not isinstance(x, bool) else x for x in ids]
    return texts


def parse_json_lines(raw: bytes, file: str) -> Held:
    """JSON lines, UTF-8: a record a line; a record that lacks a field has nothing there.

    Raises
    ------
    DataError
        Naming the file and the line.
    """
    records, lines = [], []
    for line, text in enumerate(raw.decode("utf-8", "surrogatepass").split("\n"), 1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(f"{file}, line {line}: this is not JSON ({error}).") from None
        except RecursionError:
            raise DataError(f"{file}, line {line}: lists or records lie too deep in each other; take them out."
                            ) from None
        except ValueError:
            raise DataError(f"{file}, line {line}: a whole number has thousands of digits; write it as a string."
                            ) from None
        if not isinstance(record, dict):
            raise DataError(f"{file}, line {line}: this is no record, such as {{\"user\": 1, \"item\": 2}}.")
        records.append(record)
        lines.append(line)
    columns: dict[Any, np.ndarray | Callable[[], np.ndarray]] = {}
    for name in dict.fromkeys(name for record in records for name in record):
        columns[name] = np.empty(len(records), np.object_)
        columns[name][:] = [record.get(name) for record in records]  # type: ignore[index]
    return Held(columns, file, np.array(lines, np.int64), "line")


def read_parquet(path: str | Path) -> Held:
    """A Parquet file, whose columns are read when they are asked for.

    Raises
    ------
    DataError
        The file cannot be read.
    MissingExtraError
        `duckdb` is not installed.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise MissingExtraError("duckdb", "io", "Reading Parquet") from None
    name, connection = Path(path).name, duckdb.connect()
    literally = re.sub(r"([*?\[])", r"[\1]", os.path.abspath(path))  # no pattern, and no names of folders as columns

    def ask(what: str, fetched: Callable[[Any], Any], rest: str = "") -> Any:
        query = f"select {what} from read_parquet(?, hive_partitioning=false) {rest}"
        try:
            return fetched(connection.execute(query, [literally]))
        except duckdb.OutOfMemoryException:
            raise MemoryError(f"{name} does not fit") from None
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise DataError(f"{name} cannot be read as Parquet ({reason}); write or fetch it again.") from None

    def fetch(column: str, kind: str) -> np.ndarray:
        cast = "::varchar" if kind == "UUID" else ""
        (array,) = ask('"' + column.replace('"', '""') + '"' + cast, lambda found: found.fetchnumpy()).values()
        if isinstance(array, np.ma.MaskedArray):
            missing, array = np.ma.getmaskarray(array), array.data
            array = array.astype(np.object_) if missing.any() else array
            array[missing] = None
        return np.asarray(array)

    kinds = {field[0]: str(field[1]) for field in ask("*", lambda found: found.description, "limit 0")}
    count = int(ask("count(*)", lambda found: found.fetchall()[0][0]))
    return Held({column: partial(fetch, column, kind) for column, kind in kinds.items()}, name, np.arange(count))
