"""The fields of a delimited file, and their conversion to numbers, ids and text, all rows at once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.data.columns import as_times, as_values
from recsys.data.ids import column_at
from recsys.data.missing import NA, refuse, stands_for_nothing
from recsys.data.notes import Tell, unsaid
from recsys.data.numbers import FLOAT, INTEGRAL, NO_INTEGER, is_number, scan
from recsys.data.times import in_seconds, parse_dates
from recsys.errors import DataError

__all__ = ["Table"]

_PLAIN_INTEGER = re.compile(r"-?[1-9]\d{0,17}|0", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)
_WIDEST_ID = 256  # bytes; wider columns are decoded field by field
_BLOCK = 1 << 14  # rows scanned at a time: what that needs stays in the cache


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """The fields of a delimited file, not yet converted.

    Parameters
    ----------
    buffer : uint8 array
        UTF-8 text, with one byte to spare at the end.
    starts, ends : int arrays, shape (n_rows, n_columns)
        Where each field begins and ends in `buffer`.
    lines : int64 array, shape (n_rows,)
        The line each row begins on, counted from 1.
    names : list of str
        The header, or empty.
    file : str
        For messages.
    quoted : bool array, shape (n_rows, n_columns), optional
        Which fields stood in quotes; None if none did, or all.
    decimal : str
        What divides the digits of a number.
    """

    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray
    names: list[str]
    file: str
    quoted: np.ndarray | None = None
    decimal: str = "."

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.starts.shape[1])

    def take(self, rows: Any) -> Table:
        """Some of the rows (numbers, a mask or a slice)."""
        return replace(self, starts=self.starts[rows], ends=self.ends[rows], lines=self.lines[rows],
                       quoted=None if self.quoted is None else self.quoted[rows])

    def fields(self, row: int) -> list[str]:
        """One row as strings."""
        one = self.take(np.array([row]))
        return [str(one.texts(j)[0]) for j in range(self.width)]

    def column(self, which: str | int) -> int:
        """The number of a column given by name or by number (from 0)."""
        shown = f"columns are {self.names}" if self.names else f"the file has {self.width} columns and no header"
        if isinstance(which, str):
            if self.names.count(which) != 1:
                times = "no" if which not in self.names else "more than one"
                raise DataError(f"{self.file}: there is {times} column {which!r}; {shown}.")
            return self.names.index(which)
        if not 0 <= which < self.width:
            raise DataError(f"{self.file}: there is no column number {which} (they count from 0); {shown}.")
        return int(which)

    def place(self, which: str | int) -> Callable[[int], str]:
        """For messages: where row `i` of a column stands."""
        number = self.column(which)
        label = repr(self.names[number]) if self.names else str(number)
        return lambda i: f"{self.file}, column {label}, line {self.lines[i]}"

    def texts(self, which: str | int) -> np.ndarray:
        """A column of free text as a StringDType array, shape (n_rows,)."""
        j = self.column(which)
        raw = memoryview(self.buffer.data)
        pairs = zip(self.starts[:, j].tolist(), self.ends[:, j].tolist(), strict=True)
        fields = [str(raw[begin:end], "utf-8", "surrogatepass") for begin, end in pairs]
        return np.array(fields, np.dtypes.StringDType())

    def strings(self, which: str | int) -> np.ndarray:
        """A column as a str array, shape (n_rows,), packed byte by byte where that is faster than `texts`."""
        j = self.column(which)
        return self._packed(self.starts[:, j], self.ends[:, j] - self.starts[:, j])

    def missing(self, which: str | int, words: Sequence[str] = NA, what: str = "id") -> np.ndarray:
        """Which fields of a column are empty or one of the words, in capitals or not: bool (n_rows,).

        Among ids that stand in quotes, unlike other fields of the file, only empty ones are.
        """
        j = self.column(which)
        if what == "id" and self.in_quotes(j):
            return np.asarray(self.starts[:, j] == self.ends[:, j])
        start, length = self._span(j)
        missing: np.ndarray = length == 0
        spelled = [word for mark in map(str.strip, words) if mark for word in (mark.lower(), mark.upper())]
        begins = np.zeros(256, np.bool_)
        begins[[word.encode()[0] for word in spelled]] = True
        longest = max((len(word.encode()) for word in spelled), default=0)
        likely = np.flatnonzero(~missing & (length <= longest) & begins[self.buffer[start]])
        missing[likely] = stands_for_nothing(self._packed(start[likely], length[likely]).tolist(), words)
        return missing

    def in_quotes(self, which: str | int) -> bool:
        """Whether all fields of a column stand in quotes, in a file in which others do not: they are meant as text."""
        return self.quoted is not None and bool(self.quoted[:, self.column(which)].all())

    def ids(self, which: str | int, id_type: type | None = None, na: Sequence[str] = NA,
            tell: Tell = unsaid) -> np.ndarray:
        """A column as ids, int64 or str, shape (n_rows,).

        Integers if all fields are, in their one spelling or all that differ as `17850.0`, else strings: `007`, `1E5`
        and `+5` stay what they are, and so does what stands in quotes (see `in_quotes`); `id_type`, int or str,
        insists on one of them. Empty fields and the words `na` are missing ids and refused.
        """
        where = self.place(which)
        if id_type is str or (id_type is None and self.in_quotes(which)):
            return self._text_ids(which, na, tell)
        number, plain = self._integers(which)
        odd = np.flatnonzero(~plain)
        if not len(odd):
            return number
        rest = self.take(odd)
        self._refuse_missing(rest, which, na, "id")
        start, length = rest._span(which)
        first = str(rest._packed(start[:1], length[:1])[0])
        if id_type is int or NO_INTEGER.fullmatch(first):
            fields = rest._packed(start, length).tolist()
            if id_type is int or all(map(NO_INTEGER.fullmatch, fields)):
                number[odd] = [_whole(field, where(row)) for field, row in zip(fields, odd.tolist(), strict=True)]
                self._refuse_merged(which, number, plain, fields, id_type)
                tell(f"{self._label(which)}: read {fields[0]!r} and the like ({len(odd):,} rows) as integers.")
                return number
        if plain.sum() > len(odd):
            tell(f"{self._label(which)}: the ids are text, since {len(odd):,} of {len(self):,} are no plain integers "
                 f"({first!r} in line {self.lines[odd[0]]}).")
        return self._text_ids(which, na, tell)

    def floats(self, which: str | int, na: Sequence[str] = NA) -> np.ndarray:
        """A column as float64, shape (n_rows,); what is not a number is refused, NaN and infinity are not."""
        digits, decimals, negative, plain = self._scan(which)
        value: np.ndarray = digits / 10.0 ** np.maximum(decimals, 0)
        value[negative] *= -1
        odd = np.flatnonzero(~plain | (digits > 2**53))  # below, one exact division: correctly rounded
        if len(odd):
            rest, where = self.take(odd), self.place(which)
            for row, field in zip(odd.tolist(), rest.strings(which).tolist(), strict=True):
                number = field.strip().replace(self.decimal, ".") if "." not in field or self.decimal == "." else ""
                if not FLOAT.fullmatch(number):
                    self._refuse_missing(rest, which, na, "value")
                    raise DataError(f"{where(row)}: {field!r} is not a number; {_remedy(field.strip(), self.decimal)}.")
                value[row] = float(number)
        return value

    def values(self, which: str | int, na: Sequence[str] = NA) -> np.ndarray:
        """A column as float32, shape (n_rows,), finite."""
        floats = self.floats(which, na)
        if np.isnan(floats).any():
            self._refuse_missing(self, which, na, "value")
        return as_values(floats, len(self), self.place(which))

    def times(self, which: str | int, unit: str | None = "s", format: str | None = None, na: Sequence[str] = NA,
              tell: Tell = unsaid) -> np.ndarray:
        """A column as int64, shape (n_rows,): numbers in a unit, or dates when its first field is no number.

        `unit` and `format` are those of `recsys.data.times.in_seconds` and `parse_dates`.
        """
        number, plain = self._integers(which)
        where = self.place(which)
        if plain.all() and format is None:
            return in_seconds(number, unit, where, tell)
        self._refuse_missing(self, which, na, "time")
        if format is None and is_number(self.take(slice(0, 1)).strings(which)[0]):
            return as_times(self.floats(which), len(self), where, unit, None, tell)
        return parse_dates(self.strings(which), format, where, tell)

    def _text_ids(self, which: str | int, na: Sequence[str], tell: Tell) -> np.ndarray:
        self._refuse_missing(self, which, na, "id")
        if not self.in_quotes(which):
            start, length = self._span(which)
            blank = int((length < self.ends[:, self.column(which)] - self.starts[:, self.column(which)]).sum())
            if blank:
                tell(f"{self._label(which)}: took the blanks around {blank:,} ids away; in quotes they would stay.")
            return self._packed(start, length)
        ids = self.strings(which)
        words = stands_for_nothing(distinct := np.unique(ids).tolist(), na)
        if words.any():
            word = next(itertools.compress(distinct, words))
            tell(f"{self._label(which)}: took {word!r}, since it stands in quotes, as an id, not as a missing one "
                 f"({int((ids == word).sum()):,} rows).")
        if all(_PLAIN_INTEGER.fullmatch(id) for id in distinct):
            tell(f"{self._label(which)}: the ids are text, since they stand in quotes; id_type=int makes them "
                 f"integers.")
        return ids

    def _refuse_missing(self, rows: Table, which: str | int, na: Sequence[str], what: str) -> None:
        """Refuse missing fields among some rows of the table."""
        if (missing := rows.missing(which, na, what)).any():
            refuse(missing, lambda i: str(rows.take(slice(i, i + 1)).strings(which)[0]), rows.place(which), what)

    def _refuse_merged(self, which: str | int, number: np.ndarray, plain: np.ndarray, fields: list[str],
                       id_type: type | None) -> None:
        """Refuse integers that are written in two ways, as 12 and 12.0 are, unless `id_type` says that they are."""
        odd = number[~plain]
        merged = np.isin(odd, number[plain]) | (len(set(fields)) > len(np.unique(odd)))
        if id_type is None and merged.any():
            raise DataError(f"{self._label(which)}: {fields[int(np.argmax(merged))]!r} is written in other ways, too; "
                            f"pass id_type=int to take them as one id, id_type=str to take them as several.")

    def _label(self, which: str | int) -> str:
        return column_at(self.place(which))

    def _packed(self, start: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Pieces of the buffer as a str array."""
        width = int(length.max(initial=1))
        if width > _WIDEST_ID:
            raw = memoryview(self.buffer.data)
            pairs = zip(start.tolist(), (start + length).tolist(), strict=True)
            return np.array([str(raw[begin:end], "utf-8", "surrogatepass") for begin, end in pairs], np.str_)
        letters = np.zeros((len(start), max(width, 1)), np.uint8)
        for p in range(width):
            inside = p < length
            letters[inside, p] = self.buffer[start[inside] + p]
        packed = letters.view(f"S{letters.shape[1]}").ravel()
        ascii = letters.max(initial=0) < 128
        return np.asarray(packed.astype(np.str_) if ascii else np.char.decode(packed, "utf-8"))

    def _span(self, which: str | int) -> tuple[np.ndarray, np.ndarray]:
        """Beginning and length of each field without surrounding blanks."""
        j = self.column(which)
        start, end = self.starts[:, j].copy(), self.ends[:, j].copy()
        while (blank := (end > start) & (self.buffer[start] == ord(" "))).any():
            start += blank
        while (blank := (end > start) & (self.buffer[end - 1] == ord(" "))).any():
            end -= blank
        return start, end - start

    def _scan(self, which: str | int) -> tuple[np.ndarray, ...]:
        """Fields as `_scan_numbers` reads them, block by block so that what it needs stays in the cache."""
        start, length = self._span(which)
        blocks = [scan(self.buffer, start[i : i + _BLOCK], length[i : i + _BLOCK], self.decimal)
                  for i in range(0, max(len(start), 1), _BLOCK)]
        return tuple(np.concatenate(parts) for parts in zip(*blocks, strict=True))

    def _integers(self, which: str | int) -> tuple[np.ndarray, np.ndarray]:
        """Fields as int64, and which of them are integers in their one spelling (`7`, not `007`, `7.0`, `-0`)."""
        digits, decimals, negative, plain = self._scan(which)
        start, length = self._span(which)
        plain &= (decimals < 0) & (digits <= np.uint64(2**63 - 1) + negative)
        plain &= (self.buffer[start + negative] != ord("0")) | (length == 1)
        number: np.ndarray = digits.astype(np.int64)
        number[negative] *= -1
        return number, plain


def _whole(field: str, where: str) -> int:
    """An integer in another spelling, such as `17850.0`."""
    number = float(field) if FLOAT.fullmatch(field) else np.nan
    whole = INTEGRAL.fullmatch(field) or re.fullmatch(r"[+-]?\d+", field, re.ASCII)
    if not whole or abs(number) >= 2.0**53:
        what = "beyond the 64-bit integers" if abs(number) >= 2.0**53 else "not a whole number"
        raise DataError(f"{where}: the id {field!r} is {what}; correct the row, or pass id_type=str.")
    return int(number)


def _remedy(field: str, decimal: str) -> str:
    """What to do about a field that is no number."""
    if decimal == "." and _THOUSANDS.fullmatch(field):
        return "remove the commas, if they divide thousands; decimal=',' reads them as decimal signs"
    if decimal == "." and FLOAT.fullmatch(field.replace(",", ".")):
        return "decimal=',' reads it"
    return "correct or drop the row, or choose another column"
