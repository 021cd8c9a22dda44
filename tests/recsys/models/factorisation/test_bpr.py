"""BPR: planted tastes, fold-in, the same bits for any number of threads, and quality on real data."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import runtime
from recsys import datasets
from recsys.data import Interactions
from recsys.data.simulate import simulate
from recsys.data.splits import split_random
from recsys.evaluation import evaluate
from recsys.models.baselines import Popular
from recsys.models.factorisation.bpr import BPR


def tastes(seed=0, n_users=300, n_items=300):
    """Three groups of users and of items, large enough for several blocks."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, 9000)
    group = np.where(rng.random(9000) < 0.9, user % 3, rng.integers(0, 3, 9000))
    return Interactions.from_arrays(user, 3 * rng.integers(0, n_items // 3, 9000) + group)


def agreement(users, lists):
    return float(np.mean(np.asarray(lists) % 3 == np.asarray(users)[:, None] % 3))


def test_learns_the_groups_and_folds_in():
    data = tastes()
    model = BPR(factors=8, epochs=40, lr=0.1).fit(data)
    curve = model.curves_["loss"]
    assert curve[0] == pytest.approx(np.log(2), abs=0.01)  # all items alike
    assert curve[-1] < 0.6 * curve[0]
    recs = model.recommend(k=5)
    assert agreement(recs.users, recs.items) > 0.95
    histories = [[g, g + 30, g + 60, g + 90] for g in range(3)]
    assert agreement(range(3), model.recommend(history=histories, k=5).items) > 0.9
    assert agreement(range(3), model.similar_items([0, 1, 2], k=5).items) > 0.9


def test_same_bits_for_any_number_of_threads():
    data, before, found = tastes(), runtime.threads(), []
    try:
        for n in {1, before}:
            runtime.set_threads(n)
            found.append(BPR(factors=8, epochs=3).fit(data).user_factors)
    finally:
        runtime.set_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])


def test_seeds_differ():
    data = tastes()
    first, second = (BPR(factors=4, epochs=2, seed=seed).fit(data).user_factors for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_popular_items_have_larger_biases():
    rng = np.random.default_rng(0)
    item = np.minimum(rng.geometric(0.05, 4000), 60)
    model = BPR(factors=2, epochs=30).fit(Interactions.from_arrays(rng.integers(0, 100, 4000), item))
    assert np.corrcoef(model.item_bias, np.log(model.item_counts))[0, 1] > 0.8


def test_quality_on_movielens(shared_data):
    """Fewer epochs than the default, which reaches .25/.29."""
    data = datasets.load(str(shared_data / "ml-100k")).binarise()
    split = split_random(data, valid=0.1, test=0.1, by="user", seed=0)
    metrics = evaluate(BPR(epochs=60, lr=0.05).fit(split.train), split, k=10).metrics
    popular = evaluate(Popular().fit(split.train), split, k=10).metrics
    assert metrics["recall@10"] > 1.7 * popular["recall@10"]
    assert metrics["ndcg@10"] > 0.24


def test_the_best_of_the_validated_epochs_is_kept():
    split = split_random(simulate(n_users=150, n_items=40, n_events=2500)[0], valid=0.1, test=0.1)
    model = BPR(factors=16, epochs=25, lr=0.2, reg=0.0).fit(split.train, split.valid)
    valid = model.curves_["valid"]
    assert len(valid) == 25
    assert evaluate(model, split, metrics=["ndcg@10"], part="valid").metrics["ndcg@10"] == pytest.approx(max(valid))
    best = valid.index(max(valid)) + 1
    again = BPR(factors=16, epochs=best, lr=0.2, reg=0.0).fit(split.train)
    assert again.item_factors.tobytes() == model.item_factors.tobytes()


@pytest.mark.parametrize(("n_items", "n_events", "reg"), [(2000, 4000, 0.003), (100, 4000, 0.1)])
def test_the_penalty_follows_from_the_density(n_items, n_events, reg):
    data = simulate(n_users=60, n_items=n_items, n_events=n_events, popularity=0.0)[0]
    assert BPR(factors=2, epochs=1).fit(data).reg_ == pytest.approx(reg, abs=0.04)
    assert BPR(factors=2, epochs=1, reg=0.5).fit(data).reg_ == 0.5
