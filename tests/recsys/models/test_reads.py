"""`reads` names what changes a model's answers, besides events, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recsys.data import Features, Interactions
from recsys.data.csr import CSR
from recsys.evaluation.controls import WHAT, dropped, permuted
from recsys.models import (
    ALS,
    REGISTRY,
    CascadeHybrid,
    ContentProfile,
    FeatureALS,
    Multimodal,
    Reranked,
    TextCNN,
    TrustKNN,
    WeightedHybrid,
    model_class,
)
from tests.recsys.models.conftest import learned, make, tastes

READERS = [name for name in REGISTRY if model_class(name)().reads]


def dependent() -> Interactions:
    """Users and items of two kinds; features and friends say which."""
    n_users, n_items = 80, 60
    kinds, users = np.arange(n_items) % 2, np.arange(n_users)
    labels = CSR.from_pairs(np.arange(n_items), kinds, shape=(n_items, 2))
    posters = np.where(kinds[:, None, None] == 1, 200, 20).astype(np.uint8) + np.zeros((1, 6, 6), np.uint8)
    features = Features([f"title {kind}" for kind in kinds], labels, ["even", "odd"], [f"of kind{k}" for k in kinds],
                        {"poster": posters, "vectors": np.eye(2)[kinds] + np.arange(n_items)[:, None] % 3,
                         "year": 1990 + 10 * kinds})
    links = CSR.from_pairs(np.repeat(users, 2), (users[:, None] + [2, 4]).ravel() % n_users, shape=(n_users, n_users))
    return replace(tastes(features, n_users), social=links, user_features=Features(attributes={"parity": users % 2}))


def changes(model: Any, one: Interactions, other: Interactions) -> bool:
    """Whether a model learns other things, or answers otherwise."""
    a, b = (learned(model.clone().fit(data)) for data in (one, other))
    return a.keys() != b.keys() or any(a[name].tobytes() != b[name].tobytes() for name in a)


def test_what_is_not_read_changes_nothing(name: str, model: Any, data: Interactions) -> None:
    """`model` has learned from `data`, which has titles, texts and images of items, and friends."""
    rest = {"item_features": Features(attributes={"year": np.arange(data.n_items) % 5}), "friends": None,
            "user_features": Features(attributes={"age": np.arange(data.n_users) % 3})}
    unread: dict[str, Any] = {{"friends": "social"}.get(what, what): known for what, known in rest.items()
                              if what not in model.reads}
    one, other = learned(model), learned(make(name).fit(replace(data, **unread)))
    assert one.keys() == other.keys()
    assert all(one[key].tobytes() == other[key].tobytes() for key in one)


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_changes_the_answers(name: str) -> None:
    data, model = dependent(), make(name)
    for what in model.reads:
        assert changes(model, data, permuted(data, what)), what


@pytest.mark.parametrize(("model", "reads"), [
    (FeatureALS(), WHAT), (FeatureALS(fields=("friends",)), ("friends",)),
    (FeatureALS(fields=("year", "friends")), WHAT), (FeatureALS(fields=("year",)), WHAT[:2]),
    (Reranked(model="Popular"), ()), (Reranked(model="Popular", by="calibration"), WHAT[:1]),
    (Reranked(model="TrustKNN", by="popularity"), ("friends",)), (WeightedHybrid(models=("ALS", "Popular")), ()),
    (WeightedHybrid(models=(ALS(factors=4), TrustKNN(), ContentProfile())), ("friends", "item_features")),
    (CascadeHybrid(models=(ContentProfile(), Multimodal(epochs=1))), WHAT[:1]), (TextCNN(), WHAT[:1])])
def test_what_is_read_follows_from_the_parameters(model: Any, reads: tuple[str, ...]) -> None:
    assert model.reads == reads


@pytest.mark.parametrize("model", [
    FeatureALS(factors=4, coupling=1.0, fields=("friends",)), FeatureALS(factors=4, coupling=1.0, fields=("genres",)),
    Reranked(model="Popular", by="calibration"), Reranked(model="TrustKNN", by="popularity"),
    WeightedHybrid(models=(TrustKNN(), ContentProfile()))], ids=str)
def test_parts_and_fields_change_the_answers(model: Any) -> None:
    data = dependent()
    for what in WHAT:
        # Attributes of users alone are no reader's that was told to read genres.
        changed = permuted(data, what)
        assert changes(model, data, changed) == (what in model.reads and what != "user_features"), what


def test_without_what_is_not_read_all_stays() -> None:
    data = dependent()
    assert not changes(ContentProfile(), data, dropped(dropped(data, "friends"), "user_features"))
