"""Delimited text to columns: whole-file NumPy parsing, exact line numbers in every complaint."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recsys.data.headers import Known, has_header, unknown_names
from recsys.data.notes import Tell, unsaid
from recsys.data.opening import as_text, called, read_bytes, read_text
from recsys.data.table import Table
from recsys.errors import DataError, ParameterError

__all__ = ["parse_table", "read_ragged", "read_table"]

DELIMITERS = ("::", "\t", ";", ",", "|", " ")
_QUOTE, _CR, _LF = ord('"'), ord("\r"), ord("\n")


def read_table(
    path: str | Path,
    delimiter: str | None = None,
    header: bool | None = None,
    encodings: Sequence[str] = ("utf-8",),
    errors: str = "strict",
    quoted: bool = True,
    decimal: str = ".",
    known: Known = unknown_names,
    tell: Tell = unsaid,
) -> Table:
    """Read a delimited file.

    Parameters
    ----------
    path : path
        The file, gzipped if it ends in `.gz`; `-` is standard input.
    delimiter : str, optional
        Between fields; by default the first of `::`, tab, `;`, `,`, `|`, blank that divides the first
        lines alike.
    header : bool, optional
        Whether the first line names the columns; by default found out, see `recsys.data.headers`.
    encodings : sequence of str
        Tried in turn, where there is no byte order mark.
    errors : str
        What to do with bytes that do not fit, as in `bytes.decode`.
    quoted : bool
        Whether fields may stand in double quotes (as `csv` writes them).
    decimal : str
        What divides the digits of a number: a point or a comma.
    known : callable
        Whether the first line's fields are names that are known.
    tell : callable
        Takes a sentence about what was guessed.

    Raises
    ------
    DataError
        Naming the file and the line: empty, of another format, undecodable, ragged, badly quoted, with a first line
        of which it cannot be known whether it is a header.
    """
    name = called(path)
    raw = as_text(read_bytes(path), name, encodings, errors)
    return parse_table(raw, name, delimiter, header, quoted, decimal, known, tell)


def parse_table(
    raw: bytes,
    file: str,
    delimiter: str | None = None,
    header: bool | Known | None = None,
    quoted: bool = True,
    decimal: str = ".",
    known: Known = unknown_names,
    tell: Tell = unsaid,
) -> Table:
    """As `read_table`, of UTF-8 text that has been read already; `file` is for messages.

    `header` may be a function of the first line's fields, which alone decides.
    """
    if not re.search(rb"\S", raw):
        raise DataError(f"{file} is empty; there is nothing to read.")
    if decimal not in (".", ","):
        raise ParameterError(f"decimal must be '.' or ',', got {decimal!r}.")
    if delimiter is None:
        delimiter = _sniff(raw, decimal)
        if delimiter == decimal and b'"' not in raw:
            tell(f"{file}: commas stand between the fields, so numbers were read with points, not with decimal=','.")
            decimal = "."
    if delimiter == decimal and b'"' not in raw:
        raise DataError(f"{file}: {decimal!r} cannot be both the delimiter and the decimal sign; pass another "
                        f"delimiter= or decimal=.")
    if quoted and len(delimiter) == 1 and b'"' in raw:
        table = _quoted_table(raw, delimiter, file)
    else:
        table = _plain_table(raw, delimiter, file)
    table = replace(table, decimal=decimal)
    if header is None:
        header = has_header(table, known, tell)
    if not (header(table.fields(0)) if callable(header) else header):
        return table
    if len(table) == 1:
        raise DataError(f"{file} has a header ({table.fields(0)}) but no rows below it.")
    names = [name.strip() for name in table.fields(0)]
    return replace(table.take(slice(1, None)), names=names)


def _sniff(raw: bytes, decimal: str) -> str:
    head = re.sub(r'"[^"]*"', "", raw[:65536].decode("utf-8", "ignore"))
    lines = [line for line in re.split(r"\r\n|\n|\r", head)[:20] if line.strip()][:10]
    candidates = [delimiter for delimiter in DELIMITERS if delimiter != decimal]
    if decimal in DELIMITERS and (b'"' in raw or not re.search(r"\d,\d", lines[0] if lines else "")):
        candidates.append(decimal)  # such numbers may stand in quotes, or there are none
    for delimiter in candidates:
        counts = {line.strip(" ").count(delimiter) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return max(candidates, key=lambda delimiter: lines[0].count(delimiter) if lines else 0)


def _plain_table(raw: bytes, delimiter: str, file: str) -> Table:
    """Rows are lines, fields lie between delimiters, quotes mean nothing."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if delimiter == " ":
        raw = re.sub(rb"(?m)^ +| +$", b"", re.sub(rb"  +", b" ", raw))
    mark = delimiter.encode()
    if len(mark) > 1:
        unused = next(bytes([b]) for b in range(1, 32) if bytes([b]) not in raw and b not in b"\n\t")
        raw, mark = raw.replace(mark, unused), unused
    buffer = np.frombuffer(raw if raw.endswith(b"\n") else raw + b"\n", np.uint8)
    ends = _separators(buffer, mark)
    is_last = buffer[ends] == _LF
    lines = np.arange(1, np.count_nonzero(is_last) + 1)
    return _table(buffer, _starts(ends), ends, is_last, lines, delimiter, file)


