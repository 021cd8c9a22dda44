"""From a file, a pipe or standard input to UTF-8 text, with other formats called by their names."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from recsys.errors import DataError

__all__ = ["as_text", "called", "format_of", "is_parquet", "is_readable", "read_bytes", "read_text"]

STDIN = "-"

_BOMS = (  # the longer ones first: UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)
_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_OTHERS = (
    (b"PK\x03\x04", "a zip archive", "unpack it, and name the file inside"),
    (b"PK\x05\x06", "an empty zip archive", "name another file"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "save its sheet as CSV"),
    (b"BZh91AY&SY", "packed with bzip2", "unpack it (bunzip2)"),
    (b"\xfd7zXZ\x00", "packed with xz", "unpack it (unxz)"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it (unzstd)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, and name the file inside"),
    (b"ARROW1\0", "an Arrow (Feather) file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as CSV or Parquet"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"\x93NUMPY", "a NumPy array", "use Interactions.from_arrays"),
    (b"%PDF-", "a PDF", "name a table"),
    (b"\x80\x04\x95", "a pickle", "write it as CSV or Parquet"),
    (b"\x80\x05\x95", "a pickle", "write it as CSV or Parquet"),
)


def called(path: str | Path) -> str:
    """What messages call a file."""
    return "standard input" if str(path) == STDIN else Path(path).name


def is_readable(path: str | Path) -> bool:
    """Whether there is something to read: a file, a pipe or other device, or `-`, standard input."""
    return str(path) == STDIN or (Path(path).exists() and not Path(path).is_dir())


def read_bytes(path: str | Path) -> bytes:
    """The contents of a file, unpacked when its name ends in `.gz`; of a pipe, or `-`, when they are gzipped."""
    name = called(path)
    if name == "standard input":
        if sys.stdin is None:
            raise DataError("standard input is closed, so there is nothing to read; pipe a file into it, or name one.")
        raw = sys.stdin.buffer.read()
    elif Path(path).is_dir():
        raise DataError(f"{path} is a folder, not a file.")
    else:
        raw = Path(path).read_bytes()
    packed = raw.startswith(_GZIP)
    if name != "standard input" and Path(path).is_file():
        if packed and not name.endswith(".gz"):
            raise DataError(f"{name} is gzipped but not named .gz; rename or unpack it.")
        if not packed and name.endswith(".gz"):
            raise DataError(f"{name} is named .gz but is not a gzip file; unpack or rename it.")
    if not packed:
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{name} is a damaged gzip file ({error}); fetch it again.") from None


def is_parquet(path: str | Path) -> bool:
    """Whether a file, not a pipe, is a Parquet file, by its first bytes and its last."""
    if str(path) == STDIN or not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        begins = file.read(4) == _PARQUET
        file.seek(-4 if begins else 0, os.SEEK_END)
        return begins and file.read() == _PARQUET


def format_of(raw: bytes) -> str:
    """What contents are: "parquet", "jsonl", "json" (one document) or "text"."""
    if raw.startswith(_PARQUET) and raw.endswith(_PARQUET):
        return "parquet"
    head = raw[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    if not re.match(rb'\{\s*("|\})|\[', head):
        return "text"
    first = raw.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0].rstrip()
    if head.startswith(b"{"):
        return "jsonl" if first.endswith(b"}") else "json"
    return "json" if re.match(rb"\[\s*(\{|\]|\n)", head) or _is_json(first) else "text"


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


def read_text(path: str | Path, encodings: Sequence[str] = ("utf-8",), errors: str = "strict") -> bytes:
    """The contents of a text file as UTF-8, decoded by its byte order mark or by the first encoding that fits."""
    return as_text(read_bytes(path), called(path), encodings, errors)


def as_text(raw: bytes, name: str, encodings: Sequence[str] = ("utf-8",), errors: str = "strict",
            refused: Sequence[str] = ("jsonl", "json")) -> bytes:
    """As `read_text`, of contents that have been read already; `refused` are formats of text (see `format_of`).

    Raises
    ------
    DataError
        The contents are of another format, which the message names, or do not fit the encoding.
    """
    _refuse_other_formats(raw, name)
    marked = next((encoding for mark, encoding in _BOMS if raw.startswith(mark)), None)
    if marked is not None:
        raw = _decode(raw, name, (marked,), errors).encode("utf-8", "surrogatepass")
    elif not (raw.isascii() and encodings[0] in ("utf-8", "latin-1")):
        raw = _decode(raw, name, encodings, errors).removeprefix("\ufeff").encode("utf-8", "surrogatepass")
    if b"\0" in raw:
        zeros = [raw[i:4096:2].count(0) for i in (0, 1)]
        wide = max(zeros) > len(raw[:4096]) // 4 > 0
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        hint = f"; it looks like UTF-16 without a byte order mark: pass encoding='utf-16-{'bl'[zeros[1] > zeros[0]]}e'"
        raise DataError(f"{name}, line {line}: a NUL byte; this is not a text file in {' or '.join(encodings)}"
                        f"{hint if wide else ''}.")
    _refuse_json(raw, name, refused)
    return raw


def _refuse_other_formats(raw: bytes, name: str) -> None:
    """Raise a DataError that says what a file is which is not text, and what to do with it."""
    if format_of(raw) == "parquet":
        raise DataError(f"{name} is a Parquet file, not delimited text; read it with Interactions.from_file.")
    if raw.startswith(_PARQUET) and b"\0" in raw[:4096]:
        raise DataError(f"{name} is a Parquet file that breaks off; write or fetch it again.")
    for magic, what, remedy in _OTHERS:
        if raw.startswith(magic):
            if magic == b"PK\x03\x04" and (b"xl/" in raw or b"[Content_Types].xml" in raw[:4096]):
                what, remedy = "an Excel workbook (.xlsx)", "save its sheet as CSV"
            raise DataError(f"{name} is {what}, not delimited text; {remedy}.")


def _refuse_json(text: bytes, name: str, refused: Sequence[str]) -> None:
    """Raise a DataError about text in one of the formats refused."""
    found = format_of(text)
    if found == "jsonl" and found in refused:
        raise DataError(f"{name} is JSON lines, not delimited text; read it with Interactions.from_file.")
    if found == "json" and found in refused:
        raise DataError(f"{name} is JSON, but not one record a line; write it as JSON lines, such as "
                        '{"user": 1, "item": 2} (of one list of records, jq -c \'.[]\' makes them).')


def _decode(raw: bytes, name: str, encodings: Sequence[str], errors: str) -> str:
    for encoding in encodings:
        try:
            return raw.decode(encoding, errors)
        except UnicodeDecodeError as error:
            failure = error
    line = raw.count(b"\n", 0, failure.start) + 1
    raise DataError(f"{name}, line {line}: byte 0x{raw[failure.start]:02x} is not {failure.encoding}; "
                    "pass encoding='latin-1' or the file's own.")
