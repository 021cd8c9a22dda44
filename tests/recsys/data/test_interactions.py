"""The container: building, choosing, renumbering."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR, Features, IdMap, Interactions
from recsys.errors import DataError, UnknownIdError


@st.composite
def interactions(draw, min_size=0):
    n = draw(st.integers(min_size, 40))
    users = draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n))
    items = draw(st.lists(st.sampled_from("abcde"), min_size=n, max_size=n))
    values = draw(st.none() | st.lists(st.sampled_from([0.5, 1, 3.3, 5]), min_size=n, max_size=n))
    times = draw(st.none() | st.lists(st.integers(-5, 5), min_size=n, max_size=n))
    return Interactions.from_arrays(users, np.array(items, np.str_), values, times)


def rows(data):
    columns = [data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist()]
    columns += [[None] * len(data) if c is None else c.tolist() for c in (data.value, data.time)]
    return list(zip(*columns, strict=True))


@given(interactions())
def test_csr_holds_each_users_rows_in_time_order(data):
    expected = rows(data)
    if data.time is not None:
        expected.sort(key=lambda row: row[3])  # stable
    for number, user in enumerate(data.users.ids.tolist()):
        items, values = data.csr.row(number)
        own = [row for row in expected if row[0] == user]
        assert data.items.decode(items).tolist() == [row[1] for row in own]
        assert values is None or values.tolist() == [row[2] for row in own]
    assert data.csr.shape == (data.n_users, data.n_items)
    np.testing.assert_array_equal(data.csc.toarray(), data.csr.toarray().T)
    np.testing.assert_array_equal(data.sequences(2).counts, np.minimum(data.csr.counts, 2))


@given(interactions(min_size=1), st.data())
def test_take_keeps_ids(data, draw):
    which = draw.draw(st.lists(st.integers(0, len(data) - 1)))
    taken = data.take(which)
    assert rows(taken) == [rows(data)[i] for i in which]
    assert taken.users is data.users
    mask = np.array(draw.draw(st.lists(st.booleans(), min_size=len(data), max_size=len(data))))
    assert rows(data.take(mask)) == [row for row, keep in zip(rows(data), mask, strict=True) if keep]


@given(interactions(min_size=1), st.data())
def test_compact_drops_ids_without_rows(data, draw):
    part = data.take(draw.draw(st.lists(st.integers(0, len(data) - 1))))
    compact = part.compact()
    assert rows(compact) == rows(part)
    assert set(compact.users.ids.tolist()) == {row[0] for row in rows(part)}
    assert set(compact.items.ids.tolist()) == {row[1] for row in rows(part)}
    assert compact.fingerprint() == part.fingerprint()


@given(interactions(min_size=1), st.randoms())
def test_reindex_with_more_and_other_ids(data, random):
    users = [*data.users.ids.tolist(), 99]
    items = [*data.items.ids.tolist(), "zz"]
    random.shuffle(users)
    random.shuffle(items)
    other = data.reindex(IdMap(users), IdMap(items))
    assert rows(other) == rows(data)
    assert other.fingerprint() == data.fingerprint()
    fewer = data.reindex(IdMap(users[1:]), IdMap(items), unknown="skip")
    assert rows(fewer) == [row for row in rows(data) if row[0] != users[0]]


def test_features_and_friends_follow_their_ids():
    ids = IdMap([1, 2, 3])
    data = Interactions.from_arrays(
        [1, 3], ["x", "y"], user_ids=ids, user_features=Features(titles=np.array(["one", "two", "three"])),
        social=CSR.from_pairs([0, 0, 2], [1, 2, 0], None, (3, 3)),
        item_ids=IdMap(["y", "x"]), item_features=Features(attributes={"price": np.array([2.0, 1.0])}))
    compact = data.compact()
    assert compact.user_features.titles.tolist() == ["one", "three"]
    np.testing.assert_array_equal(compact.social.toarray(), [[0, 1], [1, 0]])
    assert compact.item_features.attributes["price"].tolist() == [2.0, 1.0]
    grown = data.reindex(IdMap([3, 1, 7]), data.items)
    assert grown.user_features.titles.tolist() == ["three", "one", ""]
    np.testing.assert_array_equal(grown.social.toarray(), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


def test_known_ids_and_cold_items():
    data = Interactions.from_arrays(["u"], ["b"], item_ids=IdMap(["a", "b", "c"]))
    assert (data.n_items, data.item.tolist()) == (3, [1])
    with pytest.raises(UnknownIdError, match="'z'"):
        Interactions.from_arrays(["u"], ["z"], item_ids=IdMap(["a"]))


def test_times_of_every_kind():
    stamps = np.array(["2020-01-01T00:00:01.9", "1969-12-31T23:59:58.5"], "M8[ms]")
    seconds = [1577836801, -2]
    for times in (stamps, np.array([1577836801.9, -1.5]), np.array(seconds),
                  np.array(["2020-01-01 00:00:01", "1969-12-31 23:59:58"]), stamps.astype("M8[s]").astype(object)):
        assert Interactions.from_arrays([1, 2], [1, 2], times=times).time.tolist() == seconds


@pytest.mark.parametrize(("arguments", "message"), [
    (([1], [1, 2]), r"1 users and 2 items"),
    (([1, 2], [1, 2], [1.0, np.nan]), r"values, row 1: the value nan is not a finite"),
    (([1, 2], [1, 2], [np.inf, 1]), r"values, row 0: the value inf"),
    (([1], [1], [1e300]), r"value 1e\+300 is not a finite float32"),
    (([1], [1], ["good"]), r"values, row 0: 'good' is not a number"),
    (([1], [1], [None]), r"values, row 0: the value nan"),
    (([1, 2], [1, 2], [1.0]), r"values must have shape \(2,\), got \(1,\)"),
    (([1], [1], None, [np.nan]), r"times, row 0: the time nan is missing, not finite"),
    (([1], [1], None, ["soon"]), r"times, row 0: 'soon' is neither a number nor a date"),
    (([1], [1], None, [1 + 2j]), r"times must be integers, floats or datetimes"),
    (([1.5], [1]), r"users, row 0: 1\.5 is not a whole number"),
    (([1], ["x", None]), r"items, row 1: None is missing"),
])
def test_bad_arrays_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        Interactions.from_arrays(*arguments)


def test_bad_parts_are_refused():
    ids = IdMap([1, 2])
    with pytest.raises(DataError, match=r"column item must lie in 0\.\.1, got 5\.\.5"):
        Interactions(ids, ids, np.array([0]), np.array([5]))
    with pytest.raises(DataError, match=r"column value has shape \(2,\), user \(1,\)"):
        Interactions(ids, ids, np.array([0]), np.array([0]), np.zeros(2))
    with pytest.raises(DataError, match=r"item_features describe 1 rows, there are 2 ids"):
        Interactions(ids, ids, np.array([0]), np.array([0]), item_features=Features(titles=np.array(["a"])))
    with pytest.raises(DataError, match=r"social has shape \(1, 1\)"):
        Interactions(ids, ids, np.array([0]), np.array([0]), social=CSR.from_pairs([0], [0]))
    with pytest.raises(DataError, match=r"social is an array of shape \(2, 2\); pass CSR\.from_pairs\(from, to"):
        Interactions(ids, ids, np.array([0]), np.array([0]), social=np.eye(2))
    with pytest.raises(DataError, match=r"item_features is a dict of 2; pass recsys\.Features\(\.\.\.\), or add what"):
        Interactions(ids, ids, np.array([0]), np.array([0]), item_features={1: "a", 2: "b"})
    with pytest.raises(DataError, match=r"social need user_ids"):
        Interactions.from_arrays([1], [1], social=CSR.from_pairs([0], [0]))
    with pytest.raises(DataError, match=r"item_features need item_ids"):
        Interactions.from_arrays([1], [1], item_features=Features(titles=np.array(["a"])))
    with pytest.raises(DataError, match=r"a mask must have shape \(1,\)"):
        Interactions.from_arrays([1], [1]).take(np.array([True, False]))


def test_one_user_one_item_and_nothing():
    one = Interactions.from_arrays(["only"], [0], [1])
    assert repr(one) == "Interactions(1 rows, 1 users, 1 items, values)"
    empty = Interactions.from_arrays([], [])
    assert len(empty) == empty.csr.nnz == 0
    assert empty.describe()["interactions"] == 0
    assert len(empty.clean().compact()) == 0


@pytest.mark.parametrize("unknown", ["raise", "skip"])
def test_reindex_by_ids_of_another_kind_is_refused(unknown):
    data = Interactions.from_arrays([1, 2], ["a", "b"])
    with pytest.raises(DataError, match=r"The known ids are strings, such as '1', and these are integers: 1, 2"):
        data.reindex(IdMap(["1", "2"]), data.items, unknown)
    with pytest.raises(DataError, match="The known ids are integers"):
        data.reindex(data.users, IdMap([1]), unknown)
