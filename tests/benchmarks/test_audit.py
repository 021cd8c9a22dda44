"""Rows of audits: what is measured, and the tables of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import audit, store
from benchmarks.datasets import Absent
from recsys import datasets
from recsys.data import Features


@pytest.fixture
def small(monkeypatch):
    """Rows on a set that is made."""
    data, _ = datasets.simulate(120, 40, 3000, seed=1)
    data = replace(data, user_features=Features(attributes={"gender": np.array(["F", "M"])[np.arange(120) % 2]}),
                   name="made")
    rows = [audit.Row("EASE", "groups", "made", "EASE", {}, ("gender",)),
            audit.Row("Popular", "groups", "made", "Popular"),
            audit.Row("by heart", "members", "made", "EASE", {"reg": 0.1})]
    monkeypatch.setattr(audit, "ROWS", {row.name: row for row in rows})
    monkeypatch.setattr(audit, "real", lambda name: data)
    return data


def test_rows_are_measured_kept_and_told(small, tmp_path):
    rows = [json.loads(json.dumps(audit.measure(audit.ROWS[name]), allow_nan=False)) for name in audit.ROWS]
    kept = store.add(tmp_path / "audit.json", rows, list(audit.ROWS))
    lines = audit.table(kept[:1] + kept[2:]).splitlines()
    assert any(line.startswith("| gender: F |") for line in lines)
    assert any(line.startswith("| control: the same popular items for all |") for line in lines)
    (by_heart,) = (line for line in lines if line.startswith("| by heart |"))
    assert "`EASE(reg=0.1)`" in by_heart
    assert float(by_heart.split("|")[3].split()[0]) > 0.9


def test_unknown_rows_and_absent_sets_are_told(monkeypatch, small, capsys):
    assert audit.main(["nowhere"]) == 2
    monkeypatch.setattr(audit, "real", lambda name: (_ for _ in ()).throw(Absent("gone")))
    assert audit.main(["groups/made/EASE"]) == 3
    assert "gone; skipped" in capsys.readouterr().err


def test_every_row_has_a_name_of_its_own_and_a_model():
    from recsys.models import REGISTRY

    assert all(name == row.name and row.model in REGISTRY for name, row in audit.ROWS.items())
    assert len(audit.ROWS) == 23
