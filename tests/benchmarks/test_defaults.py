"""The table of defaults: floors of the same machine, what is not tuned, what has changed since, what is missing."""

from __future__ import annotations

import pytest

from benchmarks import defaults


def row(model="EASE", default=0.2, tuned=0.2, cpu="A", **more):
    machine = {"label": cpu, "cpu": cpu, "cores": 2, "platform": "X", "versions": {"python": "3"}}
    return {"name": f"{model} on msweb", "model": model, "set": "msweb", "kind": "few items", "metric": "ndcg@10",
            "users": 10, "items": 20, "drawn": None, "default": default, "tuned": tuned, "machine": machine,
            "date": "2026-01-01", **more}


def lines(*rows):
    return [line for line in defaults.table(rows).splitlines() if line.startswith("| EASE")]


@pytest.mark.parametrize(("default", "tuned", "says"), [(0.2, 0.2, "| 100% |  |"), (0.18, 0.2, "| 90% | short |"),
                                                        (0.1, 0.2, "below the floor"), (0.2, None, "not tuned")])
def test_verdicts(default, tuned, says):
    (line,) = lines(row("Popular", 0.15, 0.15), row(default=default, tuned=tuned))
    assert says in line


def test_a_floor_is_of_the_same_machine():
    (line,) = lines(row("Popular", 0.15, 0.15), row("Popular", 0.1, 0.1, cpu="B"), row(default=0.12, tuned=0.12))
    assert "below the floor" in line


def test_a_row_of_other_defaults_says_so():
    now, then = lines(row(parameters=defaults._defaults("EASE")), row(parameters={"reg": -1}))
    assert "other defaults" not in now
    assert "measured with other defaults" in then


def test_what_is_not_measured_is_listed():
    said = defaults.not_measured([row()])
    (ease,) = [line for line in said.splitlines() if line.startswith("- EASE")]
    assert "gowalla" in ease
    assert "msweb" not in ease


@pytest.mark.filterwarnings("ignore::recsys.errors.DataWarning")  # as the command does
@pytest.mark.parametrize("name", ["jokes", "jokes ratings"])
def test_a_row_is_measured(name):
    """On made data, which everybody has."""
    case = next(case for case in defaults.SETS if case.name == name)
    tried = defaults.Tried("Bias" if case.task == "ratings" else "Popular", (case.task,), [{}])
    found = defaults.row(tried, defaults.Divided(case), lambda line: None)
    assert found["refused"] is None
    assert found["default"] == found["tuned"] > 0
