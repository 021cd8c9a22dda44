"""Defaults on data of each kind: none stays below what is the same for all users."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.sessions import split_sessions
from recsys.data.simulate import simulate
from recsys.data.splits import split_random
from recsys.evaluation import evaluate
from recsys.models import (
    ALS,
    BPR,
    EASE,
    SLIM,
    AutoRec,
    Bias,
    ItemKNN,
    ItemKNNBaseline,
    MatrixFactorization,
    Popular,
    SparseEASE,
    UserKNN,
    UserKNNBaseline,
)


def rated(low, high, step, *, n_users=300, n_items=60, share=0.4, seed=0):
    """Ratings with generous users, good items and two tastes, of a share of all pairs."""
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal((n_users, 1)) * 0.5 + rng.standard_normal(n_items) * 0.4
    quality = quality + 0.5 * rng.standard_normal((n_users, 2)) @ rng.standard_normal((2, n_items))
    quality = quality + 0.5 * rng.standard_normal(quality.shape)
    user, item = np.nonzero(rng.random(quality.shape) < share * rng.uniform(0.2, 1, n_items))
    value = (low + high) / 2 + (high - low) / 4 * quality[user, item]
    return Interactions.from_arrays(user, item, np.clip(np.round(value / step) * step, low, high))


def met(n_users, n_items, n_events, seed=0):
    """Events of six tastes, with a long tail of items; four in five are of the user's own taste."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n_events)
    group = np.where(rng.random(n_events) < 0.8, user % 6, rng.integers(0, 6, n_events))
    share = 1 / np.arange(1, n_items // 6 + 1) ** 0.7
    place = rng.choice(len(share), n_events, p=share / share.sum())
    return Interactions.from_arrays(user, 6 * place + group).clean("first")


RATINGS = {"dense, -10 to 10": rated(-10, 10, 0.01, share=0.8), "half stars": rated(0.5, 5, 0.5),
           "0 to 2": rated(0, 2, 1), "three an item": rated(1, 5, 1, n_items=900, share=0.02)}
EVENTS = {"few items": met(1500, 42, 6000), "long tail": met(800, 1500, 16_000), "dense": met(300, 60, 14_000),
          "sparse": met(3000, 900, 18_000)}


@pytest.mark.parametrize("kind", RATINGS)
@pytest.mark.parametrize("model", [ItemKNNBaseline(), UserKNNBaseline(), MatrixFactorization(), AutoRec()], ids=repr)
def test_ratings_are_predicted_better_than_by_the_baseline(kind, model):
    split = split_random(RATINGS[kind], valid=0.1, test=0.2, by="global")
    floor, found = (evaluate(m.fit(split.train, split.valid), split, metrics=["rmse"], task="ratings").metrics["rmse"]
                    for m in (Bias(), model))
    assert found < 1.015 * floor  # where there is nothing to find, nothing is lost
    if "dense" in kind:
        assert found < 0.95 * floor


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize("model", [ItemKNN(), UserKNN(), EASE(), SparseEASE(), SLIM(), ALS(), BPR()], ids=repr)
def test_lists_are_better_than_the_most_popular(kind, model):
    split = split_random(EVENTS[kind], valid=0.1, test=0.2)
    floor, found = (evaluate(m.fit(split.train, split.valid), split, metrics=["ndcg@10"]).metrics["ndcg@10"]
                    for m in (Popular(), model))
    assert found > floor


def test_counts_with_a_heavy_tail_help_als():
    data, truth = simulate(n_users=400, n_items=300, n_events=12_000, ratings=False)
    rng = np.random.default_rng(0)
    liked = truth.probabilities(data.user)[np.arange(len(data)), data.item] * data.n_items
    counts = np.ceil(np.exp(np.clip(2 * np.log(liked), -5, 5) + 2 * rng.standard_normal(len(data)))).astype(np.float32)
    split = split_random(Interactions.from_arrays(data.user, data.item, counts), valid=0.1, test=0.2)
    floor, found = (evaluate(m.fit(split.train), split, metrics=["ndcg@10"]).metrics["ndcg@10"]
                    for m in (Popular(), ALS()))
    assert counts.max() > 1000 * np.median(counts)
    assert found > floor


def test_sessions_that_come_back():
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 50, (400, 8))
    back = rng.random(steps.shape) < 0.6
    for at in range(1, 8):
        steps[back[:, at], at] = steps[back[:, at], at - 1]
    split = split_sessions(Interactions.from_arrays(np.repeat(np.arange(400), 8), steps.ravel()))
    settings = {"metrics": ["ndcg@10"], "exclude_seen": False}
    floor, found = (evaluate(m.fit(split.train), split, **settings).metrics["ndcg@10"] for m in (Popular(), ItemKNN()))
    assert found > 0.5 > floor


@pytest.mark.parametrize("model", [ALS(), EASE(), SparseEASE(), SLIM(), ItemKNN(), UserKNN(), BPR(epochs=2),
                                   MatrixFactorization(epochs=2), Bias(), ItemKNNBaseline()], ids=repr)
@pytest.mark.parametrize(("users", "items"), [([1], [1]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1])])
def test_one_user_or_one_item_is_data_enough(model, users, items):
    data = Interactions.from_arrays(users, items, np.full(len(users), 3.0))
    assert np.isfinite(model.fit(data).score_block(np.arange(data.n_users))).all()
