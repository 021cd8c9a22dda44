"""Options that name data, and the interactions behind them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from recsys.cli.texts import finite, positive
from recsys.console import Console
from recsys.errors import DataError, ParameterError

__all__ = ["add_data", "add_reading", "read", "read_telling"]

_ROLES = ("users", "items", "values", "times")
_READER = (*_ROLES, "delimiter", "encoding", "id_type")  # options of `Interactions.from_csv`, under its names


def add_data(made: argparse.ArgumentParser) -> None:
    """The data, with how it is read and what else is known."""
    made.add_argument("--data", required=True, help="a file, a folder or a data set's name")
    add_reading(made)
    made.add_argument("--images", type=Path, metavar="FILE", help="item images: an .npz file with two arrays, images "
                      "(m, height, width, channels) and the ids of their items (m,)")


def add_reading(made: argparse.ArgumentParser) -> None:
    """Options that say how a file is read and cleaned."""
    for role in _ROLES:
        made.add_argument(f"--{role}", metavar="COLUMN", help=f"name or number (from 0) of a file's column of {role}")
    made.add_argument("--delimiter", help="between columns; found by itself when not given")
    made.add_argument("--encoding", help="of the text (default: utf-8)")
    made.add_argument("--id-type", choices=("int", "str"), help="of the ids; integers if all are, when not given")
    made.add_argument("--no-header", action="store_true", help="the file has no line of names; use numbers")
    made.add_argument("--duplicates", choices=("keep", "first", "last", "mean", "sum"), default="keep",
                      help="what to do with repeated (user, item) pairs (default: %(default)s)")
    made.add_argument("--min-value", type=finite, help="keep events of at least this value")
    made.add_argument("--implicit", action="store_true", help="forget the values: an event is an event")
    made.add_argument("--k-core", type=positive, metavar="N", help="keep users and items with at least N events")


def read(options: argparse.Namespace, source: str) -> Any:
    """The interactions behind a name or path, read and cleaned as the options say."""
    from recsys import datasets
    from recsys.data.images import add_images

    given = _reader_options(options)
    if given and not Path(source).is_file():
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ParameterError(f"{source} is not a file; {flags} are for files.")
    if options.implicit and options.min_value is None and Path(source).is_file():
        given["values"] = None  # never read
    data = datasets.load(source, **given)
    if options.duplicates != "keep":
        data = data.clean(duplicates=options.duplicates)
    if options.min_value is not None:
        data = data.filter(min_value=options.min_value)
    if options.implicit:
        data = data.binarise()
    if options.k_core is not None:
        data = data.k_core(users=options.k_core, items=options.k_core)
    if not len(data):
        raise DataError(f"{source}: nothing is left after cleaning; loosen --min-value or --k-core.")
    data = data.compact()
    return data if getattr(options, "images", None) is None else add_images(data, options.images)


def _reader_options(options: argparse.Namespace) -> dict[str, Any]:
    found = {name: getattr(options, name) for name in _READER if getattr(options, name) is not None}
    found |= {role: int(found[role]) for role in _ROLES if found.get(role, "").isdecimal()}
    if "delimiter" in found:
        found["delimiter"] = {"\\t": "\t", "tab": "\t", "space": " "}.get(found["delimiter"], found["delimiter"])
        if len(found["delimiter"]) != 1 and found["delimiter"] != "::":
            raise ParameterError(f"--delimiter {found['delimiter']!r} must be one character, '::', tab or space.")
    if "encoding" in found:
        try:
            "".encode(found["encoding"])
        except (LookupError, UnicodeError):
            raise ParameterError(f"--encoding {found['encoding']!r} is unknown; latin-1 is one, for example.") from None
    if "id_type" in found:
        found["id_type"] = {"int": int, "str": str}[found["id_type"]]
    return found | ({"header": False} if options.no_header else {})


def read_telling(options: argparse.Namespace, console: Console) -> Any:
    """The data to learn from, with a word about repeated pairs and missing images."""
    data = read(options, options.data)
    repeated = len(data) - data.csr.unique().nnz if options.duplicates == "keep" else 0
    if repeated:
        console.warn(f"{options.data}: {repeated:,} of {len(data):,} rows repeat a (user, item) pair and count again; "
                     f"--duplicates last keeps one of each.")
    if options.images is not None:
        from recsys.data.images import without_image

        missing = int(np.count_nonzero(without_image(data)))
        if missing:
            console.warn(f"{options.images}: {missing:,} of the {data.n_items:,} items have no image.")
    return data
