"""Accuracy under named protocols, beside the figures to reach: `python -m benchmarks accuracy [NAME ...]`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.accuracy_rows import ROWS, Row
from benchmarks.datasets import Absent, checksum, described, file, real, title
from benchmarks.provenance import Machines, stamped
from benchmarks.table import DOCS, README, extract, put, span

RESULTS = Path(__file__).parent / "accuracy.json"
SHOWN = ("svd-default", "autorec-5fold", "ease-100k", "als-100k", "mult-vae-100k", "ease-1m", "ease-last",
         "gru-last-refit", "gru-new", "text-cnn-new-ml-latest-small")
"""The ten rows of the README's extract: of each kind of task some."""


def measure(row: Row) -> dict[str, Any]:
    """Choose on validation data, then fit and evaluate."""
    from recsys.evaluation import protocols

    about, data = load(row)
    chosen, tried = best(row, data)
    found = [protocols.run(build(row, {**chosen, **seed}), data, row.protocol, metrics=list(row.metrics),
                           refit=row.refit, **row.options)
             for seed in ([{"seed": s} for s in row.seeds] if len(row.seeds) > 1 else [{}])]
    by_seed = {m: [f.metrics[m] for f in found] for m in row.metrics}
    protocol = found[0].card["protocol"] + ", refit" * row.refit
    settings = {"parameters": dict(row.parameters), "chosen": chosen, "of": tried, "seeds": list(row.seeds),
                "options": dict(row.options)}
    result = {"name": row.name, "on": row.data, "parts": [*row.parts, *row.files], "protocol": protocol,
              "model": found[0].model, "settings": settings,
              "metrics": {m: statistics.fmean(values) for m, values in by_seed.items()},
              "errors": {m: max(f.errors[m] for f in found) for m in row.metrics}, "by_seed": by_seed}
    return stamped(result, about)


def load(row: Row) -> tuple[dict[str, Any], Any]:
    """What the result says of its data, and the data: of a set that comes divided, its parts."""
    if not row.parts:
        files = {name: file(path) for name, path in row.files.items()}
        data = real(row.data, **files)
        return described(row.data, data) | {name: checksum(path) for name, path in files.items()}, data
    parts = tuple(real(row.data, part=part) for part in row.parts)
    about = [described(row.data, part) for part in parts]
    return {"name": about[0]["name"], "fingerprint": "+".join(one["fingerprint"] for one in about)}, parts


def build(row: Row, parameters: Mapping[str, Any]) -> Any:
    from recsys import models

    return models.model_class(row.model)(**{**row.parameters, **parameters})


def best(row: Row, data: Any) -> tuple[dict[str, Any], int]:
    """The setting of the grid with the best first metric on validation data, and how many were tried in the time.

    No test set is part of that data.
    """
    from recsys.data import splits
    from recsys.evaluation import protocols

    if len(row.grid) == 1:
        return dict(row.grid[0]), 1
    metric, protocol, options, begin = row.metrics[0], row.protocol, dict(row.options), time.monotonic()
    part = "valid"
    if protocol == "ratings-5fold":  # has no validation part: the first fold's training part is divided in turn
        data, part = splits.split_kfold(data)[0].train, "test"
    elif protocol.startswith("predefined") and len(row.parts) == 2:  # neither has a set of two parts
        data = splits.split_random(data[0], valid=0.1, test=0.1)
    values: list[float] = []
    for setting in row.grid:
        if values and time.monotonic() - begin > 60 * row.minutes:
            break
        values.append(protocols.run(build(row, setting), data, protocol, metrics=[metric], part=part,
                                    **options).metrics[metric])
    return dict(row.grid[values.index((min if metric == "rmse" else max)(values))]), len(values)


def reached(metric: str, value: float, wanted: float, slack: float = 0.0, places: int = 3) -> bool:
    """At least the figure, within the slack, as it would be printed."""
    value, wanted = round(value, places), round(wanted, places)
    return value <= wanted + slack if metric == "rmse" else value >= wanted - slack


def table(rows: Sequence[Row], results: Sequence[store.Stored]) -> str:
    """Those rows that have been measured: ranges over machines, and the machines below."""
    machines, groups = Machines(results), store.by_name(results)
    metrics = {row.name: row.metrics[0] for row in rows}
    stored = {name: _worst(groups[name], metrics[name]) for name in metrics if name in groups}
    lines = ["| data | protocol | model | metric | ours | by seed | to reach | to beat | machine |",
             "|---|---|---|---|---:|---:|---:|---:|---|"]
    for row in rows:
        if row.name not in stored:
            continue
        group, result = groups[row.name], stored[row.name]
        found = result["metrics"]
        ours = " / ".join(span([one["metrics"][metric] for one in group], "{:.3f}".format) for metric in found)
        first = [value for one in group for value in one["by_seed"][row.metrics[0]]]
        spread = f"{min(first):.3f} to {max(first):.3f}" if len(first) > len(group) else ""
        models = ", ".join(f"`{model}`" for model in dict.fromkeys(one["model"] for one in group))
        error = max(value for one in group for value in one["errors"].values())
        cells = [" ".join([title(group), *result["parts"]]), result["protocol"], models, " / ".join(found),
                 f"**{ours}** ± {error:.3f}", spread, _wanted(row, stored), _figures(row, row.beat, found),
                 machines.numbers(group)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", machines.legend()])


def write(results: Sequence[store.Stored]) -> None:
    """Put the table into its page, and the extract into the README."""
    put("accuracy", table(ROWS, results), DOCS / "benchmarks-accuracy.md")
    shown = [row for row in ROWS if row.name in SHOWN]
    put("accuracy", extract(table(shown, results), [0, 1, 2, 3, 4, 6]), README)  # without seeds, what to beat, machines


def _worst(group: Sequence[store.Stored], metric: str) -> store.Stored:
    """The result of the machine that is the furthest from a figure to reach."""
    return (max if metric == "rmse" else min)(group, key=lambda one: one["metrics"][metric])


def _wanted(row: Row, stored: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures to reach, and whether they are."""
    found = stored[row.name]["metrics"]
    if not isinstance(row.reach, str):
        return _figures(row, row.reach, found, row.slack)
    if row.reach not in stored:
        return ""
    other = stored[row.reach]
    return f"{other['model'].partition('(')[0]}: {_figures(row, list(other['metrics'].values()), found)}"


def _figures(row: Row, wanted: Sequence[float], found: Mapping[str, float], slack: float = 0.0) -> str:
    pairs = list(zip(row.metrics, wanted, strict=False))  # there may be figures for the first metrics alone
    text = " / ".join(f"{value:.3f}" for _, value in pairs) + (f" ± {slack:g}" if slack else "")
    short = not all(reached(metric, found[metric], value, slack) for metric, value in pairs)
    return text + (" (short)" if short else "")


def main(arguments: Sequence[str]) -> int:
    """Run the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {row.name for row in ROWS}
    if unknown:
        print(f"no row is named {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in ROWS)}",
              file=sys.stderr)
        return 2
    chosen = [row for row in ROWS if not options.names or row.name in options.names]
    results = []
    for row in chosen:
        try:
            results.append(measure(row))
        except Absent as error:
            print(f"{row.name}: {error}; skipped, and nothing is written", file=sys.stderr)
            continue
        print(f"{row.name}: {results[-1]['metrics']}", file=sys.stderr)
        kept = store.add(RESULTS, results[-1:], [known.name for known in ROWS])  # at once, for hours may follow
        write(kept)
    print(json.dumps({"rows": results}, indent=1) if options.json else table(chosen, results))
    return 0 if len(results) == len(chosen) else 3
