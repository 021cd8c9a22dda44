"""Exploration: the propensities are the frequencies, exactly as the definition says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ParameterError
from recsys.experiments import explore, generator


@given(pool=st.integers(0, 12), k=st.integers(1, 12), epsilon=st.floats(0, 1), request_id=st.integers() | st.text())
def test_lists_are_lists_and_the_same_for_the_same_request(pool, k, epsilon, request_id):
    ranked = [f"item {i}" for i in range(pool)]
    positions, propensities = explore(ranked, k, epsilon, generator("salt", request_id))
    assert (positions, propensities) == explore(ranked, k, epsilon, generator("salt", request_id))
    assert len(positions) == len(propensities) == len(set(positions)) == min(k, pool)
    assert all(0 <= position < pool for position in positions)
    assert all(0 < p <= 1 + 1e-12 for p in propensities)


@pytest.mark.parametrize(("pool", "k", "epsilon"), [(4, 2, 0.5), (3, 3, 1.0), (2, 5, 0.3), (1, 1, 0.7)])
def test_propensities_are_the_frequencies(pool, k, epsilon):
    n, length = 8000, min(k, pool)
    counts, said = np.zeros((length, pool)), np.full((length, pool), np.nan)
    for request in range(n):
        positions, propensities = explore(range(pool), k, epsilon, generator("salt", request))
        counts[range(length), positions] += 1
        said[range(length), positions] = propensities
    assert not np.isnan(said).any()
    np.testing.assert_allclose(said.sum(1), 1)  # at each place stands exactly one item
    assert (np.abs(counts / n - said) <= 4.5 * np.sqrt(said * (1 - said) / n) + 1e-9).all()


def test_without_exploration_the_list_is_the_models():
    assert explore([5, 3, 9], 2, 0, generator("salt", 1)) == ([0, 1], [1.0, 1.0])


def test_another_salt_draws_anew():
    drawn = {tuple(explore(range(50), 10, 1, generator(salt, 1))[0]) for salt in "abcd"}
    assert len(drawn) == 4


def test_what_cannot_be_is_refused():
    for arguments, says in (((["a", "a"], 1, 0.5), "twice"), ((["a"], 0, 0.5), "k must"), ((["a"], 1, 1.5), "epsilon")):
        with pytest.raises(ParameterError, match=says):
            explore(*arguments, generator("salt", 1))
    with pytest.raises(ParameterError, match="an id must be"):
        generator("salt", None)
