"""Users by the length of their history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.data.splits import split_last, split_predefined, split_users
from recsys.errors import ParameterError
from recsys.evaluation import by_history, run
from recsys.models import Popular


@given(st.lists(st.integers(0, 13), min_size=1, max_size=12), st.sets(st.integers(0, 12), min_size=1))
def test_every_user_is_in_the_group_of_the_number_of_events(counts, bounds):
    users = np.arange(len(counts))
    shown = np.repeat(users, counts)
    train = Interactions.from_arrays(np.append(shown, 99), np.append(np.arange(len(shown)), 0))
    test = Interactions.from_arrays(users, np.full(len(users), 500))
    up_to = sorted(bounds)
    found = by_history(split_predefined(train, test), up_to=up_to)
    assert sorted(found) == users.tolist()
    order = []
    for user, name in found.items():
        if name.startswith("more than "):
            low, high = int(name.removeprefix("more than ")) + 1, 10**9
        else:
            low, high = int(name.partition("-")[0]), int(name.rpartition("-")[2])
        assert low <= counts[user] <= high
        order.append(low)
    assert order == sorted(order)


def test_the_history_is_what_a_model_may_see(random_data):
    data = random_data(0, users=30, items=25, events=400)
    split = split_last(data)
    counts = np.bincount(data.user)
    found = by_history(split, up_to=(12,))
    assert all((name == "0-12") == (counts[data.users.encode([user])[0]] - 1 <= 12) for user, name in found.items())
    strong = split_users(data, 3, 4)
    assert set(by_history(strong, "valid")) == set(strong.valid.users.ids[strong.valid.user].tolist())


def test_groups_of_an_evaluation_stand_in_order(random_data):
    split = split_last(random_data(0, users=30, items=25, events=400))
    found = run(Popular(), split, "predefined").evaluations[0].by_group(by_history(split, up_to=(1, 9, 12, 15)))
    assert list(found) == [name for name in ("2-9", "10-12", "13-15", "more than 15") if name in found]
    assert sum(each["users"] for each in found.values()) == 30


@pytest.mark.parametrize("up_to", [(), (3, 3), (5, 2), (-1, 4), (0.5,), "12", 3])
def test_bounds_ascend(up_to, random_data):
    with pytest.raises(ParameterError, match="by_history: up_to must be ascending numbers"):
        by_history(split_last(random_data(0)), up_to=up_to)
