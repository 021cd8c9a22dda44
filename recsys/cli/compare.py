"""`recsys compare`: several models under one protocol."""

from __future__ import annotations

import argparse
import math
from typing import Any

from recsys.cli import measuring, reading, texts
from recsys.console import Console
from recsys.errors import ParameterError, RecsysError, UnsupportedError

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "measure several models, with intervals and a test"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    reading.add_data(made)
    made.add_argument("--models", default="all", help="names separated by commas, or all (default: %(default)s)")
    measuring.add_protocol(made)


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import models
    from recsys.evaluation import compare, protocols

    task = protocols.find(options.protocol).task
    everything = options.models == "all"
    asked = models.REGISTRY if everything else texts.names(options.models)
    if not asked:
        raise ParameterError("--models names no model; separate names by commas, or say all.")
    built = {kind.__name__: kind() for kind in map(models.find, asked)}
    data = measuring.parts(options, console)
    sets = {name: _with_blanks(model, data) if everything else data for name, model in built.items()}
    needs = {name: reason for name, model in built.items() if (reason := _unfit(model, task, data))}
    left_out = {name: reason for name, reason in needs.items() if _unfit(built[name], task, sets[name])}
    if (left_out and not everything) or len(left_out) == len(built):
        name, reason = next(iter(left_out.items()))
        raise UnsupportedError(f"{name} {reason}, under {options.protocol} on {options.data}; name other models.")
    found: dict[str, Any] = {}
    for name in [name for name in built if name not in left_out]:
        try:
            found |= measuring.measure({name: built[name]}, sets[name], options)
        except RecsysError as error:
            left_out[name] = f"fails: {error}"
            if not everything or len(left_out) == len(built):  # of all, one that fails does not lose others' work
                raise
    blank = {name: reason for name, reason in needs.items() if name in found}
    table = compare(found)
    card = next(iter(found.values())).card
    _show_comparison(f"{options.protocol}: {options.data}", table, console)
    for name, reason in left_out.items():
        console.note(f"Left out: {name} {reason}.")
    for name, reason in blank.items():
        console.note(f"Without content: {name} {reason}; it learned from who met what alone.")
    console.pairs("Protocol", card)
    console.result({"protocol": options.protocol, "card": card, "models": table.to_records(), "left_out": left_out,
                    "without_content": blank,
                    "fit_seconds": {name: result.fit_seconds for name, result in found.items()}})


def _show_comparison(title: str, table: Any, console: Console) -> None:
    """A line a model: the first metric with its interval, then the others; the document has all intervals."""
    lines: dict[str, list[str]] = {}
    for entry in table.entries:
        line = lines.setdefault(entry.model, [entry.model])
        line.append(f"{'* ' if entry.p_holm < table.alpha else ''}{entry.value:.4f}")
        if len(line) == 2:
            line.append("" if math.isnan(entry.low) else f"{entry.low:.4f} .. {entry.high:.4f}")
    model, first, *others = table.columns
    console.table(title, [model, first, "interval", *others], list(lines.values()), caption=table.caption)


def _with_blanks(model: Any, data: Any) -> Any:
    """The data with content that no item has, where the model needs some and there is none."""
    return tuple(map(model.with_blanks, data)) if isinstance(data, tuple) else model.with_blanks(data)


def _unfit(model: Any, task: str, data: Any) -> str:
    """Why a model cannot be measured, in words that follow its name; nothing if it can."""
    if not getattr(model.can, task):
        return f"gives no {task}"
    lacks = model.lacks(data[0] if isinstance(data, tuple) else data)
    return f"needs {lacks}{' (--images FILE)' * ('image' in lacks)}" if lacks else ""
