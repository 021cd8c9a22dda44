"""Where networks of pairs start: at the popularity of items, which little data does not teach in few steps."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import Features, IdMap, Interactions
from recsys.models import GMF, FactorizationMachine, NeuMF, Popular


def skewed(n_users: int = 400, n_items: int = 60, seed: int = 0) -> Interactions:
    """Three events a user, nothing but popularity, which falls by a factor of 400."""
    rng = np.random.default_rng(seed)
    share = np.exp(-np.arange(n_items) / 10)
    item = np.concatenate([rng.choice(n_items, 3, replace=False, p=share / share.sum()) for _ in range(n_users)])
    return Interactions.from_arrays(np.repeat(np.arange(n_users), 3), item)


@pytest.mark.parametrize("make", [GMF, NeuMF, FactorizationMachine])
def test_one_step_ranks_by_popularity(make):
    data = skewed()
    model = make(epochs=1, init_std=0.001, lr=1e-4, loss="softmax").fit(data)
    users = np.arange(20)
    expected = Popular().fit(data).recommend(users, k=5, filter_seen=False)
    found = model.recommend(users, k=5, filter_seen=False)
    counts = np.bincount(data.item)
    np.testing.assert_array_equal(*(counts[data.items.encode(each.items.ravel())] for each in (found, expected)))


@pytest.mark.parametrize("make", [GMF, FactorizationMachine])
def test_sampled_losses_start_at_zero(make):
    model = make(epochs=1, init_std=0.001, lr=1e-6, loss="bpr").fit(skewed())
    assert np.abs(model.item_bias).max() < 1e-3


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_batch_without_any_users_first_pair(batch_size):
    """Of the features' networks, too, whose tables are then read at no row."""
    users, items = (Features(attributes={"colour": np.array(["red", "blue"] * n)}) for n in (1, 4))
    data = Interactions.from_arrays(np.repeat([0, 1], 8), np.tile(np.arange(8), 2), user_ids=IdMap(np.arange(2)),
                                    item_ids=IdMap(np.arange(8)), user_features=users, item_features=items)
    FactorizationMachine(factors=2, epochs=2, batch_size=batch_size).fit(data)
