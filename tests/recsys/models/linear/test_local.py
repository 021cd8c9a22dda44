"""SparseEASE and SLIM: local regressions are those on all items where lists are complete, and meet their conditions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.errors import ParameterError
from recsys.models import EASE, SLIM, ItemKNN, SparseEASE

FORMS = [{}, {"dropout": 0.4}, {"diagonal": 0.3}, {"user_power": 0.5, "item_power": 0.3},
         {"dropout": 0.4, "diagonal": 0.1, "user_power": 0.2, "item_power": 0.1}, {"weights": "value"}]


def interactions(seed, n_users=25, n_items=12, density=0.3):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < density)
    user, item = [*user, 0], [*item, 0]
    return Interactions.from_arrays(user, item, rng.integers(1, 6, len(user)), user_ids=IdMap(np.arange(n_users)),
                                    item_ids=IdMap(np.arange(n_items)))


def table(model):
    """B: the weight of each item (row) for each other (column)."""
    return model.near.T.toarray().astype(np.float64)


@given(st.integers(0, 999), st.sampled_from(FORMS), st.floats(1, 30))
def test_with_all_neighbours_it_is_ease(seed, form, reg):
    data = interactions(seed)
    sparse, whole = SparseEASE(reg=reg, neighbours=11, **form).fit(data), EASE(reg=reg, **form).fit(data)
    np.testing.assert_allclose(table(sparse), whole.item_weights, atol=1e-4)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(sparse.score_block(users), whole.score_block(users), atol=1e-3)
    assert SparseEASE().fit(data).reg_ == EASE().fit(data).reg_


@given(st.integers(0, 999), st.integers(1, 6))
def test_columns_are_ridge_regressions_on_the_nearest(seed, neighbours):
    data = interactions(seed)
    found = table(SparseEASE(reg=2, neighbours=neighbours).fit(data))
    near = ItemKNN(neighbours=neighbours, shrink=0, asymmetry=0.5).fit(data).near
    x = (data.csr.toarray() > 0).astype(np.float64)
    for item in range(data.n_items):
        others, expected = near.row(item)[0], np.zeros(data.n_items)
        part = x[:, others]
        expected[others] = np.linalg.solve(part.T @ part + 2 * np.eye(len(others)), part.T @ x[:, item])
        np.testing.assert_allclose(found[:, item], expected, atol=1e-5)


@given(st.integers(0, 999), st.floats(0.5, 10), st.floats(0, 3), st.sampled_from(["binary", "value"]))
def test_slim_meets_the_conditions_of_its_optimum(seed, reg, reg_l1, weights):
    data = interactions(seed)
    model = SLIM(reg=reg, reg_l1=reg_l1, weights=weights).fit(data)
    w, x = table(model), data.clean("last").csr.toarray().astype(np.float64)
    x = (x > 0).astype(np.float64) if weights == "binary" else x
    slope = x.T @ (x @ w - x) + reg * w + reg_l1
    np.fill_diagonal(slope, 0)
    scale = (x ** 2).sum()
    assert np.all(w >= 0)
    assert not np.diag(w).any()
    assert np.all(slope > -1e-4 * scale)
    assert np.all(np.abs(slope[w > 0]) < 1e-4 * scale)


def test_co_occurring_items_are_candidates_enough_for_slim():
    data = interactions(2, n_users=40, n_items=30, density=0.05)
    near = ItemKNN(neighbours=28, shrink=0, asymmetry=0.5).fit(data).near
    assert near.counts.max() < 28  # so that lists of 28 have all that occurs together, and not all items
    np.testing.assert_allclose(table(SLIM(neighbours=28, reg=1).fit(data)), table(SLIM(reg=1).fit(data)), atol=1e-5)


@pytest.mark.parametrize("model", [SparseEASE(neighbours=3), SLIM(neighbours=3), SparseEASE(), SLIM()], ids=repr)
def test_lists_are_best_first_and_may_be_empty(model):
    for data in (interactions(4), Interactions.from_arrays([0], [0]), Interactions.from_arrays([0, 0], [0, 1]),
                 Interactions.from_arrays([0, 1, 2], [0, 1, 2])):
        near = model.fit(data).near
        assert near.shape == (data.n_items, data.n_items)
        assert np.all(near.weights != 0)
        within = near.row_of_entry[1:] == near.row_of_entry[:-1]
        assert np.all(np.diff(near.weights)[within] <= 0)


@pytest.mark.parametrize("kind", [SparseEASE, SLIM])
def test_counting_list_by_list_gives_the_same(kind):
    data = interactions(5, n_users=60, n_items=40)
    little = kind(neighbours=5, max_gib=1e-5).fit(data)  # an eighth of it does not hold 40 x 40
    assert little.near.weights.tobytes() == kind(neighbours=5).fit(data).near.weights.tobytes()


@pytest.mark.parametrize("kind", [SparseEASE, SLIM])
def test_200000_items_fit_where_dense_ease_says_what_to_use(kind):
    rng, n = np.random.default_rng(0), 200_000
    user = np.repeat(np.arange(40_000), 5)
    data = Interactions.from_arrays(user, rng.permutation(n)[(user * 7 + rng.integers(0, 50, len(user))) % n],
                                    item_ids=IdMap(np.arange(n)))
    tracemalloc.start()
    try:
        model = kind().fit(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert model.near.shape == (n, n)
    assert model.near.nnz
    assert peak < 2000 * n  # bytes
    with pytest.raises(ParameterError, match=r"EASE: 200,000 items need about 447.* use SparseEASE"):
        EASE().fit(data)


@pytest.mark.parametrize("kind", [SparseEASE, SLIM])
def test_refuses_a_table_that_might_not_fit(kind):
    with pytest.raises(ParameterError, match=rf"{kind.__name__}: 12 items with 256 neighbours .* lower neighb"):
        kind(max_gib=1e-6).fit(interactions(0))
