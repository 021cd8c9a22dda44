"""Statements follow from what a model reads: every model of the registry has one, and none is written by name."""

from dataclasses import replace

import numpy as np
import pytest

from recsys import datasets, load, models
from recsys.data import CSR, Features, Interactions
from recsys.errors import NotFittedError, ParameterError
from recsys.estimator import storing
from recsys.estimator.scorers import KINDS, _class
from recsys.estimator.stating import statement


@pytest.fixture(scope="module")
def data():
    found, _ = datasets.simulate(60, 40, 1200, seed=1)
    friends = CSR.from_pairs(np.arange(60), (np.arange(60) + 1) % 60, None, (60, 60))
    users = Features(attributes={"gender": np.array(["F", "M"])[np.arange(60) % 2]})
    return replace(found.binarise(), user_features=users, social=friends)


def names(model):
    return [each.name for each in statement(model).inputs]


def test_what_it_reads_is_what_it_says(data):
    plain = statement(models.EASE().fit(data))
    assert [each.name for each in plain.inputs] == ["what you had", "what others had"]
    assert "The order or the time of what you did." in plain.unread
    ordered = statement(models.Markov().fit(data))
    assert "the order of what you had" in [each.name for each in ordered.inputs]
    assert "The order or the time of what you did." not in ordered.unread
    same = statement(models.Popular().fit(data))
    assert [each.name for each in same.inputs] == ["what others had"]
    assert same.changes[0].startswith("Nothing has to")


def test_it_changes_with_the_features_that_the_data_has(data):
    known = names(models.FeatureALS(epochs=1, factors=4).fit(data))
    assert "what is known of you" in known
    assert "whom you trust, or are friends with" in known
    told = statement(models.FactorizationMachine(epochs=1, factors=2).fit(data))
    assert any("gender" in each.says for each in told.inputs)
    assert any("taken out" in each for each in told.changes)
    bare = replace(data, user_features=None, item_features=None, social=None)
    blind = statement(models.FactorizationMachine(epochs=1, factors=2).fit(bare))
    assert "what is known of you" not in [each.name for each in blind.inputs]
    assert "Details about you, such as age or gender." in blind.unread


def test_values_count_where_the_model_looks_at_them(data):
    rated, _ = datasets.simulate(60, 40, 1200, seed=1)
    assert "how much you liked it" in names(models.Bias().fit(rated))
    assert "how much you liked it" not in names(models.ItemKNN().fit(data))


def test_what_weighs_is_measured(data):
    rows = np.repeat(np.arange(20), 5)
    own = np.concatenate([np.arange(5) + 5 * (user % 4) for user in range(20)])  # four kinds that share nothing
    apart = statement(models.ItemKNN().fit(Interactions.from_arrays(rows, own)))
    assert apart.inputs[0].weight > 0.3
    assert "places of a list of ten change without it" in apart.weighs[0]
    same = statement(models.ItemKNN().fit(Interactions.from_arrays(rows, np.tile(np.arange(5), 20))))
    assert same.inputs[0].weight == 0
    assert "no places" in same.weighs[0]


def test_it_is_the_same_from_a_file_and_from_what_a_server_loads(data, tmp_path):
    model = models.FeatureALS(epochs=1, factors=4).fit(data)
    model.save(tmp_path / "model.recsys")
    texts = {str(statement(each)) for each in (model, load(tmp_path / "model.recsys"),
                                               storing.load(tmp_path / "model.recsys"))}
    assert len(texts) == 1
    grown = model.partial_fit(Interactions.from_arrays([999, 999], data.items.ids[:2]))
    assert statement(grown).inputs[2].says == statement(load(tmp_path / "model.recsys")).inputs[2].says


def test_a_file_without_seen_items_says_what_can_be_said(data, tmp_path):
    models.ALS(epochs=1, factors=4).fit(data).save(tmp_path / "model.recsys", seen=False)
    found = statement(load(tmp_path / "model.recsys"))
    assert found.popular is None
    assert found.weighs == ["This was not measured: the file does not say what people have "
                                                      "had."]


def test_every_kind_of_scorer_says_how_it_works_in_plain_words():
    composed = {"blend", "reranked", "shard"}  # these put together what their parts say
    for kind in KINDS:
        assert kind in composed or _class(kind).plainly.endswith("."), kind
    data, _ = datasets.simulate(40, 20, 500, seed=1)
    hybrid = models.WeightedHybrid(models=("ItemKNN", "Popular")).fit(data.binarise())
    assert models.ItemKNN().fit(data.binarise()).require("scorer").scorer.plainly in statement(hybrid).works


def test_text_and_record_hold_the_same(data):
    found = statement(models.EASE().fit(data))
    record = found.to_record()
    assert record["text"] == str(found)
    assert record["summary"].startswith("Embarrassingly shallow")
    for title, lines in found.sections():
        assert title in record["text"]
        assert all(line in record["text"] for line in lines)


def test_what_is_not_fitted_or_no_model_is_refused():
    with pytest.raises(NotFittedError):
        statement(models.EASE())
    with pytest.raises(ParameterError, match="pass a fitted model, not 3"):
        statement(3)