def _quoted_table(raw: bytes, delimiter: str, file: str) -> Table:
    """As `_plain_table`, but a field may stand in quotes, in which a doubled quote means one.

    A delimiter divides fields if the number of quotes before it is even. Where the quotes do not
    stand as they should, the `csv` module reads the file, or says where it cannot.
    """
    if delimiter == " " or not delimiter.isascii():
        return _csv_table(raw, delimiter, file)
    buffer = np.frombuffer(raw if raw.endswith((b"\n", b"\r")) else raw + b"\n", np.uint8)
    quotes = np.flatnonzero(buffer == _QUOTE)
    ends = _separators(buffer, delimiter.encode(), b"\r" if b"\r" in raw else b"")
    ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    if len(quotes) % 2:
        return _csv_table(raw, delimiter, file)
    starts = _starts(ends)
    first_half = np.flatnonzero((buffer[ends[:-1]] == _CR) & (buffer[ends[1:]] == _LF)
                                & (ends[1:] == ends[:-1] + 1))  # of a line's end in two characters
    starts[first_half + 1], ends[first_half + 1] = starts[first_half], ends[first_half]
    starts, ends = np.delete(starts, first_half), np.delete(ends, first_half)
    is_last = buffer[ends] != ord(delimiter)
    in_quotes = (buffer[starts] == _QUOTE) & (ends - starts >= 2) & (buffer[ends - 1] == _QUOTE)
    edges = np.concatenate([starts[in_quotes], ends[in_quotes] - 1])
    inner = np.setdiff1d(quotes, edges, assume_unique=True)
    held = in_quotes[np.searchsorted(ends, inner)] if len(inner) else np.ones(0, np.bool_)
    if len(inner) % 2 or not held.all() or np.any(inner[1::2] != inner[::2] + 1):
        return _csv_table(raw, delimiter, file)
    breaks = np.flatnonzero((buffer == _LF) | ((buffer == _CR) & (np.append(buffer[1:], 0) != _LF)))
    begins = starts[np.flatnonzero(np.append(True, is_last[:-1]))]
    lines = 1 + np.searchsorted(breaks, begins)
    doubled = inner[1::2]
    starts, ends = (bounds - np.searchsorted(doubled, bounds) for bounds in (starts + in_quotes, ends - in_quotes))
    return _table(np.delete(buffer, doubled), starts, ends, is_last, lines, delimiter, file, in_quotes)


def _separators(buffer: np.ndarray, *marks: bytes) -> np.ndarray:
    """Where fields end: at a mark of one byte or at a line's end."""
    separates = np.zeros(256, np.bool_)
    separates[[_LF, *b"".join(marks)]] = True
    return np.flatnonzero(separates[buffer]).astype(np.int32 if len(buffer) < 2**31 else np.int64)


