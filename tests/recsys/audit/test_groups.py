"""Groups of people and of items: nobody is lost, none is small, and shares add up."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.audit.groups import by_activity, by_attribute, by_taste
from recsys.audit.items import grouped_items, labels_of, long_tail
from recsys.data import CSR, Features, IdMap, Interactions
from recsys.errors import ParameterError


@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), min_size=1, max_size=60), st.integers(2, 12))
def test_no_group_is_smaller_than_the_smallest_but_where_all_are(values, smallest):
    people = np.arange(len(values))
    found = by_attribute(Features(attributes={"x": np.array(values)}), "x", people, smallest)
    assert found.sizes.sum() == len(values)
    assert (found.sizes > 0).all()
    assert len(found.names) == 1 or found.sizes.min() >= smallest
    for value in set(values):  # who is alike stays together
        assert len(set(found.of[np.array(values) == value].tolist())) == 1


@given(st.lists(st.integers(-1, 80), min_size=1, max_size=80), st.integers(2, 15))
def test_numbers_are_cut_into_bands_that_do_not_overlap(values, smallest):
    numbers = np.array(values)
    found = by_attribute(Features(attributes={"age": numbers}), "age", np.arange(len(values)), smallest)
    assert len(found.names) == 1 or found.sizes.min() >= smallest
    spans = sorted((numbers[found.of == i].min(), numbers[found.of == i].max()) for i in range(len(found.names))
                   if (numbers[found.of == i] >= 0).all())
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(spans))


def test_who_says_nothing_is_a_group_and_merging_is_told():
    values = np.array(["F"] * 30 + ["M"] * 30 + [""] * 30 + ["X"] * 3)
    found = by_attribute(Features(attributes={"gender": values}), "gender", np.arange(93), 20)
    assert "not said" in found.names or any("together" in name for name in found.names)
    assert "4 groups were merged into 3" in found.note


@pytest.mark.parametrize(("name", "values"), [("age", None), ("face", np.zeros((3, 4)))])
def test_what_is_no_attribute_of_single_values_is_refused(name, values):
    features = None if values is None else Features(attributes={name: values})
    with pytest.raises(ParameterError, match=f"by names .*{name}"):
        by_attribute(features, name, np.arange(3), 2)


def test_activity_and_taste_follow_from_histories():
    rng = np.random.default_rng(0)
    rows = CSR.from_pairs(np.repeat(np.arange(40), np.arange(1, 41)), rng.integers(0, 20, 820), None, (40, 20))
    activity = by_activity(rows, 5)
    assert list(activity.sizes) == [10] * 4
    assert activity.names[-1].endswith("40 events")
    popular = CSR.from_pairs(np.arange(40), np.arange(40) // 2, None, (40, 20))
    taste = by_taste(popular, np.arange(20), 5)
    assert (taste.of[:8] == 0).all()
    assert (taste.of[32:] == 2).all()
    assert (taste.of[8:32] == 1).all()


def test_the_long_tail_is_what_is_behind_four_fifths_of_all_events():
    counts = np.array([50, 30, 10, 10, 0])
    assert long_tail(counts).tolist() == [False, False, True, True, True]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_bands_of_popularity_hold_every_item_once(counts):
    data = Interactions.from_arrays([0], [0], item_ids=IdMap(range(len(counts))))
    (popularity, *_) = grouped_items(data, np.array(counts))
    np.testing.assert_allclose(popularity.mix.sum(1), 1)


def test_labels_that_are_rare_are_one_group_and_shares_add_up():
    n = 50
    genres = CSR.from_pairs(np.arange(n), np.arange(n), None, (n, n))
    names = np.array([f"g{i:02}" for i in range(n)])
    data = Interactions.from_arrays(np.zeros(n), np.arange(n), item_ids=IdMap(range(n)),
                                    item_features=Features(genres=genres, genre_names=names,
                                                           attributes={"year": 1990 + np.arange(n) % 13,
                                                                       "land": np.array(["it", ""] * 25)}))
    labels = labels_of(data)
    assert len(labels.names) == 31
    assert labels.names[-1] == "all others"
    assert labels.of_lists(np.array([[0, 1, -1], [-1, -1, -1]])).sum(1).tolist() == [1, 0]
    found = grouped_items(replace(data, time=np.arange(n) + 10**9), np.ones(n, int), ["year", "land"])
    assert [each.name for each in found] == ["popularity", "genre", "age", "year", "land"]
    assert found[4].names == ("it",)
    assert found[4].mix.sum() == 25
    with pytest.raises(ParameterError, match="items_by names 'colour'"):
        grouped_items(data, np.ones(n, int), ["colour"])
