"""Rows of explanations: their names, a measured one, and the table that shows those that are not ahead."""

from __future__ import annotations

from benchmarks import explanation, store
from benchmarks.provenance import stamped
from recsys.models import REGISTRY


def test_rows_are_of_models_and_methods_that_there_are():
    assert len(explanation.ROWS) == len({row.name for row in explanation.ROWS.values()})
    assert {row.model for row in explanation.ROWS.values()} <= set(REGISTRY)


def test_stored_rows_are_of_the_list_and_say_what_they_ran_on():
    for row in store.read(explanation.RESULTS):
        assert row["name"] in explanation.ROWS
        assert row["data"]["fingerprint"]
        assert {(each["curve"], each["against"]) for each in row["found"]["leads"]} == set(explanation.PAIRS)


def test_the_table_shows_rows_that_are_not_ahead():
    lead = {"lead": 0.5, "low": -0.1, "high": 1.1}
    found = {"model": "EASE", "method": "exact", "people": 9, "length": 4.0, "seconds": 0.1, "calls": 2.0, "gap": None,
             "leads": [{"curve": curve, "against": control, **lead} for curve, control in explanation.PAIRS]}
    row = stamped({"name": "ml-latest-small/EASE", "on": "ml-latest-small", "label": "EASE", "parameters": {},
                   "found": found, "minutes": {"cpu": 1.0, "wall": 1.0}},
                  {"name": "ml-latest-small", "fingerprint": "x"})
    text = explanation.table([row])
    assert "| EASE | exact | 9, 4 | +0.50 [-0.10, +1.10] |" in text
    assert "0 of 1 rows by deletion" in text


def test_an_unknown_row_is_refused(capsys):
    assert explanation.main(["nothing"]) == 2
    assert "no row is named nothing" in capsys.readouterr().err


def test_an_absent_set_is_skipped(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.datasets.SHARED", tmp_path)
    assert explanation.main(["ml-latest-small/EASE"]) == 3
    assert "nothing is written" in capsys.readouterr().err
