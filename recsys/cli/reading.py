"""Options that name data, and the interactions behind them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from recsys.cli.texts import finite, names, positive
from recsys.console import Console
from recsys.errors import DataError, ParameterError

__all__ = ["SIDES", "add_data", "add_reading", "described", "in_flags", "joined", "read", "read_parts", "read_telling"]

_ROLES = ("users", "items", "values", "times", "events")
_READER = (*_ROLES, "delimiter", "encoding", "decimal", "id_type", "na", "drop_missing", "date_format", "time_unit",
           "event_weights", "header", "lines")  # options of `recsys.datasets.load` for files, under its names
SIDES = {
    "titles": "titles of items: a column of ids, and one of titles",
    "item_features": "what else is known of items, a row each: numbers, words, or lists such as drama|war",
    "user_features": "the same of users",
    "text": "texts of items: a column of ids, and one of texts",
    "friends": "links between users: two columns of ids",
}


def add_data(made: argparse.ArgumentParser, kinds: str = "--events", required: bool = True) -> None:
    """The data, with how it is read and what else is known; `kinds` names the column of the kinds of events."""
    made.add_argument("--data", required=required, help="a file, a folder, a data set's name, or - for standard input")
    add_reading(made, kinds)
    made.add_argument("--join", action="append", default=[], metavar="NAME=FILE",
                      help="a file from elsewhere that a known set's reader joins to its own, such as "
                           "plots=tmdb_5000_movies.csv; may be repeated")
    made.add_argument("--images", type=Path, metavar="FILE", help="item images: an .npz file with two arrays, images "
                      "(m, height, width, channels) and the ids of their items (m,)")
    made.add_argument("--sounds", type=Path, metavar="FOLDER", help="item sounds: a file an item, called as its id, "
                      "such as 17.wav")
    for name, what in SIDES.items():
        made.add_argument(f"--{name.replace('_', '-')}", metavar="FILE", help=what)


def add_reading(made: argparse.ArgumentParser, kinds: str = "--events") -> None:
    """Options that say how a file, be it delimited, Parquet or JSON lines, is read and cleaned."""
    for role in _ROLES:
        flag = kinds if role == "events" else f"--{role}"
        made.add_argument(flag, dest=role, metavar="COLUMN",
                          help=f"name or number (from 0) of a file's column of {role}")
    made.add_argument("--event-weights", type=_weights, metavar="NAME=NUMBER,...",
                      help="what each kind of event is worth, such as view=1,buy=5; NAME=drop drops its rows, and * "
                           "stands for all others")
    made.add_argument("--lines", choices=("users", "sessions"), help="a line is a user and all their items, or a "
                      "session: items alone, in the order of the clicks")
    made.add_argument("--delimiter", help="between columns; found by itself when not given")
    made.add_argument("--encoding", help="of the text (default: utf-8, or what its byte order mark says)")
    made.add_argument("--decimal", choices=(".", ","), help="what divides the digits of a number (default: .)")
    made.add_argument("--id-type", choices=("int", "str"), help="of the ids; integers if all are, when not given")
    named = made.add_mutually_exclusive_group()
    named.add_argument("--header", action="store_true", default=None, help="the first line names the columns")
    named.add_argument("--no-header", dest="header", action="store_false", default=None,
                       help="the file has no line of names; use numbers")
    made.add_argument("--na", type=lambda text: tuple(names(text)), metavar="WORD,...",
                      help="what means that something is missing, besides an empty field (default: NA, null, None, - "
                           "and the like; '' for nothing)")
    made.add_argument("--drop-missing", action="store_true", default=None,
                      help="leave out rows that lack a user, item, value, time or event")
    made.add_argument("--date-format", help="of dates that do not begin with the year, such as %%d/%%m/%%Y")
    made.add_argument("--time-unit", choices=("s", "ms", "us", "ns"),
                      help="of times that are numbers; told by their size when not given")
    made.add_argument("--negative", choices=("keep", "drop", "subtract"), default="keep",
                      help="what to do with negative values, such as returned goods (default: %(default)s)")
    made.add_argument("--duplicates", choices=("keep", "first", "last", "mean", "sum"), default="keep",
                      help="what to do with repeated (user, item) pairs (default: %(default)s)")
    made.add_argument("--min-value", type=finite, help="keep events of at least this value")
    made.add_argument("--implicit", action="store_true", help="forget the values: an event is an event")
    made.add_argument("--k-core", type=positive, metavar="N", help="keep users and items with at least N events of "
                      "the training part")


def read(options: argparse.Namespace, source: str, console: Console, given_apart: bool = False) -> Any:
    """The interactions behind a name or path, read and cleaned as the options say; what was guessed or lost is told.

    Of a part that is `given_apart`, to test or to validate, users and items with few events stay: what it asks for is
    not for the reader to choose.
    """
    from recsys import datasets
    from recsys.data.opening import is_readable

    given = _reader_options(options, source) | (joined(options) if source == getattr(options, "data", None) else {})
    if options.implicit and options.min_value is None and options.negative == "keep" and is_readable(source) \
            and options.lines is None:
        given["values"] = None  # never read
    return _cleaned(options, datasets.load(source, **given), source, console, given_apart).compact()


def joined(options: argparse.Namespace) -> dict[str, Path]:
    """The files that `--join` names, by the names that the reader of `--data` knows them by."""
    from recsys import datasets

    found: dict[str, Path] = {}
    for text in getattr(options, "join", []):
        name, _, file = text.partition("=")
        known = datasets.joins(options.data)
        if name not in known:
            raise ParameterError(f"--join {text!r}: {options.data} joins {', '.join(known) or 'no files'}; known "
                                 f"sets of films join plots and posters, and --images, --text and the like add to any "
                                 f"data.")
        if name in found or not Path(file).is_file():
            problem = f"{name} is named twice; name it once" if name in found else "there is no such file"
            raise ParameterError(f"--join {text!r}: {problem}.")
        found[name] = Path(file)
    return found


def read_parts(options: argparse.Namespace, console: Console) -> list[Any]:
    """The parts of a data set that comes divided, as `--data` names it: training, test, and validation if there is one.

    Each is cleaned as `read` does it; ids stay, as a user may have friends and no events.
    """
    from recsys import datasets

    _reader_options(options, options.data)
    return [_cleaned(options, data, f"{options.data}, {part}", console, part != "train")
            for part, data in datasets.load_parts(options.data).items()]


def _cleaned(options: argparse.Namespace, data: Any, source: str, console: Console, given_apart: bool) -> Any:
    """The data cleaned as the options say; what was guessed or lost is told."""
    data = data.clean("keep", options.negative)
    if not len(data):
        raise DataError(f"{source}: there are no events in it.")
    data = _thinned(data, data.clean(options.duplicates), source, f"--duplicates {options.duplicates}")
    if options.min_value is not None:
        data = _thinned(data, data.filter(min_value=options.min_value), source, f"--min-value {options.min_value:g}")
    if options.implicit:
        data = data.binarise()
    if options.k_core is not None and given_apart:
        console.warn(f"{source}: --k-core is for --data alone; nothing is left out here.")
    elif options.k_core is not None:
        data = _thinned(data, data.k_core(options.k_core, options.k_core), source, f"--k-core {options.k_core}")
    if not len(data):
        raise DataError(f"{source}: nothing is left after cleaning; loosen --min-value or --k-core.")
    for note in data.notes:
        console.warn(in_flags(note))
    return data


def _thinned(before: Any, after: Any, source: str, flag: str) -> Any:
    """What is left of the data, with a note of how much is not."""
    lost = len(before) - len(after)
    note = f"{source}: {flag} left out {lost:,} of {len(before):,} events."
    return replace(after, notes=(*after.notes, note)) if lost else after


def _with_sides(data: Any, options: argparse.Namespace) -> Any:
    """The data with what is known besides, from the files that the options name."""
    from recsys.data import audio, images, side

    add: dict[str, Callable[..., Any]] = {
        "titles": side.add_titles, "item_features": side.add_features, "text": side.add_texts,
        "user_features": partial(side.add_features, to="users"), "friends": side.add_friends}
    how = {name: getattr(options, name) for name in ("encoding", "decimal", "na") if getattr(options, name) is not None}
    for name in SIDES:
        if getattr(options, name, None) is not None:
            try:
                data = add[name](data, getattr(options, name), **how)
            except DataError as error:  # --header is said of the data alone
                raise DataError(str(error).replace("pass header=True or header=False", (
                    "if it does, call them by words such as user, item, friend or title"))) from None
    for name, adds in (("images", images.add_images), ("sounds", audio.add_sounds)):
        if getattr(options, name, None) is not None:
            data = adds(data, getattr(options, name))
    return data


def in_flags(text: str) -> str:
    """A message of the library with its arguments as the options of the command.

    What begins with an option is the command's own message, and stays.

    >>> in_flags("leave them out with drop_missing=True, or pass users=, time_unit='ms' or na=().")
    "leave them out with --drop-missing, or pass --users, --time-unit ms or --na ''."
    >>> in_flags("name several, such as ('titles', 'genres').")
    'name several, such as titles,genres (one alone: titles,).'
    >>> in_flags("--retrain 7: give every=6h or events=10000.")
    '--retrain 7: give every=6h or events=10000.'
    """
    if text.startswith("--"):
        return text
    for call, flag in _CALLS.items():
        text = text.replace(call, flag)
    text = _NAMES.sub(_list, text)
    return _ARGUMENT.sub(_flag, text)


def _flag(found: re.Match[str]) -> str:
    value = found["word"] or found["other"]
    return f"--{found['name'].replace('_', '-')}{f' {value}' if value else ''}"


def _list(found: re.Match[str]) -> str:
    first, *others = re.findall(r"\w+", found[0])
    return f"{','.join((first, *others))} (one alone: {first},)"


_CALLS = {"give checkpoint= to": "give --checkpoint FILE to", "with checkpoint ": "with --checkpoint ",
          "(data=)": "(--data)", "removed_only=True": "--removed-only",
          "seen=False": "--no-seen", "header=True": "--header", "header=False": "--no-header",
          "drop_missing=True": "--drop-missing",
          "na=()": "--na ''", "clean(negative=...)": "--negative", "filter(min_value=...)": "--min-value",
          "binarise(...)": "--implicit", "to clean, or min_value= to filter": "or --min-value",
          "None to drop its rows": "'drop' to drop its rows"}
_NAMES = re.compile(r"\('\w+',(?: '\w+',?)*\)")  # a tuple, as Python writes it
_ARGUMENT = re.compile(rf"\b(?P<name>{'|'.join((*_READER, 'negative', 'min_value', 'controls', 'item'))})="
                       r"(?:'(?P<word>[\w-]+)'|(?P<other>'[^']*'|\w*))")


def _weights(text: str) -> dict[str, float | None]:
    """`view=1,buy=5,refund=drop` as what each event is worth."""
    found: dict[str, float | None] = {}
    for part in names(text):
        name, equals, value = part.rpartition("=")
        if not equals or not name.strip():
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME=NUMBER")
        if name.strip() in found:
            raise argparse.ArgumentTypeError(f"{name.strip()!r} has two weights; give it one")
        found[name.strip()] = None if value.strip() == "drop" else finite(value)
    return found


def _reader_options(options: argparse.Namespace, source: str) -> dict[str, Any]:
    from recsys.data.opening import is_readable

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
    if found and not is_readable(source):
        flags = ", ".join(in_flags(f"{name}=").strip() for name in found)
        raise ParameterError(f"{source} is not a file; {flags} are for files.")
    return found


def read_telling(options: argparse.Namespace, console: Console) -> Any:
    """The data to learn from, described, with a word about repeated pairs."""
    return described(read(options, options.data, console), options, console)


def described(data: Any, options: argparse.Namespace, console: Console) -> Any:
    """The data to learn from with what else is known, and a word about repeated pairs."""
    told = len(data.notes)
    data = _with_sides(data, options)
    for note in data.notes[told:]:
        console.warn(in_flags(note))
    repeated = len(data) - data.csr.unique().nnz if options.duplicates == "keep" else 0
    if repeated:
        console.warn(f"{options.data}: {repeated:,} of {len(data):,} rows repeat a (user, item) pair and count again; "
                     f"--duplicates last keeps one of each.")
    return data
