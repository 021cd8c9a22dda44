"""`recsys tune` from its options to its file, and what the other commands make of that."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

from recsys import cli, datasets


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    datasets.simulate(n_users=80, n_items=40, n_events=1200, seed=0)[0].to_csv("events.csv")

    def run(*arguments):
        code = cli.main([*map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_file_goes_on_to_train_evaluate_and_serve(run):
    code, out, err = run("tune", "--data", "events.csv", "--models", "ALS,GMF", "--set", "GMF.epochs=4", "--trials", 6,
                         "--out", "best.toml", "--page", "tune.html", "--storage", "trials.db")
    assert code == 0, err
    assert "Scored anew" in out
    assert "Wrote best.toml." in out
    assert "GMF: 6 trials" in out
    page = Path("tune.html").read_text()
    assert all(word in page for word in ("Scored anew", "Which parameters matter", "All trials", "<svg"))
    table = tomllib.loads(Path("best.toml").read_text())["model"]
    assert run("train", "--data", "events.csv", "--config", "best.toml", "--out", "best.recsys")[0] == 0
    code, out, _ = run("evaluate", "--data", "events.csv", "--config", "best.toml", "--protocol", "ratio-811-full",
                       "--json")
    found = json.loads(out)
    assert found["model"] == table["name"]
    assert {name: found["parameters"][name] for name in table["parameters"]} == table["parameters"]
    from recsys.serving.settings import Settings, Variant

    assert Settings.read("best.toml", variants=(Variant("one", "best.recsys"),)).workers == 1
    code, out, err = run("compare", "--data", "events.csv", "--models", table["name"], "--config", "best.toml",
                         "--protocol", "ratio-811-full", "--json")
    assert code == 0, err
    compared = {row["model"]: row for row in json.loads(out)["models"]}
    assert set(compared) == {table["name"], f"{table['name']}, best.toml"}
    again = run("tune", "--data", "events.csv", "--models", "ALS,GMF", "--set", "GMF.epochs=4", "--trials", 6,
                "--storage", "trials.db", "--json")
    assert len(json.loads(again[1])["trials"]["ALS"]) == 6


def test_what_is_set_is_not_searched(run):
    code, out, _ = run("tune", "--data", "events.csv", "--models", "ALS", "--set", "factors=4", "--trials", 6, "--json")
    assert code == 0
    found = json.loads(out)
    assert "factors" not in found["spaces"]["ALS"]
    assert {each["parameters"]["factors"] for each in found["trials"]["ALS"]} == {4}


def test_models_that_predict_ratings_are_measured_by_them(run):
    code, out, _ = run("tune", "--data", "events.csv", "--models", "Bias,MatrixFactorization", "--set",
                       "MatrixFactorization.epochs=2", "--trials", 2, "--json")
    assert code == 0
    assert json.loads(out)["card"]["protocol"] == "ratings-90-10"


@pytest.mark.parametrize(("arguments", "words"), [
    (["--models", ","], "--models names no model"), (["--models", "Nope"], "no model 'Nope'"),
    (["--models", "EASE", "--set", "lr=3"], "--set lr"), (["--models", "EASE", "--metric", "rmse"], "rmse"),
    (["--models", "EASE", "--protocol", "strange"], "strange"), (["--models", "EASE", "--minutes", "-3"], "minutes"),
    (["--models", "EASE", "--out", "events.csv"], "--out events.csv is the file of --data"),
    (["--models", "EASE", "--storage", "events.csv"], "--storage events.csv is the file of --data"),
    (["--models", "EASE", "--protocol", "predefined"], "--test")])
def test_a_mistake_is_a_sentence(run, arguments, words):
    before = Path("events.csv").read_bytes()
    code, out, err = run("tune", "--data", "events.csv", "--trials", 1, *arguments)
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err
    assert Path("events.csv").read_bytes() == before


@pytest.mark.parametrize(("text", "words"), [
    ("", "there is no model in it"), ("[model]\nname = 3", "there is no model in it"), ("][", "not a TOML file"),
    ('[model]\nname = "Nope"', "no model 'Nope'"), ('[model]\nname = "EASE"\nreg = 3', "'reg'"),
    ('[model]\nname = "EASE"\n[model.parameters]\nlr = 3', "no parameter 'lr'"),
    ('[model]\nname = "EASE"\n[model.parameters]\nreg = -3', "reg must be")])
def test_a_file_that_does_not_fit_is_refused(run, text, words):
    Path("odd.toml").write_text(text)
    code, _, err = run("train", "--data", "events.csv", "--config", "odd.toml", "--out", "x.recsys")
    assert code == 2
    assert err.startswith("recsys: odd.toml: ")
    assert words in err


def test_a_model_is_named_once(run):
    Path("best.toml").write_text('[model]\nname = "EASE"\n')
    for more in ([], ["--model", "EASE", "--config", "best.toml"]):
        code, _, err = run("train", "--data", "events.csv", *more, "--out", "x.recsys")
        assert code == 2
        assert "--model NAME or with --config FILE.toml" in err
