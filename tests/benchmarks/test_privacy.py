"""The table of what privacy costs: what is claimed, a row that is measured, one that is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import privacy
from benchmarks.datasets import Absent
from recsys import datasets
from recsys.models import Private, model_class


def test_claims_are_of_hyper_parameters_that_exist():
    assert len(privacy.BY_NAME) == len(privacy.CASES)
    for claim in privacy.CASES:
        Private(model=(claim.model, claim.parameters), **claim.private).check_parameters()
        model_class(claim.model)(**claim.plain).check_parameters()
        assert claim.data in datasets.available()


@pytest.fixture
def made(monkeypatch):
    data = datasets.simulate(n_users=200, n_items=30, n_events=5000, seed=0)[0]
    monkeypatch.setattr(privacy, "load", lambda row: ({"name": row.data, "fingerprint": data.fingerprint()}, data))
    return replace(privacy.CASES[0], private={"epsilon": 5.0, "delta": 1e-3})


def test_a_row_has_the_promise_and_what_stands_beside_it(made):
    row = privacy.measure(replace(made, plain={"epochs": 2}))
    assert row["privacy"]["epsilon"] == pytest.approx(5, rel=1e-5)
    assert set(row["metrics"]) == set(row["interval"]) == {"private", "plain", "popular"}
    assert len(row["by_run"]) == privacy.RUNS
    kept = row["metrics"]["private"] / row["metrics"]["plain"]
    assert row["lost"] == pytest.approx(1 - kept)
    low, high = row["lost_interval"]
    assert low <= row["lost"] <= high
    table = privacy.table([row])
    assert "epsilon 5.00 with delta 0.001 for every person" in table
    assert table.count("not measured") == len(privacy.CASES) - 1


def test_names_and_sets_that_are_not_there(monkeypatch, capsys):
    assert privacy.main(["nothing"]) == 2
    assert "no row is named nothing" in capsys.readouterr().err

    def absent(claim):
        raise Absent("ml-1m is not on this machine")

    monkeypatch.setattr(privacy, "measure", absent)
    assert privacy.main([privacy.CASES[0].name]) == 3
    assert "nothing is written" in capsys.readouterr().err
