"""Lists in files: what is read back is what was recommended, and nothing is half-written."""

from __future__ import annotations

import csv
import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap
from recsys.errors import DataError, ParameterError
from recsys.estimator.results import Recs, Titles
from recsys.exporting import exporting

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)


@st.composite
def lists(draw):
    """Lists of several users, with filling, and perhaps titles."""
    ids = draw(st.one_of(st.lists(texts, min_size=3, max_size=3, unique=True),
                         st.lists(st.integers(-2**63, 2**63 - 1), min_size=3, max_size=3, unique=True)))
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    shape = len(counts), 3
    scores = np.array(draw(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3)), np.float32)
    items = IdMap(ids)
    kept = np.arange(3) < counts[:, None]
    titled = Titles(items, np.array(["", draw(texts), "x"])) if draw(st.booleans()) else None
    return Recs(np.arange(len(counts)) + 7, np.broadcast_to(items.ids, shape), np.where(kept, scores, -np.inf), counts,
                np.where(kept, "model", ""), titled)


def expected(recs):
    """The entries, found one by one."""
    found = []
    for row, user in enumerate(recs.users.tolist()):
        for place in range(int(recs.counts[row])):
            entry = {"user": user, "rank": place + 1, "item": recs.items[row, place].item()}
            if recs.titled is not None:
                entry["title"] = str(recs.titled.names[place])
            found.append(entry | {"score": recs.scores[row, place], "source": "model"})
    return found


def as_numbers(entry):
    return entry | {"score": np.float32(entry["score"])}


@given(lists())
def test_json_lines_give_the_entries_back(tmp_path_factory, recs):
    for name, opened in (("x.jsonl", open), ("x.jsonl.gz", gzip.open)):
        path = tmp_path_factory.getbasetemp() / name
        with exporting(path) as add:
            add(recs)
            add(recs)
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            read = [as_numbers(json.loads(line)) for line in file.read().split("\n")[:-1]]
        assert read == expected(recs) * 2


@given(lists())
def test_csv_gives_the_entries_back(tmp_path_factory, recs):
    path = tmp_path_factory.getbasetemp() / "x.csv"
    with exporting(path) as add:
        add(recs)
    with open(path, encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    wanted = expected(recs)
    assert [entry | {"score": np.float32(entry["score"])} for entry in read] == \
        [{name: value if name == "score" else str(value) for name, value in entry.items()} for entry in wanted]


@given(lists())
def test_parquet_and_frames_give_the_entries_back(tmp_path_factory, recs):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path_factory.getbasetemp() / "x.parquet"
    with exporting(path) as add:
        add(recs)
        add(recs)
    relation = duckdb.read_parquet(str(path))
    read = [dict(zip(relation.columns, line, strict=True)) for line in relation.fetchall()]
    assert [as_numbers(entry) for entry in read] == expected(recs) * 2


@given(lists())
def test_frames_hold_the_entries(recs):
    pytest.importorskip("pandas")
    assert [as_numbers(entry) for entry in recs.to_pandas().to_dict("records")] == expected(recs)


def test_records_have_titles_and_a_notebook_shows_them():
    items = IdMap(["a", "<b>"])
    recs = Recs(np.arange(9), np.tile(items.ids, (9, 1)), np.ones((9, 2), np.float32), np.full(9, 2),
                np.full((9, 2), "model"), Titles(items, np.array(["Alien & Co", ""])))
    assert recs[3].to_records()[0] == {"user": 3, "rank": 1, "item": "a", "title": "Alien & Co", "score": 1.0,
                                       "source": "model"}
    assert recs.titles[0].tolist() == ["Alien & Co", ""]
    assert Recs("u", items.ids, np.ones(2, np.float32), 2, np.full(2, "model")).titles is None
    page = recs._repr_html_()
    assert "Alien &amp; Co" in page
    assert "&lt;b&gt;" in page
    assert page.count("<tr>") == 1 + 5 * 2
    assert "4 more lists" in page


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(ParameterError, match=r"recs\.xlsx: the name has to end in \.csv, "), \
            exporting(tmp_path / "recs.xlsx"):
        pass

    def half(path):
        with exporting(path) as add:
            add(Recs("u", np.array([1]), np.ones(1, np.float32), 1, np.array(["model"])))
            raise KeyError

    for name in ("x.csv", "x.jsonl.gz"):
        with pytest.raises(KeyError):
            half(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_parquet_that_finds_no_room_names_the_folder(tmp_path, monkeypatch):
    duckdb = pytest.importorskip("duckdb")

    def full(path):
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr(duckdb, "connect", full)
    with pytest.raises(OSError, match=r"cannot hold the lists .*\(No space left on device\); make room") as error, \
            exporting(tmp_path / "x.parquet"):
        pass
    assert error.value.filename
    assert list(tmp_path.iterdir()) == []


def test_half_a_surrogate_pair_is_written_where_it_can_be(tmp_path):
    recs = Recs("a\ud800", np.array(["x\udc80"]), np.ones(1, np.float32), 1, np.array(["model"]))
    for name in ("x.csv", "x.csv.gz", "x.jsonl", "x.jsonl.gz"):
        with exporting(tmp_path / name) as add:
            add(recs)
        with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "rt", encoding="utf-8",
                                                          errors="surrogatepass") as file:
            line = next(csv.DictReader(file)) if "csv" in name else json.loads(file.read())
        assert (line["user"], line["item"]) == ("a\ud800", "x\udc80")
    pytest.importorskip("duckdb")
    with pytest.raises(DataError, match=r"be written as Parquet .*; name a file that ends in \.csv or \.jsonl"), \
            exporting(tmp_path / "x.parquet") as add:
        add(recs)
    assert not (tmp_path / "x.parquet").exists()


@pytest.mark.parametrize("kind", ["ConversionException", "InternalException"])
def test_what_is_no_lack_of_room_is_not_called_so(tmp_path, monkeypatch, kind):
    duckdb = pytest.importorskip("duckdb")

    def wrong(path):
        raise getattr(duckdb, kind)("Some Error: something else")

    monkeypatch.setattr(duckdb, "connect", wrong)
    with pytest.raises(DataError, match=r"cannot be written as Parquet \(something else\)"), \
            exporting(tmp_path / "x.parquet"):
        pass
