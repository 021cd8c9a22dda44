"""All models by their defaults on one set: `python -m benchmarks compared [ROW ...]`.

A row is what `recsys compare --models all` prints of a set, run as a process of its own, with nothing set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import SHARED, described, real
from benchmarks.provenance import Machines, stamped
from benchmarks.rows import measure_each
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "compared.json"
METRICS = ("recall@10", "ndcg@10")
PROTOCOL = "ratio-811-full"


@dataclass(frozen=True)
class Row:
    """A set on which all models are compared."""

    name: str


ROWS = {name: Row(name) for name in ("filmtrust", "restaurant-consumer", "ml-100k")}


def measure(row: Row) -> dict[str, Any]:
    """Run the command, and keep what it prints."""
    data = real(row.name)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "recsys", "compare", "--data", str((SHARED / row.name).resolve()), "--models", "all",
             "--protocol", PROTOCOL, "--json", "--checkpoint", "compared.npz"], cwd=folder, stdout=subprocess.PIPE,
            check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
        minutes = (time.monotonic() - begin) / 60
    found = json.loads(done.stdout)
    return stamped({"name": row.name, "on": row.name, "models": found["models"], "left_out": found["left_out"],
                    "without_content": found["without_content"], "fit_seconds": found["fit_seconds"],
                    "minutes": minutes}, described(row.name, data))


def table(rows: Sequence[store.Stored]) -> str:
    """A table a set, the best first, with who differs from the first by more than chance."""
    machines = Machines(rows)
    lines = [line for row in rows for line in _lines(row, machines)]
    return "\n".join([*lines[1:], "", machines.legend()])


def _lines(row: store.Stored, machines: Machines) -> Iterator[str]:
    entries = {(each["model"], each["metric"]): each for each in row["models"]}
    models = dict.fromkeys(each["model"] for each in row["models"])
    names = sorted(models, key=lambda name: -entries[name, METRICS[1]]["value"])
    out = "; ".join(f"{name} ({why})" for name, why in row["left_out"].items())
    best = entries[names[0], METRICS[1]]["baseline"]
    yield from ["", f"**{row['on']}**, {row['minutes']:.1f} minutes, machine {machines.numbers([row])}"
                f"{'; left out: ' + out if out else ''}", "",
                f"| model | {' | '.join(METRICS)} | from {best}'s | learned in, s |",
                f"|---|{'---:|' * len(METRICS)}---:|---:|"]
    for name in names:
        main = entries[name, METRICS[1]]
        star = " \\*" if main["p_holm"] is not None and main["p_holm"] < 0.05 else ""
        blank = ", content blank" if name in row["without_content"] else ""
        yield (f"| {name}{blank} | {' | '.join(_cell(entries[name, metric]) for metric in METRICS)} | "
               f"{main['difference']:+.3f}{star} | {row['fit_seconds'].get(name, 0):.2f} |")


def _cell(entry: Mapping[str, Any]) -> str:
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def write(rows: Sequence[store.Stored]) -> None:
    """Put the tables into their page."""
    put("compared", table(rows), DOCS / "benchmarks-defaults.md")


def main(arguments: Sequence[str]) -> int:
    """Measure the rows named, or all: 0, 2 for an unknown name, 3 where a set is absent."""
    return measure_each("compared", __doc__, arguments, ROWS, measure, _told, RESULTS, write)


def _told(found: Mapping[str, Any]) -> str:
    return f"{len(found['fit_seconds'])} models, {len(found['left_out'])} left out, {found['minutes']:.1f} minutes"
