"""Accuracy under named protocols, beside the figures to reach: `python -m benchmarks.accuracy`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.datasets import SHARED
from benchmarks.table import put

RESULTS = Path(__file__).parent / "accuracy.json"


@dataclass(frozen=True)
class Row:
    """A model on a data set under a protocol, and the figures to reach (name of metric -> value)."""

    name: str
    data: str
    protocol: str
    model: str
    reach: Mapping[str, float]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


_FOLDS = "ratings-5fold"
_RATIO = "ratio-811-full"
ROWS = [
    Row("svd", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.934}),
    Row("svd++", "ml-100k", _FOLDS, "MatrixFactorization", {"rmse": 0.919},
        {"factors": 20, "lr": 0.007, "implicit_feedback": True}),
]


def measure(row: Row) -> dict[str, Any]:
    """Fit and evaluate one row."""
    from recsys import datasets, models
    from recsys.evaluation import protocols

    model = models.model_class(row.model)(**row.parameters)
    found = protocols.run(model, datasets.load(SHARED / row.data), row.protocol, metrics=list(row.reach), **row.options)
    return {"name": row.name, "data": row.data, "protocol": found.card["protocol"], "model": found.model,
            "metrics": found.metrics, "errors": found.errors, "reach": dict(row.reach),
            "fit_seconds": found.fit_seconds}


def reached(result: Mapping[str, Any], metric: str) -> bool:
    """At least the figure, as it would be printed."""
    value, wanted = round(result["metrics"][metric], 3), result["reach"][metric]
    return value <= wanted if metric == "rmse" else value >= wanted


def table(results: list[dict[str, Any]]) -> str:
    """The README's table."""
    lines = ["| data | protocol | model | metric | ours | to reach | seconds to fit |",
             "|---|---|---|---|---:|---:|---:|"]
    for r in results:
        names = list(r["reach"])
        ours = " / ".join(f"{r['metrics'][m]:.3f}" for m in names)
        wanted = " / ".join(f"{r['reach'][m]:.3f}" for m in names)
        marks = "" if all(reached(r, m) for m in names) else " (short)"
        lines.append(f"| {r['data']} | {r['protocol']} | `{r['model']}` | {' / '.join(names)} | **{ours}** "
                     f"± {max(r['errors'][m] for m in names):.3f} | {wanted}{marks} | {r['fit_seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the rows named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    unknown = set(options.names) - {row.name for row in ROWS}
    if unknown:
        print(f"no row is named {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in ROWS)}",
              file=sys.stderr)
        return 2
    stored = {r["name"]: r for r in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    fresh = []
    for row in ROWS:
        if not options.names or row.name in options.names:
            fresh.append(measure(row))
            print(f"{row.name}: {fresh[-1]['metrics']}", file=sys.stderr)
    stored.update({r["name"]: r for r in fresh})
    kept = [stored[row.name] for row in ROWS if row.name in stored]
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    put("accuracy", table(kept))
    print(json.dumps(fresh, indent=1) if options.json else table(fresh))
    return 0


if __name__ == "__main__":
    sys.exit(main())
