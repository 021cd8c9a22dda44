"""Rows say how far forgetting is from a training without, and what stands beside it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import forgetting
from benchmarks.datasets import Absent
from recsys import datasets, split_last
from recsys.models import BPR, EASE, REGISTRY

DATA = datasets.simulate(n_users=80, n_items=30, n_events=1500, seed=0)[0]


def test_a_row_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "real", lambda name: DATA)
    monkeypatch.setattr(forgetting, "described", lambda name, data: {"name": name, "fingerprint": data.fingerprint()})
    row = forgetting.measure(forgetting.Row("ml-100k", "EASE", "EASE", {"reg": 20.0}, removals=4, people=2))
    assert (row["name"], row["level"], row["removals"]) == ("ml-100k/EASE", "exact", 4)
    assert row["distance"] < 1e-4 < row["removed"]
    assert row["drift"] < 1e-4
    assert row["lists"] > 0.9
    assert 0 < row["ndcg"]["before"] <= 1
    assert 0 < row["bytes"]["kept"] < row["bytes"]["file"]
    lines = forgetting.table([row]).splitlines()
    assert sum("not measured" in line for line in lines) == len(forgetting.ROWS) - 1
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_a_distance_is_seen_and_none_is_none() -> None:
    train = split_last(DATA.clean(duplicates="first").binarise(), valid=False).train
    one, other = (BPR(epochs=2, factors=4, seed=seed).fit(train) for seed in (0, 1))
    assert forgetting._distance(one, one) == (0.0, 1.0)
    assert forgetting._distance(one, other)[0] > 0.1
    rest = forgetting._without(train, np.array([3]))
    assert EASE().fit(rest).users.ids.tolist() == [user for i, user in enumerate(train.users.ids.tolist()) if i != 3]


def test_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def absent(name: str) -> None:
        raise Absent(f"{name} is not here")

    monkeypatch.setattr(forgetting, "real", absent)
    assert forgetting.main(["nothing"]) == 2
    assert "no row is named nothing" in capsys.readouterr().err
    assert forgetting.main(["ml-1m/EASE"]) == 3
    assert {row.model for row in forgetting.ROWS.values()} <= set(REGISTRY)
