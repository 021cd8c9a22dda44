"""Lists in a file, written as they come: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import errno
import importlib
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from minidl import MissingExtraError
from recsys.data.writing import text_into
from recsys.errors import DataError, ParameterError
from recsys.estimator.results import Recs, with_python_texts
from recsys.files import replacing

__all__ = ["check_format", "exporting"]

Columns = dict[str, np.ndarray]


def check_format(path: str | PathLike[str]) -> str:
    """The ending that says how a file is written: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz` or `.parquet`.

    Raises
    ------
    ParameterError
        It is another one.
    MissingExtraError
        Parquet needs duckdb, which is not installed.
    """
    name = Path(path).name.lower()
    ending = next((each for each in _WRITERS if name.endswith(each)), None)
    if ending is None:
        raise ParameterError(f"{path}: the name has to end in {', '.join(_WRITERS)}, which says how it is written.")
    if ending == ".parquet" and importlib.util.find_spec("duckdb") is None:
        raise MissingExtraError("duckdb", "io", "Parquet")
    return ending


@contextmanager
def exporting(path: str | PathLike[str]) -> Iterator[Callable[[Recs], None]]:
    """A function that adds lists to a file, which appears, whole, when the block ends well.

    Parameters
    ----------
    path : path
        Ends in `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz` or `.parquet` (extra `io`). The columns are those of
        `Recs.to_columns`.

    Examples
    --------
    >>> recs = Recs("ann", np.array([7]), np.array([0.5], np.float32), 1, np.array(["model"]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with exporting(f"{folder}/recs.csv") as add:
    ...         add(recs)
    ...     print(Path(f"{folder}/recs.csv").read_text(), end="")
    user,rank,item,score,source
    "ann",1,7,0.5,"model"
    """
    writer = _WRITERS[check_format(path)]
    with replacing(path) as file, writer(file) as add:
        yield lambda recs: add(recs.to_columns())


@contextmanager
def _csv(file: IO[bytes], gzipped: bool = False) -> Iterator[Callable[[Columns], None]]:
    with text_into(file, gzipped) as text:
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)  # so text is read back as text
        begun = False

        def add(columns: Columns) -> None:
            nonlocal begun
            if not begun:
                text.write(",".join(columns) + "\n")
                begun = True
            writer.writerows(zip(*map(_cells, columns.values()), strict=True))

        yield add


def _cells(column: np.ndarray) -> list[Any]:
    """Python values; of scores, the shortest numbers that give their float32 back."""
    return [float(text) for text in column.astype(np.str_)] if column.dtype.kind == "f" else column.tolist()


@contextmanager
def _jsonl(file: IO[bytes], gzipped: bool = False) -> Iterator[Callable[[Columns], None]]:
    with text_into(file, gzipped, errors="backslashreplace") as text:  # which JSON reads
        def add(columns: Columns) -> None:
            for entry in zip(*map(_cells, columns.values()), strict=True):
                text.write(json.dumps(dict(zip(columns, entry, strict=True)), ensure_ascii=False) + "\n")

        yield add


@contextmanager
def _parquet(file: IO[bytes]) -> Iterator[Callable[[Columns], None]]:
    duckdb = importlib.import_module("duckdb")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with duckdb.connect(f"{folder}/lists.duckdb") as base:
                lists = _Lists(base)
                yield lists.add
                if lists.begun:
                    base.execute(f"COPY lists TO '{folder}/lists.parquet' (FORMAT parquet)")
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise OSError(errno.EIO, f"cannot hold the lists until they are written ({_reason(error)}); make room "
                          "there, or name another folder as TMPDIR", folder) from None
        except (duckdb.Error, UnicodeError) as error:
            raise DataError(f"the lists cannot be written as Parquet ({_reason(error)}); name a file that ends in "
                            f".csv or .jsonl.") from None
        if lists.begun:
            file.write(Path(folder, "lists.parquet").read_bytes())


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rpartition(": ")[2]


class _Lists:
    """A table of a database that blocks of columns are added to."""

    def __init__(self, base: Any) -> None:
        self.base, self.begun = base, False

    def add(self, columns: Columns) -> None:
        """Add a block; the first one gives the columns."""
        self.base.register("block", with_python_texts(columns))
        self.base.execute("INSERT INTO lists SELECT * FROM block" if self.begun else
                          "CREATE TABLE lists AS SELECT * FROM block")
        self.base.unregister("block")
        self.begun = True


_WRITERS: dict[str, Callable[[IO[bytes]], AbstractContextManager[Callable[[Columns], None]]]] = {
    ".csv": _csv, ".csv.gz": lambda file: _csv(file, gzipped=True), ".jsonl": _jsonl,
    ".jsonl.gz": lambda file: _jsonl(file, gzipped=True), ".parquet": _parquet}
