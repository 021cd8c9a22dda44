"""SLIST against the gradient of what it minimises, written session by session."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import DataError, ParameterError, UnsupportedError
from recsys.models import EASE, SLIST

sequences = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=7), min_size=1, max_size=6)
settings_ = st.fixed_dictionaries({
    "unordered": st.sampled_from([0.0, 0.3, 1.0]), "window": st.sampled_from([1, 2, 50]),
    "window_decay": st.sampled_from([0.0, 0.5, 1.0]), "reg": st.sampled_from([0.5, 5.0]), "repeats": st.booleans(),
    "half_life": st.sampled_from([None, 4.0])})


def interactions(rows, times=True):
    pairs = [(user, item) for user, row in enumerate(rows) for item in row]
    return Interactions.from_arrays(*np.array(pairs).T, times=np.arange(len(pairs)) if times else None)


def regression(rows, n, p):
    """Inputs, targets and weights of all rows, dense, from the docstring alone."""
    inputs, targets, weights = [], [], []
    ends = np.cumsum([len(row) for row in rows]) - 1
    for u, row in enumerate(rows):
        v = 1.0 if p["half_life"] is None else 2 ** (-(ends[-1] - ends[u]) / p["half_life"])
        x = np.zeros(n)
        x[row] = 1
        inputs.append(x / x.sum())
        targets.append(x)
        weights.append(p["unordered"] * v)
        for t in range(len(row) - 1):
            s, y = np.zeros(n), np.zeros(n)
            for back in range(p["window"]):
                if t - back >= 0:
                    s[row[t - back]] += p["window_decay"] ** back
                if t + 1 + back < len(row):
                    y[row[t + 1 + back]] += p["window_decay"] ** back
            inputs.append(s / s.sum())
            targets.append(y)
            weights.append((1 - p["unordered"]) * v)
    return np.array(inputs), np.array(targets), np.array(weights)


def table(model, n):
    """B, from the scores of single items."""
    history = interactions([[i] for i in range(n)])
    return model.score_block(np.arange(n, dtype=np.int32), history.csr)


@given(sequences, settings_)
def test_the_gradient_is_zero(rows, params):
    rows = [*rows, [0, 1, 2, 3, 4, 5]]  # every item occurs
    b = table(SLIST(**params).fit(interactions(rows)), 6).astype(np.float64)
    inputs, targets, weights = regression(rows, 6, params)
    gradient = inputs.T @ (weights[:, None] * (inputs @ b - targets)) + params["reg"] * b
    if not params["repeats"]:
        assert np.all(np.diag(b) == 0)
        np.fill_diagonal(gradient, 0)
    np.testing.assert_allclose(gradient, 0, atol=2e-4)


@given(sequences, settings_)
def test_with_few_neighbours_it_is_the_regression_on_them(rows, params):
    rows = [*rows, [0, 1, 2, 3, 4, 5]]
    model = SLIST(neighbours=2, **params).fit(interactions(rows))
    b = table(model, 6).astype(np.float64)
    inputs, targets, weights = regression(rows, 6, params)
    gram, cross = (inputs.T @ (weights[:, None] * other) for other in (inputs, targets))
    for j in range(6):
        held = np.flatnonzero(b[:, j])
        assert len(held) <= 2
        solved = np.linalg.solve(gram[np.ix_(held, held)] + params["reg"] * np.eye(len(held)), cross[held, j])
        if len(held) == 2:  # one whose weight came out as 0 may be missing
            np.testing.assert_allclose(b[held, j], solved, atol=2e-4)
    many = SLIST(neighbours=6, **params).fit(interactions(rows))
    np.testing.assert_allclose(table(many, 6), table(SLIST(**params).fit(interactions(rows)), 6), atol=1e-5)
    reasons = model.explain([0, 1], 3, k=9)
    assert sum(reason.contribution for reason in reasons) == pytest.approx(
        float(b[1, 3] + model.fitted_params["decay"] * b[0, 3]), abs=1e-5)


def test_on_sets_of_one_size_alone_it_is_ease():
    rng = np.random.default_rng(0)
    rows = [rng.permutation(8)[:4].tolist() for _ in range(30)]
    data = interactions(rows)
    ease = EASE(reg=16.0).fit(data)  # inputs here are a fourth of those, so the weights are 4 times as large
    slist = SLIST(unordered=1.0, reg=1.0, decay=1.0).fit(data)
    np.testing.assert_allclose(table(slist, 8), 4 * table(ease, 8), atol=1e-4)


def test_finds_the_successor_among_all_and_among_the_nearest():
    rng = np.random.default_rng(0)
    rows = [(np.arange(start, start + 6) % 30).tolist() for start in rng.integers(0, 30, 200)]
    for neighbours in (None, 5):
        model = SLIST(neighbours=neighbours).fit(interactions(rows))
        assert model.neighbours_ == (neighbours or 30)
        for item in range(30):
            assert model.recommend(history=[item], k=1).items.tolist() == [(item + 1) % 30]


def test_many_items_take_the_nearest_or_are_refused():
    n = 200_000
    user, item = np.repeat(np.arange(n // 4), 4), np.arange(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = Interactions.from_arrays(user, item)
    model = SLIST(max_gib=2.0).fit(data)
    assert model.neighbours_ == 200
    assert model.recommend(history=[4], k=1).items.tolist() == [5]
    with pytest.raises(ParameterError, match=r"need about .* GiB, more than max_gib=0\.1; lower neighbours or window"):
        SLIST(max_gib=0.1).fit(data)
    with pytest.raises(ParameterError, match="SLIST: 200,000 items, 200,000 neighbours"):
        SLIST(neighbours=n).fit(data)


def test_a_half_life_needs_times_and_keeps_none():
    data = interactions([[0, 1], [0, 2]], times=False)
    with pytest.raises(DataError, match="half_life needs data with times"):
        SLIST(half_life=2.0).fit(data)
    model = SLIST(half_life=2.0).fit(interactions([[0, 1], [0, 2]]))
    assert not model.can.partial_fit
    with pytest.raises(UnsupportedError, match="partial_fit"):
        model.partial_fit(data)
    old = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 2], times=[0, 0, 1, 1, 10**15, 10**15])
    assert SLIST(half_life=1.0).fit(old).recommend(history=[0], k=1).items.tolist() == [2]


def test_one_event_and_sessions_of_one():
    assert SLIST().fit(interactions([[0], [1]])).recommend(history=[0], k=1).source.tolist() == ["popular"]
    assert len(SLIST().fit(interactions([[0]])).recommend(0, k=1)) == 0
