"""Run a claim: ours and the baseline's in separate processes, in turn, on the same data.

A claim's file imports neither side at the top: each worker process imports only its own, so that
our settings cannot help or hurt the baseline.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import MADE, SOURCE, source
from benchmarks.provenance import stamped

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Session:
    """One side, ready to run: `run` is timed (`repeat` calls a round), `result` is what it computed."""

    run: Callable[[], Any]
    result: Callable[[], Arrays]
    repeat: int = 1


@dataclass(frozen=True)
class Claim:
    """Work that both sides do, and how many times faster ours should be."""

    name: str
    work: str
    baseline: str
    target: float
    data: Callable[[], Arrays]
    ours: Callable[[Arrays], Session]
    theirs: Callable[[Arrays], Session]
    agree: Callable[[Arrays, Arrays], str]  # says how they agree, or raises Disagreement
    rounds: int = 7  # in each pair of processes
    processes: int = 1  # pairs of them: where a side's time differs more from one process to another than within one
    busy: int = 0  # other busy processes beside it
    flops: float = 0  # additions and multiplications of a run, where its products take most of the time
    on: str = MADE  # the set that the data is of; without it the claim is not measured
    moved: float = 0  # or bytes that it has to read and write at least


class Disagreement(RuntimeError):
    """The two sides did not compute the same thing, so their times must not be compared."""


class Ended(RuntimeError):
    """A side's process has ended before it was told to."""


def close(ours: np.ndarray, theirs: np.ndarray, what: str, *, rtol: float) -> str:
    """A sentence if two arrays agree relative to the largest magnitude, else Disagreement."""
    scale = float(np.max(np.abs(theirs))) or 1.0
    error = float(np.max(np.abs(np.asarray(ours, float) - np.asarray(theirs, float)))) / scale
    if not error <= rtol:
        raise Disagreement(f"{what} differ by {error:.2e} of the largest value; at most {rtol:.0e} is allowed")
    return f"{what} within {error:.0e}"


def near(ours: np.ndarray, theirs: np.ndarray, what: str, *, worse_by: float, larger_is_better: bool = True) -> str:
    """A sentence if our quality is not below the baseline's by more than `worse_by`, else Disagreement."""
    a, b = float(ours), float(theirs)
    if (b - a if larger_is_better else a - b) > worse_by or not np.isfinite(a):
        raise Disagreement(f"{what}: ours {a:.4f}, theirs {b:.4f}; a difference of {worse_by} is allowed")
    return f"{what} {a:.4f} and {b:.4f}"


@cache
def peaks() -> tuple[float, float]:
    """What this machine reaches: float32 operations a second in a large product, bytes a second in a large copy."""
    a, b = np.ones((2, 2048, 2048), np.float32)
    product, source, target = np.empty_like(a), np.ones(1 << 25, np.float32), np.ones(1 << 25, np.float32)
    seconds = [min(timeit.repeat(run, number=1, repeat=5)) for run in
               (lambda: np.matmul(a, b, out=product), lambda: np.copyto(target, source))]
    return 2 * 2048**3 / seconds[0], 2 * source.nbytes / seconds[1]


def share_of_peak(claim: Claim, seconds: float) -> dict[str, Any]:
    """Which part of what the machine could do at best a run reached; nothing where a claim has no such number."""
    if claim.flops:
        return {"of": "product", "share": claim.flops / seconds / peaks()[0]}
    return {"of": "copy", "share": claim.moved / seconds / peaks()[1]} if claim.moved else {}


class _Worker:
    """A process that holds one side in memory and times it when told to."""

    def __init__(self, module: str, name: str, side: str, data: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2"}
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.worker", module, name, side, str(data)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ask("ready")

    def ask(self, command: str) -> dict[str, Any]:
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the worker has no pipes")
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Ended(f"the worker for {' '.join(self.process.args[3:6])} ended; its message is above")
        return json.loads(line)  # type: ignore[no-any-return]

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(timeout=60)


@contextmanager
def _busy(count: int) -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


@contextmanager
def _workers(module: str, name: str, data: Path) -> Iterator[tuple[_Worker, _Worker]]:
    with ExitStack() as stack:
        pair = []
        for side in ("ours", "theirs"):
            pair.append(_Worker(module, name, side, data))
            stack.callback(pair[-1].close)
        yield pair[0], pair[1]


def _agreement(claim: Claim, pair: tuple[_Worker, _Worker], folder: Path) -> str:
    """How the results of both sides agree; their first run, which also warms them up."""
    results = []
    for worker in pair:
        worker.ask(f"result {folder / 'result.npz'}")
        with np.load(folder / "result.npz") as archive:
            results.append(dict(archive))
    return claim.agree(*results)


def measure(module: str, claim: Claim, say: Callable[[str], None]) -> dict[str, Any]:
    """Check that both sides agree, then time them A B A B; a row of the table."""
    rounds, memory = [], []
    arrays = claim.data()
    about = source(arrays)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        np.savez(data, **{name: array for name, array in arrays.items() if name != SOURCE})
        for _ in range(claim.processes):
            with _workers(module, claim.name, data) as pair:
                agreement = _agreement(claim, pair, Path(folder))
                with _busy(claim.busy):
                    for _ in range(claim.rounds):
                        ours, theirs = (worker.ask("run")["seconds"] for worker in pair)
                        rounds.append((ours, theirs))
                        say(f"{claim.name}: {theirs / ours:.2f}")
                memory.append([worker.ask("memory")["mebibytes"] for worker in pair])
    ratios = [b / a for a, b in rounds]
    ours_s = statistics.median(a for a, _ in rounds)
    row = {"name": claim.name, "work": claim.work, "on": claim.on, "ours_s": ours_s,
           "baseline": claim.baseline, "baseline_s": statistics.median(b for _, b in rounds),
           "ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "target": claim.target,
           "ours_mib": statistics.median(a for a, _ in memory),
           "baseline_mib": statistics.median(b for _, b in memory), "agreement": agreement,
           "peak": share_of_peak(claim, ours_s)}
    return stamped(row, about)
