"""`recsys recommend`: lists for users or for a history."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recsys.cli import texts
from recsys.cli.listing import show
from recsys.console import Console
from recsys.errors import ParameterError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "the best items for users or for a history"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    made.add_argument("--user", action="append", default=[], help="a user's id; may be repeated")
    made.add_argument("--history", help="item ids separated by commas, of somebody who is not in the data")
    made.add_argument("--values", metavar="NUMBER,...", help="of the history's items, such as their ratings")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the lists (default: %(default)s)")
    made.add_argument("--keep-seen", action="store_true", help="do not leave out what the user knows already")
    made.add_argument("--on-unknown", choices=("raise", "fallback", "skip"), default="raise",
                      help="what to do with unknown ids (default: %(default)s)")
    made.add_argument("--why", action="store_true", help="say why, where the model can")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import artifact

    if bool(options.user) == (options.history is not None):
        raise ParameterError("give either --user ID (which may be repeated) or --history ID,ID,...")
    model = artifact.load(options.model)
    if options.why and not model.can.explain:
        console.warn(f"{type(model).__name__} gives no reasons.")
    settings = {"k": options.k, "filter_seen": not options.keep_seen, "on_unknown": options.on_unknown}
    records: list[dict[str, Any]] = []
    for title, asker, recs in _lists(model, options, settings, console):
        lines = [{**record, "title": model.title(record["item"])} for record in recs.to_records()]
        if options.why:
            lines = [{**line, "why": _why(model, asker, line)} for line in lines]
        records += lines
        _tell_popular(title.lower(), recs, console)
        show(title, "score", lines, options, console)
    console.result({"recommendations": records})


def _lists(model: Any, options: argparse.Namespace, settings: Mapping[str, Any], console: Console
           ) -> list[tuple[str, Any, Any]]:
    """Of each question: what to call it, who asks (a user, or a history with its values), the list."""
    values = None if options.values is None else texts.numbers(options.values, "--values")
    if values is not None and options.history is None:
        raise ParameterError("--values are those of a --history; give one.")
    if options.history is None:
        users = model.users.parse(options.user)
        _tell_skipped(users, model.users, options, console)
        return [(f"For user {recs.users}", (recs.users, None), recs) for recs in model.recommend(users, **settings)]
    history = model.items.parse(texts.names(options.history))
    if not len(history):
        raise ParameterError("--history holds no ids; separate item ids by commas.")
    if values is not None and len(values) != len(history):
        raise ParameterError(f"--values holds {len(values)} numbers and --history {len(history)} ids; give one each.")
    _tell_skipped(history, model.items, options, console)
    recs = model.recommend(history=history, values=values, **settings)
    known = model.items.encode(history, "skip") >= 0
    asker = history[known], None if values is None else np.array(values)[known]
    return [("For this history", asker, recs)]


def _tell_skipped(asked: np.ndarray, known: Any, options: argparse.Namespace, console: Console) -> None:
    unknown = asked[known.encode(asked, "skip") < 0]
    if len(unknown) and options.on_unknown == "skip":
        console.warn(f"left out, as the model does not know them: {', '.join(map(str, unknown))}.")


def _tell_popular(title: str, recs: Any, console: Console) -> None:
    """Say that popular items stand in, where they do."""
    popular = int(np.count_nonzero(recs.source == "popular"))
    if popular == recs.counts > 0:
        console.warn(f"{title}: the model knows nothing, and the most popular items stand in.")
    elif popular:
        console.warn(f"{title}: {recs.counts - popular} of {recs.counts} are the model's; nothing speaks for more, and "
                     f"the most popular of the other items follow.")


def _why(model: Any, asker: tuple[Any, Any], line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Up to three items of the history that speak for an item, and how much."""
    if not model.can.explain or line["source"] != "model":
        return []
    reasons = model.explain(asker[0], line["item"], k=3, values=asker[1])
    return [vars(reason) for reason in reasons if reason.item is not None and reason.contribution > 0]
