"""Start-up: a new interpreter that imports the package."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks.datasets import NONE
from benchmarks.harness import Claim, Session


def _importing(name: str) -> Session:
    def run() -> None:
        subprocess.run([sys.executable, "-c", f"import {name}"], check=True)

    return Session(run, lambda: {"ok": np.array(True)}, repeat=3)


CLAIMS = [Claim("import", "`import` in a new interpreter", "PyTorch", 5, lambda: {}, lambda _: _importing("minidl"),
                lambda _: _importing("torch"), lambda a, b: "both import", on=NONE)]
