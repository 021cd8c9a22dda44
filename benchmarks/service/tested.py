"""Claims that tests show: they are run at length, and a row says how many passed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.datasets import Absent
from benchmarks.service.bench import Bench
from benchmarks.service.place import ROOT

__all__ = ["described", "faults"]

TESTS = ROOT / "tests" / "recsys" / "serving"
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


def described(bench: Bench) -> dict[str, float]:
    """Requests made from the OpenAPI document, 5,000 of them, with sequences that follow from one another."""
    return _run("test_openapi.py", profile="deep")


def faults(bench: Bench) -> dict[str, float]:
    """A full disk, a read-only folder, a torn log, a clock set back, slow clients, a port in use."""
    return _run("test_faults.py", profile="ci")


def _run(*names: str, profile: str) -> dict[str, float]:
    files = [TESTS / name for name in names]
    absent = [path.name for path in files if not path.exists()]
    if absent:
        raise Absent(f"{', '.join(absent)} is not in {TESTS}")
    counts, seconds = _counted([str(path) for path in files], profile)
    if not counts.get("passed"):
        raise Absent(f"no test of {', '.join(names)} ran")
    return {"passed": counts["passed"], "skipped": counts.get("skipped", 0),
            "failed": counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0), "seconds": seconds}


def _counted(arguments: Sequence[str], profile: str) -> tuple[dict[str, int], float]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HYPOTHESIS_PROFILE": profile}
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=ROOT, text=True,
                          env=environment, capture_output=True, check=False)
    if done.returncode:
        print(done.stdout[-5000:], file=sys.stderr)  # which failed, and how
    lines = done.stdout.strip().splitlines() or [""]
    return {name: int(count) for count, name in _COUNT.findall(lines[-1])}, time.perf_counter() - begin
