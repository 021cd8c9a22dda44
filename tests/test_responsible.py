"""The commands and routes of docs/responsible.md run as they stand, and do what the page promises."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from benchmarks.walk import Block, Walk
from recsys import datasets, loading

PAGE = (Path(__file__).parents[1] / "docs" / "responsible.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder and what each line has said."""
    if shutil.which("bash") is None or shutil.which("curl") is None or subprocess.run(
            ["curl", "--json", "{}", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no bash, or no curl with --json")
    made = Walk(tmp_path_factory.mktemp("responsible"))
    data = datasets.simulate(n_users=80, n_items=40, n_events=1500, seed=0)[0]
    rows = zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True)
    (made.folder / "events.csv").write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in rows))
    (made.folder / "items.csv").write_text("item,title\n" + "".join(f"{each},Tea {each}\n" for each in
                                                                  data.items.ids.tolist()))
    try:
        yield made.folder, {line: made.run(Block(line, line))[0] for line in LINES}
    finally:
        made.close()


def of(said: tuple[Path, dict[str, str]], begin: str) -> str:
    return next(text for line, text in said[1].items() if line.startswith(begin))


def test_every_line_is_answered(said: tuple[Path, dict[str, str]]) -> None:
    assert len(LINES) >= 15
    for line, text in said[1].items():
        assert "Traceback" not in text, line
        assert "recsys: " not in text.replace("recsys: note: ", ""), (line, text)
        if line.startswith("curl"):
            assert json.loads(text).get("status", 200) == 200, (line, text)


def test_the_statement_of_the_command_is_that_of_the_service(said: tuple[Path, dict[str, str]]) -> None:
    (found,) = json.loads(of(said, "curl -s 127.0.0.1:8000/v1/statement"))["variants"]
    told = " ".join(of(said, "recsys statement").split())
    sentences = [sentence for section in found["sections"] for sentence in section["sentences"]]
    assert len(sentences) > 5
    assert all(" ".join(sentence.split()) in told for sentence in sentences)


def test_without_profiling_the_list_is_one_for_all(said: tuple[Path, dict[str, str]]) -> None:
    items = json.loads(of(said, "curl -s --json '{\"user\": 42, \"k\": 5, \"profiling\": \"off\"}'"))["items"]
    model = loading.load(said[0] / "shop.recsys")
    assert {entry["source"] for entry in items} == {"popular"}
    assert [entry["id"] for entry in items] == model.recommend(k=5, profiling="off").items.tolist()


def test_who_was_forgotten_is_in_nothing_that_answers(said: tuple[Path, dict[str, str]]) -> None:
    folder = said[0]
    assert json.loads((folder / "7.json").read_text(encoding="utf-8"))["model"]["events"]
    assert json.loads(of(said, "curl -s 127.0.0.1:8000/v1/users/7"))["known_to_model"] is True
    assert json.loads(of(said, "curl -s -X DELETE"))["level"] == "removed only"
    assert "receipt.json holds for shop.recsys" in of(said, "recsys forget shop.recsys --check")
    assert not {7, 42} & set(loading.load(folder / "shop.recsys").users.ids.tolist())
    promised = loading.load(folder / "private.recsys").privacy_
    assert promised["unit"] == "person"
    assert promised["epsilon"] <= 8
    assert (folder / "audit.html").stat().st_size > 0
