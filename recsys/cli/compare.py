"""`recsys compare`: several models under one protocol."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.cli import fitting, measuring, reading, texts
from recsys.console import Console, measured
from recsys.errors import ParameterError, UnsupportedError
from recsys.files import check_target

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "measure several models, with intervals and a test"


def add_arguments(made: argparse.ArgumentParser) -> None:
    """Options of the command."""
    reading.add_data(made)
    made.add_argument("--models", help="names separated by commas, or all (default: all; with --config none)")
    made.add_argument("--config", action="append", default=[], type=Path, metavar="FILE.toml",
                      help="a model with its parameters, as `recsys tune` writes it; may be repeated")
    made.add_argument("--set", action="append", default=[], metavar="[MODEL.]NAME=VALUE",
                      help="a parameter of one of the --models, or of all that have it, such as patience=3; may be "
                      "repeated")
    measuring.add_protocol(made)
    made.add_argument("--controls", choices=("features", "friends"),
                      help="measure models that read these also with permuted and with constant ones")
    made.add_argument("--checkpoint", type=Path, metavar="FILE",
                      help="written after every model (.npz); the same command then goes on from it")
    made.add_argument("--out", type=Path, help="a page (HTML) with the table and its figures")


def run(options: argparse.Namespace, console: Console) -> None:
    """Run the command."""
    from recsys import models, warmup
    from recsys.evaluation import Interrupted, run_each
    from recsys.report import figures

    everything = options.models == "all" or (options.models is None and not options.config)
    names = models.REGISTRY if everything else texts.names(options.models or "")
    if not (names or (options.models is None and options.config)):
        raise ParameterError("--models names no model; separate names by commas, or say all.")
    if options.out is not None:
        figures.require()
    for target in (options.out, options.checkpoint):
        if target is not None:
            check_target(target)
    built = fitting.build_all(names, options.set) | _read(options.config)
    asked = measuring.asked(options)
    data = measuring.parts(options, console)
    apart = _apart(built, data[0] if isinstance(data, tuple) else data, asked["protocol"].task)
    try:
        with warmup.beside(list(built.values())):
            for name, runs in run_each(built, data, lenient=everything, controls=options.controls,
                                       checkpoint=options.checkpoint, progress=fitting.progress_bar(options), **asked):
                _tell(console, name, runs)
        warmup.remember([model for name, model in built.items() if name in runs.results])
    except UnsupportedError as error:
        raise UnsupportedError(f"{options.data}: {_speaking(str(error))}") from None
    except Interrupted as error:
        finished = error.runs
        if finished.results:
            _show(finished, apart, options, console)
        onward = "the same command goes on" if options.checkpoint else "with --checkpoint FILE the same command goes on"
        raise KeyboardInterrupt(f"stopped after {len(finished.results)} of {len(built)} models; {onward}.") from None
    _show(runs, apart, options, console)


def _read(paths: Sequence[Path]) -> dict[str, Any]:
    """The models of TOML files, by name and file."""
    from recsys.configuration import read_model

    found = {path: read_model(path) for path in paths}
    return {f"{type(model).__name__}, {path}": model for path, model in found.items()}


def _tell(console: Console, name: str, runs: Any) -> None:
    """A line as soon as a model is done; the table comes at the end."""
    if name in runs.left_out:
        console.tell(f"{name} {_speaking(runs.left_out[name])}")
    else:
        found = runs.results[name]
        reached = ", ".join(f"{metric} {measured(metric, value)}" for metric, value in found.metrics.items())
        console.tell(f"{name}: {reached}; learned in {found.fit_seconds:.1f} s")


def _speaking(reason: str) -> str:
    """A reason with the option that gives what is missing."""
    return reason.replace("the attribute 'poster'", "the attribute 'poster' (--images FILE)")


def _apart(built: Mapping[str, Any], data: Any, task: str) -> dict[str, list[str]]:
    """What to know of models that are measured by what they are not made for, and which they are."""
    return {
        "They rank by the rating that they predict, not by who takes what; ratings-5fold measures what they are for":
            [name for name, model in built.items() if task == "ranking" and model.can.ratings],
        "They read the order of events, and the data has no times: the order of its rows stood for them":
            [name for name, model in built.items() if data.time is None and model.can.sequence]}


def _show(runs: Any, apart: Mapping[str, Sequence[str]], options: argparse.Namespace, console: Console) -> None:
    """The table, what is missing from it, the protocol, the document, the page."""
    from recsys.evaluation import compare

    found, title = runs.results, f"{options.protocol}: {options.data}"
    table, card = compare(found), next(iter(found.values())).card
    _show_comparison(title, table, console)
    left_out, blank = ({name: _speaking(reason) for name, reason in each.items()}
                       for each in (runs.left_out, runs.without_content))
    notes = [f"Left out: {name} {reason}." for name, reason in left_out.items()]
    notes += [f"Without content: {name} {reason}; it learned from the interactions alone."
              for name, reason in blank.items()]
    notes += [f"{why}: {', '.join(names)}." for why, of in apart.items() if (names := [n for n in of if n in found])]
    for note in notes:
        console.note(note)
    console.pairs("Protocol", card)
    if options.out is not None:
        _page(title, table, found, notes).write(options.out)
        console.note(f"Wrote {options.out}.")
    console.result({"protocol": options.protocol, "card": card, "models": table.to_records(), "left_out": left_out,
                    "without_content": blank, "page": None if options.out is None else str(options.out),
                    "fit_seconds": {name: result.fit_seconds for name, result in found.items()}})


def _page(title: str, table: Any, found: Mapping[str, Any], notes: Sequence[str]) -> Any:
    from recsys.report import Report, Row

    rows = [Row(name, found[name].metrics, found[name].errors, found[name].fit_seconds)
            for name in dict.fromkeys(entry.model for entry in table.entries)]
    legend = f"± standard error; seconds: of training, without compiling. {table.caption}"
    return Report(f"Models compared, {title}", next(iter(found.values())).card, rows, table.columns[1], "Popular",
                  legend, notes=notes)


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
