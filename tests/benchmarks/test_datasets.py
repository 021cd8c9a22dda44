"""Claims run on the set that they name or not at all; what is made says so."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import accuracy, cold, datasets, defaults, speed
from benchmarks.datasets import SOURCE, Absent, distinct, source


@pytest.fixture
def _nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets, "SHARED", tmp_path)
    for module in (accuracy, cold, defaults, speed):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "rows.json")
        monkeypatch.setattr(module, "put", lambda *_: pytest.fail("a page was written"))


@pytest.mark.usefixtures("_nothing")
class TestWithoutTheSet:
    @pytest.mark.parametrize(("main", "name"), [(speed.main, "svd"), (speed.main, "epoch-gru-online-retail"),
                                                (accuracy.main, "popular-100k"), (cold.main, "train-als"),
                                                (defaults.main, "Markov")])
    def test_a_row_says_so_and_is_not_written(self, main, name, capsys, tmp_path):
        assert main([name]) == 3
        assert "skipped, and nothing is written" in capsys.readouterr().err
        assert not (tmp_path / "rows.json").exists()

    @pytest.mark.parametrize("load", [datasets.ratings, datasets.sequences])
    def test_nothing_stands_in_for_it(self, load):
        with pytest.raises(Absent, match="ml-1m is not in"):
            load("ml-1m")

    def test_made_data_says_so_where_it_is_asked_for(self, monkeypatch):
        monkeypatch.setitem(datasets._SIZES, "ml-100k", (50, 40, 600))
        with datasets.simulating():
            arrays = datasets.ratings("ml-100k")
        assert source(arrays) == {"name": "simulated, of the size of ml-100k", "seed": 0,
                                  "sizes": {"users": 50, "items": 40, "events": 600}}


def test_a_real_set_is_known_by_name_and_fingerprint(shared_data, monkeypatch):
    from recsys import datasets as sets

    monkeypatch.setattr(datasets, "SHARED", shared_data)
    assert source(datasets.ratings("ml-100k")) == {
        "name": "ml-100k", "fingerprint": sets.load(shared_data / "ml-100k").fingerprint()}


def test_arrays_that_belong_to_no_set_are_made():
    assert source({"w": np.zeros((2, 3))}) == {"name": "made", "seed": 0, "sizes": {"w": [2, 3]}}


def test_distinct_keeps_the_first_event_of_a_pair_and_says_so():
    arrays = datasets.made(events=4) | {"user": np.array([1, 0, 1, 1]), "item": np.array([2, 2, 2, 0]),
                                        "value": np.array([5, 4, 3, 2]), "shape": np.array([2, 3])}
    found = distinct(arrays)
    assert found["user"].tolist() == [1, 0, 1]
    assert found["value"].tolist() == [5, 4, 2]
    assert source(found)["distinct_pairs"] == 3
    assert distinct(found)[SOURCE] == found[SOURCE]


@pytest.mark.parametrize(("data", "text"), [
    ([{"name": "none"}], "none"), ([None], "ml-1m"), ([{"name": "made", "seed": 0}], "made (seed 0)"),
    ([None, {"name": "ml-1m", "fingerprint": "0123456789abcdef"}], "ml-1m `01234567`"),
    ([{"name": "ml-1m", "fingerprint": "0123456789abcdef"}, {"name": "ml-1m", "fingerprint": "f" * 16}],
     "ml-1m `01234567`, `ffffffff`"),
    ([{"name": "simulated, of the size of ml-1m", "seed": 0}], "simulated, of the size of ml-1m (seed 0)")])
def test_a_table_names_what_rows_ran_on(data, text):
    assert datasets.title([{"on": "ml-1m", "data": one} for one in data]) == text


def test_every_claim_of_a_set_says_which():
    about = {claim.name: claim.on for _, claim in speed.claims()}
    assert about["item-knn"] == about["epoch-neumf"] == "ml-1m"
    assert about["svd"] == "ml-100k"
    assert about["epoch-caser-online-retail"] == "online-retail"
    assert about["adam"] == "made"
