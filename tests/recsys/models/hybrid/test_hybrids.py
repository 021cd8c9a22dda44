"""Hybrids: mixtures against sums written out, weights that are chosen well, what each part answers for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import load
from recsys.data import Features, IdMap, Interactions
from recsys.data.csr import CSR
from recsys.errors import ParameterError
from recsys.estimator import Can
from recsys.estimator.scorers.base import Scorer
from recsys.estimator.scorers.blend import Blend, together
from recsys.models import ALS, CascadeHybrid, ItemKNN, SwitchingHybrid, WeightedHybrid
from recsys.models.hybrid.choosing import Pools, best_weights, one_of_them


class Table(Scorer):
    """Scores that are given; histories have those of the row that their length is."""

    def __init__(self, scores: np.ndarray, cold_item: bool = False) -> None:
        self.table, self.n_items, self.can = scores, scores.shape[1], Can(fold_in=True, cold_item=cold_item)

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.table[users]

    def fold(self, history: CSR) -> np.ndarray:
        return self.table[history.counts]


def expected(tables: list[Table], weights: np.ndarray, trained: np.ndarray, row: int) -> np.ndarray:
    """A row of a blend, item by item, in float64."""
    out = np.full(len(trained), -np.inf)
    for item in range(len(trained)):
        parts = []
        for part, weight in zip(tables, weights, strict=True):
            known = np.ones(len(trained), bool) if part.can.cold_item else trained
            own = part.table[row, known].astype(float)
            if known[item]:
                parts.append((weight, (part.table[row, item] - own.mean()) / (own.std() or 1)))
        if parts and not any(weight for weight, _ in parts):
            parts = [(1, z) for _, z in parts]
        if parts:
            out[item] = sum(weight * z for weight, z in parts) / sum(weight for weight, _ in parts)
    return out


@given(data=st.data())
def test_a_blend_is_a_weighted_mean_of_those_who_know(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    n_items, n_parts, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    tables = [Table(rng.normal(3, 2, (6, n_items)).astype(np.float32).round(data.draw(st.integers(0, 3))), cold)
              for cold in data.draw(st.lists(st.booleans(), min_size=n_parts, max_size=n_parts))]
    trained = np.array(data.draw(st.lists(st.booleans(), min_size=n_items, max_size=n_items)))
    trained[0] = True
    weights = rng.integers(0, 3, (classes, n_parts)) * 1.0
    weights[~weights.any(axis=1), 0] = 1
    limits = sorted(data.draw(st.sets(st.integers(0, 5), min_size=classes - 1, max_size=classes - 1)))
    lengths = rng.integers(0, 7, 6).astype(np.int32)
    blend = Blend(tables, weights, trained, lengths, limits=limits)
    found = blend.score(np.arange(6))
    for row in range(6):
        own = weights[sum(lengths[row] > limit for limit in limits)]
        np.testing.assert_allclose(found[row], expected(tables, own, trained, row), rtol=1e-3, atol=1e-4)
    history = CSR.from_pairs([1, 2, 2], [0, 0, 0], None, (3, n_items))
    own = [weights[sum(n > limit for limit in limits)] for n in range(3)]
    for row, scores in enumerate(blend.fold(history)):
        np.testing.assert_allclose(scores, expected(tables, own[row], trained, row), rtol=1e-3, atol=1e-4)


@given(seed=st.integers(0, 999), candidates=st.integers(1, 9), length=st.integers(0, 3))
def test_a_cascade_leaves_the_rest_in_the_order_of_the_first(seed: int, candidates: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    tables = [Table(rng.permutation(9).astype(np.float32)[None]) for _ in range(2)]
    blend = Blend(tables, [0.0, 1.0], np.ones(9, bool), np.array([length], np.int32), candidates=candidates)
    order = np.argsort(-blend.score(np.array([0]))[0], kind="stable")
    first, second = (np.argsort(-table.table[0]) for table in tables)
    inside = set(first[:candidates + length].tolist())
    assert order.tolist() == [i for i in second.tolist() if i in inside] + first[candidates + length:].tolist()


def test_who_speaks_for_an_item_is_said() -> None:
    tables = [Table(np.zeros((3, 4), np.float32)), Table(np.zeros((3, 4), np.float32), cold_item=True)]
    trained = np.array([True, True, False, True])
    blend = Blend(tables, [[1.0, 0], [1, 1], [0, 1]], trained, np.array([0, 1, 2], np.int32), limits=[0, 1])
    items = np.tile(np.arange(4), (3, 1))
    said = blend.sources(np.arange(3), None, items).tolist()
    assert said == [["model", "model", "content", "model"], ["model", "model", "content", "model"], ["content"] * 4]
    assert blend.sources(np.array([-1]), CSR.from_pairs([0, 0], [0, 1], None, (1, 4)), items[:1]).tolist() == said[2:]


def test_a_blend_can_what_all_or_one_of_its_parts_can() -> None:
    assert together([Can(fold_in=True, explain=True, cold_item=True), Can(fold_in=True, sequence=True)]) == Can(
        fold_in=True, explain=True, cold_item=True, sequence=True)
    assert not together([Can(fold_in=True), Can(ratings=True)]).fold_in


@pytest.mark.parametrize(("weights", "limits"), [([1.0], []), ([[1, 1]], [3]), ([0, 0], []), ([1, -1], [])])
def test_weights_that_do_not_fit_are_refused(weights: list[float], limits: list[int]) -> None:
    tables = [Table(np.zeros((1, 2), np.float32))] * 2
    with pytest.raises(ParameterError, match="Blend: "):
        Blend(tables, weights, np.ones(2, bool), np.zeros(1, np.int32), limits=limits)


# -------------------------------------------------------------------------------------------------- weights
def pools(seed: int, quality: list[float], users: int = 300) -> Pools:
    """Parts that see two relevant items among 40, the better the higher their number, and 100 people."""
    rng = np.random.default_rng(seed)
    relevant = np.zeros((users, 40), bool)
    relevant[:, :2] = True
    scores = np.stack([q * relevant + rng.normal(size=relevant.shape) for q in quality], axis=2)
    return Pools(scores.astype(np.float32), np.ones_like(relevant), relevant, np.full(users, 1 + 1 / np.log2(3)),
                 np.full(users, 7))


def test_ndcg_is_that_of_the_evaluation() -> None:
    made = pools(0, [1.0, 0.5], 20)
    mixed = made.scores @ np.array([0.7, 0.3], np.float32)
    gains = 1 / np.log2(np.arange(2, 12))
    for row, value in enumerate(made.ndcg(np.array([0.7, 0.3]))):
        hits = made.relevant[row][np.argsort(-mixed[row])][:10]
        assert value == pytest.approx(hits @ gains / gains[:2].sum())


def test_independent_parts_are_mixed_and_a_bad_one_is_not() -> None:
    made = pools(1, [1.5, 1.5, -1.0])
    found = best_weights(made)
    assert found.sum() == pytest.approx(1)
    assert found[:2].min() > 0.2
    assert found[2] < 0.1
    assert made.ndcg(found).mean() > max(made.ndcg(single).mean() for single in np.eye(3)) + 0.02


def test_one_part_is_taken_where_mixtures_are_not_surely_better() -> None:
    made = pools(2, [2.0, 0.0])
    assert best_weights(made).max() > 0.8
    assert one_of_them(made).tolist() == [1.0, 0.0]
    same = replace(made, scores=np.repeat(made.scores[:, :, :1], 2, axis=2))
    assert sorted(best_weights(same).tolist()) == [0.0, 1.0]


# --------------------------------------------------------------------------------------------------- models
@pytest.fixture(scope="module")
def worlds() -> Interactions:
    """Two tastes with a word for each; the last four items have words alone."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(60), 8)
    item = 2 * np.concatenate([rng.permutation(18)[:8] for _ in range(60)]) + user % 2
    text = [f"kind {'even' if i % 2 == 0 else 'odd'}" for i in range(40)]
    genres = CSR.from_pairs(np.arange(40), np.arange(40) % 2, None, (40, 2))
    features = Features(text=text, genres=genres, genre_names=["even", "odd"])
    return Interactions.from_arrays(user, item, item_ids=IdMap(np.arange(40)), item_features=features)


