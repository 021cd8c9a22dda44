"""Nothing of the size of users times items is ever allocated by a network."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from recsys.data import IdMap, Interactions
from recsys.models import REGISTRY, model_class

N = 12_000  # users, and items: 144 million cells, 576 MB as float32
NEURAL = [name for name in REGISTRY if model_class(name).trains]


@pytest.fixture(scope="module")
def data(describe) -> Interactions:
    """Two events of each of some users, of items from the whole catalogue."""
    rng = np.random.default_rng(0)
    user, item = rng.choice(N, 1500, replace=False).repeat(2), rng.choice(N, 3000, replace=False)
    every = IdMap(np.arange(N))
    return describe(Interactions.from_arrays(user, item, rng.integers(1, 6, 3000).astype(np.float32),
                                             np.tile([1, 2], 1500), user_ids=every, item_ids=every))


@pytest.mark.parametrize("name", NEURAL)
def test_memory_is_below_users_times_items(name: str, data: Interactions) -> None:
    model = model_class(name)().set_params(epochs=1)
    tracemalloc.start()
    try:
        model.fit(data)
        model.recommend(data.users.ids[data.user[:2]], k=5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * N * N
