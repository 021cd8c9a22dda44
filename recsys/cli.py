"""The command `recsys`: data, train, evaluate, compare, recommend, similar, models, protocols, demo.

A mistake in the input is one sentence on standard error and exit code 2, and no file is touched. `--json`
prints one document on standard output; progress and notes go to standard error.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import MissingExtraError, runtime, streams
from recsys import arguments
from recsys.console import Console
from recsys.errors import DataError, ParameterError, RecsysError, UnsupportedError
from recsys.files import check_target

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = arguments.parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows a question mark
    try:
        runtime.tune()
        with np.errstate(all="ignore"):  # a model whose training diverges says so itself, in a sentence
            _COMMANDS[options.command](options, Console(as_json=options.json))
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        return _complain(str(error) or "stopped.", 130)
    except (RecsysError, MissingExtraError) as error:
        return _complain(_placed(error, getattr(options, "data", None)))
    except MemoryError as error:
        return _complain(f"not enough memory: {str(error) or 'the data or the model is too large'}.")
    except OSError as error:
        if streams.is_lost_output(error):  # for `minidl.streams.run` to tell
            raise
        return _complain(f"{error.filename or 'a file'}: {error.strerror or error}.")
    return 0


def _placed(error: Exception, source: str | None) -> str:
    """The message, with the data's name if it is about the data and does not say which."""
    text = str(error)
    return f"{source}: {text}" if isinstance(error, DataError) and source and Path(source).name not in text else text


def _complain(text: str, code: int = 2) -> int:
    print("recsys: " + " ".join(text.split("\n")), file=sys.stderr)
    return code


def _progress(options: argparse.Namespace) -> Any:
    from recsys import progress

    return progress.make("silent" if options.json else "auto")


# ------------------------------------------------------------------------------------ data and models
def _demo(options: argparse.Namespace, console: Console) -> None:
    from recsys import demo

    demo.run(options.data, out=None if options.no_page else options.out, user=options.user, quick=options.quick,
             seed=options.seed, console=console, progress=_progress(options))


def _data(options: argparse.Namespace, console: Console) -> None:
    if options.out is not None:
        check_target(options.out)
    data = arguments.read(options, options.data)
    found = data.describe()
    if options.out is not None:
        data.to_csv(options.out)
        found["written"] = str(options.out)
    console.pairs(options.data, found)
    console.result(found)


def _read(options: argparse.Namespace, console: Console) -> Any:
    """The data to learn from, with a word about repeated pairs and missing images."""
    data = arguments.read(options, options.data)
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


def _model(options: argparse.Namespace) -> Any:
    from recsys import models

    model = models.find(options.model)().set_params(**arguments.settings(options.set, "--set"))
    model.check_parameters()
    return model


def _train(options: argparse.Namespace, console: Console) -> None:
    check_target(options.out)
    model = _model(options)
    kept = {} if options.checkpoint is None else {"checkpoint": _kept_by(model, options.checkpoint)}
    data = _read(options, console)
    start = time.perf_counter()
    model.fit(data, progress=_progress(options), **kept)
    seconds = time.perf_counter() - start
    model.save(options.out, seen=not options.no_seen)
    found = {"model": type(model).__name__, "parameters": model.get_params(), "events": len(data),
             "users": data.n_users, "items": data.n_items, "fingerprint": data.fingerprint(), "seconds": seconds,
             "file": str(options.out), "bytes": options.out.stat().st_size}
    console.pairs(f"Fitted {model!r}", {k: v for k, v in found.items() if k not in ("model", "parameters")})
    console.result(found)


def _kept_by(model: Any, checkpoint: Path) -> Path:
    """The checkpoint's path, if the model writes one."""
    from recsys.models.neural import NeuralRecommender

    if not isinstance(model, NeuralRecommender):
        raise UnsupportedError(f"--checkpoint: {type(model).__name__} keeps none, only networks do; leave it out.")
    check_target(checkpoint)
    return checkpoint


