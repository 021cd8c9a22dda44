"""What the first run costs, and what of it is compiling: `python -m benchmarks cold [NAME ...]`.

Every program runs twice in a copy of the packages: cold, without byte code, compiled kernels or any other cache of the
user's, and warm, with what the cold run left. CPU seconds are those of all its processes. Wall
seconds are worth little where others kept the machine busy: `load` is its load average just before. A function's
compile seconds are CPU seconds of the compiling thread, without other functions compiled meanwhile; specialisations
count their types.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.datasets import NONE, SHARED, Absent, described, title
from benchmarks.provenance import label, stamped
from benchmarks.table import DOCS, put

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "cold.json"
SHOWN = 25  # functions that the printed table names


@dataclass(frozen=True)
class Program:
    """What runs, on which data, and what it may cost: quantities of `_quantities` -> seconds at most."""

    name: str
    work: str
    arguments: tuple[str, ...]
    data: str = ""
    at_most: Mapping[str, float] = field(default_factory=dict)
    warm_runs: int = 1


_DEMO = ("-m", "recsys", "demo", "--out", "report.html")
PROGRAMS = [
    Program("import-minidl", "`import minidl`", ("-c", "import minidl"), warm_runs=5),
    Program("import-recsys", "`import recsys`", ("-c", "import recsys"), warm_runs=5),
    Program("train-als", "`recsys train --model ALS`",
            ("-m", "recsys", "train", "--model", "ALS", "--data", str(SHARED / "ml-100k"), "--out", "als.model"),
            "ml-100k", {"cold_cpu": 8}),
    Program("demo-quick", "`recsys demo --quick`", (*_DEMO, "--quick"), "movielens-small"),
    Program("demo", "`recsys demo`", _DEMO, "movielens-small", {"compile": 50, "warm_cpu": 60, "wall_longer": 25}),
]


class Place:
    """A folder with a copy of the packages and empty caches, where programs run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kernels = folder, folder / "kernels"
        site, clone, work = (folder / name for name in ("site", "clone", "work"))
        for made in (site, work):
            made.mkdir()
        for package in ("minidl", "recsys"):
            shutil.copytree(ROOT / package, clone / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "benchmarks" / "compiling.py", site / "sitecustomize.py")
        self.work = work
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(clone)]),
                            "NUMBA_CACHE_DIR": str(self.kernels), "XDG_CACHE_HOME": str(folder / "cache"),
                            "COMPILE_LOG": str(folder / "compiled")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the second run is to find the byte code

    def run(self, arguments: Sequence[str]) -> dict[str, Any]:
        """CPU and wall seconds of a program, and the functions that were compiled."""
        log, output = self.folder / "compiled", self.folder / "output"
        log.write_text("")
        with output.open("w") as said:
            begin = time.perf_counter()
            process = subprocess.Popen([sys.executable, *arguments], cwd=self.work, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed ({process.returncode}): {output.read_text()[-2000:]}")
        compiled = [json.loads(line) for line in log.read_text().splitlines()]
        return {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": wall, "compiled": compiled}


def measure(program: Program) -> dict[str, Any]:
    """A row: cold and warm CPU and wall seconds, and what was compiled.

    Raises
    ------
    Absent
        The data is not there.
    RuntimeError
        The program failed, or kept its kernels elsewhere than in the empty cache.
    """
    data = described(program.data) if program.data else {"name": NONE}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        cold = place.run(program.arguments)
        if cold["compiled"] and not any(place.kernels.rglob("*.nbi")):
            raise RuntimeError(f"{program.name} compiled, and kept nothing below NUMBA_CACHE_DIR: its run was not cold")
        warm = [place.run(program.arguments) for _ in range(program.warm_runs)]
    row = {"name": program.name, "work": program.work, "on": data["name"],
           "load": load, "cold": _times([cold]), "warm": _times(warm),
           "compile_s": sum(one["own_s"] for one in cold["compiled"]),
           "warm_compilations": max(len(run["compiled"]) for run in warm), "functions": _functions(cold["compiled"])}
    return stamped(row, data)


def _times(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in ("cpu_s", "wall_s")}


def _functions(compiled: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every function with its specialisations, how often it was compiled, and its seconds; the longest first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in compiled:
        groups.setdefault(one["function"], []).append(one)
    rows = [{"function": name, "compilations": len(found),
             "specialisations": len({tuple(one["arguments"]) for one in found}),
             "compile_s": sum(one["own_s"] for one in found)} for name, found in groups.items()]
    return sorted(rows, key=lambda row: -row["compile_s"])


def _quantities(row: Mapping[str, Any]) -> dict[str, float]:
    """What a program may have a bound for."""
    return {"compile": row["compile_s"], "cold_cpu": row["cold"]["cpu_s"], "warm_cpu": row["warm"]["cpu_s"],
            "wall_longer": row["cold"]["wall_s"] - row["warm"]["wall_s"]}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Seconds, each with the most that it may be where there is such a number."""
    lines = ["| command | data | compiling, CPU | compilations of functions | cold, CPU | warm, CPU | cold, wall | "
             "longer than warm, wall | load before | machine | date |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|"]
    bounds = {program.name: program.at_most for program in PROGRAMS}
    for row in rows:
        shown = {key: _bounded(value, bounds[row["name"]].get(key)) for key, value in _quantities(row).items()}
        count = f"{sum(one['compilations'] for one in row['functions'])} of {len(row['functions'])}"
        again = f", {row['warm_compilations']} again when warm" if row["warm_compilations"] else ""
        lines.append(f"| {row['work']} | {title([row])} | {shown['compile']} | {count}{again} | {shown['cold_cpu']} | "
                     f"{shown['warm_cpu']} | {row['cold']['wall_s']:.1f} s | {shown['wall_longer']} | "
                     f"{row['load']:.1f} | {label(row)} | {row['date']} |")
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Mapping[str, Any]]) -> None:
    """Put the table into its page."""
    put("cold", table(rows), DOCS / "benchmarks-cold.md")


def _bounded(value: float, most: float | None) -> str:
    text = f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    return text if most is None else f"**{text}** (at most {most:g}{'' if value <= most else '; short'})"


def functions_table(row: Mapping[str, Any], most: int = SHOWN) -> str:
    """The functions that took longest to compile, and what all others took together."""
    lines = [f"{row['work']}: {row['compile_s']:.1f} s of CPU for compiling",
             f"{'own CPU':>8} {'times':>5} {'types':>5}  function"]
    lines += [f"{one['compile_s']:7.2f}s {one['compilations']:5} {one['specialisations']:5}  {one['function']}"
              for one in row["functions"][:most]]
    rest = row["functions"][most:]
    if rest:
        lines.append(f"{sum(one['compile_s'] for one in rest):7.2f}s "
                     f"{sum(one['compilations'] for one in rest):5} {'':5}  {len(rest)} others")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str], say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> int:
    """Measure the programs named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cold", description=__doc__)
    names = [program.name for program in PROGRAMS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all when none is given")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, with all functions")
    parser.add_argument("--all", action="store_true", help="list all functions, not the longest alone")
    parser.add_argument("--dry", action="store_true", help="store nothing and leave the page alone")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(names)
    if unknown:
        say(f"no program is named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
        return 2
    rows, skipped = [], 0
    for program in PROGRAMS:
        if options.names and program.name not in options.names:
            continue
        try:
            rows.append(measure(program))
        except Absent as error:
            skipped += 1
            say(f"{program.name}: {error}; skipped, and nothing is written")
            continue
        say(f"{program.name}: {rows[-1]['cold']['cpu_s']:.1f} s of CPU cold, {rows[-1]['warm']['cpu_s']:.1f} s warm")
        if not options.dry:
            write(store.add(RESULTS, rows[-1:], names))
    if options.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        print("\n".join(functions_table(row, len(row["functions"]) if options.all else SHOWN)
                        for row in rows if row["functions"]))
        print(table(rows))
    return 3 if skipped else 0
