"""Shards: each learns from its own users, all answer, and forgetting trains again those that had seen the person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import recsys
from recsys import datasets, evaluate, split_last
from recsys.data import IdMap, Interactions
from recsys.errors import DataError, ParameterError, UnsupportedError
from recsys.estimator.scorers.shards import Shard
from recsys.models import BPR, EASE, MLP, LinearRegression, Popular, Sharded, WeightedHybrid

DATA = datasets.simulate(n_users=120, n_items=40, n_events=2500, seed=0)[0].clean(duplicates="first").binarise()


def parts(model: Sharded) -> list[Shard]:
    return list(model.require("test").scorer.parts)


def only(data: Interactions, members: np.ndarray) -> Interactions:
    return data.take(members[data.user]).reindex(IdMap(data.users.ids[members]), data.items)


def test_each_shard_is_a_training_on_its_own_users() -> None:
    model = Sharded(model=("EASE", {"reg": 5.0}), shards=3).fit(DATA)
    assert sum(part.members for part in parts(model)).tolist() == [1] * DATA.n_users
    for part in parts(model):
        alone = EASE(reg=5.0).fit(only(DATA, part.members))
        assert np.array_equal(part.part.item_weights, alone.item_weights)
        assert np.array_equal(part.item_counts, alone.item_counts)


def test_scores_are_the_mean_of_what_all_shards_say() -> None:
    model = Sharded(model=("EASE", {"reg": 5.0}), shards=3).fit(DATA)
    users, known = np.arange(20), DATA.csr.T.counts > 0
    total = np.zeros((20, DATA.n_items))
    for part in parts(model):
        scores = EASE(reg=5.0).fit(only(DATA, part.members)).require("test").scorer.fold(DATA.csr.rows(users))
        own = scores[:, known].astype(np.float64)
        total[:, known] += (own - own.mean(axis=1, keepdims=True)) / own.std(axis=1, keepdims=True)
    np.testing.assert_allclose(model.score_block(users)[:, known], total[:, known] / 3, rtol=1e-4, atol=1e-4)


def test_the_shard_follows_from_the_id_alone() -> None:
    model, again = Sharded(model="Popular", shards=5).fit(DATA), Sharded(model="Popular", shards=5)
    order = np.random.default_rng(0).permutation(DATA.n_users)
    again.fit(DATA.reindex(IdMap(DATA.users.ids[order]), DATA.items))
    for part, other in zip(parts(model), parts(again), strict=True):
        assert set(DATA.users.ids[part.members]) == set(again.users.ids[other.members])
    sizes = [int(part.members.sum()) for part in parts(model)]
    assert min(sizes) > DATA.n_users / 5 / 3


def test_others_shards_stay_to_the_bit_and_their_own_never_saw_them() -> None:
    model = Sharded(model=("BPR", {"epochs": 3, "factors": 4}), shards=4).fit(DATA)
    before, gone = parts(model), DATA.users.ids[[17]]
    told = model.forget(gone)
    assert (told.level, told.how) == ("retrained", "1 of 4 shards learned again")
    same = [old.part is new.part for old, new in zip(before, parts(model), strict=True)]
    assert same == [not part.members[17] for part in before]
    keep = np.arange(DATA.n_users) != 17
    rest = only(DATA, keep)
    again = Sharded(model=("BPR", {"epochs": 3, "factors": 4}), shards=4).fit(rest)
    assert np.array_equal(model.score_block(np.arange(30)), again.score_block(np.arange(30)))


def test_files(tmp_path: Path) -> None:
    model = Sharded(model=("BPR", {"epochs": 2, "factors": 4}), shards=2).fit(DATA)
    model.save(tmp_path / "m")
    loaded = recsys.load(tmp_path / "m")
    assert np.array_equal(loaded.score_block(np.arange(30)), model.score_block(np.arange(30)))
    loaded.forget(DATA.users.ids[3])
    model.forget(DATA.users.ids[3])
    assert np.array_equal(loaded.score_block(np.arange(30)), model.score_block(np.arange(30)))


def test_a_shard_without_users_is_left_out_also_after_its_last_one_left() -> None:
    few = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["a", "b", "a", "b", "b", "c"])
    model = Sharded(model="Popular", shards=50).fit(few)
    assert len(parts(model)) == 3
    model.forget(2)
    assert len(parts(model)) == 2
    assert model.recommend(1, k=1).items.tolist() == ["c"]


def test_models_that_do_not_fold_in_answer_their_own_users() -> None:
    model = Sharded(model=("MLP", {"epochs": 1}), shards=2).fit(DATA)
    assert not model.can.fold_in
    user = DATA.users.ids[4]
    mine = next(part for part in parts(model) if part.members[4])
    alone = MLP(epochs=1).fit(only(DATA, mine.members))
    best = alone.recommend(user, k=5).items.tolist()
    assert model.recommend(user, k=5).items.tolist() == best


def test_as_a_part_of_another_model_it_answers_its_users(tmp_path: Path) -> None:
    sharded = ("Sharded", {"model": ("EASE", {"reg": 5.0}), "shards": 2})
    model = WeightedHybrid(models=(sharded, "Popular")).fit(DATA)
    found = model.recommend(DATA.users.ids, k=3)
    model.save(tmp_path / "model.recsys")
    assert (recsys.load(tmp_path / "model.recsys").recommend(DATA.users.ids, k=3).items == found.items).all()


def test_content_and_strange_parameters() -> None:
    rated = replace(DATA, value=(1 + np.arange(len(DATA)) % 5).astype(np.float32))
    model = Sharded(model=("LinearRegression", {"epochs": 1}), shards=2).fit(rated)
    with pytest.raises(UnsupportedError, match="are not kept"):
        model.forget(DATA.users.ids[0])
    model.forget(DATA.users.ids[0], rated)
    with pytest.raises(ParameterError, match="shards"):
        Sharded(shards=0).fit(DATA)
    with pytest.raises(ParameterError):
        Sharded(model=("BPR", {"epochs": 0})).fit(DATA)
    with pytest.raises(DataError):
        Sharded(model=("Popular", {"half_life": 3.0})).fit(replace(DATA, time=None))
    assert LinearRegression().reads == Sharded(model="LinearRegression").reads


def test_shards_cost_accuracy_but_beat_what_is_simple() -> None:
    split = split_last(datasets.simulate(n_users=300, n_items=60, n_events=9000, seed=1)[0].clean(
        duplicates="first").binarise())
    found = [evaluate(model.fit(split.train), split, metrics=["ndcg@10"]).metrics["ndcg@10"]
             for model in (Popular(), Sharded(model="EASE", shards=4), EASE())]
    assert found[0] < found[1] <= found[2] + 0.02


def test_one_shard_is_the_model() -> None:
    model, alone = Sharded(model=BPR(epochs=2, factors=4), shards=1).fit(DATA), BPR(epochs=2, factors=4).fit(DATA)
    assert model.recommend(k=5).items.tolist() == alone.recommend(k=5).items.tolist()
