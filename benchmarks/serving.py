"""What the service does on two cores: `python -m benchmarks serving [--only NAME ...] [--seconds N]`.

Services are real processes on one core, clients on the other, unless a row has several workers. Requests are sent at a
fixed rate, latency counts from when each was due, and every answer is compared with the model's own afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import Absent, title
from benchmarks.provenance import label, stamped
from benchmarks.service.bench import Bench
from benchmarks.service.measures import ROWS, Row
from benchmarks.table import DOCS, put

RESULTS = Path(__file__).parent / "serving.json"
PAGE = DOCS / "serving.md"
FULL = 300.0  # seconds of the longest load


def measure(row: Row, bench: Bench) -> dict[str, Any]:
    """A row with its figures, data, machine, date and commit; `Absent` where something is missing."""
    busy, begun = os.getloadavg()[0], time.perf_counter()
    figures, data = row.measured(bench)
    found = {"name": row.name, "on": data["name"], "load": busy, "took_s": time.perf_counter() - begun,
             "commit": commit(), "figures": figures}
    return stamped(found, data)


def commit() -> str:
    """The commit that is measured, with a plus where files differ from it; "unknown" outside a repository."""
    def said(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=DOCS.parent, text=True, capture_output=True,
                              check=True).stdout.strip()

    try:
        changed = said("status", "--porcelain", "--", "recsys", "minidl")
        return said("rev-parse", "--short=10", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What each row found, in the order of `ROWS`; what falls short says so."""
    lines = ["| what | measured (to reach) | data | load before | machine | date, commit |",
             "|---|---|---|---:|---|---|"]
    known = {row.name: row for row in ROWS}
    for stored in rows:
        row = known[stored["name"]]
        figures = ", ".join(figure.shown(stored["figures"]) for figure in row.figures)
        lines.append(f"| {row.claim} | {figures.replace(':,', ':')} | {title([stored])} | {stored['load']:.1f} | "
                     f"{label(stored)} | {stored['date']}, `{stored['commit']}` |")
    return "\n".join(lines) + "\n"


def short(stored: Mapping[str, Any]) -> bool:
    """Whether a row has a figure that is not what it may be."""
    row = next(row for row in ROWS if row.name == stored["name"])
    return not all(figure.reached(stored["figures"][figure.key]) for figure in row.figures)


def write(rows: Sequence[Mapping[str, Any]]) -> None:
    """Put the table into its page."""
    put("serving", table(rows), PAGE)


def main(arguments: Sequence[str], say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> int:
    """Measure the rows named, or all."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks serving", description=__doc__)
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME",
                        help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--seconds", type=float, default=FULL, metavar="N",
                        help="of the longest load; others are shortened with it (default: %(default)g)")
    parser.add_argument("--folder", type=Path, help="on the disk that events are to be made durable on; a temporary "
                        "one by default")
    parser.add_argument("--dry", action="store_true", help="store nothing and leave the page alone")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)
    found, skipped = [], 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = Bench(Path(folder), options.seconds)
        for row in ROWS:
            if row.name not in options.only:
                continue
            try:
                found.append(measure(row, bench))
            except Absent as error:
                skipped += 1
                say(f"{row.name}: {error}; skipped, and nothing is written")
                continue
            say(f"{row.name}: {found[-1]['took_s']:.0f} s{', short' if short(found[-1]) else ''}")
            if not options.dry:
                write(store.add(RESULTS, found[-1:], names))
    print(json.dumps({"rows": found}, indent=1) if options.json else table(found))
    return 3 if skipped else 0
