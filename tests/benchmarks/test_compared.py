"""The tables of all models: their order, their stars, and what is left out."""

from __future__ import annotations

from benchmarks import compared, store
from recsys.models import REGISTRY


def entry(model, metric, value, p):
    return {"model": model, "metric": metric, "value": value, "low": value - 0.1, "high": value + 0.1,
            "difference": value - 0.5, "p_holm": p, "baseline": "EASE"}


def test_the_best_stand_first_and_differences_by_chance_have_no_star():
    models = [entry(name, metric, value, p) for name, value, p in (("Popular", 0.1, 0.01), ("EASE", 0.5, None),
                                                                   ("ALS", 0.4, 0.3)) for metric in compared.METRICS]
    row = {"name": "made", "on": "made", "models": models, "left_out": {"Bias": "predicts no ranking"},
           "without_content": {"ALS": "no titles"}, "fit_seconds": {"EASE": 1.5}, "minutes": 0.1, "date": "2026-01-01",
           "machine": {"label": "A", "cpu": "A", "cores": 2, "platform": "X", "versions": {"python": "3"}}}
    text = compared.table([row])
    lines = [line for line in text.splitlines() if line.startswith("| ") and "[" in line]
    assert [line.split(" | ")[0] for line in lines] == ["| EASE", "| ALS, content blank", "| Popular"]
    assert ["\\*" in line for line in lines] == [False, False, True]
    assert "left out: Bias (predicts no ranking)" in text


def test_stored_rows_are_of_all_models():
    for row in store.read(compared.RESULTS):
        assert row["name"] in compared.ROWS
        assert {each["model"] for each in row["models"]} | set(row["left_out"]) == set(REGISTRY)


def test_an_unknown_row_is_refused(capsys):
    assert compared.main(["nothing"]) == 2
    assert "no row is named nothing" in capsys.readouterr().err
