"""Options that name a protocol, and models measured under it."""

from __future__ import annotations

import argparse
import inspect
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys.cli import texts
from recsys.cli.reading import SIDES, described, joined, read, read_parts, read_telling
from recsys.console import Console
from recsys.data.opening import called, is_readable
from recsys.errors import DataError, ParameterError

__all__ = ["add_protocol", "asked", "metrics", "option_defaults", "parts", "protocol_options"]


def add_protocol(made: argparse.ArgumentParser, needed: bool = True) -> None:
    """The protocol, its options, and what is measured."""
    made.add_argument("--protocol", required=needed, help="a protocol's name; `recsys protocols` lists them")
    made.add_argument("--test", metavar="DATA", help="the test part, for protocols that take parts given apart; "
                      "without it, --data may be the folder of a set that comes divided")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the lists (default: %(default)s)")
    made.add_argument("--metrics", help="names separated by commas, such as recall@20,ndcg@100")
    made.add_argument("--seed", type=texts.seed, help="of the split; each protocol has its own")
    made.add_argument("--valid", metavar="DATA", help="the validation part, if it is given apart as well")
    made.add_argument("--part", choices=("test", "valid"), default="test",
                      help="measure on this part; when tuning, on the validation part (default: %(default)s)")
    made.add_argument("--refit", action="store_true",
                      help="before the test, fit again on training and validation rows, for the best number of epochs")
    made.add_argument("--valid-users", type=texts.positive, metavar="N",
                      help="validate on so many random users only, which takes less time")
    made.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                      help="an option of the protocol, such as shuffle_ties=true; may be repeated")


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the options ask of `recsys.evaluation.run` and `run_all`, by its keywords."""
    from recsys.evaluation import protocols

    protocol = protocols.find(options.protocol)
    return {"protocol": protocol, "k": options.k, "metrics": metrics(options.metrics, options.k, protocol.task),
            "seed": options.seed, "part": options.part, "refit": options.refit,
            "valid_users": options.valid_users, "files": _files(options, protocols.needs_parts(protocol)),
            **protocol_options(protocol, texts.settings(options.option, "--option"))}


def parts(options: argparse.Namespace, console: Console) -> Any:
    """The data to measure on: one set, or parts that are given apart, or that a set comes in."""
    from recsys.data.splits import split_predefined
    from recsys.evaluation import protocols

    protocol, apart = protocols.find(options.protocol), options.test is not None
    needed = protocols.needs_parts(protocol)
    if (apart and not protocols.takes_parts(protocol)) or (needed and not apart and not _comes_divided(options)):
        raise ParameterError("--protocol predefined and the like need --test DATA, or --data FOLDER of a set that "
                             "comes divided, and sessions-next can take --test DATA; other protocols divide --data.")
    if options.valid is not None and not apart:
        raise ParameterError("--valid DATA goes with --test DATA, for --protocol predefined and the like or "
                             "sessions-next; others divide --data themselves; to measure on the validation part, say "
                             "--part valid.")
    if not apart and not needed:
        return read_telling(options, console)
    data, *others = read_parts(options, console) if not apart else [
        read(options, options.data, console),
        *(_part(options, each, console) for each in (options.test, options.valid) if each)]
    if needed:  # numbered together, so that what is known besides goes with the items of all parts
        split = split_predefined(data, *others)
        data, others = split.train, [part for part in (split.test, split.valid) if part is not None]
    return described(data, options, console), *others


def _comes_divided(options: argparse.Namespace) -> bool:
    """Whether `--data` names no file, so that it can only be a set that comes divided."""
    return options.test is None and not is_readable(options.data)


def _files(options: argparse.Namespace, needs_parts: bool) -> list[str]:
    """The files that the options name, or those of the parts of a set that comes divided."""
    from recsys import datasets

    if needs_parts and _comes_divided(options):
        return [str(path) for path in datasets.part_files(options.data).values()]
    named = [options.data, options.test, options.valid, *joined(options).values(), options.images,
             *(getattr(options, side) for side in SIDES)]
    return [str(path) for path in named if path is not None and Path(path).is_file()]


def _part(options: argparse.Namespace, source: str, console: Console) -> Any:
    """A part that is given apart; what is wrong with it is said of it, not of --data."""
    try:
        return read(options, source, console, given_apart=True)
    except DataError as error:
        raise error if called(source) in str(error) else DataError(f"{source}: {error}") from None


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
    found = [parse(name, k) for name in texts.names(text)]
    wrong = [str(metric) for metric in found if (metric.name in RATINGS) != (task == "ratings")]
    if wrong or not found:
        raise ParameterError(f"--metrics {text!r}: the protocol measures {task}; name metrics of that kind.")
    return [str(metric) for metric in found]


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
