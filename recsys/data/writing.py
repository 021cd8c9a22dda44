"""Interactions as delimited text that is read back as what it was."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np

from recsys.data.missing import stands_for_nothing
from recsys.data.times import are_plainly_seconds
from recsys.errors import ParameterError
from recsys.files import replacing

__all__ = ["write_csv"]

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
    with replacing(path) as file, _packed(file, Path(path).suffix == ".gz") as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogatepass", newline="")
        names = [f"{name}:s" if name == "time" and not are_plainly_seconds(column) else name
                 for name, column in columns.items()]
        text.write(",".join(names) + "\n")
        text.writelines(",".join(row) + "\n" for row in zip(*map(_written, columns.values()), strict=True))
        text.detach()  # flushed, and left open


def _written(column: np.ndarray) -> list[str]:
    fields: list[str] = column.astype(np.str_).tolist()
    if column.dtype.kind != "U" or (
            all(map(_SAFE.fullmatch, fields)) and not stands_for_nothing(list(dict.fromkeys(fields))).any()):
        return fields
    quoted = {field: '"' + field.replace('"', '""') + '"' for field in dict.fromkeys(fields)}
    return [quoted[field] for field in fields]


def _packed(file: IO[bytes], gzipped: bool) -> AbstractContextManager[Any]:
    """What is written to it arrives in the file, gzipped or not; the same contents are the same bytes."""
    return gzip.GzipFile("", "wb", fileobj=file, mtime=0) if gzipped else nullcontext(file)
