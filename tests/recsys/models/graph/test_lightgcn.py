"""LightGCN: its propagation against dense matrices, its gradient against differences, and who comes later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.data.csr import CSR
from recsys.data.splits import split_random
from recsys.evaluation import evaluate
from recsys.models import LightGCN, Popular
from recsys.models.graph.network import GraphNetwork
from recsys.training import Trainer

PLUS = {"normalise": True, "receiver_power": 0.6, "sender_power": -0.1, "own": 0.2}
FORMS = [{"normalise": False, "receiver_power": 0.5, "sender_power": 0.5, "own": 1 / 3}, PLUS]


def graph(seed: int, n_users: int = 6, n_items: int = 7, share: float = 0.4) -> np.ndarray:
    """0/1 interactions; the last user and the last item have none."""
    met = (np.random.default_rng(seed).random((n_users, n_items)) < share).astype(float)
    met[-1], met[:, -1] = 0, 0
    return met


def network(met: np.ndarray, seed: int = 0, layers: int = 2, **form: float) -> GraphNetwork:
    rows, columns = np.nonzero(met)
    return GraphNetwork(CSR.from_pairs(rows, columns, shape=met.shape), 3, layers, 0.5,
                        **(FORMS[0] | form), generator=np.random.default_rng(seed))  # type: ignore[arg-type]


def powers(degrees: np.ndarray, power: float) -> np.ndarray:
    return np.array([d ** -power if d else 0.0 for d in degrees])


def dense_layers(met: np.ndarray, tables: np.ndarray, layers: int, form: dict) -> list[np.ndarray]:
    """All layers by the whole adjacency matrix of users and items."""
    n, m = met.shape
    adjacency = np.block([[np.zeros((n, n)), met], [met.T, np.zeros((m, m))]])
    degrees = adjacency.sum(axis=1)
    passing = powers(degrees, form["receiver_power"])[:, None] * adjacency * powers(degrees, form["sender_power"])
    found = [tables]
    for _ in range(layers):
        x = found[-1]
        if form["normalise"]:
            x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        found.append(passing @ x)
    return found


@pytest.mark.parametrize("form", FORMS, ids=["LightGCN", "LightGCN++"])
@given(seed=st.integers(0, 10**6), layers=st.integers(1, 4))
def test_vectors_are_those_of_the_dense_adjacency_matrix(form, seed, layers):
    met = graph(seed)
    net = network(met, seed, layers, **form)
    tables = np.vstack([net.users.weight.data, net.items.weight.data]).astype(np.float64)
    first, *rest = dense_layers(met, tables, layers, form)
    expected = form["own"] * first + (1 - form["own"]) * np.mean(rest, axis=0)
    users, items = net.propagated()
    np.testing.assert_allclose(np.vstack([users.data, items.data]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS, ids=["LightGCN", "LightGCN++"])
def test_the_gradient_is_that_of_differences(form):
    met, rng = graph(3), np.random.default_rng(0)
    net, weights = network(met, 1, **form), rng.normal(size=(3, 4)).astype(np.float32)
    users, items = np.array([0, 2, 4]), np.array([[0, 1, 2, 3], [1, 1, 5, 2], [3, 0, 4, 4]])
    (net(users, items) * weights).sum().backward()

    def value(tables):
        first, *rest = dense_layers(met, tables, 2, form)
        vectors = form["own"] * first + (1 - form["own"]) * np.mean(rest, axis=0)
        return sum(weights[b, k] * vectors[users[b]] @ vectors[len(met) + items[b, k]]
                   for b in range(3) for k in range(4))

    tables = np.vstack([net.users.weight.data, net.items.weight.data]).astype(np.float64)
    found = np.vstack([table.weight.grad.to_dense() if hasattr(table.weight.grad, "to_dense") else table.weight.grad
                       for table in (net.users, net.items)])
    for place in np.ndindex(tables.shape):
        step = np.zeros_like(tables)
        step[place] = 1e-5
        slope = (value(tables + step) - value(tables - step)) / 2e-5
        assert found[place] == pytest.approx(slope, rel=1e-3, abs=1e-4)


@given(seed=st.integers(0, 10**6))
def test_scores_of_pairs_of_some_items_and_of_all_agree(seed):
    net, users = network(graph(seed), seed), np.array([1, 4, 1])
    whole = net(users).data
    items = np.random.default_rng(seed).integers(0, 7, (3, 4))
    np.testing.assert_allclose(net(users, items).data, np.take_along_axis(whole, items, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net(users, items[0]).data, whole[:, items[0]], rtol=1e-5, atol=1e-6)
    with net.held():
        np.testing.assert_array_equal(net(users).data, whole)


def data_of(seed: int = 0, n_users: int = 120, n_items: int = 40) -> Interactions:
    """Two tastes."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 8)
    item = 2 * rng.integers(0, n_items // 2, len(user)) + (user + (rng.random(len(user)) < 0.1)) % 2
    return Interactions.from_arrays(user, item, item_ids=IdMap(np.arange(n_items)))


@pytest.mark.parametrize("form", FORMS, ids=["LightGCN", "LightGCN++"])
def test_a_known_user_is_the_fold_in_of_the_history_and_the_users_own_vector(form):
    data = data_of()
    model = LightGCN(factors=5, epochs=2, layers=3, **form)
    run = model.prepare(data)
    Trainer(epochs=2, batch_size=model.batch_size, seed=model.seed).fit(run)
    model.fit(data)
    folded, _ = model.fold_in.vectors(data.csr, model.require("test").scorer)
    np.testing.assert_allclose(model.user_factors - folded, form["own"] * run.network.users.weight.data, rtol=1e-3,
                               atol=1e-5)


def test_parts_of_a_history_sum_to_its_score():
    model = LightGCN(factors=8, epochs=5, **PLUS).fit(data_of())
    history = [3, 5, 11, 5]
    scores = model.recommend(history=history, items=[7], filter_seen=False).scores
    reasons = model.explain(history, 7)
    assert {reason.item for reason in reasons} == {3, 5, 11}
    assert sum(reason.contribution for reason in reasons) == pytest.approx(scores[0], rel=1e-5)


@pytest.mark.parametrize("loss", ["softmax", "bpr", "sampled_softmax"])
def test_tastes_are_learned_of_users_and_of_those_who_come_later(loss):
    model = LightGCN(factors=8, epochs=25, lr=0.05, batch_size=256, reg=0.1, loss=loss).fit(data_of())
    recs = model.recommend(k=5)
    assert np.mean(recs.items % 2 == recs.users[:, None] % 2) > 0.95
    assert np.all(model.recommend(history=[1, 3, 5], k=5).items % 2 == 1)


def test_it_ranks_better_than_popularity_and_stops_by_validation():
    split = split_random(data_of(1, 300, 80), valid=0.1, test=0.2)
    model = LightGCN(factors=16, epochs=200, lr=0.05, batch_size=512, patience=3).fit(split.train, split.valid)
    assert len(model.curves_["valid"]) < 200
    found, floor = (evaluate(m, split, metrics=["ndcg@10"]).metrics["ndcg@10"] for m in (
        model, Popular().fit(split.train)))
    assert found > 1.2 * floor


@settings(max_examples=10)
@given(layers=st.integers(1, 3),
       pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_any_few_events_are_learned(layers, pairs):
    user, item = np.array(pairs).T
    data = Interactions.from_arrays(user, item, user_ids=IdMap(np.arange(5)), item_ids=IdMap(np.arange(5)))
    model = LightGCN(factors=2, epochs=2, layers=layers, **PLUS).fit(data)
    assert np.isfinite(model.score_block(np.arange(5))).all()
