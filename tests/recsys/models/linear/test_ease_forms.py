"""The later forms of EASE against the constrained problems that define them, solved column by column."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.models import EASE


def interactions(seed, n_users=14, n_items=6):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    return Interactions.from_arrays([*user, *range(n_items)], [*item, *range(n_items)])


def dense(data):
    return (data.csr.toarray() > 0).astype(np.float64)


@given(st.integers(0, 999), st.floats(0.5, 20), st.floats(0.05, 0.9))
def test_dropout_solves_the_expectation_over_all_masks(seed, reg, p):
    data = interactions(seed)
    x, n = dense(data), data.n_items
    squares = reg * np.eye(n)
    cross = np.zeros((n, n))
    for mask in product([0, 1], repeat=n):
        chance = np.prod(np.where(mask, 1 - p, p))
        masked = x * np.array(mask) / (1 - p)
        squares += chance * masked.T @ masked
        cross += chance * masked.T @ x
    found = EASE(reg=reg, dropout=p).fit(data).item_weights
    for item in range(n):
        others = np.delete(np.arange(n), item)
        expected = np.linalg.solve(squares[np.ix_(others, others)], cross[others, item])
        np.testing.assert_allclose(found[others, item], expected, atol=1e-5)


@given(st.integers(0, 999), st.floats(0.5, 20), st.floats(0, 1), st.floats(0, 0.8))
def test_the_diagonal_is_free_up_to_its_limit(seed, reg, limit, dropout):
    data = interactions(seed)
    x, n = dense(data), data.n_items
    squares = x.T @ x
    penalty = np.diag(reg + dropout / (1 - dropout) * np.diag(squares))
    free = np.linalg.solve(squares + penalty, squares)
    found = EASE(reg=reg, diagonal=limit, dropout=dropout).fit(data).item_weights
    assert not np.diag(found).any()
    for item in range(n):
        column, own = np.array(found[:, item], np.float64), min(limit, free[item, item])
        column[item] = own
        slope = (squares + penalty) @ column - squares[:, item]
        np.testing.assert_allclose(np.delete(slope, item), 0, atol=1e-4)  # others are free
        assert slope[item] < 1e-4  # more of its own weight would be better, if anything,
        assert own == limit or abs(slope[item]) < 1e-4  # and then the limit holds


@given(st.integers(0, 999), st.floats(0.5, 20), st.floats(0, 1), st.floats(0, 1), st.sampled_from([0.0, 0.5]))
def test_powers_weigh_users_and_rescale_items(seed, reg, user_power, item_power, dropout):
    data = interactions(seed)
    x = dense(data)
    squares = x.T @ np.diag(np.maximum(x.sum(axis=1), 1) ** -user_power) @ x
    penalty = reg + dropout / (1 - dropout) * np.diag(squares)
    found = EASE(reg=reg, user_power=user_power, item_power=item_power, dropout=dropout).fit(data).item_weights
    scale = x.sum(axis=0) ** item_power
    for item in range(data.n_items):
        others = np.delete(np.arange(data.n_items), item)
        solved = np.linalg.solve((squares + np.diag(penalty))[np.ix_(others, others)], squares[others, item])
        np.testing.assert_allclose(found[others, item], scale[others] * solved / scale[item], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", [{"diagonal": 0.0}, {"dropout": 0.0, "user_power": 0.0, "item_power": 0.0}])
def test_a_form_that_is_off_changes_no_bit(form):
    data = interactions(1)
    assert EASE(reg=3, **form).fit(data).item_weights.tobytes() == EASE(reg=3).fit(data).item_weights.tobytes()
