"""What a measured row says besides its figures: the data it ran on, the machine, the date."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

UNRECORDED = "machine not recorded"
_PACKAGES = ("numpy", "numba", "scipy", "torch", "implicit", "scikit-learn", "scikit-surprise", "starlette", "uvicorn",
             "fastapi")


def stamped(row: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the `data` it ran on (see `benchmarks.datasets`), this machine, and today's date."""
    return {**row, "data": dict(data), "machine": machine(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat()}


def label(row: Mapping[str, Any]) -> str:
    """The short name of the machine that a row was measured on."""
    return str(row["machine"]["label"]) if row.get("machine") else UNRECORDED


class Machines:
    """Numbers for the machines of a table's rows, and the lines below it that say which they are."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            self.rows.setdefault(label(row), []).append(row)
        self.number = {name: i for i, name in enumerate(self.rows, 1)}

    def numbers(self, rows: Iterable[Mapping[str, Any]]) -> str:
        """The machines of some of the rows."""
        return ", ".join(str(number) for number in sorted(self.number[label(row)] for row in rows))

    def legend(self) -> str:
        """A line a machine: CPU, platform, versions and dates of its rows."""
        return "".join(f"{number}. {name}{self._details(self.rows[name])}\n" for name, number in self.number.items())

    @staticmethod
    def _details(rows: Sequence[Mapping[str, Any]]) -> str:
        if not rows[0].get("machine"):
            return ", nor data and date"
        latest, dates = max(rows, key=lambda row: row["date"]), sorted({row["date"] for row in rows})
        versions = ", ".join(f"{name} {version}" for name, version in latest["machine"]["versions"].items())
        return f", {latest['machine']['platform']}, {versions}; {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}"


def machine() -> dict[str, Any]:
    """This machine, without its name: CPU, cores that may be used, platform, versions of what was installed."""
    cpu, cores = _cpu(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"label": f"{cpu}, {cores} core{'s' * (cores > 1)}", "cpu": cpu, "cores": cores,
            "platform": f"{platform.system()} {platform.machine()}",
            "versions": {"python": platform.python_version()} | _versions()}


def _cpu() -> str:
    """The model, with family and number where they are told: virtual machines often say no more than "AMD EPYC"."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.+)$", info.read_text().partition("\n\n")[0], re.M))
    name = re.sub(r"\((R|TM|tm)\)|\bCPU\b|@.*|\b\d+-Core\b|\bProcessor\b", " ", found.get("model name", ""))
    name = " ".join(name.split()) or platform.machine()
    return f"{name} ({found['cpu family']}/{found['model']})" if "cpu family" in found else name


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a baseline that this row did not need
    return versions
