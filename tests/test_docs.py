"""The examples in docs/ run as they stand: python blocks in order, in one namespace, outputs compared as doctests."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
# Read in engine.md, or a package whose modules are named.
INNER = {"minidl.engine", "minidl.testing.cases", "recsys.models.autoencoders"}
NEEDED = {"pytorch.md": ("torch", "safetensors", "onnx", "onnxruntime")}


PAGES = [path for path in sorted(DOCS.glob("*.md")) if "```python" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = [name for name in NEEDED.get(path.name, ()) if find_spec(name) is None]
    if absent:
        pytest.skip(f"{' and '.join(absent)} not installed; see make test-peers")
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    blocks = [(text[:m.start()].count("\n"), m[1]) for m in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)]
    namespace: dict[str, object] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    said: list[str] = []
    for line, block in blocks:
        test = doctest.DocTestParser().get_doctest(block, {}, f"docs/{path.name}", str(path), line)
        assert test.examples, f"docs/{path.name}, line {line + 1}: a python block without >>>"
        test.globs = namespace
        runner.run(test, out=said.append, clear_globs=False)
    assert not runner.failures, "".join(said)


def test_the_reference_names_modules_and_those_that_people_import() -> None:
    text = (DOCS / "reference.rst").read_text(encoding="utf-8")
    modules = re.findall(r"^   ((?:minidl|recsys)[\w.]*)$", text, re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert [name for name in modules if find_spec(name) is None] == []
    imported = set(re.findall(r"from ((?:minidl|recsys)\.[\w.]+) import", "".join(
        path.read_text(encoding="utf-8") for path in [*DOCS.glob("*.md"), *DOCS.glob("examples/*.py")])))
    assert {name for name in imported if name not in modules} <= INNER


def test_the_walks_of_the_architecture_are_those_of_the_code() -> None:
    done = subprocess.run([sys.executable, "-m", "docs.walks", "--check"], cwd=DOCS.parent, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(DOCS.parent)}, capture_output=True)
    assert done.returncode == 0, done.stderr
