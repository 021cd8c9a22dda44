"""Small models whose scores are known, and small random data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.models.base import Can, Recommender


class Known(Recommender):
    """Scores pairs by a function of external ids; `history` asked for is kept in `shown`."""

    can: ClassVar[Can] = Can(ratings=True)

    def __init__(self, *, rule=None):
        self.rule = rule

    def _fit(self, data, valid, progress):
        self.valid_ = valid

    def _score(self, users):
        return np.array([[self.rule(u, i) for i in self.items.ids.tolist()]
                         for u in self.users.ids[users].tolist()], np.float32).reshape(len(users), len(self.items))


class Folding(Known):
    """The same, but answers from the history: an item is as good as it is near to the last one seen."""

    can: ClassVar[Can] = Can(fold_in=True)
    shown: ClassVar[list] = []

    def _fold(self, history):
        rows = [history.row(row)[0] for row in range(history.shape[0])]
        self.shown.extend(self.items.ids[row].tolist() for row in rows)
        last = np.array([self.items.ids[row[-1]] if len(row) else 0 for row in rows])
        return -np.abs(self.items.ids - last[:, None]).astype(np.float32)


@pytest.fixture(scope="session")
def known():
    return Known


@pytest.fixture
def folding():
    Folding.shown.clear()
    return Folding


@pytest.fixture(scope="session")
def random_data():
    """`random_data(seed, users, items, events)`: pairs without repetition, times, values 1 to 5."""
    def make(seed, users=12, items=15, events=90):
        rng = np.random.default_rng(seed)
        pairs = rng.permutation(users * items)[:events]
        return Interactions.from_arrays(100 + pairs // items, 500 + pairs % items, rng.integers(1, 6, events),
                                        rng.integers(0, 50, events))
    return make
