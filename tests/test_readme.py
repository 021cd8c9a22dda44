"""The README's examples run as they stand, its links lead somewhere, and it is short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from recsys import cli, datasets

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
LINES = 150  # three screens of fifty


def test_there_are_examples_of_own_data_and_of_both_packages() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS, ids=["data", "recsys", "minidl"])
def test_example(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.csv").write_text("user,item,rating,date\nann,7,5,2026-01-02\nann,8,3,2026-01-03\nbo,7,4,2026-01-02\n")
    Path("items.csv").write_text("item,title\n7,Alien\n8,Brazil\n")
    exec(compile(block, "README.md", "exec"), {})


def test_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, _ = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)
    data.to_csv("events.csv")
    Path("items.csv").write_text("item,title\n" + "".join(f"{item},Film {item}\n" for item in data.items.ids.tolist()))
    commands = re.findall(r"^ {4}recsys +(.*)", TEXT, re.MULTILINE)
    assert [cli.main(shlex.split(command)) for command in commands] == [0] * len(commands)
    assert len(commands) > 4


def test_it_fits_three_screens() -> None:
    assert len(TEXT.splitlines()) <= LINES


@pytest.mark.parametrize("page", [README, README.with_name("CONTRIBUTING.md"), README.with_name("CHANGELOG.md"),
                                  README.with_name("SECURITY.md"), *sorted(README.with_name("docs").glob("*.md"))],
                         ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"),
                                                      flags=re.DOTALL))
    absent = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()
              and not link.startswith(("api/", "gallery/"))]  # built pages
    assert not absent
