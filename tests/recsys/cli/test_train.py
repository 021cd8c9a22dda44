"""What `recsys train` says of a promise of privacy."""

from __future__ import annotations

import json

import pytest

from recsys import cli, datasets, loading


@pytest.fixture
def folder(tmp_path, monkeypatch):
    datasets.simulate(n_users=80, n_items=25, n_events=1200, seed=1)[0].to_csv(tmp_path / "events.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_promise_is_told_and_in_the_file(folder, capsys):
    words = ["train", "--data", "events.csv", "--model", "Private", "--set", "model=EASE", "--set", "epsilon=4",
             "--no-seen", "--out", "m.recsys"]
    assert cli.main(words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "epsilon 4.00 with delta 1e-05 for every person" in told
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["privacy"] == loading.load(folder / "m.recsys").privacy_ == (
        loading.manifest(folder / "m.recsys")["taken"]["privacy_"])
    assert not len(loading.load(folder / "m.recsys").users)


def test_a_network_with_hyper_parameters(folder, capsys):
    inner = json.dumps(["MultDAE", {"epochs": 2, "hidden": [4], "batch_size": 20}])
    assert cli.main(["train", "--data", "events.csv", "--model", "Private", "--set", f"model={inner}", "--out", "m",
                     "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["privacy"]
    assert (found["rate"], found["steps"], found["unit"]) == (0.25, 8, "person")


@pytest.mark.parametrize(("settings", "says"), [
    (["model=ALS"], "ALS cannot learn privately"), (["epsilon=0"], "epsilon"), (["unit=house"], "unit"),
    (["model=GMF"], "GMF cannot learn privately"), (["noise=1"], "either epsilon or noise"),
])
def test_what_cannot_be_is_one_sentence(folder, capsys, settings, says):
    options = [word for setting in settings for word in ("--set", setting)]
    assert cli.main(["train", "--data", "events.csv", "--model", "Private", *options, "--out", "m"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert not (folder / "m").exists()
