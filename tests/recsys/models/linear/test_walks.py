"""RP3beta against walks that are counted one by one, and where its table is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.errors import DataError
from recsys.models import RP3beta


def interactions(seed, n_users=12, n_items=9, low=1):
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < 0.35)
    user, item = [*user, *user[:5], 0], [*item, *item[:5], n_items - 1]
    return Interactions.from_arrays(user, item, rng.integers(low, 6, len(user)), item_ids=IdMap(np.arange(n_items)))


def walked(x, power, popularity_power):
    """The weight of every pair of items, a user at a time."""
    n_users, n = x.shape
    found = np.zeros((n, n))
    for j in range(n):
        for i in range(n):
            if i != j and x[:, i].any():
                found[j, i] = sum((x[u, j] / x[:, j].sum()) ** power * (x[u, i] / x[u].sum()) ** power
                                  for u in range(n_users) if x[u, j] and x[u, i])
                found[j, i] /= np.count_nonzero(x[:, i]) ** popularity_power
    return found


def best(table, k):
    """A table with the k largest entries of each row, of equal ones the first."""
    kept = np.zeros_like(table)
    for row, values in enumerate(table):
        first = np.argsort(-values, kind="stable")[:k]
        kept[row, first] = values[first]
    return kept


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 1.0, 1.7]), st.sampled_from([0.0, 0.4]), st.integers(1, 9),
       st.booleans(), st.sampled_from(["binary", "value"]))
def test_scores_are_sums_over_walks(seed, power, popularity_power, k, normalise, weights):
    data = interactions(seed)
    model = RP3beta(neighbours=k, power=power, popularity_power=popularity_power, normalise=normalise,
                    weights=weights).fit(data)
    x = data.clean("last").csr.toarray().astype(np.float64)
    x = (x > 0).astype(np.float64) if weights == "binary" else x
    everything = walked(x, power, popularity_power)
    table = best(np.float32(everything), k).astype(np.float64)
    clear = np.diff(-np.sort(-everything, axis=1), axis=1)[:, k - 1:k] < -1e-6  # else ties decide, up to rounding
    if normalise:
        table /= np.where(table.any(axis=1), table.sum(axis=1), 1)[:, None]
    across = -np.sort(-table, axis=0)
    clear_column = (across[k - 1] - across[k] > 1e-6) | (across[k] == 0) if k < len(x.T) else np.ones(len(x.T), bool)
    table = best(table.T, k).T
    users = np.arange(data.n_users, dtype=np.int32)
    found = model.score_block(users)
    if k == len(x.T) or clear.all():
        np.testing.assert_allclose(found[:, clear_column], (x @ table)[:, clear_column], rtol=1e-4, atol=1e-6)
    assert model.score_block(users, data.csr).tobytes() == found.tobytes()


@given(st.integers(0, 1000), st.integers(1, 8))
def test_no_row_and_no_column_has_more_than_its_neighbours(seed, k):
    scorer = RP3beta(neighbours=k).fit(interactions(seed)).require("test").scorer
    assert max(scorer.near.counts.max(), scorer.near.T.counts.max()) <= k
    assert np.all(scorer.near.weights > 0)
    assert not np.any(scorer.near.indices == scorer.near.row_of_entry)


def test_of_one_user_and_of_one_item():
    assert RP3beta().fit(Interactions.from_arrays([1], [1])).recommend(1).counts == 0
    assert RP3beta().fit(Interactions.from_arrays([1, 2], [1, 1])).recommend(2).counts == 0
    found = RP3beta().fit(Interactions.from_arrays([1, 1], [1, 2])).recommend(history=[1])
    assert found.items.tolist() == [2]
    assert found.source.tolist() == ["model"]


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_values_of_which_no_probability_can_be_made(value):
    data = Interactions.from_arrays([1, 1, 2], [1, 2, 1], [1.0, value, 2.0])
    with pytest.raises(DataError, match=r"RP3beta\.fit: weights='value' needs values above 0"):
        RP3beta(weights="value").fit(data)


def test_only_recent_events_are_scored():
    data = interactions(3)
    whole, recent = RP3beta().fit(data), RP3beta(recent=2).fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    assert recent.score_block(users).tobytes() == whole.score_block(users, data.csr.tail(2)).tobytes()


def test_of_many_items_nothing_is_a_table_of_all_pairs():
    """200,000 items: a table of all pairs, of 37 GiB in bits alone, would end the test."""
    rng = np.random.default_rng(0)
    n = 200_000
    data = Interactions.from_arrays(rng.integers(0, 50_000, 300_000), rng.integers(0, n, 300_000),
                                    item_ids=IdMap(np.arange(n)))
    model = RP3beta().fit(data)
    assert model.recommend(data.users.ids[0], k=5).counts == 5
    assert model.require("test").scorer.near.nnz < 40 * len(data)
