"""GraphFilter against its formulas, with all matrices formed and by eigenvalues."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.errors import ParameterError, UnsupportedError
from recsys.models import GraphFilter

RESPONSES = ("chebyshev", "bspm", "gf-cf", "turbo-cf")


UNABLE = {"turbo-cf": {"factors", "low_pass", "degree", "shape"}, "gf-cf": {"degree", "shape"}}


def made(response, **params):
    """With those of the parameters that the response has."""
    return GraphFilter(response=response, **{name: value for name, value in params.items()
                                             if name not in UNABLE.get(response, ())})


def interactions(seed, n_users=14, n_items=9):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < rng.choice([0.2, 0.6]))
    return Interactions.from_arrays([*user, *user[:4], 0], [*item, *item[:4], 1], item_ids=IdMap(np.arange(n_items)),
                                    user_ids=IdMap(np.arange(n_users)))


def formed(data, model):
    """All scores, from dense matrices in float64."""
    x = (data.csr.toarray() > 0).astype(np.float64)
    of_users, of_items = np.maximum(x.sum(axis=1), 1), np.maximum(x.sum(axis=0), 1)
    if model.response == "turbo-cf":
        a = x * of_users[:, None] ** -model.asymmetry_ * of_items ** (model.asymmetry_ - 1)
        return x @ (a.T @ a) ** model.power
    a = x / np.sqrt(of_users)[:, None] / np.sqrt(of_items)
    p = a.T @ a
    values, vectors = np.linalg.eigh(p)
    tilt = of_items ** (0.5 - model.asymmetry_)
    top = vectors[:, ::-1][:, :model.factors_]
    low = model.low_pass_ * (x / tilt) @ top @ top.T * tilt
    if model.response == "chebyshev":
        points = np.cos(np.pi * (np.arange(model.degree_ + 1) + 0.5) / (model.degree_ + 1))
        heights = 0.5 - np.sign(points) * np.abs(points) ** model.shape_ / 2
        through = np.polynomial.Polynomial.fit(points, heights, model.degree_)
        return (x / tilt) @ (vectors * through(1 - 2 * values)) @ vectors.T * tilt + low
    scores = x @ p + low
    if model.response == "gf-cf":
        return scores
    return scores @ sum(np.linalg.matrix_power(-model.shape_ * p, k) / math.factorial(k)
                        for k in range(model.degree_ + 1))


def distinct_values(data, factors):
    """Whether the singular vectors that are kept are well separated from the others."""
    x = (data.csr.toarray() > 0).astype(np.float64)
    a = x / np.sqrt(np.maximum(x.sum(axis=1), 1))[:, None] / np.sqrt(np.maximum(x.sum(axis=0), 1))
    values = np.append(np.linalg.svd(a, compute_uv=False), 0)
    return factors >= len(values) - 1 or values[factors - 1] - values[factors] > 1e-3


@given(st.integers(0, 1000), st.sampled_from(RESPONSES), st.integers(1, 9), st.sampled_from([0.0, 0.3]),
       st.sampled_from([None, 0.1, 0.5, 0.8]), st.integers(1, 9), st.sampled_from([None, 1.0, 3.0]))
def test_scores_are_those_of_the_formula(seed, response, factors, low_pass, asymmetry, degree, shape):
    data = interactions(seed)
    if not distinct_values(data, factors):
        return
    model = made(response, factors=factors, low_pass=low_pass, asymmetry=asymmetry, degree=degree, shape=shape)
    model.fit(data)
    users, expected = np.arange(data.n_users, dtype=np.int32), formed(data, model)
    found = model.score_block(users)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())
    assert model.score_block(users, data.csr).tobytes() == found.tobytes()


@pytest.mark.parametrize("response", RESPONSES)
def test_somebody_new_and_what_each_event_adds(response):
    data = interactions(5)
    model = made(response, factors=4).fit(data)
    scorer = model.require("test").scorer
    history = np.array([0, 3, 4])
    whole = model.recommend(history=history, k=9, filter_seen=False, items=np.arange(9))
    for item, score in zip(whole.items.tolist(), whole.scores.tolist(), strict=True):
        parts = scorer.contributions(history, None, item)
        assert parts.sum() == pytest.approx(score, rel=1e-4, abs=1e-6)
        alone = [model.recommend(history=[each], items=[item], filter_seen=False).scores[0] for each in history]
        np.testing.assert_allclose(parts, alone, rtol=1e-4, atol=1e-6)  # linear


def test_many_histories_at_once():
    rng = np.random.default_rng(1)
    data = Interactions.from_arrays(rng.integers(0, 300, 4000), rng.integers(0, 50, 4000))
    model = GraphFilter(factors=5).fit(data)
    whole = model.score_block(np.arange(300, dtype=np.int32))
    for users in ([0, 299], np.arange(60, 70), [63], [64]):
        assert model.score_block(np.asarray(users, np.int32)).tobytes() == whole[users].tobytes()


@pytest.mark.parametrize("response", ["chebyshev", "bspm", "gf-cf"])
def test_is_nothing_without_histories(response, tmp_path):
    model = GraphFilter(response=response).fit(interactions(2))
    with pytest.raises(UnsupportedError, match="GraphFilter"):
        model.save(tmp_path / "model", seen=False)


@pytest.mark.parametrize(("response", "other"), [("turbo-cf", {"shape": 2.0}), ("turbo-cf", {"factors": 3}),
                                                ("gf-cf", {"degree": 4}), ("gf-cf", {"shape": 1.5})])
def test_refuses_parameters_that_a_response_does_not_have(response, other):
    with pytest.raises(ParameterError, match=f"response='{response}' has no {next(iter(other))}; leave it None"):
        GraphFilter(response=response, **other).fit(interactions(0))


def test_refuses_what_does_not_fit_into_memory():
    data = Interactions.from_arrays(np.zeros(2000, int), np.arange(2000))
    with pytest.raises(ParameterError, match=r"the items that users share need about 0\.1 GiB"):
        GraphFilter(response="turbo-cf", max_gib=0.05).fit(data)
    with pytest.raises(ParameterError, match=r"1 singular vectors need about 0\.0 GiB.*lower factors"):
        GraphFilter(max_gib=1e-6).fit(data)


@pytest.mark.parametrize("response", RESPONSES)
def test_of_many_items_nothing_is_a_table_of_all_pairs(response):
    """200,000 items, of which a table of all pairs would take 149 GiB."""
    rng = np.random.default_rng(0)
    n = 200_000
    data = Interactions.from_arrays(rng.integers(0, 30_000, 60_000), rng.integers(0, n, 60_000),
                                    item_ids=IdMap(np.arange(n)))
    if response == "turbo-cf":
        with pytest.raises(ParameterError, match="GraphFilter: the items that users share"):
            GraphFilter(response=response, max_gib=0.001).fit(data)
        return
    model = made(response, factors=4).fit(data)
    assert model.recommend(data.users.ids[0], k=5).counts == 5
    with pytest.raises(ParameterError, match="singular vectors need about"):
        GraphFilter(response=response, factors=4096).fit(data)
