"""Delimited text to columns: whole-file NumPy parsing, exact line numbers in every complaint."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from recsys.data.table import Table, is_number
from recsys.errors import DataError

__all__ = ["read_bytes", "read_ragged", "read_table", "read_text"]

DELIMITERS = ("::", "\t", ";", ",", "|", " ")


def read_bytes(path: str | Path) -> bytes:
    """The contents of a file, unpacked when its name ends in `.gz`."""
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file.")
    raw = path.read_bytes()
    if path.suffix != ".gz":
        if raw[:2] == b"\x1f\x8b":
            raise DataError(f"{path.name} is gzipped but not named .gz; rename or unpack it.")
        return raw
    if raw[:2] != b"\x1f\x8b":
        raise DataError(f"{path.name} is named .gz but is not a gzip file; unpack or rename it.")
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file ({error}); fetch it again.") from None


def read_text(path: str | Path, encodings: Sequence[str] = ("utf-8",), errors: str = "strict") -> bytes:
    """The contents of a text file as UTF-8, decoded by the first encoding that fits."""
    name = Path(path).name
    raw = read_bytes(path)
    if not (raw.isascii() and encodings[0] in ("utf-8", "latin-1")):
        raw = _decode(raw, name, encodings, errors).removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise DataError(f"{name}, line {line}: a NUL byte; this is not a text file in {' or '.join(encodings)}.")
    return raw


def _decode(raw: bytes, name: str, encodings: Sequence[str], errors: str) -> str:
    for encoding in encodings:
        try:
            return raw.decode(encoding, errors)
        except UnicodeDecodeError as error:
            failure = error
    line = raw.count(b"\n", 0, failure.start) + 1
    raise DataError(f"{name}, line {line}: byte 0x{raw[failure.start]:02x} is not {failure.encoding}; "
                    "pass encoding='latin-1' or the file's own.")


def read_table(
    path: str | Path,
    delimiter: str | None = None,
    header: bool | None = None,
    encodings: Sequence[str] = ("utf-8",),
    errors: str = "strict",
    quoted: bool = True,
    is_header: Callable[[Sequence[str]], bool] = lambda names: False,
) -> Table:
    """Read a delimited file.

    Parameters
    ----------
    path : path
        The file; gzipped if it ends in `.gz`.
    delimiter : str, optional
        Between fields; by default the first of `::`, tab, `;`, `,`, `|`, blank that divides the first
        lines alike.
    header : bool, optional
        Whether the first line names the columns; by default it does when it holds no number although a
        column below it does, or when `is_header` recognises it.
    encodings : sequence of str
        Tried in turn.
    errors : str
        What to do with bytes that do not fit, as in `bytes.decode`.
    quoted : bool
        Whether fields may stand in double quotes (as `csv` writes them).
    is_header : callable
        Given the first line's fields.

    Raises
    ------
    DataError
        Naming the file and the line: empty, undecodable, ragged, badly quoted.
    """
    file, raw = Path(path).name, read_text(path, encodings, errors)
    if not re.search(rb"\S", raw):
        raise DataError(f"{file} is empty; there is nothing to read.")
    delimiter = delimiter or _sniff(raw)
    if quoted and len(delimiter) == 1 and b'"' in raw:
        table = _quoted_table(raw, delimiter, file)
    else:
        table = _plain_table(raw, delimiter, file)
    top, below = table.fields(0), [table.fields(i) for i in range(1, min(len(table), 12))]
    if header is None:
        numeric = [all(map(is_number, column)) for column in zip(*below, strict=True)]
        header = is_header(top) or (any(numeric) and not any(map(is_number, top)))
    if not header:
        return table
    if len(table) == 1:
        raise DataError(f"{file} has a header ({top}) but no rows below it.")
    return Table(table.buffer, table.starts[1:], table.ends[1:], table.lines[1:], [name.strip() for name in top], file)


def _sniff(raw: bytes) -> str:
    head = [re.sub(r'"[^"]*"', "", line) for line in raw[:65536].decode("utf-8", "ignore").split("\n")[:20]]
    lines = [line for line in head if line.strip()][:10]
    for delimiter in DELIMITERS:
        counts = {line.strip(" ").count(delimiter) for line in lines}
        if len(counts) == 1 and counts != {0}:
            return delimiter
    return max(DELIMITERS, key=lambda delimiter: lines[0].count(delimiter) if lines else 0)


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
    separates = np.zeros(256, np.bool_)
    separates[[mark[0], ord("\n")]] = True
    ends = np.flatnonzero(separates[buffer]).astype(np.int32 if len(buffer) < 2**31 else np.int64)
    last = np.flatnonzero(buffer[ends] == ord("\n"))  # of each line
    count = np.diff(last, prepend=-1)
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    filled = (count > 1) | (ends[last] > starts[last])
    lines = np.flatnonzero(filled) + 1
    width = int(count[filled][0])
    ragged = np.flatnonzero(count[filled] != width)
    if len(ragged):
        line = int(lines[ragged[0]])
        raise DataError(f"{file}, line {line}: {count[line - 1]} fields where line {lines[0]} has {width} "
                        f"(delimiter {delimiter!r}; {len(ragged)} such lines).")
    if not filled.all():
        of_filled = np.repeat(filled, count)
        starts, ends = starts[of_filled], ends[of_filled]
    return Table(buffer, starts.reshape(-1, width), ends.reshape(-1, width), lines, [], file)


def _quoted_table(raw: bytes, delimiter: str, file: str) -> Table:
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
    file, raw = Path(path).name, read_text(path)
    buffer = np.frombuffer(raw + b"\n", np.uint8)
    line_end = buffer == ord("\n")
    space = line_end | np.isin(buffer, np.frombuffer(b" \t\r", np.uint8))
    starts = np.flatnonzero(~space & np.concatenate([[True], space[:-1]]))
    ends = np.flatnonzero(space & np.concatenate([[False], ~space[:-1]]))
    if not len(starts):
        raise DataError(f"{file} is empty; there is nothing to read.")
    lines = np.searchsorted(np.flatnonzero(line_end), starts) + 1
    return Table(buffer, starts[:, None], ends[:, None], lines, [], file)
