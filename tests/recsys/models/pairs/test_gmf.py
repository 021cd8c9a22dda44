"""GMF: each loss learns, the network and the factors agree, and it beats popularity on real data."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import RowGrad
from recsys import datasets
from recsys.data import Interactions
from recsys.data.splits import split_random
from recsys.errors import DataError
from recsys.estimator.scorers import networks
from recsys.evaluation import evaluate
from recsys.models.baselines import Popular
from recsys.models.pairs.gmf import GMF
from recsys.models.pairs.network import GMFNetwork


def tastes(seed=0, n_users=100, n_items=150, values=False):
    """Three groups of users and of items; ratings are high inside the group."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, 3000)
    group = np.where(rng.random(3000) < (0.5 if values else 0.9), user % 3, rng.integers(0, 3, 3000))
    item = 3 * rng.integers(0, n_items // 3, 3000) + group
    value = np.where(item % 3 == user % 3, 5.0, 1.0) if values else None
    return Interactions.from_arrays(user, item, value)


def agreement(users, lists):
    return float(np.mean(np.asarray(lists) % 3 == np.asarray(users)[:, None] % 3))


@pytest.mark.parametrize("loss", ["softmax", "bce", "bpr"])
def test_every_loss_learns_the_groups(loss):
    model = GMF(factors=8, epochs=25, lr=0.02, loss=loss, batch_size=128).fit(tastes())
    curve = model.curves_["loss"]
    assert curve[-1] < curve[0]
    recs = model.recommend(k=3)
    assert agreement(recs.users, recs.items) > 0.85
    histories = [[g, g + 3, g + 6, g + 9] for g in range(3)]
    assert agreement(range(3), model.recommend(history=histories, k=3).items) > 0.85
    assert not model.can.ratings


def test_softmax_over_the_items_of_some_users_at_a_time(monkeypatch):
    monkeypatch.setattr(networks, "_AT_ONCE", 8 * 600)  # 600 pairs at a time
    recs = GMF(factors=8, epochs=25, lr=0.02, batch_size=128).fit(tastes()).recommend(k=3)
    assert agreement(recs.users, recs.items) > 0.85


def test_squared_error_predicts_ratings():
    data = tastes(values=True)
    model = GMF(factors=8, epochs=40, lr=0.02, loss="mse", batch_size=128).fit(data)
    assert model.can.ratings
    predicted = model.predict(data.users.decode(data.user), data.items.decode(data.item))
    assert np.sqrt(np.mean((predicted - data.value) ** 2)) < 0.6
    assert np.all((predicted >= 1) & (predicted <= 5))
    with pytest.raises(DataError, match="needs data with values"):
        GMF(loss="mse").fit(data.binarise())


def test_the_factors_are_the_network():
    data = Interactions.from_arrays([*range(5), 0, 0], [*range(5), 5, 6])
    model = GMF(factors=3, epochs=5, lr=0.1).fit(data)
    network, users = model.network, np.arange(5)
    expected = network(users).data
    assert not np.allclose(network.output.data, 1)
    np.testing.assert_allclose(model.score_block(users), expected, rtol=1e-5, atol=1e-6)
    items = np.tile(np.arange(7), (5, 1))
    np.testing.assert_allclose(network(users, items).data, expected, rtol=1e-5, atol=1e-6)


def test_a_step_touches_only_the_rows_of_its_batch():
    network = GMFNetwork(5, 7, 3, 0.5, np.random.default_rng(0))
    network(np.array([1, 3]), np.array([[0, 2], [2, 4]])).sum().backward()
    assert isinstance(network.users.weight.grad, RowGrad)
    assert network.users.weight.grad.coalesce().indices.tolist() == [1, 3]
    assert network.items.weight.grad.coalesce().indices.tolist() == [0, 2, 4]


def test_validation_keeps_the_best_epoch_and_stops():
    split = split_random(tastes(), valid=0.2, test=0.2, by="global")
    model = GMF(factors=16, epochs=60, lr=0.1, reg=0.0, patience=3, batch_size=64).fit(split.train, split.valid)
    curve = model.curves_["valid"]
    assert len(curve) < 60
    assert np.argmax(curve) == len(curve) - 4


def test_quality_on_movielens(shared_data):
    data = datasets.load(str(shared_data / "ml-100k")).binarise()
    split = split_random(data, valid=0.1, test=0.1, by="user", seed=0)
    metrics = evaluate(GMF().fit(split.train), split, k=10).metrics
    popular = evaluate(Popular().fit(split.train), split, k=10).metrics
    assert metrics["recall@10"] > 1.6 * popular["recall@10"]
    assert metrics["ndcg@10"] > 1.6 * popular["ndcg@10"]
