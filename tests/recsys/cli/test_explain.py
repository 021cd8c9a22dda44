"""`recsys explain`: sentences, bars, one document, a page, curves, and a sentence for what cannot be."""

from __future__ import annotations

import json
import re

import pytest

from recsys import cli, datasets, models
from recsys.cli import explain as command
from recsys.data import Interactions
from recsys.explanation import METHODS
from recsys.models import EASE, Popular


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("explain")
    data, _ = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)
    data = data.clean(duplicates="first").binarise()
    EASE(reg=20.0).fit(data).save(made / "ease.recsys")
    Popular().fit(data).save(made / "popular.recsys")
    data.to_csv(made / "events.csv")
    return made, data


def told(capsys, folder, *arguments, code=0, model="ease"):
    assert cli.main(["explain", str(folder[0] / f"{model}.recsys"), *map(str, arguments)]) == code
    out = capsys.readouterr()
    return out.out if code == 0 else out.err


def test_the_first_item_of_a_list_in_sentences_and_bars(folder, capsys):
    user = folder[1].users.ids[0]
    text = told(capsys, folder, "--user", user, "--threshold", 0.01)
    assert "place 1 of the list" in text
    assert re.search(r"- Because of .+ \(\d+% of the score\)", text)
    assert "you would not see it" in text or "It would stay on the list" in text
    assert "█" in text
    assert "Method: exact, the parts miss the score by" in text
    assert "unit: weights of a regression" in text.replace("\n", " ")


def test_one_document(folder, capsys):
    ids = folder[1].items.ids
    found = json.loads(told(capsys, folder, "--history", f"{ids[0]},{ids[1]},{ids[2]}", "--first", 2, "--json"))
    assert [each["place"] for each in found["explanations"]] == [1, 2]
    for each in found["explanations"]:
        assert each["method"] == "exact"
        assert sum(part["value"] for part in each["parts"]) == pytest.approx(each["score"], rel=1e-5)
    assert found["curves"] is None


def test_an_item_and_a_method_that_are_named(folder, capsys):
    data = folder[1]
    item = data.items.ids[5]
    found = json.loads(told(capsys, folder, "--user", data.users.ids[0], "--item", item, "--method", "leave-one-out",
                            "--removed", 0, "--json"))["explanations"]
    assert [(each["item"], each["method"], each["counterfactual"]) for each in found] == [(item, "leave-one-out", None)]


def test_forty_columns(folder, capsys, monkeypatch):
    monkeypatch.setattr("recsys.console._width", lambda stream: 40)
    text = told(capsys, folder, "--user", folder[1].users.ids[0])
    assert max(map(len, text.splitlines())) <= 40
    assert "█" in text


def test_a_page_and_curves(folder, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    user = folder[1].users.ids[0]
    text = told(capsys, folder, "--user", user, "--curves", "--data", folder[0] / "events.csv", "--people", 10, "--out",
                tmp_path / "page.html")
    assert "deletion" in text
    assert "random order" in text
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") > 3
    assert "Are the reasons causes?" in page
    assert f"For user {user}." in page


def test_what_stands_in_says_so(folder, capsys):
    assert "knows nothing of you yet" in told(capsys, folder, "--history", "")
    assert "All of the score is its popularity." in told(capsys, folder, "--user", folder[1].users.ids[0],
                                                         model="popular")


@pytest.mark.parametrize(("arguments", "says"), [
    (["--user", 987654], "987654"), (["--user", 0, "--item", 987654], "987654"), (["--history", "987654"], "987654"),
    ([], "--user ID"), (["--user", 0, "--history", "1"], "--user ID"), (["--curves"], "--data"),
    (["--history", ","], "--history holds no ids"),
    (["--history", "0,1", "--history-values", "5"], "one each"), (["--user", 0, "--threshold", 3], "threshold"),
    (["--user", 0, "--method", "integrated gradients"], "no network")])
def test_one_sentence_for_a_mistake(folder, capsys, arguments, says):
    user = folder[1].users.ids[0]
    given = [user if each == 0 else each for each in arguments]
    error = told(capsys, folder, *given, code=2)
    assert says in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_a_model_that_reads_no_history_has_no_curves(folder, capsys):
    error = told(capsys, folder, "--curves", "--data", folder[0] / "events.csv", code=2, model="popular")
    assert "reads no history" in error


def test_methods_are_those_of_the_package():
    assert command._METHODS == METHODS


def test_what_is_missing_is_asked_for_by_its_option(tmp_path, capsys):
    rated = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], values=[1.0, 2.0, 3.0, 4.0])
    models.MatrixFactorization(epochs=1).fit(rated).save(tmp_path / "rated.recsys")
    assert cli.main(["explain", str(tmp_path / "rated.recsys"), "--history", "5"]) == 2
    assert "with --history-values" in capsys.readouterr().err
    models.ItemKNN().fit(Interactions.from_arrays([1], [5])).save(tmp_path / "one.recsys")
    assert cli.main(["explain", str(tmp_path / "one.recsys"), "--user", "1"]) == 2
    assert "pass --item ID" in capsys.readouterr().err
