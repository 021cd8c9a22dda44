"""Machines of ids and features: the identity, closed forms, planted signal, cold items, saving."""

from __future__ import annotations

import numpy as np
import pytest

from recsys import datasets, loading
from recsys.data import CSR, Features, IdMap, Interactions, splits
from recsys.errors import TrainingInterrupted
from recsys.evaluation import evaluate
from recsys.models import DeepFM, FactorizationMachine, LinearRegression, LogisticRegression, Popular
from recsys.models.features.network import FactorizationNetwork, encode
from tests.recsys.models.conftest import learned

MACHINES = [FactorizationMachine, DeepFM, LinearRegression, LogisticRegression]


def described(n_users: int = 40, n_items: int = 40, n: int = 600, seed: int = 0) -> Interactions:
    """Users like items of their colour; the last ten items have no events."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, n_users, n), rng.integers(0, n_items - 10, n)
    same = rng.random(n) < 0.9
    item = np.where(same, item // 2 * 2 + user % 2, item)
    colour = np.where(np.arange(n_items) % 2, "red", "blue")
    genres = CSR.from_pairs(np.arange(n_items), np.arange(n_items) % 2, None, (n_items, 2))
    return Interactions.from_arrays(
        user, item, np.where(user % 2 == item % 2, 5.0, 2.0), user_ids=IdMap(np.arange(n_users)),
        item_ids=IdMap(np.arange(n_items)),
        user_features=Features(attributes={"taste": np.where(np.arange(n_users) % 2, "r", "b")}),
        item_features=Features(genres=genres, genre_names=["x", "y"], attributes={"colour": colour}))


# ------------------------------------------------------------------------------------------------ encoding
def test_features_become_fields():
    features = Features(attributes={"age": np.array([10.0, 20.0, np.nan]), "sex": np.array(["f", "", "m"]),
                                    "image": np.zeros((3, 2, 2)), "old": np.array([True, False, True])},
                        genres=CSR.from_pairs([0, 0, 2], [0, 1, 1], None, (3, 2)), genre_names=["a", "b"])
    fields = encode(features, np.array([True, True, False]))
    assert fields.count == 5
    assert fields.rows.shape == (15, 3 + 1 + 2 + 2 + 2)
    dense = fields.rows.toarray().reshape(3, 5, 10).sum(axis=1)  # id | age | f m | False True | a b
    np.testing.assert_allclose(dense, [[1, 0, 0, -1, 1, 0, 0, 1, 0.5, 0.5], [0, 1, 0, 1, 0, 0, 1, 0, 0, 0],
                                       [0, 0, 0, 0, 0, 1, 0, 1, 0, 1]])
    assert encode(None, np.ones(3, bool)).count == 1


@pytest.mark.parametrize("plain", [False, True])
def test_the_identity(plain):
    """Against the sum over all pairs of entries of the one long row x."""
    data, rng = described(), np.random.default_rng(0)
    users = encode(None if plain else data.user_features, np.ones(40, bool))
    items = encode(None if plain else data.item_features, np.ones(40, bool))
    network = FactorizationNetwork(users, items, 3, (), 0.5, 0.0, rng)
    tables = [part for side in (network.users, network.items) for part in (side.weights, side.vectors)]
    for table in tables:
        table.weight.data[:] = rng.normal(size=table.weight.shape)
    x = np.concatenate([side.rows.toarray().reshape(40, side.count, -1).sum(axis=1)[at]
                        for side, at in ((users, 3), (items, 8))])
    w = np.concatenate([tables[0].weight.data, tables[2].weight.data])[:, 0]
    v = np.concatenate([tables[1].weight.data, tables[3].weight.data])
    naive = w @ x + sum(v[j] @ v[k] * x[j] * x[k] for k in range(len(x)) for j in range(k))
    assert float(network(np.array([3]), np.array([[8]])).data[0, 0]) == pytest.approx(naive, rel=1e-5)
    assert float(network(np.array([0, 3])).data[1, 8]) == pytest.approx(naive, rel=1e-5)
    inside = np.concatenate([w, v.ravel()]) * np.concatenate([x != 0, np.repeat(x != 0, 3)])
    assert float(network.penalty(np.array([3, 3]), np.array([8, 8])).data) == pytest.approx(2 * (inside**2).sum(),
                                                                                           rel=1e-5)


def test_the_product_is_the_network():
    data = described()
    model = FactorizationMachine(factors=4, epochs=2, loss="mse").fit(data)
    users = np.arange(40, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), model.network(users).data + model.mean_value, rtol=1e-5)


# -------------------------------------------------------------------------------------------- closed forms
def test_linear_regression_is_least_squares():
    data = described(n=200)
    model = LinearRegression(epochs=400, lr=0.02, reg=0.0, batch_size=1000).fit(data)
    users, items = model.network.users.fields, model.network.items.fields
    x = np.hstack([users.rows.toarray().reshape(40, users.count, -1).sum(axis=1)[data.user],
                   items.rows.toarray().reshape(40, items.count, -1).sum(axis=1)[data.item]])
    target = data.value - model.mean_value
    exact = x @ np.linalg.lstsq(x, target, rcond=None)[0]
    found = model.require("test").pairs(data.user, data.item) - model.mean_value
    assert np.abs(found - exact).max() < 0.02
    assert model.curves_["loss"][-1] == pytest.approx(np.mean((exact - target) ** 2), abs=1e-3)


def test_logistic_regression_is_at_the_optimum():
    """The expected loss, over the negatives that may be drawn, is that of the best weights."""
    rng = np.random.default_rng(0)
    seen = rng.random((12, 8)) < np.linspace(0.1, 0.9, 8)
    seen[:, 0], seen[:, 7] = False, True
    data = Interactions.from_arrays(*np.nonzero(seen), item_ids=IdMap(np.arange(8)))
    unseen = (~seen) * (16 * seen.sum(axis=1) / (~seen).sum(axis=1))[:, None]  # how often drawn, 16 times a pair

    x = np.stack([np.concatenate([np.eye(12)[u], np.eye(8)[i]]) for u in range(12) for i in range(8)])
    positive, negative, ridge = seen.ravel(), unseen.ravel(), 0.1 * np.concatenate([seen.sum(1), seen.sum(0)])
    ridge[ridge == 0] = 1e9  # cold items have no weight
    best = np.zeros(20)
    for _ in range(50):  # Newton's method
        p = 1 / (1 + np.exp(-x @ best))
        gradient = x.T @ (negative * p - positive * (1 - p)) + ridge * best
        hessian = (x.T * ((positive + negative) * p * (1 - p))) @ x + np.diag(ridge + 1e-9)
        best -= np.linalg.solve(hessian, gradient)

    def objective(w):
        return (positive * np.logaddexp(0, -x @ w) + negative * np.logaddexp(0, x @ w)).sum() + ridge @ w**2 / 2

    model = LogisticRegression(negatives=16, epochs=600, lr=0.05, reg=0.05, batch_size=1000).fit(data)
    found = np.concatenate([side.weights.weight.data[:, 0] for side in (model.network.users, model.network.items)])
    assert found[12:][~seen.any(axis=0)].tolist() == [0] * int((~seen.any(axis=0)).sum())
    assert objective(best) < objective(found) < 1.002 * objective(best)
    np.testing.assert_allclose(found, best, atol=0.15)


# ---------------------------------------------------------------------------------------------- learning
@pytest.mark.parametrize("make", [FactorizationMachine, DeepFM])
@pytest.mark.parametrize("loss", ["softmax", "bpr", "bce"])
def test_colours_are_found(make, loss):
    split = splits.split_random(described().binarise(), valid=0, test=0.3, by="user", seed=0)
    model = make(factors=8, loss=loss, epochs=15, lr=0.02, batch_size=256).fit(split.train)
    found, floor = (evaluate(m, split, metrics=["ndcg@10"]).metrics["ndcg@10"]
                    for m in (model, Popular().fit(split.train)))
    assert found > floor + 0.05


@pytest.mark.parametrize("make", [FactorizationMachine, DeepFM])
def test_cold_items_are_scored_by_their_features(make):
    data = described()
    model = make(factors=8, loss="softmax", epochs=30, lr=0.02, batch_size=256, reg=0.02).fit(data)
    assert model.can.cold_item
    cold = np.arange(30, 40)
    recs = model.recommend(np.arange(40), k=5, items=cold)
    assert np.mean(recs.items % 2 == np.arange(40)[:, None] % 2) > 0.85
    plain = make(factors=8, epochs=1).fit(Interactions.from_arrays([1, 2], [3, 4]))
    assert not plain.can.cold_item
    assert not plain.can.cold_user


@pytest.mark.parametrize("make", [FactorizationMachine, DeepFM])
def test_ratings(make):
    data = described()
    model = make(factors=8, loss="mse", epochs=30, lr=0.02, batch_size=128, reg=0.0).fit(data)
    found = model.predict(data.users.ids[data.user], data.items.ids[data.item])
    assert np.sqrt(np.mean((found - data.value) ** 2)) < 0.3  # the deviation of the ratings is 1


@pytest.mark.parametrize("make", MACHINES)
def test_saved_and_loaded_with_features(make, tmp_path):
    data = described()
    model = make(epochs=2).fit(data)
    model.save(tmp_path / "model.recsys")
    loaded = loading.load(tmp_path / "model.recsys")
    users = np.arange(40, dtype=np.int32)
    assert loaded.score_block(users).tobytes() == model.score_block(users).tobytes()
    assert loaded.can == model.can
    assert loaded.can.cold_item
    loaded.save(tmp_path / "again.recsys")
    assert (tmp_path / "again.recsys").read_bytes() == (tmp_path / "model.recsys").read_bytes()


def test_resumed_gives_the_same_bits(tmp_path):
    data, model = described(), DeepFM(factors=4, hidden=(8,), epochs=4, loss="bpr")

    def interrupt(epoch, report):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted):
        model.clone().fit(data, checkpoint=tmp_path / "c.npz", callbacks=[interrupt])
    resumed, whole = model.clone().fit(data, checkpoint=tmp_path / "c.npz"), model.clone().fit(data)
    assert all(np.array_equal(learned(resumed)[k], v) for k, v in learned(whole).items())


def test_ratings_of_movielens(shared_data):
    """Features in, ratings out: better than the mean of user and item, after a few epochs."""
    data = datasets.load(str(shared_data / "ml-100k"))
    split = splits.split_random(data, valid=0, test=0.2, by="global", seed=0)
    rmse = [evaluate(model.fit(split.train), split, task="ratings", metrics=["rmse"]).metrics["rmse"] for model in (
        LinearRegression(epochs=6), FactorizationMachine(factors=8, loss="mse", epochs=6, lr=0.01, reg=0.05,
                                                         batch_size=1024))]
    assert rmse[0] < 0.96
    assert rmse[1] < rmse[0] + 0.005