# ----------------------------------------------------------------------------------------- measuring
def _measure(models: Mapping[str, Any], data: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Each model's `Result` under the protocol that the options name."""
    from recsys.evaluation import protocols

    protocol = protocols.find(options.protocol)
    chosen = arguments.protocol_options(protocol, arguments.settings(options.option, "--option"))
    metrics = arguments.metrics(options.metrics, options.k, protocol.task)
    return {name: protocols.run(model, data, protocol, k=options.k, metrics=metrics, seed=options.seed,
                                part="valid" if options.valid else "test", refit=options.refit,
                                progress=_progress(options), **chosen)
            for name, model in models.items()}


def _parts(options: argparse.Namespace, console: Console) -> Any:
    """The data to measure on: one set, or two parts that are given apart."""
    given, needed = options.test is not None, options.protocol in ("predefined", "predefined-ratings")
    if (needed and not given) or (given and not needed and options.protocol != "sessions-next"):
        raise ParameterError("--protocol predefined and predefined-ratings need --test DATA, and sessions-next can "
                             "take it; other protocols divide --data.")
    data = _read(options, console)
    return data if options.test is None else (data, arguments.read(options, options.test))


def _evaluate(options: argparse.Namespace, console: Console) -> None:
    from recsys.evaluation import protocols

    model, task = _model(options), protocols.find(options.protocol).task
    name = type(model).__name__
    if not getattr(model.can, task):
        raise UnsupportedError(f"{name} gives no {task}, which {options.protocol} measures; name another model.")
    found = _measure({name: model}, _parts(options, console), options)[name]
    console.table(found.model, ["metric", "value", "standard error"],
                  [[metric, value, found.errors.get(metric)] for metric, value in found.metrics.items()])
    console.pairs("Protocol", found.card)
    console.result({"model": name, "parameters": model.get_params(), "metrics": found.metrics,
                    "standard_errors": found.errors, "card": found.card, "fit_seconds": found.fit_seconds,
                    "evaluation_seconds": found.seconds})


def _compare(options: argparse.Namespace, console: Console) -> None:
    from recsys import models
    from recsys.evaluation import compare, protocols

    task = protocols.find(options.protocol).task
    everything = options.models == "all"
    asked = models.REGISTRY if everything else arguments.names(options.models)
    if not asked:
        raise ParameterError("--models names no model; separate names by commas, or say all.")
    built = {kind.__name__: kind() for kind in map(models.find, asked)}
    data = _parts(options, console)
    sets = {name: _with_blanks(model, data) if everything else data for name, model in built.items()}
    needs = {name: reason for name, model in built.items() if (reason := _unfit(model, task, data))}
    left_out = {name: reason for name, reason in needs.items() if _unfit(built[name], task, sets[name])}
    if (left_out and not everything) or len(left_out) == len(built):
        name, reason = next(iter(left_out.items()))
        raise UnsupportedError(f"{name} {reason}, under {options.protocol} on {options.data}; name other models.")
    found: dict[str, Any] = {}
    for name in [name for name in built if name not in left_out]:
        try:
            found |= _measure({name: built[name]}, sets[name], options)
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


# ----------------------------------------------------------------------------------------- answering
def _recommend(options: argparse.Namespace, console: Console) -> None:
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
        if recs.source == "popular":
            console.warn(f"{title.lower()}: the model knows nothing, and the most popular items stand in.")
        _show(title, "score", lines, options, console)
    console.result({"recommendations": records})


def _lists(model: Any, options: argparse.Namespace, settings: Mapping[str, Any], console: Console
           ) -> list[tuple[str, Any, Any]]:
    """Of each question: what to call it, who asks (a user, or a history with its values), the list."""
    values = None if options.values is None else arguments.numbers(options.values, "--values")
    if values is not None and options.history is None:
        raise ParameterError("--values are those of a --history; give one.")
    if options.history is None:
        users = arguments.ids(options.user, model.users)
        _tell_skipped(users, model.users, options, console)
        return [(f"For user {recs.users}", (recs.users, None), recs) for recs in model.recommend(users, **settings)]
    history = arguments.ids(arguments.names(options.history), model.items)
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


def _why(model: Any, asker: tuple[Any, Any], line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Up to three items of the history that speak for an item, and how much."""
    if not model.can.explain or line["source"] != "model":
        return []
    reasons = model.explain(asker[0], line["item"], k=3, values=asker[1])
    return [vars(reason) for reason in reasons if reason.item is not None and reason.contribution > 0]


def _similar(options: argparse.Namespace, console: Console) -> None:
    from recsys import artifact

    model = artifact.load(options.model)
    records = []
    for recs in model.similar_items(arguments.ids(options.item, model.items), k=options.k):
        lines = [{**record, "title": model.title(record["item"])} for record in recs.to_records()]
        _show(f"Like {model.title(recs.users) or recs.users}", "similarity", lines, options, console)
        records += [{"to" if k == "user" else k: v for k, v in line.items() if k != "source"} for line in lines]
    console.result({"similar": records})


def _show(title: str, score: str, lines: Sequence[Mapping[str, Any]], options: argparse.Namespace,
          console: Console) -> None:
    """A ranked list for people, with the columns that say something; shorter lists than asked for say so."""
    columns: dict[str, Callable[[Mapping[str, Any]], Any]] = {"item": lambda line: str(line["item"])}
    if any(line["title"] for line in lines):
        columns["title"] = lambda line: line["title"]
    if any(line.get("why") for line in lines):
        columns["because of"] = lambda line: ", ".join(str(r["title"] or r["item"]) for r in line["why"])
    text = len(columns)
    columns[score] = lambda line: line["score"]
    if len(lines) < options.k:
        console.warn(f"{title[0].lower()}{title[1:]}: {len(lines)} instead of {options.k}, as there are no more "
                     f"candidates.")
    console.ranking(title, list(columns), [[value(line) for value in columns.values()] for line in lines], text=text)


# ------------------------------------------------------------------------------------------- listing
def _models(options: argparse.Namespace, console: Console) -> None:
    from recsys import models

    found: list[dict[str, Any]] = []
    for kind in map(models.find, models.REGISTRY):
        can = [flag for flag, value in vars(kind().can).items() if value]
        found.append({"name": kind.__name__, "summary": (kind.__doc__ or "").strip().partition("\n")[0], "can": can,
                      "parameters": kind().get_params()})
    console.table("Models", ["name", "what it is", "what it can"], [[m["name"], m["summary"], m["can"]] for m in found],
                  text=3)
    console.pairs("Parameters (--set NAME=VALUE) and their defaults", {m["name"]: _listed(m["parameters"])
                                                                      for m in found})
    console.result({"models": found})


def _protocols(options: argparse.Namespace, console: Console) -> None:
    from recsys.evaluation import PROTOCOLS

    found: list[dict[str, Any]] = [
        {"name": each.name, "summary": each.summary, "task": each.task, "metrics": each.metrics,
         "options": arguments.option_defaults(each)} for each in PROTOCOLS.values()]
    console.pairs("Protocols", {each["name"]: each["summary"] for each in found})
    console.pairs("Options (--option NAME=VALUE) and their defaults", {each["name"]: _listed(each["options"])
                                                                      for each in found})
    console.result({"protocols": found})


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "none"


_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], None]] = {
    "demo": _demo, "data": _data, "train": _train, "evaluate": _evaluate, "compare": _compare,
    "recommend": _recommend, "similar": _similar, "models": _models, "protocols": _protocols}
