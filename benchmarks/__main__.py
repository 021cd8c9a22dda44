"""`python -m benchmarks [NAME ...] [--json]`: measure the claims of speed and write the README's table.

`python -m benchmarks accuracy [NAME ...] [--json]` does the same for those of accuracy, and
`python -m benchmarks defaults [MODEL ...] [--data SET ...] [--json]` for the models' defaults.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks import accuracy, defaults
from benchmarks.harness import Claim, Disagreement, measure
from benchmarks.table import put

RESULTS = Path(__file__).parent / "results.json"
INFRASTRUCTURE = {"harness", "worker", "__main__", "datasets", "table", "accuracy", "accuracy_rows", "defaults",
                  "defaults_rows"}


def claims() -> Iterator[tuple[str, Claim]]:
    for found in pkgutil.iter_modules(benchmarks.__path__, "benchmarks."):
        if found.name.rpartition(".")[2] not in INFRASTRUCTURE:
            for claim in getattr(importlib.import_module(found.name), "CLAIMS", ()):
                yield found.name, claim


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| work | peer | ours | peer's | peer's / ours (min to max) | at least | peak memory, ours / peer's | "
             "ours, of the peak |", "|---|---|---:|---:|---:|---:|---:|---:|"]
    for r in rows:
        short = "" if r["ratio"] >= r["target"] else " (short)"
        lines.append(f"| {r['work']} | {r['peer']} | {seconds(r['ours_s'])} | {seconds(r['peer_s'])} | "
                     f"**{r['ratio']:.2f}** ({r['min']:.2f} to {r['max']:.2f}) | {r['target']:g}{short} | "
                     f"{r['ours_mib']:.0f} / {r['peer_mib']:.0f} MiB | {of_peak(r['peak'])} |")
    return "\n".join(lines) + "\n"


def of_peak(peak: dict[str, Any]) -> str:
    """The share of a large float32 product's speed, or of a large copy's."""
    return f"{peak['share']:.0%} of a {peak['of']}" if peak else ""


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def write(rows: list[dict[str, Any]]) -> None:
    """Merge rows into the stored results, and put the whole table into the README."""
    stored = {r["name"]: r for r in json.loads(RESULTS.read_text())["rows"]} if RESULTS.exists() else {}
    stored.update({r["name"]: r for r in rows})
    known = [claim.name for _, claim in claims()]
    kept = [stored[name] for name in known if name in stored]
    RESULTS.write_text(json.dumps({"rows": kept}, indent=1) + "\n")
    put("speed", table(kept))


def main() -> int:
    if sys.argv[1:2] == ["accuracy"]:
        return accuracy.main(sys.argv[2:])
    if sys.argv[1:2] == ["defaults"]:
        return defaults.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims or files to run; all when none is given")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    options = parser.parse_args()
    chosen = [(m, c) for m, c in claims()
              if not options.names or c.name in options.names or m.rpartition(".")[2] in options.names]
    unknown = set(options.names) - {c.name for _, c in claims()} - {m.rpartition(".")[2] for m, _ in claims()}
    if unknown:
        print(f"no claim is named {', '.join(sorted(unknown))}; see --list", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(c.name for _, c in chosen))
        return 0
    rows, failed = [], []
    for module, claim in chosen:
        try:
            rows.append(measure(module, claim, lambda text: print(text, file=sys.stderr)))
        except Disagreement as error:
            failed.append(claim.name)
            print(f"{claim.name}: {error}", file=sys.stderr)
    write(rows)
    print(json.dumps({"rows": rows}, indent=1) if options.json else table(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
