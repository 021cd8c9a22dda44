"""Defaults beside tuned settings and a floor: `python -m benchmarks defaults [MODEL ...] [--data SET ...] [--json]`.

Each data set is divided once, at random 8:1:1 or by its protocol. The tuned setting is the one of a small grid, the
default included, with the best figure on the validation part; all figures of the table are the test part's. A model
without a grid is not tuned, its default alone is measured. The floor is Popular, and for ratings Bias.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import store
from benchmarks.datasets import SHARED
from benchmarks.defaults_rows import MODELS, SETS, Case, Tried
from benchmarks.provenance import Machines, stamped
from benchmarks.table import put

RESULTS = Path(__file__).parent / "defaults.json"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks-defaults.md"
ENOUGH = 0.95  # of the tuned figure
RMSE_SLACK = 1.01  # times the tuned error

Found = dict[str, float]


class Divided:
    """A data set, read and divided once, and models measured on it."""

    def __init__(self, case: Case) -> None:
        from recsys.evaluation import protocols

        self.case, data = case, _data(case)
        self.fingerprint, self.users, self.items = data.fingerprint(), data.n_users, data.n_items
        self.events = len(data)
        self.settings: Mapping[str, Any] = {}
        if case.task == "ratings":
            from recsys.data.splits import split_random

            self.split = split_random(data.clean(duplicates="last"), valid=0.1, test=0.1, by="global")
        else:
            protocol = protocols.find(case.protocol)
            self.split, self.settings = protocol.divide(data, **case.options)[0], protocol.settings
            if not case.values:
                self.split = protocols._without_values(self.split)

    def measure(self, model: str, parameters: Mapping[str, Any]) -> Found:
        """Fit once; the metric on the validation part and on the test part."""
        from recsys import models
        from recsys.evaluation import evaluate

        fitted = models.model_class(model)(**parameters)
        split = self.split
        fitted.fit(split.train, split.valid, valid_history=split.valid_history)
        task, metric = ("ratings" if self.case.task == "ratings" else "ranking"), self.case.metric
        return {part: evaluate(fitted, split, metrics=[metric], part=part, task=task, **self.settings).metrics[metric]
                for part in ("valid", "test")}


def _data(case: Case) -> Any:
    from recsys import datasets

    data = case.generate() if case.generate else datasets.load(SHARED / case.data, **case.reader)
    if case.users is not None and case.users < data.n_users:
        drawn = np.zeros(data.n_users, bool)
        drawn[np.random.default_rng(0).choice(data.n_users, case.users, replace=False)] = True
        data = data.take(drawn[data.user]).compact()
    return data.k_core(users=0, items=case.core) if case.core else data


def row(tried: Tried, divided: Divided, note: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The model's default and its best setting on one set; every measurement is given to `note`."""
    from recsys.errors import RecsysError

    begin, case = time.process_time(), divided.case
    found: list[dict[str, Any]] = []
    for setting in [{}, *tried.grid]:
        try:
            found.append({"setting": setting, **divided.measure(tried.model, setting)})
        except RecsysError as error:
            found.append({"setting": setting, "refused": str(error)})
        note({"model": tried.model, "data": case.name, **found[-1]})
        if "refused" in found[0]:
            break
    sign = -1 if case.metric == "rmse" else 1
    best = max((each for each in found if "valid" in each), key=lambda each: sign * float(each["valid"]), default=None)
    source = case.data or "generated"
    return stamped({"name": f"{tried.model} on {case.name}", "model": tried.model, "set": case.name, "kind": case.kind,
                    "on": source, "task": case.task, "metric": case.metric, "protocol": case.protocol,
                    "drawn": case.users, "users": divided.users, "items": divided.items, "events": divided.events,
                    "seconds": round(time.process_time() - begin, 1), "default": found[0].get("test"),
                    "refused": found[0].get("refused"), "tuned": best and best["test"] if tried.grid else None,
                    "setting": best and best["setting"]}, {"name": source, "fingerprint": divided.fingerprint})


