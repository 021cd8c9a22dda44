"""The tables of the field: what is listed, short, missing; a row that is measured; what is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import accuracy, choosing, field, field_rows, store
from benchmarks.accuracy_rows import Row
from benchmarks.datasets import Absent
from benchmarks.field_rows import ROWS, SECTIONS, Entry, Section, drawn
from recsys import datasets, models
from recsys.data import CSR
from recsys.evaluation import PROTOCOLS
from recsys.evaluation.metrics import parse

MACHINE = {"label": "A", "cpu": "A", "cores": 2, "platform": "X", "versions": {"python": "3"}}


def stored(name, value, **more):
    section = SECTIONS[name.partition("/")[0]]
    figures = dict.fromkeys(section.metrics, value)
    return {"name": name, "on": section.data, "section": section.name, "model": "Some()",
            "data": {"name": section.data}, "settings": {"tried": 8}, "metrics": figures,
            "interval": {metric: [value - 0.01, value + 0.01] for metric in figures},
            "by_seed": {metric: [value] for metric in figures}, "controls": {}, "by_history": {},
            "card": {"files": "a.txt sha256:0", "refit": "no", "interactions": 9000, "users": 20, "items": 30},
            "fit_seconds": 2.0, "minutes": {"cpu": 1.5, "wall": 2.25}, "peak_mib": 321.0, "machine": MACHINE,
            "date": "2026-01-01", **more}


def line(table, begins):
    return [each for each in table.splitlines() if each.startswith(f"| {begins}")]


def test_rows_are_of_protocols_metrics_and_settings_that_exist():
    assert len(ROWS) == sum(len(section.entries) for section in SECTIONS.values())
    for section in SECTIONS.values():
        assert section.protocol in PROTOCOLS
        assert all(parse(metric) for metric in section.metrics)
        assert section.data in datasets.available() or section.data == "ml-1m-sasrec"
        assert len(section.entries) > 3
    for row in ROWS.values():
        if row.model in models.REGISTRY:
            for setting in row.grid:
                models.model_class(row.model)(**{**row.parameters, **setting}).check_parameters()


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_all_models_of_a_section_have_as_many_trials_and_minutes(section):
    rows = [section.row(label) for label in section.entries]
    assert {row.minutes for row in rows} == {section.minutes}
    for row, entry in zip(rows, section.entries.values(), strict=True):
        space = field_rows.SPACES.get(row.model, ()) if entry.space is None else entry.space
        assert len(row.grid) == min(section.trials, 1 + len(space))
        assert row.grid[0] == {}


def test_settings_are_drawn_once_each():
    space = [{"reg": float(i)} for i in range(9)]
    found = drawn(space, 6)
    assert found == drawn(space, 6)
    assert len({str(each) for each in found}) == 6
    assert len(drawn(space, 99)) == 10


def test_what_is_short_or_not_measured_stays_visible():
    table = field.table([stored("gowalla/RP3beta", 0.1816), stored("gowalla/SparseEASE", 0.184)])
    (short,), (reached,) = line(table, "RP3beta, `Some()`"), line(table, "SparseEASE, `Some()`")
    assert "**0.1816** [0.1716, 0.1916] / **0.1816**" in short
    assert "| 0.182 / 0.1515 (short) | 0.184 (short) |" in short
    assert "| 0.179 / 0.148 | 0.183 / 0.152 | 8 | 1.50 / 2.25 | 321 MiB | 1 | 1 |" in reached
    assert line(table, "GraphFilter | not measured | 0.1935 / 0.161 | 0.1945 / 0.162 |")
    assert "Files: a.txt sha256:0. Refit: no." in table


def test_controls_and_histories_stand_below_their_model():
    control = {"value": 0.2, "interval": [0.19, 0.21], "lead": 0.003, "lead_interval": [0.001, 0.005],
               "by_seed": [0.003] * 5}
    groups = {"0": {"users": 3.0, "recall@10": 0.1}, "1-2": {"users": 4.0, "recall@10": 0.125}}
    controls = {"friends permuted": {"recall@10": control, "ndcg@10": control}}
    table = field.table([stored("lastfm/FeatureALS", 0.23, controls=controls, by_history=groups)])
    (row,) = line(table, "FeatureALS, friends permuted")
    told = "0.2000 [0.1900, 0.2100], real ones ahead by 0.0030 [0.0010, 0.0050]"
    assert f"| recall@10 {told}; ndcg@10 {told} |" in row
    assert line(table, "model | 0 (3) | 1-2 (4) |")
    assert line(table, "FeatureALS | 0.1000 | 0.1250 |")


def test_an_error_is_short_where_it_is_larger():
    table = field.table([stored("filmtrust/TrustSVD", 0.788)])
    assert "| 0.787 (short) |" in line(table, "TrustSVD, `Some()`")[0]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A section on made data with friends."""
    links = np.random.default_rng(0).integers(0, 60, (2, 200))
    data = replace(datasets.simulate(60, 40, 1500, seed=1)[0], name="made",
                   social=CSR.from_pairs(*links, None, (60, 60)))

    class Friendly(models.Popular):
        reads = ("friends",)

    section = Section("small", "Made", "made", "ratio-811-full", ("recall@10", "ndcg@10"), divided=(0, 1), trials=3,
                      by_history=True, entries={"ItemKNN": Entry("ItemKNN"), "Friendly": Entry("Friendly",
                                                                                                controls="friends")})
    rows = {f"small/{label}": section.row(label) for label in section.entries}
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "events.csv").write_text("user,item\n")
    monkeypatch.setattr(field, "SHARED", tmp_path)
    monkeypatch.setattr(field, "SECTIONS", {"small": section})
    monkeypatch.setattr(field, "ROWS", rows)
    monkeypatch.setattr(field, "load", lambda row: ({"name": "made", "fingerprint": data.fingerprint()}, data))
    monkeypatch.setattr(models, "model_class", lambda name: Friendly if name == "Friendly" else models.ItemKNN)
    return section


