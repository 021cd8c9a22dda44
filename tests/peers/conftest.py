"""Tests against PyTorch and other packages; without them nothing here is collected but the skip that says so."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

NEEDED = ("torch", "safetensors")
ABSENT = [name for name in NEEDED if find_spec(name) is None]
if ABSENT:
    collect_ignore = [p.name for p in Path(__file__).parent.glob("*.py") if p.name != "test_installed.py"]
