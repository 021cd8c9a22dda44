"""Claims of speed against baselines: `python -m benchmarks [NAME ...]`.

`accuracy`, `defaults`, `cold` in place of a name do the same for claims of accuracy, for defaults beside tuned
settings, and for what the first run costs; `tables` measures nothing and writes all tables again from what is stored.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import benchmarks
from benchmarks import store
from benchmarks.datasets import Absent, simulating, title
from benchmarks.harness import Claim, Disagreement, Ended, measure
from benchmarks.provenance import Machines
from benchmarks.table import DOCS, README, extract, put, span

RESULTS = Path(__file__).parent / "results.json"
SHOWN = ("adam", "mlp", "cnn-train", "gru-20-32", "lstm-20-32", "softmax", "als-64", "item-knn", "svd", "epoch-neumf")
"""The ten claims of the README's extract: of each kind of work one, and the one that falls shortest."""


def claims() -> Iterator[tuple[str, Claim]]:
    for found in pkgutil.iter_modules(benchmarks.__path__, "benchmarks."):
        if not found.name.endswith("__main__"):
            for claim in getattr(importlib.import_module(found.name), "CLAIMS", ()):
                yield found.name, claim


def table(rows: Sequence[store.Stored]) -> str:
    """A line a claim, medians over machines as ranges, and the machines below."""
    machines = Machines(rows)
    lines = ["| work | data | baseline | ours | baseline's | baseline's / ours (min to max) | at least | "
             "peak memory, ours / baseline's | ours, of the peak | machine |",
             "|---|---|---|---:|---:|---:|---:|---:|---:|---|"]
    for found in store.by_name(rows).values():
        row, all_of = found[0], {key: [one[key] for one in found] for key in found[0]}
        short = sum(ratio < row["target"] for ratio in all_of["ratio"])
        cells = [row["work"], title(found), row["baseline"], span(all_of["ours_s"], seconds),
                 span(all_of["baseline_s"], seconds),
                 f"**{span(all_of['ratio'], '{:.2f}'.format)}** ({min(all_of['min']):.2f} to {max(all_of['max']):.2f})",
                 f"{row['target']:g}{_short(short, len(found))}",
                 f"{statistics.median(all_of['ours_mib']):.0f} / {statistics.median(all_of['baseline_mib']):.0f} MiB",
                 of_peak(all_of["peak"]), machines.numbers(found)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", machines.legend()])


def write(rows: Sequence[store.Stored]) -> None:
    """Put the table into its page, and the extract into the README."""
    put("speed", table(rows), DOCS / "benchmarks-speed.md")
    shown = [row for row in rows if row["name"] in SHOWN]
    put("speed", extract(table(shown), [0, 2, 5, 6]), README)  # the work, beside whom, how many times faster, at least


def _short(short: int, machines: int) -> str:
    return "" if not short else " (short)" if machines == 1 else f" (short on {short} of {machines})"


def of_peak(peaks: Sequence[dict[str, Any]]) -> str:
    """The share of a large float32 product's speed, or of a large copy's."""
    shares = [peak["share"] for peak in peaks if peak]
    return f"{span(shares, '{:.0%}'.format)} of a {next(peak['of'] for peak in peaks if peak)}" if shares else ""


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def main(arguments: Sequence[str]) -> int:
    """Measure the claims named, or all: 0, 1 where sides disagree or fail, 2 for a name unknown, 3 for a set absent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="claims or files to run; all when none is given")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--simulated", action="store_true",
                        help="make data of the size of real sets; such rows are printed and not kept")
    options = parser.parse_args(arguments)
    known = list(claims())
    chosen = [(m, c) for m, c in known
              if not options.names or c.name in options.names or m.rpartition(".")[2] in options.names]
    unknown = set(options.names) - {c.name for _, c in known} - {m.rpartition(".")[2] for m, _ in known}
    if unknown:
        print(f"no claim is named {', '.join(sorted(unknown))}; see --list", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(c.name for _, c in chosen))
        return 0

    def keep(row: dict[str, Any]) -> None:
        write(store.add(RESULTS, [row], [claim.name for _, claim in known]))

    rows, failed, absent = run(chosen, (lambda row: None) if options.simulated else keep, options.simulated)
    print(json.dumps({"rows": rows}, indent=1) if options.json else table(rows))
    return 1 if failed else 3 if absent else 0


def run(chosen: Sequence[tuple[str, Claim]], keep: Callable[[dict[str, Any]], None], simulated: bool
        ) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The rows, and the names of claims whose sides disagree or fail, and of those whose data is absent.

    Each row is kept at once, as the next claim may take long or fail.
    """
    rows: list[dict[str, Any]] = []
    failed, absent = [], []
    for module, claim in chosen:
        try:
            with simulating() if simulated else nullcontext():
                row = measure(module, claim, lambda text: print(text, file=sys.stderr))
        except (Disagreement, Ended) as error:
            failed.append(claim.name)
            print(f"{claim.name}: {error}", file=sys.stderr)
        except Absent as error:
            absent.append(claim.name)
            print(f"{claim.name}: {error}; skipped, and nothing is written", file=sys.stderr)
        else:
            keep(row)
            rows.append(row)
    return rows, failed, absent
