"""Splits: disjoint, exhaustive, reproducible, and equal to the protocols they are named after."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions, Split
from recsys.data.splits import (
    split_items,
    split_kfold,
    split_last,
    split_predefined,
    split_random,
    split_time,
    split_users,
)
from recsys.errors import DataError, ParameterError


@st.composite
def interactions(draw, min_size=2, times=None):
    n = draw(st.integers(min_size, 60))
    users = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    moments = st.lists(st.integers(0, 6), min_size=n, max_size=n)
    time = draw(moments if times else st.none() | moments)
    return Interactions.from_arrays(users, np.arange(n), np.arange(n), time)  # the value is the row's number


def numbers(part):
    return [] if part is None else part.value.astype(int).tolist()


def check(split, data):
    parts = [numbers(p) for p in (split.train, split.valid, split.test)]
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(len(data)))
    for part in (split.train, split.valid, split.test):
        assert part is None or (part.users is data.users and part.items is data.items)
    assert split.card["fingerprint"] == data.fingerprint()
    assert split.card["split"] in str(split)
    assert f"{len(split.train):,} train" in repr(split)
    return parts


@given(interactions(), st.sampled_from([(0.1, 0.1), (0, 0.2), (0.25, 0.5)]), st.sampled_from(["user", "global"]))
def test_random(data, shares, by):
    valid, test = shares
    split = split_random(data, valid, test, by, seed=3)
    parts = check(split, data)
    assert parts == check(split_random(data, valid, test, by, seed=3), data)
    assert all(part == sorted(part) for part in parts)
    groups = [np.arange(len(data))] if by == "global" else [np.flatnonzero(data.user == u) for u in set(data.user)]
    for rows in groups:
        assert [len(np.intersect1d(rows, part)) for part in parts] == sizes_in_recbole(len(rows), valid, test)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.sampled_from([(0.1, 0.1), (0, 0.2), (0.25, 0.5)]))
def test_items(item, shares):
    valid, test = shares
    data = Interactions.from_arrays(np.arange(len(item)) % 3, item, np.arange(len(item)))
    known, held = len(set(item)), [int(share > 0) for share in shares]
    if known <= sum(max(one, int(share * known)) for one, share in zip(held, shares, strict=True)):
        with pytest.raises(ParameterError, match=r"held-out items of .* leave none to train"):
            split_items(data, valid, test)
        return
    split = split_items(data, valid, test, seed=3)
    parts = check(split, data)
    assert parts == check(split_items(data, valid, test, seed=3), data)
    items = [set(part.item.tolist()) if part is not None else set() for part in (split.train, split.valid, split.test)]
    assert sum(map(len, items)) == known == len(set.union(*items))
    assert [len(of) for of in items[1:]] == [max(one, int(share * known + 1e-9))
                                             for one, share in zip(held, shares, strict=True)]


def sizes_in_recbole(n, *shares):
    """Train, valid, test: floors, then one for each part below one while training has more than one."""
    sizes = [0, *(int(share * n) for share in shares)]
    sizes[0] = n - sum(sizes)
    for part in (2, 1):
        if sizes[0] > 1 and 0 < shares[part - 1] * n < 1:
            sizes[part] += 1
            sizes[0] -= 1
    return sizes


def test_random_depends_on_the_seed():
    data = Interactions.from_arrays(np.zeros(100), np.arange(100), np.arange(100))
    assert numbers(split_random(data, seed=1).test) != numbers(split_random(data, seed=2).test)


@given(interactions(), st.integers(2, 7), st.integers(0, 3))
def test_folds_are_those_of_surprise(data, k, seed):
    if k > len(data):
        return
    indices = np.arange(len(data))
    np.random.RandomState(seed).shuffle(indices)
    stop = 0
    for number, split in enumerate(split_kfold(data, k, seed)):
        start, stop = stop, stop + len(indices) // k + (number < len(indices) % k)
        assert numbers(split.test) == indices[start:stop].tolist()
        assert numbers(split.train) == indices[:start].tolist() + indices[stop:].tolist()
        check(split, data)
    assert stop == len(data)


@given(interactions(), st.integers(1, 2), st.booleans(), st.integers(0, 3))
def test_last(data, n, valid, more):
    taken = n * (1 + valid)
    split = split_last(data, n, valid, min_events=taken + 1 + more)
    train, validation, test = check(split, data)
    for user in set(data.user.tolist()):
        rows = np.flatnonzero(data.user == user).tolist()
        if data.time is not None:
            rows.sort(key=lambda i: data.time[i])  # stable
        tested = len(rows) >= taken + 1 + more
        expected = (rows[-n:], rows[-2 * n : -n] if valid else []) if tested else ([], [])
        assert [i for i in test if data.user[i] == user] == sorted(expected[0])
        assert [i for i in validation if data.user[i] == user] == sorted(expected[1])
    assert split.valid_history is None
    if valid:
        assert numbers(split.test_history) == sorted(train + validation)
    else:
        assert split.valid is None
        assert split.test_history is None


@given(interactions(times=True), st.booleans(), st.booleans(), st.integers(0, 2))
def test_last_baskets(data, valid, shuffle_ties, more):
    taken = 1 + valid
    split = split_last(data, 1, valid, min_events=taken + 1 + more, baskets=True, shuffle_ties=shuffle_ties)
    check(split, data)
    parts = {0: split.train, 1: split.valid, 2: split.test}
    for user in set(data.user.tolist()):
        times = sorted(set(data.time[data.user == user].tolist()))
        cut = times if len(times) >= taken + 1 + more else []
        expected = {2: set(cut[-1:]), 1: set(cut[-2:-1]) if valid else set()}
        expected[0] = set(times) - expected[1] - expected[2]
        for part, rows in parts.items():
            found = set() if rows is None else set(rows.time[rows.user == user].tolist())
            assert found == expected[part]


def test_shuffled_ties_are_shuffled_in_training_too():
    data = Interactions.from_arrays(np.repeat([1, 2], 20), np.arange(40), np.arange(40), np.repeat(range(8), 5))
    train = split_last(data, shuffle_ties=True).train.csr
    plain = split_last(data).train.csr
    assert any(train.row(u)[0].tolist() != plain.row(u)[0].tolist() for u in range(2))
    assert all(np.all(np.diff(train.row(u)[0] // 5) >= 0) for u in range(2))  # still in the order of time


def test_last_with_shuffled_ties():
    data = Interactions.from_arrays(np.repeat([1, 2], 20), np.arange(40), np.arange(40), np.tile([5] * 19 + [9], 2))
    splits = [split_last(data, shuffle_ties=True, seed=s) for s in range(5)]
    assert all(sorted(numbers(s.test)) == [19, 39] for s in splits)  # no tie at the end
    assert len({tuple(numbers(s.valid)) for s in splits}) > 1
    assert numbers(splits[0].valid) == numbers(split_last(data, shuffle_ties=True, seed=0).valid)
    assert splits[0].card["ties"] == "shuffled"
    assert split_last(data).card["ties"] == "row order"


@given(interactions(times=True), st.floats(0.1, 0.9), st.sampled_from([0.0, 0.3]))
def test_time(data, fraction, valid):
    try:
        split = split_time(data, fraction=fraction, valid=valid)
    except DataError:
        assert np.sort(data.time)[int(np.ceil(fraction * len(data))) - 1] == data.time.max()
        return
    train, validation, test = check(split, data)
    time = data.time
    assert min(time[test]) == split.card["cutoff"] or min(time[test]) > split.card["cutoff"]
    assert max(time[train + validation]) < split.card["cutoff"]
    assert len(train + validation) >= fraction * len(data) - 1e-9
    if validation and train:
        assert min(time[validation]) > max(time[train])
    again = split_time(data, cutoff=split.card["cutoff"], valid=valid)
    assert numbers(again.test) == test


def test_time_takes_dates():
    data = Interactions.from_arrays([1, 1], [1, 2], times=np.array(["2020-01-01", "2021-01-01"], "M8[D]"))
    assert len(split_time(data, cutoff=np.datetime64("2020-06-01")).test) == 1
    with pytest.raises(DataError, match="all rows lie before the cutoff"):
        split_time(data, cutoff=np.datetime64("2022-01-01"))
    with pytest.raises(DataError, match="no times"):
        split_time(Interactions.from_arrays([1], [1]))


@given(st.integers(0, 5))
def test_users_follow_the_protocol_of_mult_vae(seed):
    rng = np.random.default_rng(seed)
    data = Interactions.from_arrays(rng.integers(0, 30, 400), rng.integers(0, 60, 400)).clean()
    split = split_users(data, n_valid=6, n_test=7)
    ids = np.unique(data.user)
    order = ids[np.random.RandomState(98765).permutation(len(ids))]
    train_users, valid_users, test_users = order[:-13], order[-13:-7], order[-7:]
    assert set(split.train.user) == set(train_users)
    known = np.isin(data.item, split.train.item)
    for users, history, targets in ((valid_users, split.valid_history, split.valid),
                                    (test_users, split.test_history, split.test)):
        random = np.random.RandomState(98765)
        for user in sorted(users):
            own = np.flatnonzero((data.user == user) & known)
            picked = np.zeros(len(own), bool)
            if len(own) >= 5:
                picked[random.choice(len(own), size=int(0.2 * len(own)), replace=False)] = True
            np.testing.assert_array_equal(targets.item[targets.user == user], data.item[own[picked]])
            np.testing.assert_array_equal(history.item[history.user == user], data.item[own[~picked]])
    parts = (split.train, split.valid_history, split.valid, split.test_history, split.test)
    assert sum(map(len, parts)) + split.card["dropped"] == len(data)
    assert split.test.users is data.users


def test_users_without_validation():
    data = Interactions.from_arrays(np.repeat(np.arange(4), 10), np.tile(np.arange(10), 4))
    split = split_users(data, 0, 1)
    assert split.valid is None
    assert split.valid_history is None
    assert (len(split.test), len(split.test_history), len(split.train)) == (2, 8, 30)


def test_predefined_joins_ids():
    train = Interactions.from_arrays(["a", "b"], [1, 2])
    test = Interactions.from_arrays(["c", "a"], [2, 1])
    valid = Interactions.from_arrays(["d"], [9])
    split = split_predefined(train, test, valid)
    assert split.train.users.ids.tolist() == ["a", "b", "c", "d"]
    assert split.train.items.ids.tolist() == [1, 2, 9]
    assert split.test.users.decode(split.test.user).tolist() == ["c", "a"]
    assert split.valid.item.tolist() == [2]
    assert split.test.users is split.train.users
    assert split.card["test pairs in train"] == 1
    assert split_predefined(train, test).valid is None
    assert [split.card[name] for name in ("validation pairs in train", "only in validation", "only in test")] == \
        [0, "1 users, 1 items", "1 users, 0 items"]
    assert split.card["order"] == "as the rows lie"


@pytest.mark.parametrize(("make", "message"), [
    (lambda d: split_random(d, 0.5, 0.5), r"valid \+ test < 1"),
    (lambda d: split_random(d, by="item"), "by must be"),
    (lambda d: split_kfold(d, 1), r"k must lie between 2 and the number of rows \(4\), got 1"),
    (lambda d: split_kfold(d, 5), "got 5"),
    (lambda d: split_last(d, min_events=2), "min_events above 2"),
    (lambda d: split_last(d, n=0), "n must be at least 1"),
    (lambda d: split_time(d, fraction=1.0), "0 < fraction < 1"),
    (lambda d: split_users(d, 1, 1), "leave none to train"),
    (lambda d: split_users(d, 0, 1, fold_in=1), "fold_in must lie between"),
])
def test_misuse_is_explained(make, message):
    data = Interactions.from_arrays([1, 1, 1, 2], [1, 2, 3, 4], times=[1, 2, 3, 4])
    with pytest.raises(ParameterError, match=message):
        make(data)


def test_baskets_need_times():
    with pytest.raises(DataError, match="no times, which baskets are told by"):
        split_last(Interactions.from_arrays([1, 1, 1], [1, 2, 3]), baskets=True)


@pytest.mark.parametrize("split", [split_random, split_last, lambda d: split_time(d, fraction=0.5)])
def test_nothing_cannot_be_divided(split):
    with pytest.raises(DataError, match="there are no interactions"):
        split(Interactions.from_arrays([], [], times=[]))


@pytest.mark.parametrize("part", ["valid", "test", "valid_history", "test_history"])
@pytest.mark.parametrize("side", ["users", "items"])
def test_parts_that_are_numbered_differently_are_refused(part, side):
    data = Interactions.from_arrays([1, 1, 2, 3], [5, 6, 7, 5])
    users, items = (type(data.users)(getattr(data, name).ids[::-1]) if name == side else getattr(data, name)
                    for name in ("users", "items"))
    moved = data.reindex(users, items)
    parts = {"train": data, "valid": None, "test": data, part: moved}
    first = "number 0 is 3 and 1" if side == "users" else "number 0 is 7 and 5"
    with pytest.raises(DataError, match=rf"Split: {part}: its {side} are numbered differently from train's \(3 and 3 "
                                        rf"ids; first difference: {first}\); .*{part}\.reindex\(train\.users"):
        Split(**parts)
    assert Split(**parts | {part: moved.reindex(data.users, data.items)}).train is data
    equal = replace(data, users=type(data.users)(data.users.ids.copy()))  # equal maps need not be one object
    Split(**parts | {part: equal})


@pytest.mark.parametrize(("users", "says"), [
    ([1, 2], "2 and 3 ids; first difference: number 2 is nothing and 3"),
    ([1, 2, 3, 4], "4 and 3 ids; first difference: number 3 is 4 and nothing"),
    (["1", "2", "3"], "3 strings and 3 integers"),
    ([], "0 and 3 ids; first difference: number 0 is nothing and 1"),
])
def test_the_message_says_how_the_ids_differ(users, says):
    train = Interactions.from_arrays([1, 2, 3], [5, 5, 5])
    test = Interactions.from_arrays(users, [5] * len(users), item_ids=train.items)
    with pytest.raises(DataError, match=f"test: its users are numbered differently from train's \\({says}\\)"):
        Split(train, None, test)


def test_predefined_parts_with_ids_of_two_kinds_are_named():
    train, test = Interactions.from_arrays([1], [5]), Interactions.from_arrays([1], ["5"])
    with pytest.raises(DataError, match="split_predefined: the ids of test do not join those before: "):
        split_predefined(train, test)
