"""The fields of a delimited file, and their conversion to numbers, ids and text, all rows at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys.data.columns import as_times, as_values
from recsys.errors import DataError

__all__ = ["Table", "is_number"]

_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MISSING = ("", "nan", "NaN")
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
    """

    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray
    names: list[str]
    file: str

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.starts.shape[1])

    def take(self, rows: np.ndarray) -> Table:
        """Some of the rows (numbers or a mask)."""
        return Table(self.buffer, self.starts[rows], self.ends[rows], self.lines[rows], self.names, self.file)

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
        start, length = self.starts[:, j], self.ends[:, j] - self.starts[:, j]
        width = int(length.max(initial=1))
        if width > _WIDEST_ID:
            return np.array(self.texts(which).tolist(), np.str_)
        letters = np.zeros((len(self), max(width, 1)), np.uint8)
        for p in range(width):
            inside = p < length
            letters[inside, p] = self.buffer[start[inside] + p]
        packed = letters.view(f"S{letters.shape[1]}").ravel()
        ascii = letters.max(initial=0) < 128
        return np.asarray(packed.astype(np.str_) if ascii else np.char.decode(packed, "utf-8"))

    def ids(self, which: str | int, id_type: type | None = None) -> np.ndarray:
        """A column as ids, int64 or str, shape (n_rows,).

        Integers if the fields are (`17850.0` too), else strings; `id_type`, int or str, insists on one of them.
        Leading zeros make strings, so that `007` stays what it is. An empty field is a missing id, and so is
        `nan` unless `id_type` is str.
        """
        where = self.place(which)
        if id_type is not str:
            number, plain = self._integers(which)
            odd = np.flatnonzero(~plain)
            if not len(odd):
                return number
            fields = self.take(odd).strings(which)
            if id_type is int or is_number(fields[0]):
                pairs = zip(fields.tolist(), odd.tolist(), strict=True)
                number[odd] = [_whole(field, where(row)) for field, row in pairs]
                return number
        ids = self.strings(which)
        missing = (ids == "") if id_type is str else np.isin(ids, _MISSING)
        if missing.any():
            raise DataError(f"{where(int(np.argmax(missing)))}: the id is missing ({int(missing.sum())} such rows); "
                            "drop these rows first.")
        return ids

    def floats(self, which: str | int) -> np.ndarray:
        """A column as float64, shape (n_rows,); what is not a number is refused, NaN and infinity are not."""
        digits, decimals, negative, plain = self._scan(which)
        value: np.ndarray = digits / 10.0 ** np.maximum(decimals, 0)
        value[negative] *= -1
        odd = np.flatnonzero(~plain | (digits > 2**53))  # below, one exact division: correctly rounded
        where = self.place(which)
        for row, field in zip(odd.tolist(), self.take(odd).strings(which).tolist(), strict=True):
            try:
                value[row] = float(field)
            except ValueError:
                what = f"{field!r} is not a number" if field.strip() else "the value is missing"
                raise DataError(f"{where(row)}: {what}; correct or drop the row, or choose another column.") from None
        return value

    def values(self, which: str | int) -> np.ndarray:
        """A column as float32, shape (n_rows,), finite."""
        return as_values(self.floats(which), len(self), self.place(which))

    def times(self, which: str | int) -> np.ndarray:
        """A column as int64, shape (n_rows,): numbers, or dates when its first field is no number."""
        number, plain = self._integers(which)
        if plain.all():
            return number
        dates = not is_number(self.take(np.arange(1)).strings(which)[0])
        fields = np.char.rstrip(np.char.strip(self.strings(which)), "Z") if dates else self.floats(which)
        return as_times(fields, len(self), self.place(which))

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
        blocks = [_scan_numbers(self.buffer, start[i : i + _BLOCK], length[i : i + _BLOCK])
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


def _scan_numbers(
    buffer: np.ndarray, start: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fields like `-12.50` as digits 1250 (uint64), decimals 2 (-1: no point), sign, and whether they are so."""
    n = len(start)
    negative = (buffer[start] == ord("-")) & (length > 0)
    start, length = start + negative, length - negative
    digits, count = np.zeros(n, np.uint64), np.zeros(n, np.int8)
    decimals, plain = np.full(n, -1, np.int8), (length > 0) & (length <= 20)
    for p in range(min(int(length.max(initial=0)), 20)):
        byte = buffer[np.minimum(start + p, len(buffer) - 1)]
        inside, digit = p < length, byte - np.uint8(ord("0"))  # wraps below "0"
        is_digit = inside & (digit < 10)
        is_point = inside & (byte == ord(".")) & (decimals < 0)
        digits = np.where(is_digit, digits * np.uint64(10) + digit, digits)
        count += is_digit
        decimals += is_point | (is_digit & (decimals >= 0))
        plain &= is_digit | is_point | ~inside
    return digits, decimals, negative, plain & (count > 0) & (count < 20)


def _whole(field: str, where: str) -> int:
    """An integer in another spelling, such as `17850.0`."""
    if field.strip() in _MISSING:
        raise DataError(f"{where}: the id is missing; drop such rows first.")
    number = float(field) if is_number(field) else np.nan
    if not number.is_integer() or abs(number) >= 2.0**53:
        what = "beyond the 64-bit integers" if abs(number) >= 2.0**53 else "not a whole number"
        raise DataError(f"{where}: the id {field!r} is {what}; correct the row, or pass id_type=str.")
    return int(number)


def is_number(field: str) -> bool:
    """Whether a field is a number as it is usually written: no leading zeros, `nan` or `inf`."""
    return _NUMBER.fullmatch(field.strip()) is not None
