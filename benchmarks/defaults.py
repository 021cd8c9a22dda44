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
from benchmarks.datasets import Absent, described
from benchmarks.defaults_rows import MODELS, SETS, Case, Tried
from benchmarks.provenance import Machines, label, stamped
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "defaults.json"
ENOUGH = 0.95  # of the tuned figure
RMSE_SLACK = 1.01  # times the tuned error

Found = dict[str, float]


class Divided:
    """A data set, read and divided once, and models measured on it."""

    def __init__(self, case: Case) -> None:
        from recsys.evaluation import protocols

        self.case, data = case, _data(case)
        self.about = described(case.source, data) | ({"name": case.source} if case.generate else {})
        self.users, self.items, self.events = data.n_users, data.n_items, len(data)
        self.settings: Mapping[str, Any] = {}
        if case.task == "ratings":
            from recsys.data.splits import split_random

            self.split = split_random(data.clean(duplicates="last"), valid=0.1, test=0.1, by="global")
        else:
            protocol = protocols.find(case.protocol)
            self.split, self.settings = protocol.divide(data, **case.options)[0], protocol.settings
            if not case.values:
                self.split = protocols.without_values(self.split)

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
    data = case.read()
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
    return stamped({"name": f"{tried.model} on {case.name}", "model": tried.model, "set": case.name, "kind": case.kind,
                    "on": case.source, "parameters": _defaults(tried.model), "task": case.task, "metric": case.metric,
                    "protocol": case.protocol, "drawn": case.users, "users": divided.users, "items": divided.items,
                    "events": divided.events,
                    "seconds": round(time.process_time() - begin, 1), "default": found[0].get("test"),
                    "refused": found[0].get("refused"), "tuned": best and best["test"] if tried.grid else None,
                    "setting": best and best["setting"]}, divided.about)


def _defaults(model: str) -> dict[str, Any]:
    """A model's hyper-parameters, as JSON gives them back."""
    from recsys import models

    found: dict[str, Any] = json.loads(json.dumps(models.find(model)().get_params(), default=repr))
    return found


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
    floors = {(r["set"], label(r)): r["default"] for r in rows if r["model"] in ("Popular", "Bias")}
    lines = ["| model | data | users x items | default | tuned | floor | default / tuned | |",
             "|---|---|---:|---:|---:|---:|---:|---|"]
    lines += [_line(r, floors.get((r["set"], label(r)))) for r in rows if r["model"] != "Popular"]
    return "\n".join([*lines, "", Machines(rows).legend()])


def _line(row: Mapping[str, Any], floor: float | None) -> str:
    size = f"{row['users']:,} x {row['items']:,}" + (" (drawn)" if row["drawn"] else "")
    cells = [row["model"], f"{row['set']} ({row['kind']}), {row['metric']}", size]
    if row["default"] is None:
        return f"| {' | '.join([*cells, 'refused', '', _figure(floor), '', ''])} |"
    tuned, part = ("not tuned", "") if row["tuned"] is None else (_figure(row["tuned"]), f"{share(row):.0%}")
    verdict = ", ".join(filter(None, [_verdict(row, floor), _changed(row)]))
    cells += [f"**{_figure(row['default'])}**", tuned, _figure(floor), part, verdict]
    return f"| {' | '.join(cells)} |"


def _changed(row: Mapping[str, Any]) -> str:
    now, then = _defaults(row["model"]), row.get("parameters")
    return "" if then in (None, now) else "measured with other defaults"


def not_measured(rows: Iterable[Mapping[str, Any]]) -> str:
    """What `MODELS` and `SETS` ask for and no row tells of."""
    done = {row["name"] for row in rows}
    absent = {tried.model: [case.name for case in SETS if _asked(tried, case, (), ()) and
                            f"{tried.model} on {case.name}" not in done] for tried in MODELS}
    lines = [f"- {model}: {'; '.join(names)}" for model, names in absent.items() if names]
    return "\n".join(["", "Not measured:", "", *lines, ""]) if lines else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _verdict(row: Mapping[str, Any], floor: float | None) -> str:
    worse = floor is not None and (row["default"] > floor if row["metric"] == "rmse" else row["default"] < floor)
    return "below the floor" if worse else "" if holds(row) else "short"


def main(arguments: Sequence[str]) -> int:
    """Measure the models named, or all, on the sets named, or all: 0, 2 for a name unknown, 3 for a set absent."""
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
    rows, skipped = [], 0
    for case in SETS:
        chosen = [tried for tried in MODELS if _asked(tried, case, options.models, options.data)]
        if not chosen:
            continue
        try:
            divided = Divided(case)
        except Absent as error:
            skipped += 1
            print(f"{case.name}: {error}; skipped, and nothing is written", file=sys.stderr)
            continue
        for tried in chosen:
            rows.append(row(tried, divided, _noting(options.log)))
            print(f"{tried.model}, {case.name}: {rows[-1]['default']}, {rows[-1]['tuned']}", file=sys.stderr)
            _store(rows[-1])
    print(json.dumps(rows, indent=1) if options.json else table(rows))
    return 3 if skipped else 0


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
    kept = store.add(RESULTS, [row], names)
    write(kept)


def write(rows: Sequence[store.Stored]) -> None:
    """Put the table into its page."""
    put("defaults", table(rows) + not_measured(rows), DOCS / "benchmarks-defaults.md")
