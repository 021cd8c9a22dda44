"""Ids: round trips, unknown ones, and what is refused."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap
from recsys.data.ids import as_ids, factorise, is_one
from recsys.errors import DataError, ParameterError, UnknownIdError

integers = st.integers(-(2**63), 2**63 - 1)
letters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
strings = st.text(letters, min_size=1, max_size=8)
id_lists = st.one_of(st.lists(integers, max_size=20), st.lists(strings, max_size=20))
unique_lists = st.one_of(st.lists(integers, min_size=1, unique=True), st.lists(strings, min_size=1, unique=True))


@given(unique_lists)
def test_round_trip_in_the_order_given(ids):
    known = IdMap(ids)
    assert len(known) == len(ids)
    assert known.ids.tolist() == ids
    numbers = known.encode(ids)
    assert numbers.dtype == np.int32
    np.testing.assert_array_equal(numbers, np.arange(len(ids)))
    assert known.decode(numbers).tolist() == ids
    assert all(i in known for i in ids)


@given(unique_lists, id_lists)
def test_unknown_ids_are_skipped_or_named(ids, asked):
    known = IdMap(ids)
    if asked and type(asked[0]) is not type(ids[0]):
        for unknown in "raise", "skip":
            with pytest.raises(DataError, match=r"The known ids are (integers|strings), such as"):
                known.encode(asked, unknown)
        return
    expected = [ids.index(a) if a in ids else -1 for a in asked]
    np.testing.assert_array_equal(known.encode(asked, unknown="skip"), expected)
    missing = [a for a, number in zip(asked, expected, strict=True) if number < 0]
    if missing:
        with pytest.raises(UnknownIdError) as caught:
            known.encode(asked)
        assert repr(missing[0]) in str(caught.value)
        assert f"{len(missing)} of {len(asked)}" in str(caught.value)


@given(st.data())
def test_add_keeps_old_numbers(data):
    kind = data.draw(st.sampled_from([integers, strings]))
    old = data.draw(st.lists(kind, min_size=1, unique=True))
    new = data.draw(st.lists(kind))
    grown = IdMap(old).add(new)
    expected = list(dict.fromkeys(old + new))
    assert grown.ids.tolist() == expected


@given(id_lists)
def test_factorise_numbers_in_ascending_order(ids):
    known, numbers = factorise(as_ids(ids))
    assert known.ids.tolist() == sorted(set(ids))
    assert known.decode(numbers).tolist() == ids
    assert numbers.dtype == np.int32


@given(st.lists(st.integers(1 - 2**53, 2**53 - 1)))
def test_whole_floats_are_integers(ids):
    np.testing.assert_array_equal(as_ids(np.array(ids, np.float64)), np.array(ids, np.int64))


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64, ">i4", np.object_])
def test_integer_dtypes_make_one_map(dtype):
    assert IdMap(np.array([3, 1, 2], dtype)) == IdMap([3, 1, 2])


def test_objects_of_frames_are_understood():
    assert as_ids(np.array(["a", "bc"], object)).dtype == np.dtype("<U2")
    assert as_ids(np.array([b"a", b"bc"])).tolist() == ["a", "bc"]
    np.testing.assert_array_equal(as_ids(np.array([1, 2.0], object)), [1, 2])
    assert as_ids(np.array(["a", "bc"], np.dtypes.StringDType())).dtype == np.dtype("<U2")
    assert as_ids([]).dtype == np.int64
    assert as_ids("one id").tolist() == ["one id"]


@pytest.mark.parametrize(("ids", "message"), [
    ([1.0, 2.5], r"position 1: 2\.5 is not a whole number"),
    ([1.0, np.nan], r"position 1: nan is missing"),
    ([1.0, np.inf], r"position 1: inf is not a whole number"),
    ([2.0**60], r"too large for a float"),
    (np.array([1, 2**63], np.uint64), r"position 1: 9223372036854775808 is beyond the 64-bit integers"),
    ([1, -(2**63) - 1], r"position 1: -9223372036854775809 is beyond"),
    (["a", ""], r"position 1: '' is empty"),
    (["a", None], r"position 1: None is missing"),
    (["a", 1], r"position 1: 1 is an integer; ids must be all integers or all strings"),
    (["a\0"], r"NUL"),
    ([True, False], r"True is a bool"),
    (np.array([True]), r"got an array of bool"),
    (np.zeros((2, 2)), r"one-dimensional"),
    (np.array(["2020-01-01"], "M8[s]"), r"got an array of datetime64"),
])
def test_bad_ids_are_refused(ids, message):
    with pytest.raises(DataError, match=message):
        as_ids(ids)


def test_misuse_is_explained():
    known = IdMap(["a", "b"])
    with pytest.raises(DataError, match=r"each id must occur once; 'a' occur more often"):
        IdMap(["a", "b", "a"])
    with pytest.raises(DataError, match=r"numbers must lie in 0\.\.1, got -1\.\.1"):
        known.decode([1, -1])
    with pytest.raises(DataError, match=r"The known ids are strings, such as 'a', and these are integers: 7; convert"):
        known.encode([7])
    with pytest.raises(ParameterError, match=r"unknown must be 'raise' or 'skip'"):
        known.encode(["a"], unknown="ignore")
    with pytest.raises(DataError, match=r"holds strings, the new ids are integers"):
        known.add([7])
    assert 7 not in known
    assert None not in known
    assert known != IdMap(["b", "a"])
    assert repr(known) == "IdMap(2 ids: 'a', 'b')"
    assert len(IdMap([])) == 0
    np.testing.assert_array_equal(IdMap([]).encode([5], unknown="skip"), [-1])
    assert IdMap([]).add(["x"]).ids.tolist() == ["x"]


@given(st.integers(-2**70, 2**70))
def test_texts_become_ids_exactly_or_are_refused(number):
    if -2**63 <= number < 2**63:
        assert IdMap([1]).parse([str(number)]).tolist() == [number]
    else:
        with pytest.raises(ParameterError, match=str(number)):
            IdMap([1]).parse([str(number)])
    assert IdMap(["x"]).parse([str(number)]).tolist() == [str(number)]


WRONG = ["12", ["7", "12"], 12.5, [None], None, float("nan"), datetime.date(2020, 1, 31), [True],
         np.array(["2020-01-31"], "M8[s]"), [7, "12"], [[7]]]


@pytest.mark.parametrize("ids", WRONG, ids=repr)
@pytest.mark.parametrize("unknown", ["raise", "skip"])
def test_ids_of_a_wrong_kind_are_never_swallowed(ids, unknown):
    with pytest.raises(DataError):
        IdMap([7, 12]).encode(ids, unknown)


@pytest.mark.parametrize("ids", [[], (), np.array([]), np.array([], "U3"), np.zeros(0, int)], ids=repr)
@pytest.mark.parametrize("known", [[7, 12], ["a"], []])
def test_no_ids_are_of_no_kind(ids, known):
    assert len(IdMap(known).encode(ids)) == 0
    np.testing.assert_array_equal(IdMap([]).encode(["a", "b"], "skip"), [-1, -1])


@pytest.mark.parametrize(("ids", "one"), [
    ("ab", True), (b"ab", True), (7, True), (np.int64(7), True), (np.array(7), True), (np.str_("a"), True),
    (None, True), (["ab"], False), ([], False), ({7}, False), (np.array([7]), False), (iter([7]), False)])
def test_one_id_or_several(ids, one):
    assert is_one(ids) == one


def test_integers_among_floats_stay_exact():
    assert as_ids([2**53 + 1, 1.0]).tolist() == [2**53 + 1, 1]
    assert as_ids([-7.0, -(2**63)]).tolist() == [-7, -(2**63)]
    for large in (2.0**53, np.array([2**53 + 1], np.float64), [1, 2.0**53], np.array([2**24 + 1], np.float32)):
        with pytest.raises(DataError, match="too large for a float to hold exactly"):
            as_ids(large)
    with pytest.raises(DataError, match="beyond the 64-bit integers"):
        as_ids([10**400, 1.0])