def share(row: Mapping[str, Any]) -> float:
    """The default's part of the tuned figure; of errors, the tuned one's part of the default's; of no grid, 1."""
    default, tuned = row["default"], row["tuned"]
    if tuned is None:
        return 1.0
    return tuned / default if row["metric"] == "rmse" else default / tuned if tuned else 1.0


def holds(row: Mapping[str, Any]) -> bool:
    """Whether the default is close enough to the tuned setting."""
    return share(row) >= (1 / RMSE_SLACK if row["metric"] == "rmse" else ENOUGH)


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """A line for each model and set, and whether its default holds."""
    rows = list(rows)
    floors = {r["set"]: r["default"] for r in rows if r["model"] in ("Popular", "Bias")}
    lines = ["| model | data | users x items | default | tuned | floor | default / tuned | |",
             "|---|---|---:|---:|---:|---:|---:|---|"]
    for r in rows:
        if r["model"] == "Popular":
            continue
        size = f"{r['users']:,} x {r['items']:,}" + (" (drawn)" if r["drawn"] else "")
        about = f"{r['set']} ({r['kind']}), {r['metric']}"
        if r["default"] is None:
            lines.append(f"| {r['model']} | {about} | {size} | refused | | {_figure(floors.get(r['set']))} | | |")
            continue
        tuned, part = ("not tuned", "") if r["tuned"] is None else (_figure(r["tuned"]), f"{share(r):.0%}")
        lines.append(f"| {r['model']} | {about} | {size} | **{_figure(r['default'])}** | {tuned} | "
                     f"{_figure(floors.get(r['set']))} | {part} | {_verdict(r, floors.get(r['set']))} |")
    return "\n".join(lines) + "\n\n" + Machines(rows).legend()


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _verdict(row: Mapping[str, Any], floor: float | None) -> str:
    worse = floor is not None and (row["default"] > floor if row["metric"] == "rmse" else row["default"] < floor)
    return "below the floor" if worse else "" if holds(row) else "short"


def main(arguments: Sequence[str]) -> int:
    """Measure the models named, or all, on the sets named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks defaults", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--data", nargs="+", metavar="SET", default=[], help="names of sets; all when none is given")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--log", metavar="FILE", help="append every measurement as a line of JSON")
    options = parser.parse_args(arguments)
    for name, known in [(m, [t.model for t in MODELS]) for m in options.models] + [
            (d, [c.name for c in SETS]) for d in options.data]:
        if name not in known:
            print(f"nothing is named {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
    warnings.simplefilter("ignore")
    rows = []
    for case in SETS:
        chosen = [tried for tried in MODELS if _asked(tried, case, options.models, options.data)]
        if not chosen:
            continue
        if not case.available:
            print(f"{case.name}: there is no data in {SHARED / case.data}; not measured", file=sys.stderr)
            continue
        divided = Divided(case)
        for tried in chosen:
            rows.append(row(tried, divided, _noting(options.log)))
            print(f"{tried.model}, {case.name}: {rows[-1]['default']}, {rows[-1]['tuned']}", file=sys.stderr)
            _store(rows[-1])
    print(json.dumps(rows, indent=1) if options.json else table(rows))
    return 0


def _asked(tried: Tried, case: Case, models: Sequence[str], data: Sequence[str]) -> bool:
    fits = case.task in tried.tasks and (not tried.sets or case.name in tried.sets)
    return fits and (not models or tried.model in models) and (not data or case.name in data)


def _noting(path: str | None) -> Callable[[dict[str, Any]], None]:
    def note(line: dict[str, Any]) -> None:
        if path is not None:
            with Path(path).open("a") as file:
                file.write(json.dumps(line) + "\n")
    return note


def _store(row: Mapping[str, Any]) -> None:
    """Keep a row, and put the whole table into its page."""
    names = [f"{tried.model} on {case.name}" for tried in MODELS for case in SETS]
    put("defaults", table(store.add(RESULTS, [row], names)), PAGE)
