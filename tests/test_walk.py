"""The walk of docs/walk.md as it stands: every block is run, and leaves what the next one takes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not installed")
pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from benchmarks import store, walk
from benchmarks.datasets import SHARED, Absent
from recsys import loading

PAGE = walk.PAGE.read_text(encoding="utf-8")
BLOCKS = {block.name: block for block in walk.blocks(PAGE)}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder and what each block has said."""
    if not (SHARED / walk.RAW).exists():
        pytest.skip(f"{walk.RAW} is not in {SHARED}")
    if any(shutil.which(name) is None for name in ("bash", "awk", "curl")) or subprocess.run(
            ["curl", "--json", "{}", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no bash, awk or curl with --json")
    made = walk.Walk(tmp_path_factory.mktemp("walk"))
    try:
        yield made.folder, {name: made.run(block)[0] for name, block in BLOCKS.items()}
    finally:
        made.close()


def test_no_step_fails_but_the_first_which_says_what_to_do(walked: tuple[Path, dict[str, str]]) -> None:
    said = walked[1]
    assert not [name for name, text in said.items() if "Traceback" in text]
    assert "the id is missing (135,080 such rows); leave them out with --drop-missing" in said["refused"]
    assert [name for name, text in said.items() if "recsys: " in text.replace("recsys: note: ", "")] == ["refused"]


def test_what_was_dropped_is_counted(walked: tuple[Path, dict[str, str]]) -> None:
    said = walked[1]["clean"]
    assert "dropped 135,080 of 541,909 rows" in said
    assert "subtracted 8,905 negative values" in said
    assert "--k-core 5 left out" in said


def test_every_step_leaves_what_the_next_one_takes(walked: tuple[Path, dict[str, str]]) -> None:
    folder, said = walked
    for name in ("events.csv", "titles.csv", "model.toml", "tune.html", "shop.recsys", "why.html", "audit.html",
                 "log.db", "12747.json", "receipt.json"):
        assert (folder / name).stat().st_size > 0, name
    value = {name: float(re.findall(r"ndcg@10 +([0-9.]+)", said[name])[0]) for name in ("floor", "evaluate")}
    assert value["evaluate"] > 4 * value["floor"]
    assert "Because of" in said["explain"]
    assert "What stands out" in said["audit"]
    assert "What it reads" in said["statement"]
    assert '"source": "history"' in said["live"]
    assert "accepted     yes" in said["retrain"]


def test_who_is_forgotten_is_known_to_nothing_that_answers(walked: tuple[Path, dict[str, str]]) -> None:
    folder, said = walked
    held = json.loads((folder / "12747.json").read_text(encoding="utf-8"))
    assert held["model"]["events"]
    assert len(held["log"]["events"]) > 0
    assert "receipt.json holds for shop.recsys" in said["forget"]
    assert json.loads((folder / "receipt.json").read_text(encoding="utf-8"))["level"] in ("exact", "retrained")
    assert '"known_to_model": false' in said["forget"]
    assert 12747 not in loading.load(folder / "shop.recsys").users
    assert b"12747" not in (folder / "receipt.json").read_bytes()


def test_answers_are_cut_in_the_middle_and_the_cut_is_counted() -> None:
    assert list(walk.shortened("a\n\rb\n\n")) == ["a", "b"]
    cut = list(walk.shortened("\n".join(map(str, range(100)))))
    assert cut[0] == "0"
    assert cut[-1] == "99"
    (told,) = [line for line in cut if line.startswith("[")]
    assert int(told[1:].split()[0]) + len(cut) - 1 == 100
    assert all(len(line) <= 100 for line in walk.shortened("word " * 100))


def test_the_page_has_a_place_and_an_answer_for_each_block() -> None:
    (row,) = store.read(walk.RESULTS)[:1]
    assert [step["step"] for step in row["steps"]] == list(BLOCKS)
    assert PAGE.count("```bash") == len(BLOCKS)
    assert sum(BLOCKS[name].stays for name in BLOCKS) == 1


def test_without_the_data_nothing_is_written(monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    def absent(path: str) -> Path:
        raise Absent("gone")

    monkeypatch.setattr(walk, "file", absent)
    assert walk.main([]) == 3
    assert "gone; skipped" in capsys.readouterr().err
