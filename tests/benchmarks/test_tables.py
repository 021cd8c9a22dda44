"""Tables in pages are those of the stored rows, and the README has ten lines of each."""

from __future__ import annotations

import pytest

from benchmarks import (
    accuracy,
    audit,
    cold,
    compared,
    defaults,
    explanation,
    field,
    forgetting,
    privacy,
    rechoose,
    serving,
    speed,
    store,
    tables,
    tuning,
    walk,
)
from benchmarks.table import README, extract, put

KINDS = (accuracy, audit, cold, compared, defaults, explanation, field, forgetting, privacy, rechoose, serving, speed,
         tuning, walk)
TABLE = "| work | peer | ours |\n|---|---|---:|\n| `a` |  | 1 |\n| b | PyTorch |  |\n\n1. a machine\n"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_pages_have_what_is_stored(kind, monkeypatch):
    written = []
    monkeypatch.setattr(kind, "put", lambda name, table, page: written.append((name, table, page)))
    kind.write(store.read(kind.RESULTS))
    assert written
    for name, table, page in written:
        text = page.read_text(encoding="utf-8")
        assert f"-->\n{table}<!-- /{name} -->" in text, f"{page.name}: run python -m benchmarks tables"


@pytest.mark.parametrize("kind", [accuracy, speed], ids=lambda kind: kind.__name__)
def test_the_readme_has_ten_rows(kind, monkeypatch):
    written = {}
    monkeypatch.setattr(kind, "put", lambda name, table, page: written.update({page: table}))
    kind.write(store.read(kind.RESULTS))
    assert len(set(kind.SHOWN)) == 10
    assert len(written[README].splitlines()) == 2 + 10


def test_an_extract_has_some_columns():
    assert extract(TABLE, [2, 0]) == "| ours | work |\n| ---: | --- |\n| 1 | `a` |\n|  | b |\n"


def test_a_table_replaces_the_one_before(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n<!-- speed: by hand -->\nold\n<!-- /speed -->\nend\n")
    put("speed", TABLE, page)
    assert page.read_text() == f"# A page\n<!-- speed: by hand -->\n{TABLE}<!-- /speed -->\nend\n"
    with pytest.raises(ValueError, match=r"page\.md has no place for the table 'cold'"):
        put("cold", TABLE, page)


def test_the_command_writes_all(monkeypatch):
    written = []
    for kind in KINDS:
        monkeypatch.setattr(kind, "write", lambda rows: written.append(len(rows)))
    assert tables.main([]) == 0
    assert len(written) == len(KINDS)
    assert min(written) > 0
