"""`recsys audit` and `recsys statement`: words and tables for people, a document for machines, a sentence for slips."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recsys import cli, datasets, loading, models, splits
from recsys.data import Interactions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("audit")
    data, _ = datasets.simulate(160, 50, 4000, seed=1)
    data = replace(data.binarise(), item_features=None)
    people = data.take(data.user < 110)
    split = splits.split_random(people, valid=0.0, test=0.2, seed=0)
    for name, part in (("train", split.train), ("test", split.test), ("others", data.take(data.user >= 110))):
        part.to_csv(made / f"{name}.csv")
    lines = [f"{user},{'F' if n % 2 else 'M'},{n % 60}" for n, user in enumerate(people.users.ids.tolist())]
    (made / "people.csv").write_text("\n".join(["user,gender,age", *lines]) + "\n")
    models.EASE(reg=1.0).fit(Interactions.from_csv(made / "train.csv")).save(made / "ease.recsys")
    models.MLP(epochs=1).fit(Interactions.from_csv(made / "train.csv")).save(made / "mlp.recsys")
    return made


@pytest.fixture
def run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def call(line):
        try:
            code = cli.main(line.split())
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()
    return call


def test_words_come_first_and_then_tables(run):
    code, out, _ = run("audit ease.recsys --data train.csv --test test.csv --user-features people.csv --by gender,age "
                       "--strangers others.csv")
    assert code == 0
    places = [out.index(each) for each in ("What stands out", "What cannot be said", "Over all people", "gender: F",
                                           "Groups of items", "Drift", "Can it be told who was in the training data")]
    assert places == sorted(places)
    assert "gender: no difference shown" in out


def test_the_document_is_one(run, folder):
    code, out, _ = run("audit ease.recsys --data train.csv --test test.csv --json --strangers others.csv")
    found = json.loads(out)
    assert code == 0
    assert 40 < found["membership"]["strangers"] <= 50
    assert found["page"] is None
    assert {each["grouping"] for each in found["groups"]} == {"activity", "taste"}
    assert found["card"]["test pairs seen in training"].startswith("0 of")


def test_a_page_is_written(run, folder):
    pytest.importorskip("matplotlib")
    code, out, _ = run("audit ease.recsys --data train.csv --test test.csv --out page.html")
    assert code == 0
    assert "Wrote page.html" in out
    assert (folder / "page.html").read_text().startswith("<!doctype html>")


def test_a_protocol_trains_a_model_with_the_same_parameters_and_brings_strangers(run):
    code, out, err = run("audit ease.recsys --data train.csv --protocol strong-generalisation --option n_test=30 "
                         "--option n_valid=0 --smallest 5 --json")
    found = json.loads(out)
    assert code == 0
    assert "was not trained on the training part" in err
    assert found["membership"]["strangers"] == 30
    assert found["model"] == "EASE(reg=1.0)"


def test_without_held_out_events_the_rest_is_audited(run):
    code, out, _ = run("audit ease.recsys --data train.csv")
    assert code == 0
    assert "No events were held out" in out
    assert "ndcg" not in out


def test_a_model_that_does_not_fold_in_says_why_membership_is_not_audited(run):
    code, out, _ = run("audit mlp.recsys --data train.csv --test test.csv --strangers others.csv")
    assert code == 0
    assert "answered in" in out
    assert "different ways" in " ".join(out.split())


def test_other_data_than_that_of_the_training_is_said(run, folder):
    text = (folder / "train.csv").read_text().splitlines()
    (folder / "half.csv").write_text("\n".join([text[0], *text[1::2], "4711,8888,1"]) + "\n")
    code, _, err = run("audit ease.recsys --data half.csv")
    assert code == 0
    assert "do not know" in err.replace("does not know", "do not know")
    assert "other events than these" in err


@pytest.mark.parametrize(("line", "words"), [
    ("audit ease.recsys --data train.csv --by gender", "the attribute 'gender'"),
    ("audit ease.recsys --data train.csv --protocol ratings-5fold", "measures ratings"),
    ("audit ease.recsys --data train.csv --strangers train.csv", "of its 110 users are in --data too"),
    ("audit ease.recsys --data train.csv --option a=1", "go with --protocol"),
    ("audit ease.recsys --data train.csv --protocol last-one-full --refit", "of recsys evaluate and compare"),
    ("audit ease.recsys --data train.csv --out train.csv", "would replace it"),
    ("audit none.recsys --data train.csv", "none.recsys"), ("audit ease.recsys", "--data"),
    ("audit ease.recsys --data train.csv --smallest 1", "smallest must be"),
    ("statement none.recsys", "none.recsys")])
def test_a_slip_is_one_sentence_and_exit_code_2(run, line, words):
    code, out, err = run(line)
    said = [each for each in err.splitlines() if not each.startswith("recsys: note:")]
    assert code == 2
    assert not out
    assert len(said) == 1
    assert words in said[0]


def test_a_statement_for_people_and_for_machines(run):
    code, out, _ = run("statement ease.recsys")
    assert code == 0
    assert [out.index(each) for each in ("How it chooses", "What it reads", "What you can change")]
    code, out, _ = run("statement ease.recsys --json")
    assert code == 0
    assert json.loads(out)["model"] == "EASE"


def test_a_narrow_terminal_breaks_no_number(run, monkeypatch):
    monkeypatch.setattr("recsys.console._width", lambda stream: 40)
    code, out, _ = run("audit ease.recsys --data train.csv --test test.csv")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 42
    assert np.isfinite([float(word) for word in out.split() if word.replace(".", "", 1).isdigit()]).all()


def test_lists_on_other_events_hold_what_the_model_knows(run, folder):
    few = (folder / "train.csv").read_text().splitlines()[:4]
    (folder / "few.csv").write_text("\n".join(few) + "\n")
    code, out, err = run("audit ease.recsys --data few.csv --json")
    assert code == 0
    assert "trained on other events" in err
    found = json.loads(out)
    assert found["card"]["candidates"].startswith(f"{len(loading.load(folder / 'ease.recsys').items)} items")
    assert next(each["value"] for each in found["measures"] if each["measure"] == "coverage@10" and each["who"] == "model"
                ) > 0
