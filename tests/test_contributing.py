"""The recipes of CONTRIBUTING.md work: each is followed, block by block, on a copy of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
RECIPES = {title: text for title, _, text in (part.partition("\n") for part in PARTS) if "```shell" in text}
PLACE = re.compile(r"# (?P<file>\S+\.py)(?:, (?P<how>at the end|in|before)(?: (?P<what>.+))?)?")


def put(root: Path, block: str) -> None:
    """Do what the first line of a block says with the lines below it."""
    first, _, code = block.partition("\n")
    place = PLACE.fullmatch(first)
    assert place, f"no file, or no place in it: {first}"
    path = root / place["file"]
    if place["how"] is None:
        assert not path.exists(), f"{place['file']} is there already"
        path.write_text(code, encoding="utf-8")
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if place["how"] == "at the end":
        at, code = len(lines), f"\n\n{code}"
    else:
        found = [i for i, line in enumerate(lines) if line.startswith(place["what"])]
        assert len(found) == 1, f"{place['file']} has {len(found)} lines that begin with {place['what']}"
        at = found[0] + (place["how"] == "in")
    path.write_text("".join([*lines[:at], code, *lines[at:]]), encoding="utf-8")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what the recipes change and use."""
    for name in ("minidl", "recsys", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_there_are_four() -> None:
    assert list(RECIPES) == ["An operation", "A recommender", "A protocol", "A command"]


@pytest.mark.parametrize("title", RECIPES)
def test_recipe(title: str, clone: Path) -> None:
    kinds = re.findall(r"```(python|shell)\n(.*?)```", RECIPES[title], re.DOTALL)
    for kind, block in kinds:
        if kind == "python":
            put(clone, block)
    changed = sorted({PLACE.match(block)["file"] for kind, block in kinds if kind == "python"})
    cache = os.environ.get("NUMBA_CACHE_DIR", str(clone / "kernels"))
    environment = {**os.environ, "PYTHONPATH": str(clone), "NUMBA_CACHE_DIR": cache, "RECSYS_WARMUP": "0"}
    commands = [line for kind, block in kinds if kind == "shell" for line in block.splitlines()]
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "python"
        done = subprocess.run([sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists():
        done = subprocess.run([ruff, "check", "--fix", "--no-cache", *changed], cwd=clone, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout
