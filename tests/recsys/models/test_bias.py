"""The baseline of ratings: its equations, its shrinkage, its fold-in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import ParameterError
from recsys.models import Bias
from recsys.models.baselines import variance_ratio


def ratings(seed, n_users=8, n_items=6, density=0.6):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < density)
    value = 3 + rng.normal(0, 1, n_users)[user] + rng.normal(0, 1, n_items)[item] + rng.normal(0, 0.3, len(user))
    return Interactions.from_arrays([*user, 0], [*item, 0], [*value, 3.0])


@given(st.integers(0, 1000), st.floats(0.1, 20), st.floats(0.1, 20))
def test_solves_the_normal_equations(seed, reg_user, reg_item):
    data = ratings(seed)
    model = Bias(reg_user=reg_user, reg_item=reg_item, epochs=300).fit(data)
    design = np.concatenate([np.eye(data.n_users)[data.user], np.eye(data.n_items)[data.item]], axis=1)
    penalty = np.diag([reg_user] * data.n_users + [reg_item] * data.n_items)
    target = design.T @ (data.value - data.value.mean(dtype=np.float64))
    expected = np.linalg.solve(design.T @ design + penalty, target)
    np.testing.assert_allclose(np.concatenate([model.user_bias, model.item_bias]), expected, atol=2e-4)


@given(st.integers(0, 1000))
def test_folding_in_a_training_history_gives_the_users_scores(seed):
    data = ratings(seed)
    model = Bias().fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users, data.csr), model.score_block(users), rtol=1e-6, atol=1e-6)


@given(st.integers(0, 1000), st.floats(0.2, 3), st.floats(0.2, 3))
def test_regs_are_the_ratios_of_the_variances(seed, of_users, ratio):
    rng, of_noise = np.random.default_rng(seed), ratio * of_users  # with more noise 2,000 groups tell too little
    counts = rng.integers(1, 40, 2000)
    group = np.repeat(np.arange(2000), counts)
    values = of_users * rng.standard_normal(2000)[group] + of_noise * rng.standard_normal(len(group))
    assert variance_ratio(values, group, counts) == pytest.approx(ratio ** 2, rel=0.4)


@pytest.mark.parametrize("counts", [[1, 1, 1], [3], [0, 4], []])
def test_without_two_groups_and_a_repeated_one_variances_count_as_equal(counts):
    group = np.repeat(np.arange(len(counts)), counts)
    assert variance_ratio(np.arange(len(group), dtype=float), group, np.array(counts)) == 1.0


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_regs_do_not_depend_on_the_unit(seed, unit):
    data = ratings(seed)
    a, b = Bias().fit(data), Bias().fit(replace(data, value=data.value * np.float32(unit)))
    assert (b.reg_user_, b.reg_item_) == pytest.approx((a.reg_user_, a.reg_item_), rel=1e-2)
    assert 0 <= a.reg_user_ <= len(data)


def test_unknown_ids_get_what_is_known():
    model = Bias().fit(ratings(1))
    mean, user, item = model.mean_value, model.user_bias[2], model.item_bias[3]
    found = model.predict([2, 99, 99], [99, 3, 99], on_unknown="fallback")
    assert found.tolist() == pytest.approx([mean + user, mean + item, mean], rel=1e-5)


def test_a_history_needs_ratings():
    with pytest.raises(ParameterError, match="values="):
        Bias().fit(ratings(1)).recommend(history=[1, 2])
