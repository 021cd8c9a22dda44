"""The script in docs/ that loads PyTorch's weights finds no difference beyond rounding."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "docs" / "pytorch_weights.py"
SPEC = importlib.util.spec_from_file_location("pytorch_weights", PATH)
assert SPEC is not None
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)  # type: ignore[union-attr]


def test_three_models_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
