"""`fields` is one word: what it names, any model that reads it takes, and all refuse a name that is not there alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data import Features, Interactions
from recsys.data.csr import CSR
from recsys.errors import DataError, ParameterError
from recsys.models import REGISTRY, ContentProfile, FeatureALS, Multimodal, model_class
from tests.recsys.models.conftest import make, simulated

SAID = ("titles", "text", "genres", "year", "adult")
READERS = [name for name in REGISTRY if "fields" in model_class(name).parameter_names()]


@pytest.fixture(scope="module")
def data() -> Interactions:
    events = simulated()
    n = events.n_items
    features = replace(events.item_features, genres=CSR.from_pairs(np.arange(n), np.arange(n) % 2, shape=(n, 2)),
                       genre_names=["even", "odd"], attributes={
                           **events.item_features.attributes, "year": 1990 + np.arange(n), "adult": np.arange(n) > 9,
                           "tone": np.eye(n, 3), "when": np.full(n, "2000", "M8[D]")})
    return replace(events, item_features=features)


@pytest.mark.parametrize("fields", [SAID, ("text",), ["genres", "year"]])
def test_the_names_of_one_model_are_those_of_all(fields, data):
    assert {"ContentProfile", "FeatureALS", "Multimodal"} <= set(READERS)
    for name in READERS:
        make(name).set_params(fields=fields).fit(data)
    assert set(FeatureALS(factors=2, epochs=1, fields=fields, coupling=1.0).fit(data).coupling_) == {
        f"item {name}" for name in fields}
    for model in (FeatureALS(factors=2, epochs=1, coupling=1.0), Multimodal(factors=2, epochs=1)):
        model.set_params(fields=(*fields, "tone")).fit(data)


@pytest.mark.parametrize("name", READERS)
def test_only_what_is_named_is_read(name, data):
    def found(given: Interactions) -> bytes:
        model = make(name).set_params(fields=("text", "genres"))
        if name == "FeatureALS":
            model.set_params(coupling=1.0)
        return model.fit(given).score_block(np.arange(given.n_users)).tobytes()

    features = data.item_features
    assert found(data) == found(replace(data, social=None, item_features=Features(
        text=features.text, genres=features.genres, genre_names=features.genre_names)))
    other = features.text[np.arange(len(features)) // 2]
    assert found(data) != found(replace(data, item_features=replace(features, text=other)))


def test_titles_and_texts_are_fields_of_their_own(data):
    model = FeatureALS(factors=2, epochs=1, coupling=0.5, fields=("titles", "text")).fit(data)
    assert list(model.coupling_) == ["item titles", "item text"]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("field", ["mood", "when"])
def test_a_name_that_is_not_there_is_refused_in_one_sentence(name, field, data):
    there = {"ContentProfile": "titles, text, genres, year, adult",
             "FeatureALS": "year, adult, tone, genres, titles, text, friends",
             "Multimodal": "titles, text, genres, year, adult, poster, tone"}[name]
    with pytest.raises(DataError) as refused:
        make(name).set_params(fields=("genres", field)).fit(data)
    assert str(refused.value) == (f"{name}.fit: fields names {field!r}, and the data has no such field that this model "
                                  f"reads; name some of {there}.")


def test_friends_are_a_field_of_models_that_read_them(data):
    assert list(FeatureALS(factors=2, epochs=1, coupling=1.0, fields=("friends",)).fit(data).coupling_) == ["friends"]
    with pytest.raises(DataError, match=r"fields names 'friends', .* this model reads; name some of titles"):
        ContentProfile(fields=("friends",)).fit(data)
    with pytest.raises(DataError, match=r"fields names 'friends', .* reads; give data that has, or leave fields out"):
        FeatureALS(fields=("friends",)).fit(replace(data, item_features=None, social=None))


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("wrong", ["text", (), (1,)])
def test_fields_are_a_sequence_of_names(name, wrong, data):
    with pytest.raises(ParameterError, match=rf"{name}: fields must be None or a sequence of names such as"):
        make(name).set_params(fields=wrong).fit(data)
