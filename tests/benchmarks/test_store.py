"""Rows are kept one a machine, say what they ran on, and are never of other data than their name says."""

from __future__ import annotations

import json
import platform

import pytest

from benchmarks import provenance, speed, store
from benchmarks.provenance import UNRECORDED, label, stamped

NAMES = ["svd", "als"]


def row(name="svd", machine="Here, 2 cores", on="ml-100k", data=None, **fields):
    return {"name": name, "on": on, "data": data or {"name": on, "fingerprint": "0123456789abcdef"},
            "machine": {"label": machine, "platform": "Linux", "versions": {"numpy": "2"}}, "date": "2030-01-02",
            **fields}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.json"


class TestAdd:
    def test_the_same_machine_replaces_and_another_is_added(self, path):
        store.add(path, [row(value=1)], NAMES)
        store.add(path, [row(value=2), row(machine="There", value=3)], NAMES)
        assert [(label(r), r["value"]) for r in store.read(path)] == [("Here, 2 cores", 2), ("There", 3)]

    def test_rows_without_a_machine_stay(self, path):
        old = {"name": "svd", "on": "ml-100k", "data": None, "machine": None, "date": None}
        path.write_text(json.dumps({"rows": [old]}))
        assert [label(r) for r in store.add(path, [row()], NAMES)] == [UNRECORDED, "Here, 2 cores"]

    def test_order_is_that_of_the_names_and_unknown_names_go(self, path):
        store.add(path, [row("als"), row("svd"), row("gone")], [*NAMES, "gone"])
        assert [r["name"] for r in store.add(path, [], NAMES)] == NAMES

    @pytest.mark.parametrize("data", [{"name": "simulated, of the size of ml-100k", "seed": 0}, {"name": "ml-1m"}])
    def test_other_data_than_the_name_says_cannot_be_stored(self, path, data):
        store.add(path, [row(value=1)], NAMES)
        with pytest.raises(store.WrongData, match=f"ml-100k and was measured on {data['name']}"):
            store.add(path, [row("als"), row(value=2, data=data)], NAMES)
        assert [r["value"] for r in store.read(path)] == [1]  # nothing was written

    @pytest.mark.parametrize("key", ["on", "data", "machine", "date"])
    def test_a_row_that_does_not_say_is_not_stored(self, path, key):
        with pytest.raises(store.WrongData, match=key):
            store.add(path, [row() | {key: None}], NAMES)
        assert not path.exists()


class TestProvenance:
    def test_every_row_says_its_machine_and_date_and_no_host(self):
        found = stamped({"name": "svd", "on": "made"}, {"name": "made", "seed": 0})
        assert found["data"] == {"name": "made", "seed": 0}
        assert found["machine"]["cores"] >= 1
        assert {"python", "numpy"} <= set(found["machine"]["versions"])
        assert len(found["date"]) == 10
        if len(platform.node()) > 3:
            assert platform.node() not in json.dumps(found)

    def test_numbers_of_machines_stand_in_the_legend(self):
        machines = provenance.Machines([row(), row("als"), row(machine="There")])
        assert machines.numbers([row(machine="There"), row()]) == "1, 2"
        assert machines.legend().splitlines()[1] == "2. There, Linux, numpy 2; 2030-01-02"


def speed_row(machine, ratio):
    return row("svd", machine, work="SVD", baseline="Surprise", ours_s=1.0, baseline_s=ratio, ratio=ratio,
               min=ratio - 0.5, max=ratio + 0.5, target=6, ours_mib=10, baseline_mib=20, agreement="", peak={})


def test_the_table_gives_the_range_over_machines():
    line = speed.table([speed_row("Fast", 11.18), speed_row("Slow", 5.7)]).splitlines()[2]
    assert "| **5.70 to 11.18** (5.20 to 11.68) | 6 (short on 1 of 2) |" in line
    assert "| ml-100k `01234567` |" in line
    assert line.endswith("| 1, 2 |")


def test_one_machine_has_one_number():
    assert "| **11.18** (10.68 to 11.68) | 6 |" in speed.table([speed_row("Fast", 11.18)])


@pytest.mark.parametrize("file", ["results.json", "accuracy.json", "cold.json"])
def test_stored_rows_are_of_the_data_that_they_are_on(file):
    for found in store.read(speed.RESULTS.with_name(file)):
        assert found["machine"] is None or found["data"]["name"] == found["on"]
