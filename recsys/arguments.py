"""What may follow the command `recsys`, and how its texts become data, models and settings."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import typing
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from recsys.errors import DataError, ParameterError

__all__ = ["ids", "metrics", "names", "numbers", "option_defaults", "parser", "protocol_options", "read", "settings"]

_ROLES = ("users", "items", "values", "times")
_READER = (*_ROLES, "delimiter", "encoding", "id_type")  # options of `Interactions.from_csv`, under its names


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all other errors of the command are."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known here, so that a command's error names the command's own help."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


# ------------------------------------------------------------------------------------------ options
def parser() -> argparse.ArgumentParser:
    """The parser of the command line; `command` is None when none was given."""
    made = _Parser(prog="recsys", description="Recommenders on plain CPUs.", allow_abbrev=False)
    made.add_argument("--version", action="version", version=f"recsys {_version()}")
    made.set_defaults(command=None, json=False)
    commands = made.add_subparsers(title="commands", metavar="COMMAND")

    demo = _command(commands, "demo", "train recommenders on real ratings and show what they recommend")
    demo.add_argument("--data", default="movielens-small", help="a data set's name or path (default: %(default)s)")
    demo.add_argument("--out", type=Path, default=Path("report.html"), help="the page (default: %(default)s)")
    demo.add_argument("--no-page", action="store_true", help="no page, which needs matplotlib")
    demo.add_argument("--user", help="whom to recommend to; by default somebody with a history of typical length")
    demo.add_argument("--quick", action="store_true", help="fewer epochs, to see that everything runs")
    demo.add_argument("--seed", type=_seed, default=0)

    data = _command(commands, "data", "describe a data set, or clean it and write it as CSV")
    data.add_argument("data", help="a file, a folder or a data set's name")
    _reading(data)
    data.add_argument("--out", type=Path, help="write the cleaned interactions here, as CSV (gzipped if .gz)")

    train = _command(commands, "train", "fit a model and write it to a file")
    _data_and_model(train)
    train.add_argument("--out", type=Path, required=True, help="the model's file")
    train.add_argument("--checkpoint", type=Path, metavar="FILE",
                       help="of a network: written after every epoch (.npz); the same command then goes on from it")
    train.add_argument("--no-seen", action="store_true", help="keep the users' seen items out of the file")

    evaluate = _command(commands, "evaluate", "measure a model under a named protocol")
    _data_and_model(evaluate)
    _protocol(evaluate)

    compare = _command(commands, "compare", "measure several models, with intervals and a test")
    _data(compare)
    compare.add_argument("--models", default="all", help="names separated by commas, or all (default: %(default)s)")
    _protocol(compare)

    recommend = _command(commands, "recommend", "the best items for users or for a history")
    recommend.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    recommend.add_argument("--user", action="append", default=[], help="a user's id; may be repeated")
    recommend.add_argument("--history", help="item ids separated by commas, of somebody who is not in the data")
    recommend.add_argument("--values", metavar="NUMBER,...", help="of the history's items, such as their ratings")
    recommend.add_argument("-k", type=_positive, default=10, help="length of the lists (default: %(default)s)")
    recommend.add_argument("--keep-seen", action="store_true", help="do not leave out what the user knows already")
    recommend.add_argument("--on-unknown", choices=("raise", "fallback", "skip"), default="raise",
                           help="what to do with unknown ids (default: %(default)s)")
    recommend.add_argument("--why", action="store_true", help="say why, where the model can")

    similar = _command(commands, "similar", "the items most like an item")
    similar.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    similar.add_argument("--item", action="append", required=True, help="an item's id; may be repeated")
    similar.add_argument("-k", type=_positive, default=10, help="length of the lists (default: %(default)s)")

    _command(commands, "models", "the models there are, what they can, and their parameters")
    _command(commands, "protocols", "the protocols there are, what they do, and their options")
    return made


def _command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary.capitalize() + ".",
                                                        allow_abbrev=False)
    made.set_defaults(command=name)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


def _data_and_model(made: argparse.ArgumentParser) -> None:
    _data(made)
    made.add_argument("--model", required=True, help="a model's name; `recsys models` lists them")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be repeated")


def _data(made: argparse.ArgumentParser) -> None:
    made.add_argument("--data", required=True, help="a file, a folder or a data set's name")
    _reading(made)
    made.add_argument("--images", type=Path, metavar="FILE", help="item images: an .npz file with two arrays, images "
                      "(m, height, width, channels) and the ids of their items (m,)")


def _reading(made: argparse.ArgumentParser) -> None:
    for role in _ROLES:
        made.add_argument(f"--{role}", metavar="COLUMN", help=f"name or number (from 0) of a file's column of {role}")
    made.add_argument("--delimiter", help="between columns; found by itself when not given")
    made.add_argument("--encoding", help="of the text (default: utf-8)")
    made.add_argument("--id-type", choices=("int", "str"), help="of the ids; integers if all are, when not given")
    made.add_argument("--no-header", action="store_true", help="the file has no line of names; use numbers")
    made.add_argument("--duplicates", choices=("keep", "first", "last", "mean", "sum"), default="keep",
                      help="what to do with repeated (user, item) pairs (default: %(default)s)")
    made.add_argument("--min-value", type=_finite, help="keep events of at least this value")
    made.add_argument("--implicit", action="store_true", help="forget the values: an event is an event")
    made.add_argument("--k-core", type=_positive, metavar="N", help="keep users and items with at least N events")


def _protocol(made: argparse.ArgumentParser) -> None:
    made.add_argument("--protocol", required=True, help="a protocol's name; `recsys protocols` lists them")
    made.add_argument("--test", metavar="DATA", help="the test part, for protocols that take parts given apart")
    made.add_argument("-k", type=_positive, default=10, help="length of the lists (default: %(default)s)")
    made.add_argument("--metrics", help="names separated by commas, such as recall@20,ndcg@100")
    made.add_argument("--seed", type=_seed, help="of the split; each protocol has its own")
    made.add_argument("--valid", action="store_true", help="measure on the validation part, as when tuning")
    made.add_argument("--refit", action="store_true",
                      help="before the test, fit again on training and validation rows, for the best number of epochs")
    made.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                      help="an option of the protocol, such as shuffle_ties=true; may be repeated")


def _version() -> str:
    try:
        return version("minidl")
    except PackageNotFoundError:
        return "of an unknown version"


def _positive(text: str) -> int:
    return _between(text, 1, 2**31 - 1)


def _seed(text: str) -> int:
    return _between(text, 0, 2**32 - 1)


def _between(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or len(text) > 10 or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return int(text)


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number


# ------------------------------------------------------------------------------- from texts to things
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


def names(text: str) -> list[str]:
    """The parts between commas, without blanks around them."""
    return [part.strip() for part in text.split(",") if part.strip()]


def metrics(text: str | None, k: int, task: str) -> list[str] | None:
    """The metrics that a text names; None if there is no text.

    Raises
    ------
    ParameterError
        There is no such metric, or it is for another task.
    """
    from recsys.evaluation.metrics import RATINGS, parse

    if text is None:
        return None
    found = [parse(name, k) for name in names(text)]
    wrong = [str(metric) for metric in found if (metric.name in RATINGS) != (task == "ratings")]
    if wrong or not found:
        raise ParameterError(f"--metrics {text!r}: the protocol measures {task}; name metrics of that kind.")
    return [str(metric) for metric in found]


def numbers(text: str, flag: str) -> list[float]:
    """Finite numbers separated by commas."""
    try:
        return [_finite(part) for part in names(text)]
    except argparse.ArgumentTypeError as error:
        raise ParameterError(f"{flag}: {error}.") from None


def settings(texts: Sequence[str], flag: str) -> dict[str, Any]:
    """NAME=VALUE texts as a dictionary; a value is a number, true, false, null, a list, or else a text.

    Examples
    --------
    >>> settings(["factors=64", "lr=0.1", "weights=binary", "implicit_feedback=True"], "--set")
    {'factors': 64, 'lr': 0.1, 'weights': 'binary', 'implicit_feedback': True}
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParameterError(f"{flag} {text!r} is not NAME=VALUE.")
        try:
            found[name] = _tuple(json.loads(value))
        except (json.JSONDecodeError, RecursionError):
            found[name] = {"True": True, "False": False, "None": None}.get(value, value)
        except ValueError:
            raise ParameterError(f"{flag} {name}: the number has too many digits.") from None
    return found


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def protocol_options(protocol: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a protocol, checked against the types of its function; which names there are it says itself."""
    kinds = typing.get_type_hints(protocol.divide)
    for name, value in given.items():
        kind = kinds.get(name, Any)
        if kind is Any or (isinstance(value, bool) and kind is bool):
            continue
        wide = kind | int if isinstance(0.0, kind) else kind  # a whole number is a number
        if not isinstance(value, wide) or isinstance(value, bool) or (isinstance(value, float) and math.isnan(value)):
            wanted = kind.__name__ if isinstance(kind, type) else str(kind)
            raise ParameterError(f"--option {name}: {protocol.name} takes a value of type {wanted}, not {value!r}.")
    return dict(given)


def option_defaults(protocol: Any) -> dict[str, Any]:
    """The options of a protocol with their defaults."""
    return {name: parameter.default for name, parameter in inspect.signature(protocol.divide).parameters.items()
            if name not in ("data", "seed")}


def ids(texts: Sequence[str], known: Any) -> np.ndarray:
    """Ids from the command line in the kind that the model has, numbers or texts."""
    return np.array([_whole(text) for text in texts], np.int64) if known.integers else np.array(list(texts), np.str_)


def _whole(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 2**63
    if not -2**63 <= number < 2**63:
        raise ParameterError(f"id {text!r} is not a whole number of 64 bits, as all ids here are.")
    return number

