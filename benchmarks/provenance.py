"""What a measured row says besides its figures: the data it ran on, the machine, the date."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

UNRECORDED = "machine not recorded"
_PACKAGES = ("numpy", "numba", "scipy", "torch", "implicit", "scikit-surprise")


def stamped(row: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the `data` it ran on (see `benchmarks.datasets`), this machine, and today's date."""
    return {**row, "data": dict(data), "machine": machine(),
            "date": datetime.datetime.now(datetime.UTC).date().isoformat()}


def label(row: Mapping[str, Any]) -> str:
    """The short name of the machine that a row was measured on."""
    return str(row["machine"]["label"]) if row.get("machine") else UNRECORDED


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
            continue  # a peer that this row did not need
    return versions
