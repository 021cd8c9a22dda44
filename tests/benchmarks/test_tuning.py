"""The table of searches: what is short, and settings that the models take."""

from __future__ import annotations

import pytest

from benchmarks import tuning
from recsys import models


def row(found):
    machine = {"label": "A", "cpu": "A", "cores": 2, "platform": "X", "versions": {"python": "3"}}
    return {"name": "EASE on ml-100k", "model": "EASE", "set": "ml-100k", "machine": machine, "date": "2026-01-01",
            "grid": {"settings": 9, "seconds": 40.0, "value": 0.2, "anew": 0.19},
            "tuned": {"trials": 5, "seconds": 10.0, "value": found, "anew": 0.18}, "random": {"value": 0.15},
            "default": {"value": 0.17, "anew": None}}


@pytest.mark.parametrize(("found", "says"), [(0.195, "97.5%"), (0.18, "90.0%")])
def test_verdicts(found, says):
    (line,) = [line for line in tuning.table([row(found)]).splitlines() if line.startswith("| EASE")]
    assert says in line
    assert line.endswith("| short |") is (found == 0.18)
    assert "0.190, 0.180, " in line


@pytest.mark.parametrize("name", tuning.ROWS)
def test_the_settings_of_a_grid_pass_the_checks(name):
    search = tuning.ROWS[name]
    for setting in search.grid:
        models.find(search.model)(**search.fixed, **setting).check_parameters()
