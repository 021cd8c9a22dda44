"""ALS: the objective, exact fold-in and explanation, planted tastes, and quality on real data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys import datasets, load
from recsys.data import Interactions
from recsys.data.splits import split_random
from recsys.errors import DataError
from recsys.evaluation import evaluate
from recsys.models.baselines import Popular
from recsys.models.factorisation.als import ALS


def tastes(seed=0, n_users=120, n_items=60, values=False):
    """Three groups of users and of items; nine in ten events stay inside the group."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, 3000)
    group = np.where(rng.random(3000) < 0.9, user % 3, rng.integers(0, 3, 3000))
    item = 3 * rng.integers(0, n_items // 3, 3000) + group
    return Interactions.from_arrays(user, item, rng.integers(1, 4, 3000) if values else None)


def confidences(model, dense):
    """By the formulas of the class docstring, of the sums of the values of all pairs (n_users, n_items)."""
    counted = dense.astype(np.float64)
    alpha = model.alpha
    if alpha is None:
        held = counted[counted > 0]
        counted = np.log1p(counted / held.mean()) / np.log1p(held / held.mean()).mean()
        alpha = (len(held) / counted.size) ** -0.6
    return 1 + alpha * counted


def noise(confidence, held, exponent):
    users, items = confidence.sum(1, keepdims=True), confidence.sum(0, keepdims=True)
    entries = np.where(held, confidence / (users * items) ** (exponent / 2), 0)
    return sum((np.square(entries).sum() / n) ** 0.5 for n in held.shape)


def objective(model, data, X, Y):
    """The loss of the class docstring, dense and in float64."""
    dense = np.zeros((data.n_users, data.n_items))
    np.add.at(dense, (data.user, data.item), 1 if data.value is None else data.value)
    preference = (dense > 0).astype(float)
    confidence = confidences(model, preference if data.value is None else dense)
    exponent = 1.0 if model.reg_exponent is None else model.reg_exponent
    reg = 0.45 * noise(confidence, dense > 0, exponent) if model.reg is None else model.reg
    penalty = [reg * confidence.sum(axis) ** exponent for axis in (1, 0)]
    return float((confidence * (preference - X @ Y.T) ** 2).sum()
                 + penalty[0] @ (X ** 2).sum(1) + penalty[1] @ (Y ** 2).sum(1))


@pytest.mark.parametrize("values", [False, True])
@pytest.mark.parametrize("given", [{"reg": 2.0, "alpha": 4.0, "reg_exponent": 0.0}, {"reg": 2.0, "reg_exponent": 0.5},
                                   {"alpha": 4.0}, {}], ids=str)
def test_the_reported_loss_is_the_objective_and_falls(values, given):
    data = tastes(values=values)
    parameters = {"factors": 6, "cg_steps": 3, **given}
    model = ALS(epochs=12, **parameters).fit(data)
    curve = model.curves_["loss"]
    assert np.all(np.diff(curve) < 1e-5 * curve[0])
    final = objective(model, data, *(f.astype(np.float64) for f in (model.user_factors, model.item_factors)))
    following = ALS(epochs=13, **parameters).fit(data).curves_["loss"][-1]  # the same users, before the items move
    assert final == pytest.approx(following, rel=1e-4)


def test_every_vector_solves_its_equations_once_converged():
    data = tastes()
    model = ALS(factors=5, epochs=60, cg_steps=10).fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), model.score_block(users, data.csr), atol=2e-3)


def test_fold_in_solves_the_normal_equations():
    data = tastes(values=True)
    model = ALS(factors=5, epochs=3).fit(data)
    history = data.csr.rows(np.array([3]))
    value = np.bincount(history.indices, history.data, data.n_items)
    Y = model.item_factors.astype(np.float64)
    dense = data.csr.toarray()
    assert (dense[3] == value).all()
    confidence = confidences(model, dense)
    ridge = 0.45 * noise(confidence, dense > 0, 1.0) * confidence[3].sum()
    confidence = confidence[3]
    x = np.linalg.solve((Y.T * confidence) @ Y + ridge * np.eye(5), Y.T @ (confidence * (value > 0)))
    np.testing.assert_allclose(model.score_block(np.array([-1]), history)[0], Y @ x, rtol=1e-4, atol=1e-6)


def test_the_unit_of_the_values_does_not_matter_by_default():
    data = tastes(values=True)
    large = replace(data, value=data.value * 2**10)
    users = np.arange(data.n_users, dtype=np.int32)
    a, b = (ALS(factors=5, epochs=5).fit(each).score_block(users) for each in (data, large))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_numbers_keep_their_meaning_and_files_their_answers(tmp_path):
    data = tastes(values=True)
    model = ALS(factors=5, epochs=5, reg=0.8, alpha=4.0).fit(data)
    assert (model.reg_, model.alpha_, model.reg_exponent_) == (0.8, 4.0, 0.5)
    users = np.arange(9, dtype=np.int32)
    plain = ALS(factors=5).fit(data)
    plain.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.score_block(users, data.csr.rows(users)).tobytes() == \
        plain.score_block(users, data.csr.rows(users)).tobytes()


def test_an_explanation_sums_to_the_score():
    data = tastes(values=True)
    model = ALS(factors=5, epochs=5).fit(data)
    history, values = [0, 3, 4, 3], [2, 1, 3, 1]
    reasons = model.explain(history, 6, k=10, values=values)
    score = model.recommend(history=history, values=values, items=[6]).scores[0]
    assert sum(reason.contribution for reason in reasons) == pytest.approx(score, rel=1e-4)
    assert reasons[0].item in (0, 3)  # of the same group as 6


def test_recommends_inside_the_group():
    data = tastes()
    model = ALS(factors=8, epochs=10).fit(data)
    recs = model.recommend(k=3)
    agree = np.mean([np.mean(np.asarray(items) % 3 == user % 3) for user, items in zip(recs.users, recs.items,
                                                                                      strict=True)])
    assert agree > 0.9
    assert np.all(model.similar_items(6, k=5).items % 3 == 0)


def test_negative_values_are_refused():
    with pytest.raises(DataError, match="must not be negative"):
        ALS().fit(Interactions.from_arrays([1, 1], ["a", "b"], [1, -1]))


def test_repeated_events_add_up():
    one = Interactions.from_arrays([1, 1, 2], ["a", "b", "a"], [3, 1, 1])
    many = Interactions.from_arrays([1, 1, 2, 1], ["a", "b", "a", "a"], [1, 1, 1, 2])
    first, second = (ALS(factors=2, epochs=3).fit(data) for data in (one, many))
    assert first.score_block(np.arange(2)).tobytes() == second.score_block(np.arange(2)).tobytes()


def test_quality_on_movielens(shared_data):
    """Tuned on validation data: the yardstick is .281/.325, half a standard error of users is .006."""
    data = datasets.load(str(shared_data / "ml-100k")).binarise()
    split = split_random(data, valid=0.1, test=0.1, by="user", seed=0)
    metrics = evaluate(ALS(alpha=5.0, reg=40.0, reg_exponent=0.0).fit(split.train), split, k=10).metrics
    popular = evaluate(Popular().fit(split.train), split, k=10).metrics
    assert 0.268 < metrics["recall@10"] < 0.30
    assert 0.315 < metrics["ndcg@10"] < 0.35
    assert metrics["recall@10"] > 2 * popular["recall@10"]
