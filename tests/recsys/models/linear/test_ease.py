"""EASE against the constrained ridge regression that defines it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from recsys.data import Interactions
from recsys.errors import ParameterError
from recsys.models import EASE, SLIST, SparseEASE
from recsys.models.linear.inverses import inverse_by_factors, inverse_of


def interactions(seed, n_users=20, n_items=7):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.4)
    user, item = [*user, *range(n_items)], [*item, *range(n_items)]
    return Interactions.from_arrays(user, item, rng.integers(1, 6, len(user)))


@given(st.integers(0, 1000), st.floats(0.5, 50), st.sampled_from(["binary", "value"]))
def test_each_column_is_a_ridge_regression_on_the_other_items(seed, reg, weights):
    data = interactions(seed)
    model = EASE(reg=reg, weights=weights).fit(data)
    x = data.clean("last").csr.toarray().astype(np.float64)
    x = (x > 0).astype(np.float64) if weights == "binary" else x
    for item in range(data.n_items):
        others = np.delete(np.arange(data.n_items), item)
        part = x[:, others]
        expected = np.linalg.solve(part.T @ part + reg * np.eye(len(others)), part.T @ x[:, item])
        np.testing.assert_allclose(model.item_weights[others, item], expected, atol=1e-5)
    assert not np.diag(model.item_weights).any()
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), x @ model.item_weights, rtol=1e-4, atol=1e-5)
    assert model.score_block(users, data.csr).tobytes() == model.score_block(users).tobytes()


@pytest.mark.parametrize("inverse", [inverse_of, inverse_by_factors])
@pytest.mark.parametrize("n", [1, 2, 255, 257, 600, 2300])
def test_the_inverse_by_halves_and_by_factors(n, inverse):
    rng = np.random.default_rng(n)
    matrix = (rng.random((2 * n, n)) < 0.1).astype(np.float64)
    matrix = matrix.T @ matrix + np.eye(n)
    found = inverse(matrix.copy())
    np.testing.assert_allclose(found @ matrix, np.eye(n), atol=1e-9)
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("inverse", [inverse_of, inverse_by_factors])
def test_the_inverse_has_the_same_bits_for_any_number_of_threads(inverse):
    rng = np.random.default_rng(0)
    matrix = rng.random((900, 600))
    matrix = matrix.T @ matrix + np.eye(600)
    found = []
    for n in (1, runtime.threads()):
        with runtime.blas_threads(n):
            found.append(inverse(matrix.copy()).tobytes())
    assert found[0] == found[1]


def test_refuses_what_does_not_fit_into_memory():
    data = Interactions.from_arrays(np.zeros(3000, int), np.arange(3000))
    with pytest.raises(ParameterError, match=r"3,000 items need about 0\.1 GiB"):
        EASE(max_gib=0.05).fit(data)


@pytest.mark.parametrize("reg", [None, 0.01])
def test_the_memory_is_what_the_limit_counts(reg):
    """Whether halves are accurate enough or not."""
    n = 2000
    data = of_few_people(50, n, 0.2)
    tracemalloc.start()
    try:
        EASE(reg=reg).fit(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 13 * n * n


def test_only_recent_events_are_scored():
    data = interactions(3)
    whole, recent = EASE(reg=5).fit(data), EASE(reg=5, recent=2).fit(data)
    np.testing.assert_array_equal(whole.item_weights, recent.item_weights)
    assert whole.recommend(history=[3, 5], k=9).scores.tolist() == recent.recommend(
        history=[0, 1, 3, 5], k=9, filter_seen=False, exclude=[3, 5]).scores.tolist()
    users = np.arange(data.n_users, dtype=np.int32)
    assert recent.score_block(users).tobytes() == whole.score_block(users, data.csr.tail(2)).tobytes()


@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("kind", [EASE, SLIST])
def test_a_small_penalty_is_not_lost_where_items_are_more_than_people(kind, reg):
    """The same inverse by a matrix of people: `inverse(X' X + reg I) = (I - X' inverse(X X' + reg I) X) / reg`."""
    data = of_few_people(50, 1200, 0.2)
    model = kind(reg=reg) if kind is EASE else kind(reg=reg, unordered=1.0, repeats=False, decay=1.0)
    x = data.csr.toarray().astype(np.float64)
    scaled = x if kind is EASE else x / x.sum(1, keepdims=True)  # of SLIST the inputs, not the targets
    inverse = np.eye(x.shape[1]) - scaled.T @ np.linalg.solve(scaled @ scaled.T + reg * np.eye(len(x)), scaled)
    if kind is EASE:
        weights = -inverse / np.diag(inverse)
        np.fill_diagonal(weights, 0)
        expected = x @ weights
        found = model.fit(data).score_block(np.arange(len(x)))
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    else:
        cross = scaled.T @ x
        weights = inverse @ cross / reg
        weights -= inverse * (np.diag(weights) / np.diag(inverse))
        np.testing.assert_allclose(model.fit(data).item_weights, weights, atol=1e-4 * np.abs(weights).max())


@pytest.mark.parametrize(("kind", "form"), [(EASE, {}), (SparseEASE, {}), (SLIST, {"unordered": 1.0})])
@pytest.mark.parametrize("reg", [1e-20, 1e-300])
def test_a_penalty_that_is_lost_is_refused(kind, form, reg):
    """Two items that the same people have, and more items than people: without a penalty there is no inverse."""
    data = of_few_people(8, 30, 0.3)
    kind(reg=1e-6, **form).fit(data)
    with pytest.raises(ParameterError, match=rf"{kind.__name__}: reg is too small beside the numbers of the data"):
        kind(reg=reg, **form).fit(data)


def of_few_people(n_users, n_items, share):
    dense = np.random.default_rng(0).random((n_users, n_items)) < share
    dense[:, 1] = dense[:, 0]
    return Interactions.from_arrays(*np.nonzero(dense))