@pytest.mark.parametrize("kind", [WeightedHybrid, SwitchingHybrid, CascadeHybrid])
def test_new_items_are_scored_by_content_and_say_so(kind: type, worlds: Interactions) -> None:
    content = ("FactorizationMachine", {"loss": "bpr", "epochs": 3, "factors": 4})
    model = kind(models=("ItemKNN", content, "Popular")).fit(worlds)
    assert model.can.cold_item
    recs = model.recommend(1, k=4, items=[36, 37, 38, 39])
    assert len(recs.items) == 4
    assert set(recs.source.tolist()) == {"content"}
    nobody = SwitchingHybrid(models=("ItemKNN", "Popular")).fit(worlds)
    assert set(nobody.recommend(history=[], k=3).source.tolist()) == {"popular"}
    assert "model" in nobody.recommend(1, k=3).source.tolist()


def test_a_model_may_come_twice(worlds: Interactions) -> None:
    model = WeightedHybrid(models=[ALS(factors=2), ALS(factors=8), "ItemKNN"]).fit(worlds)
    assert [*model.weights_["more"]] == ["ALS", "ALS 2", "ItemKNN"]


def test_models_are_named_or_made(worlds: Interactions, tmp_path: Path) -> None:
    by_name = WeightedHybrid(models=(("ALS", {"factors": 4}), "ItemKNN")).fit(worlds)
    made = WeightedHybrid(models=[ALS(factors=4), ItemKNN()]).fit(worlds)
    made.save(tmp_path / "hybrid")
    again = load(tmp_path / "hybrid")
    for model in (made, again):
        assert model.recommend(k=5).scores.tobytes() == by_name.recommend(k=5).scores.tobytes()
    assert again.weights_ == made.weights_
    assert again.get_params()["models"] == made.get_params()["models"]


@pytest.mark.parametrize(("models", "says"), [
    (("ALS",), "two or more"), ("ALS", "several models"),
    (("ALS", ("ItemKNN", {"neighbours": 0})), "neighbours must be"), (("ALS", "Nothing"), "no model 'Nothing'")])
def test_models_that_do_not_fit_are_refused(models: object, says: str, worlds: Interactions) -> None:
    with pytest.raises(ParameterError, match=says):
        WeightedHybrid(models=models).fit(worlds)


def test_given_validation_events_choose_the_weights(worlds: Interactions) -> None:
    """The parts then learn the training events alone, and no event of theirs is looked at."""
    parts = worlds.take(np.arange(len(worlds)) % 8 > 0), worlds.take(np.arange(len(worlds)) % 8 == 0)
    model = WeightedHybrid(models=("ItemKNN", "Popular")).fit(*parts)
    alone = ItemKNN().fit(parts[0]).require("test").scorer.score(np.arange(60))
    np.testing.assert_array_equal(model.require("test").scorer.parts[0].score(np.arange(60)), alone)
    assert model.weights_["more"]["ItemKNN"] > 0.5


def test_what_a_part_lacks_the_hybrid_lacks(worlds: Interactions) -> None:
    models = ("ItemKNN", "TextCNN", "ImageCNN")
    assert not WeightedHybrid(models=models[:2]).lacks(worlds)
    assert "image" in WeightedHybrid(models=models).lacks(worlds)
