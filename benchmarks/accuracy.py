"""Accuracy under named protocols, beside the figures to reach: `python -m benchmarks accuracy [NAME ...]`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy_rows import ROWS, Row
from benchmarks.datasets import SHARED
from benchmarks.table import put

RESULTS = Path(__file__).parent / "accuracy.json"


def measure(row: Row) -> dict[str, Any]:
    """Choose on validation data, then fit and evaluate."""
    from recsys import datasets
    from recsys.evaluation import protocols

    files = {name: SHARED / file for name, file in row.files.items()}
    loaded = [datasets.load(SHARED / row.data, part=part) for part in row.parts]
    data = tuple(loaded) if loaded else datasets.load(SHARED / row.data, **files)
    chosen = _best(row, data) if len(row.grid) > 1 else dict(row.grid[0])
    found = [protocols.run(_build(row, {**chosen, **seed}), data, row.protocol, metrics=list(row.metrics),
                           refit=row.refit, **row.options)
             for seed in ([{"seed": s} for s in row.seeds] if len(row.seeds) > 1 else [{}])]
    by_seed = {m: [f.metrics[m] for f in found] for m in row.metrics}
    protocol = found[0].card["protocol"] + ", refit" * row.refit
    return {"name": row.name, "data": " ".join([row.data, *row.parts, *row.files]), "protocol": protocol,
            "model": found[0].model, "metrics": {m: statistics.fmean(values) for m, values in by_seed.items()},
            "errors": {m: max(f.errors[m] for f in found) for m in row.metrics}, "by_seed": by_seed}


def _build(row: Row, parameters: Mapping[str, Any]) -> Any:
    from recsys import models

    return models.model_class(row.model)(**{**row.parameters, **parameters})


def _best(row: Row, data: Any) -> dict[str, Any]:
    """The setting of the grid with the best first metric on validation data, which no test set is part of."""
    from recsys.data import splits
    from recsys.evaluation import protocols

    metric, protocol, options = row.metrics[0], row.protocol, dict(row.options)
    if protocol == "ratings-5fold":  # has no validation part: a tenth of the first fold's training data is held out
        data, protocol, options = splits.split_kfold(data)[0].train, "ratings-90-10", {"folds": 1}
    values = [protocols.run(_build(row, setting), data, protocol, metrics=[metric], part="valid",
                            **options).metrics[metric] for setting in row.grid]
    return dict(row.grid[values.index((min if metric == "rmse" else max)(values))])


def reached(metric: str, value: float, wanted: float, slack: float = 0.0) -> bool:
    """At least the figure, within the slack, as it would be printed."""
    value, wanted = round(value, 3), round(wanted, 3)
    return value <= wanted + slack if metric == "rmse" else value >= wanted - slack


def table(rows: Sequence[Row], stored: Mapping[str, Mapping[str, Any]]) -> str:
    """The README's table of those rows that have been measured."""
    lines = ["| data | protocol | model | metric | ours | by seed | to reach | to beat |",
             "|---|---|---|---|---:|---:|---:|---:|"]
    for row in rows:
        if row.name not in stored:
            continue
        result = stored[row.name]
        found = result["metrics"]
        ours = " / ".join(f"{value:.3f}" for value in found.values())
        first = result["by_seed"][row.metrics[0]]
        spread = f"{min(first):.3f} to {max(first):.3f}" if len(first) > 1 else ""
        lines.append(f"| {result['data']} | {result['protocol']} | `{result['model']}` | {' / '.join(found)} | "
                     f"**{ours}** ± {max(result['errors'].values()):.3f} | {spread} | {_wanted(row, stored)} | "
                     f"{_figures(row, row.beat, found)} |")
    return "\n".join(lines) + "\n"


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
    """Run the rows named, or all."""
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
    for row in chosen:
        result = measure(row)
        print(f"{row.name}: {result['metrics']}", file=sys.stderr)
        stored = _merged(result)
    print(json.dumps([stored[row.name] for row in chosen], indent=1) if options.json else table(chosen, stored))
    return 0


def _merged(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Keep a result at once, for hours may follow, and put the whole table into the README: all that is stored."""
    stored = {r["name"]: r for r in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    stored[result["name"]] = result
    kept = [stored[row.name] for row in ROWS if row.name in stored]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    put("accuracy", table(ROWS, stored))
    return stored