def test_a_row_says_all_that_a_figure_needs(small, tmp_path):
    row = field.measure("small/ItemKNN")
    assert row["settings"]["tried"] == 3
    assert "3 settings on the validation part" in row["card"]["chosen on"]
    for metric in small.metrics:
        low, high = row["interval"][metric]
        assert low < row["metrics"][metric] < high
        assert len(row["by_seed"][metric]) == 2
    assert 0 < row["minutes"]["choosing"] < row["minutes"]["wall"]
    assert row["peak_mib"] > 10
    assert row["card"]["files"].startswith("events.csv sha256:")
    assert sum(group["users"] for group in row["by_history"].values()) == row["card"]["users evaluated"]
    kept = store.add(tmp_path / "kept.json", [json.loads(json.dumps(row))], list(field.ROWS))
    assert line(field.table(kept), "ItemKNN, `ItemKNN(")


def test_a_control_is_measured_with_the_same_seeds(small):
    row = field.measure("small/Friendly")
    assert list(row["controls"]) == ["friends permuted", "friends constant"]
    for control in row["controls"].values():  # it looks at nobody's friends
        assert list(control) == list(row["metrics"])
        assert all(each["by_seed"] == each["lead_interval"] == [0, 0] for each in control.values())


def test_no_setting_is_tried_after_the_time(small, monkeypatch):
    row = small.row("ItemKNN")
    clock = iter(np.arange(0, 1e6, 61 * small.minutes))
    monkeypatch.setattr(accuracy.time, "monotonic", lambda: next(clock))
    _, data = field.load(row)
    assert accuracy.best(row, data)[1] == 1


def test_a_set_of_two_parts_is_divided_to_choose(small):
    _, data = field.load(small.row("ItemKNN"))
    row = Row("x", "made", "predefined", "ItemKNN", ("recall@10",), grid=[{}, {"neighbours": 5}],
              parts=("train", "test"))
    assert accuracy.best(row, (data, data))[1] == 2  # a test part that is all training would be told, were it seen


def test_names_and_absent_data_and_models_are_told(monkeypatch, capsys):
    assert field.main(["nowhere"]) == 2
    assert "sections are gowalla" in capsys.readouterr().err
    monkeypatch.setattr(models, "REGISTRY", {"Popular": "baselines"})
    assert field.main(["lgcnpp-ml-1m/EASE"]) == 3
    assert "there is no model EASE yet" in capsys.readouterr().err

    def run(command, **options):
        assert command[-1] == "lgcnpp-lastfm/Popular"
        return subprocess.CompletedProcess(command, codes.pop())

    codes = [1, 3]
    monkeypatch.setattr(field.subprocess, "run", run)
    assert field.main(["lgcnpp-lastfm/Popular"]) == 3
    assert "not on this machine; skipped" in capsys.readouterr().err
    assert field.main(["lgcnpp-lastfm/Popular"]) == 1
    monkeypatch.setattr(field, "measure", lambda name: (_ for _ in ()).throw(Absent("gone")))
    assert field.main(["--here", "lgcnpp-lastfm/Popular"]) == 3


def test_choosing_tells_the_best_what_is_level_and_what_is_quick():
    rows = [stored("gowalla/RP3beta", 0.181), stored("gowalla/GraphFilter", 0.19, fit_seconds=99.0),
            stored("gowalla/Popular", 0.03, fit_seconds=0.1), stored("filmtrust/Bias", 0.81),
            stored("filmtrust/TrustSVD", 0.787, fit_seconds=30.0)]
    lines = choosing.table(rows).splitlines()[2:]
    assert lines == [
        "| Gowalla, LightGCN's division | 9,000, 20, 30 | GraphFilter, recall@20 0.190 | RP3beta | RP3beta, 0.181 in "
        "2.0 s |", "| FilmTrust with trust | 9,000, 20, 30 | TrustSVD, rmse 0.787 | none | Bias, 0.810 in 2.0 s |"]


def test_the_command_knows_the_field():
    done = subprocess.run([sys.executable, "-m", "benchmarks", "field", "nowhere"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2
