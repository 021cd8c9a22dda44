"""Interactions as delimited text that is read back as what it was."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.data.missing import stands_for_nothing
from recsys.data.times import are_plainly_seconds
from recsys.errors import ParameterError
from recsys.files import replacing

__all__ = ["text_into", "write_csv"]

_SAFE = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)  # nothing else can be read in it

_OTHERS = {".parquet", ".pq", ".feather", ".arrow", ".json", ".jsonl", ".ndjson", ".xls", ".xlsx", ".npz", ".npy",
           ".pkl", ".html", ".zip", ".bz2", ".xz", ".zst", ".7z"}


def write_csv(path: str | Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns with a header, gzipped if the name ends in `.gz`, all or nothing.

    Texts among which one could be read as a number, as nothing or as several fields stand in quotes, all of the
    column; so the reader knows that they are texts. Times of the size of milliseconds say in the header that they
    are seconds.

    Raises
    ------
    ParameterError
        The name says that the file is of another format.
    """
    if Path(path).name == "-" or Path(path).suffix.lower() in _OTHERS:
        raise ParameterError(f"{path}: what is written is CSV; name a file that ends in .csv or .csv.gz.")
    with replacing(path) as file, text_into(file, Path(path).suffix == ".gz") as text:
        names = [f"{name}:s" if name == "time" and not are_plainly_seconds(column) else name
                 for name, column in columns.items()]
        text.write(",".join(names) + "\n")
        text.writelines(",".join(row) + "\n" for row in zip(*map(_written, columns.values()), strict=True))


def _written(column: np.ndarray) -> list[str]:
    fields: list[str] = column.astype(np.str_).tolist()
    if column.dtype.kind != "U" or (
            all(map(_SAFE.fullmatch, fields)) and not stands_for_nothing(list(dict.fromkeys(fields))).any()):
        return fields
    quoted = {field: '"' + field.replace('"', '""') + '"' for field in dict.fromkeys(fields)}
    return [quoted[field] for field in fields]


@contextmanager
def text_into(file: IO[bytes], gzipped: bool, errors: str = "surrogatepass") -> Iterator[IO[str]]:
    """A stream of text that arrives in a file, which stays open, as UTF-8, gzipped or not; equal texts as equal bytes.

    `errors` is said of halves of surrogate pairs, as in `str.encode`.
    """
    packed: Any = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if gzipped else nullcontext(file)
    with packed as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors=errors, newline="")
        try:
            yield text
        finally:
            text.detach()  # flushed
