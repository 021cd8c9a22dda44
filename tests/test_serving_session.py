"""The session of docs/serving.md runs as it stands, its settings are taken, and its promises name tests."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

from recsys import datasets
from recsys.data.side import add_titles
from recsys.models import ALS
from recsys.serving import Settings, Variant

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:8000"


def block(text: str, kind: str) -> str:
    found = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


SERVE, *ASKED = block(PAGE, "bash").splitlines()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the service of the session's first line."""
    folder = tmp_path_factory.mktemp("session")
    data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    (folder / "items.csv").write_text("item,title\n" + "".join(f"{id},Film {id}\n" for id in data.items.ids.tolist()))
    ALS(factors=8, epochs=2).fit(add_titles(data, str(folder / "items.csv"))).save(folder / "als.recsys")
    program, *rest = shlex.split(SERVE.removesuffix("&"))
    assert program == "recsys"
    process = subprocess.Popen([sys.executable, "-m", "recsys", *rest, "--port", "0"], cwd=folder, text=True,
                               stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        found = re.search(r"http://([\d.]+:\d+)", line)
        assert found is not None, line
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_each_line_is_answered(address: str) -> None:
    if subprocess.run(["curl", "--json", "{}", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("this curl has no --json")
    deadline = time.monotonic() + 60
    while subprocess.run(["curl", "-sf", f"{address}/readyz"], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(.05)
    answers = []
    for line in ASKED:
        command = [*shlex.split(line.replace(ADDRESS, address)), "--max-time", "30", "-w", "\n%{http_code}"]
        said, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        assert status == "200", (line, said)
        answers.append(json.loads(said))
    asked = [line.partition(f"{ADDRESS}/v1/")[2] for line in ASKED]
    lists = {name: answer for name, answer in zip(asked, answers, strict=True) if "items" in answer}
    assert {"recommend", "similar"} <= set(lists)
    assert all(answer["items"] for answer in lists.values())
    assert answers[asked.index("users/42")]["events"][0]["item"] == 7
    assert answers[-1]["erased"]["events"] == 1


def test_the_readme_has_some_of_it() -> None:
    serve, *asked = block(README, "bash").splitlines()
    assert serve.partition("&")[0] == SERVE.partition("&")[0]
    assert len(asked) >= 3
    assert set(asked) <= set(ASKED)


def test_the_settings_are_taken_and_are_those_by_default(tmp_path: Path) -> None:
    path, variant = tmp_path / "service.toml", (Variant("default", "als.recsys"),)
    path.write_text(block(PAGE, "toml"))
    read, usual = Settings.read(path, variants=variant), Settings(variant)
    assert read.types["listen"].seen
    assert not read.keeps_shown
    assert read.token is not None
    for name in ("limits", "salt", "explore", "explore_pool", "page"):
        assert getattr(read, name) == getattr(usual, name), name


PROMISES = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?` \|$", PAGE, re.MULTILINE)


def test_every_promise_has_a_test() -> None:
    table = PAGE.partition("## What is promised")[2].partition("\n\n|")[2].partition("\n\n")[0]
    assert len(table.splitlines()) - 2 == len(PROMISES) >= 8


@pytest.mark.parametrize(("file", "name"), PROMISES, ids=[f"{file}::{name}" for file, name in PROMISES])
def test_the_test_of_a_promise_is_there(file: str, name: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(" if name else r"^def test_", text, re.MULTILINE)
