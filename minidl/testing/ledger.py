"""The gradient ledger: for every op, what was proved, against what, and how well.

`python -m minidl.testing [OP ...]` prints it; `--json` is for machines, `--html FILE` for a page with the
error of differences against the step size, `--mutants` adds mutation tests.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.files import replacing
from minidl.testing import page, table
from minidl.testing.mutants import BREAKS, Verdict, mutation_test
from minidl.testing.proofs import Evidence, draw_cases, prove, prove_conventions
from minidl.testing.spec import Case, Op

__all__ = ["Entry", "choose", "enter", "main"]

ORACLES = {"value": "value", "complex step": "complex", "differences": "differ.", "adjoint": "adjoint",
           "both modes": "modes",
           "differences, order 2": "order 2", "differences, order 3": "order 3", "float32 (ULP)": "f32 ULP"}
"""Columns of the printed table."""


@dataclass
class Entry:
    """The ledger's line about one op."""

    op: str
    evidence: Evidence = field(default_factory=Evidence)
    conventions: list[str] = field(default_factory=list)
    mutants: dict[str, Verdict] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """All proofs hold and every mutant that applies was killed."""
        return self.error is None and all(v.ok for v in self.mutants.values())

    @property
    def survivors(self) -> list[str]:
        """Mutants that no proof noticed."""
        return [name for name, v in self.mutants.items() if not v.ok]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        applied = [v for v in self.mutants.values() if v.active]
        return {
            "op": self.op, "ok": self.ok, "order": self.evidence.order, "cases": self.evidence.cases,
            "worst": self.evidence.worst, "layouts": sorted(self.evidence.layouts),
            "dtypes": sorted(self.evidence.dtypes), "conventions": self.conventions, "error": self.error,
            "seconds": round(self.seconds, 3),
            "mutants": {"applied": len(applied), "killed": sum(v.killed_by is not None for v in applied),
                        "by": {name: v.killed_by for name, v in self.mutants.items() if v.active},
                        "not_applicable": {name: v.note for name, v in self.mutants.items() if not v.active}}}


def enter(op: Op, examples: int = 16, seed: int = 0, mutants: bool = False) -> Entry:
    """Prove one op on `examples` cases; a failure is noted, not raised."""
    start = time.perf_counter()
    entry = Entry(op.name)
    try:
        cases: list[Case] = draw_cases(op, examples, seed)
        for case in cases:
            prove(op, case, entry.evidence)
        entry.conventions = prove_conventions(op)
        if mutants:
            entry.mutants = mutation_test(op, draw_cases(op, 2 * examples, seed))
    except BREAKS as error:
        entry.error = f"{type(error).__name__}: {error}"
    entry.seconds = time.perf_counter() - start
    return entry


def choose(names: Sequence[str]) -> list[Op]:
    """The rows that are asked for: `sum` means `sum` and all its variants; nothing means all.

    Raises
    ------
    KeyError
        When a name has no row.
    """
    rows = table.table()
    chosen = []
    for name in names:
        found = [op for key, op in rows.items() if name in (key, key.partition("[")[0])]
        if not found:
            raise KeyError(f"no op {name!r} in the table; there are: {', '.join(rows)}")
        chosen += found
    return chosen or list(rows.values())


# ------------------------------------------------------------------------------------- command line

def main(argv: Sequence[str] | None = None) -> int:
    """Print the ledger; 0 when everything holds, 1 when something fails, 2 for a name that is not there."""
    options = _parser().parse_args(argv)
    try:
        ops = choose(options.ops)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    missing = [] if options.ops else table.missing()
    entries = []
    with np.errstate(all="ignore"):
        for entry in (enter(op, options.examples, options.seed, options.mutants) for op in ops):
            entries.append(entry)
            if not options.json:
                if len(entries) == 1:
                    print(_heading(options.mutants))
                print("\n".join(_lines(entry)), flush=True)
    ok = not missing and all(entry.ok for entry in entries)
    if options.json:
        print(json.dumps({"ops": [e.as_dict() for e in entries], "missing": missing, "ok": ok}, indent=1))
    else:
        print("\n".join(_summary(entries, missing)))
    if options.html:
        with replacing(options.html) as file:
            file.write(page.render(entries, ops, options.seed).encode())
    return 0 if ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minidl.testing", description="Prove the ops of minidl.")
    parser.add_argument("ops", nargs="*", metavar="OP", help="names in the table; all by default")
    parser.add_argument("--json", action="store_true", help="pure JSON on stdout")
    parser.add_argument("--html", metavar="FILE", help="write a page with error against step size")
    parser.add_argument("--examples", type=int, default=16, metavar="N", help="cases for each op (default 16)")
    parser.add_argument("--mutants", "--kill", action="store_true",
                        help="change every rule as bugs would; the proofs must notice")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default 0)")
    return parser


def _heading(mutants: bool) -> str:
    columns = "".join(f"{title:>9}" for title in ORACLES.values())
    return (f"{'op':24}{'ok':>4}{'order':>6}{columns}{' killed' if mutants else ''}"
            "  layouts; kink convention (errors are relative, the worst of all cases)")


def _lines(entry: Entry) -> Iterator[str]:
    worst = "".join(f"{_short(entry.evidence.worst.get(oracle)):>9}" for oracle in ORACLES)
    row = f"{entry.op:24}{'yes' if entry.ok else 'NO':>4}{entry.evidence.order:>6}{worst}"
    if entry.mutants:
        applied = sum(v.active for v in entry.mutants.values())
        row += f"{f'{applied - len(entry.survivors)}/{applied}':>7}"
    yield f"{row}  {' '.join(sorted(entry.evidence.layouts))}" + "".join(f"; {c}" for c in entry.conventions)
    if entry.error:
        yield f"    {entry.error}"
    for name in entry.survivors:
        yield f"    survived: {name}"


def _short(error: float | None) -> str:
    if error is None:
        return "-"
    return "0" if error == 0 else f"{error:.1f}" if error > 0.01 else f"{error:.0e}"


def _summary(entries: Sequence[Entry], missing: Sequence[str]) -> Iterator[str]:
    failed = [e.op for e in entries if not e.ok]
    cases = sum(e.evidence.cases for e in entries)
    yield (f"{len(entries)} ops, {cases} cases, {sum(e.seconds for e in entries):.1f} s: "
           + (f"{len(failed)} failed ({', '.join(failed)})" if failed else "all proved"))
    if missing:
        yield f"no row in the op table: {', '.join(missing)}"