def _starts(ends: np.ndarray) -> np.ndarray:
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    return starts


def _table(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, is_last: np.ndarray, lines: np.ndarray,
    delimiter: str, file: str, in_quotes: np.ndarray | None = None,
) -> Table:
    """Fields in reading order, which of them are the last of a line, and each line's number: rows of one width.

    Lines without any field are left out. Quotes say that a field is text unless all fields stand in them.
    """
    last = np.flatnonzero(is_last)
    count = np.diff(last, prepend=-1)
    filled = (count > 1) | (ends[last] > starts[last])
    if in_quotes is not None:
        filled |= in_quotes[last]  # an empty field, no empty line
    width = int(count[filled][0])
    ragged = np.flatnonzero(filled & (count != width))
    if len(ragged):
        first = ragged[0]
        hint = "; where a line is a user with all items, or a session, say lines='users' or lines='sessions'" * (
            delimiter == " ")
        raise DataError(f"{file}, line {lines[first]}: {count[first]} fields where line {lines[filled][0]} has {width} "
                        f"(delimiter {delimiter!r}; {len(ragged)} such lines){hint}.")
    if not filled.all():
        of_filled = np.repeat(filled, count)
        starts, ends, lines = starts[of_filled], ends[of_filled], lines[filled]
        in_quotes = None if in_quotes is None else in_quotes[of_filled]
    shape = (-1, width)
    meant = None if in_quotes is None or in_quotes.all() else in_quotes.reshape(shape)
    return Table(buffer, starts.reshape(shape), ends.reshape(shape), lines, [], file, meant)


def _csv_table(raw: bytes, delimiter: str, file: str) -> Table:
    """As the `csv` module reads it, strictly; its fields are laid end to end in a new buffer."""
    fields, lines = _csv_fields(raw.decode("utf-8", "surrogatepass"), delimiter, file)
    buffer = np.frombuffer("".join(fields).encode("utf-8", "surrogatepass") + b"\n", np.uint8)
    bounds = np.zeros(len(fields) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, fields), np.int64, len(fields)), out=bounds[1:])  # in characters
    more = np.flatnonzero((buffer & 0xC0) == 0x80)  # the second and later bytes of a character
    bounds += np.searchsorted(more - np.arange(len(more)) - 1, bounds)  # in bytes
    shape = (len(lines), -1)
    return Table(buffer, bounds[:-1].reshape(shape), bounds[1:].reshape(shape), lines, [], file)


def _csv_fields(text: str, delimiter: str, file: str) -> tuple[list[str], np.ndarray]:
    """The fields of all rows but blank ones, one after another, and the line each row begins on."""
    fields: list[str] = []
    counts: list[int] = []
    lines: list[int] = []
    line = 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                fields += row
                counts.append(len(row))
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{file}, line {line}: {error}; check the quotes there.") from None
    for line, count in zip(lines, counts, strict=True):
        if count != counts[0]:
            raise DataError(f"{file}, line {line}: {count} fields where line {lines[0]} has {counts[0]} "
                            f"(delimiter {delimiter!r}).")
    return fields, np.array(lines)


def read_ragged(path: str | Path) -> Table:
    """A file of blank-separated words, any number a line, as a table of one column; `lines` says where each stood."""
    file, raw = called(path), read_text(path)
    buffer = np.frombuffer(raw + b"\n", np.uint8)
    line_end = buffer == ord("\n")
    space = line_end | np.isin(buffer, np.frombuffer(b" \t\r", np.uint8))
    starts = np.flatnonzero(~space & np.concatenate([[True], space[:-1]]))
    ends = np.flatnonzero(space & np.concatenate([[False], ~space[:-1]]))
    if not len(starts):
        raise DataError(f"{file} is empty; there is nothing to read.")
    lines = np.searchsorted(np.flatnonzero(line_end), starts) + 1
    return Table(buffer, starts[:, None], ends[:, None], lines, [], file)
