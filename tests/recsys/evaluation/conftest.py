"""Small models whose scores are known, and small random data."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.estimator import Can, Learned, Recommender, Scorer


class ByRule(Scorer):
    """Scores by the function of a model."""

    def __init__(self, model, facts):
        self.can, self.rule, self.users, self.items = model.can, model.rule, facts.users.ids, facts.items.ids
        self.n_items = len(self.items)

    def score(self, users):
        return np.array([[self.rule(u, i) for i in self.items.tolist()] for u in self.users[users].tolist()],
                        np.float32).reshape(len(users), self.n_items)


class ByHistory(ByRule):
    """Scores by the last item of a history."""

    def fold(self, history):
        rows = [history.row(row)[0] for row in range(history.shape[0])]
        Folding.shown.extend(self.items[row].tolist() for row in rows)
        last = np.array([self.items[row[-1]] if len(row) else 0 for row in rows])
        return -np.abs(self.items - last[:, None]).astype(np.float32)


class Known(Recommender):
    """Scores pairs by a function of external ids; `history` asked for is kept in `shown`."""

    can: ClassVar[Can] = Can(ratings=True)

    def __init__(self, *, rule=None):
        self.rule = rule

    def learn(self, data, context):
        return Learned(self.scorer(self, context.facts), {"valid_": context.valid})

    @staticmethod
    def scorer(model, facts):
        return ByRule(model, facts)


class Folding(Known):
    """The same, but answers from the history: an item is as good as it is near to the last one seen."""

    can: ClassVar[Can] = Can(fold_in=True)
    shown: ClassVar[list] = []

    @staticmethod
    def scorer(model, facts):
        return ByHistory(model, facts)


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
