"""`recsys explain`: why an item is listed, and what would have to be otherwise."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys.cli import reading, texts
from recsys.console import Console
from recsys.errors import ParameterError
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "why an item is listed for somebody, and whether the reasons are causes"
_METHODS = ("exact", "integrated gradients", "leave-one-out")  # as recsys.explanation has them; here, to start soon
_WIDE = 60  # columns of a terminal, from where it shows shares and values
_SHOWN = 8  # parts that a table has


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    made.add_argument("model", type=Path, help="a file that `recsys train` wrote")
    made.add_argument("--user", help="a user's id")
    made.add_argument("--history", metavar="ID,...", help="item ids separated by commas, of somebody who is not in the "
                      "data; an id with a comma stands in double quotes")
    made.add_argument("--history-values", metavar="NUMBER,...", help="of the history's items, such as their ratings")
    made.add_argument("--item", action="append", default=[], help="an item's id; may be repeated (default: the first "
                      "of the list)")
    made.add_argument("--first", type=texts.positive, default=1, metavar="N", help="explain so many items from the "
                      "head of the list on, where no --item is given (default: %(default)s)")
    made.add_argument("-k", type=texts.positive, default=10, help="length of the list that an item is or is not on "
                      "(default: %(default)s)")
    made.add_argument("--method", choices=_METHODS, help="how a score is split; by default the first of these that can")
    made.add_argument("--threshold", type=texts.finite, default=0.05, metavar="SHARE", help="parts with a smaller "
                      "share of the score have no sentence (default: %(default)s)")
    made.add_argument("--removed", type=texts.count, default=5, metavar="N", help="take at most so many items out of "
                      "the history to see whether the item leaves the list; 0 for none (default: %(default)s)")
    made.add_argument("--curves", action="store_true", help="take items out of the histories of --data in the order of "
                      "the reasons, and say whether that does more than a random order and that of popularity")
    made.add_argument("--people", type=texts.positive, default=100, metavar="N", help="of whom --curves asks "
                      "(default: %(default)s)")
    made.add_argument("--out", type=Path, metavar="FILE", help="a page (HTML) for people, with pictures")
    reading.add_data(made, required=False)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import loading

    asked = (options.user is not None) + (options.history is not None)
    if asked > 1 or (not asked and not options.curves):
        raise ParameterError("give one of --user ID and --history ID,ID,..., or --curves with --data.")
    if options.curves and options.data is None:
        raise ParameterError("--curves asks people of --data, such as what the model was trained on; name it.")
    if options.out is not None:
        if options.curves:
            from recsys.report import figures

            figures.require()
        check_target(options.out)
    model = loading.load(options.model)
    data = None if options.data is None else reading.read_telling(options, console)
    found = _explanations(model, options, data) if asked else []
    curves = _curves(model, options, data) if options.curves else None
    if not console.as_json:
        for each in found:
            _show(each, console)
        if curves is not None:
            _show_curves(curves, console)
    if options.out is not None:
        from recsys.report.explained import write_explained

        write_explained(options.out, "somebody with this history" if options.user is None else f"user {options.user}",
                        found, curves)
        console.note(f"Wrote {options.out}.")
    console.result({"explanations": [each.to_dict() for each in found],
                    "curves": None if curves is None else curves.to_dict(),
                    "page": None if options.out is None else str(options.out)})


def _explanations(model: Any, options: argparse.Namespace, data: Any) -> list[Any]:
    """One for each item asked for."""
    from recsys.explanation import explain

    who: dict[str, Any] = {}
    if options.user is not None:
        who["user"] = model.users.parse([options.user])[0].item()
    else:
        who["history"] = model.items.parse(texts.ids(options.history, "--history"))
        if options.history.strip() and not len(who["history"]):
            raise ParameterError("--history holds no ids; separate item ids by commas.")
        if options.history_values is None and model.require("explain").scorer.needs_values:
            raise ParameterError(f"{type(model).__name__} predicts ratings; give those of the history's items with "
                                 f"--history-values.")
        if options.history_values is not None:
            who["values"] = texts.numbers(options.history_values, "--history-values")
            if len(who["values"]) != len(who["history"]):
                raise ParameterError(f"--history-values holds {len(who['values'])} numbers and --history "
                                     f"{len(who['history'])} ids; give one each.")
    items: Sequence[Any] = model.items.parse(options.item).tolist() if options.item else _head(model, who, options)
    features = None
    if data is not None and data.item_features is not None:
        features = data.reindex(data.users, model.items, "skip").item_features
    return [explain(model, item=item, k=options.k, method=options.method, threshold=options.threshold,
                    removed=options.removed, features=features, **who) for item in items]


def _head(model: Any, who: dict[str, Any], options: argparse.Namespace) -> list[Any]:
    """The first items of the list; the best alone is found by the explanation itself."""
    if options.first == 1:
        return [None]
    given = {"users" if name == "user" else name: value for name, value in who.items()}
    return list(model.recommend(k=options.first, **given).items.tolist()) or [None]


def _curves(model: Any, options: argparse.Namespace, data: Any) -> Any:
    from recsys.explanation import faithfulness

    return faithfulness(model, data, users=options.people, method=options.method, seed=0)


def _show(each: Any, console: Console) -> None:
    """The sentences, and the parts as bars."""
    from recsys.explanation.sentences import percent

    place = "" if each.place is None else f", place {each.place:,} of the list"
    console.note(f"{each.title}{place}")
    for line in each.sentences:
        console.note(f"- {line}")
    if each.method != "none":
        most = max((part.share for part in each.parts), default=1.0)
        if each.parts:
            _bars(console, each.parts[:_SHOWN], most)
        if len(each.parts) > _SHOWN:
            console.note(f"{len(each.parts) - _SHOWN} smaller parts add "
                         f"{sum(part.value for part in each.parts[_SHOWN:]):+.4g} together.")
        if each.content and each.content[0] not in each.parts:
            console.note("By what is said of it:")
            _bars(console, each.content[:_SHOWN], max(part.share for part in each.content))
        console.note(f"Score {each.score:.4g}; unit: {each.unit}.")
        honest = "" if each.residual != each.residual else f", the parts miss the score by {abs(each.residual):.1g}"
        console.note(f"Method: {each.method}{honest}. Parts with less than {percent(each.threshold)} have no sentence.")
    for note in each.notes:
        console.note(note)
    console.note()


def _bars(console: Console, parts: Sequence[Any], most: float) -> None:
    from recsys.explanation.sentences import percent

    rows = [[part.label, console.bar(part.share, part.value < 0, most), percent(part.share).replace("less than ", "<"),
             f"{part.value:+.3g}"] for part in parts]
    columns = 4 if console.width >= _WIDE else 3
    console.table("", ["what", "", "share", "adds"][:columns], [row[:columns] for row in rows], text=2)


def _show_curves(found: Any, console: Console) -> None:
    """By how much the order of the reasons is better than the controls."""
    console.table(f"Reasons of {found.model} ({found.method}) as causes, {found.people:,} people",
                  ["curve", "better than", "by", "from", "to"],
                  [[curve, {"random": "random order", "popular": "popular first"}[control], f"{lead:+.3f}",
                    f"{low:+.3f}", f"{high:+.3f}"] for (curve, control), (lead, low, high) in found.leads.items()],
                  text=2, caption=f"Areas between curves of the item's score, in standard deviations of all items' "
                  f"scores, with intervals of 95%. Deletion takes items out of a history, insertion puts them in. An "
                  f"explanation took {found.seconds:.2g} seconds and {found.calls:,.0f} questions to the model.")
