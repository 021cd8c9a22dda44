"""Cleaning, thinning, scaling, describing: against plain Python, and what stays the same."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap, Interactions
from recsys.data.cleaning import gini
from recsys.errors import DataError, DataWarning, ParameterError
from recsys.models import EASE, Bias, ItemKNN, Popular


@st.composite
def interactions(draw, min_size=0, values=None):
    n = draw(st.integers(min_size, 40))
    users = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    items = draw(st.lists(st.integers(10, 14), min_size=n, max_size=n))
    levels = st.lists(st.sampled_from([0.5, 1, 3.3, 5]), min_size=n, max_size=n)
    value = draw(st.none() | levels if values is None else levels)
    times = draw(st.none() | st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return Interactions.from_arrays(users, items, value, times)


def pairs(data):
    return list(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))


@given(interactions(), st.sampled_from(["last", "first"]))
def test_clean_keeps_the_last_or_first_row_of_a_pair(data, duplicates):
    moment = np.zeros(len(data)) if data.time is None else data.time
    best = {}
    for i, pair in enumerate(pairs(data)):
        j = best.setdefault(pair, i)
        if (moment[i] >= moment[j]) if duplicates == "last" else (moment[i] < moment[j]):
            best[pair] = i
    expected = data.take(sorted(best.values()))
    cleaned = data.clean(duplicates)
    for column in ("user", "item", "value", "time"):
        np.testing.assert_array_equal(getattr(cleaned, column), getattr(expected, column))
    assert cleaned.clean(duplicates).fingerprint() == cleaned.fingerprint()


@given(interactions())
def test_clean_adds_and_averages(data):
    total, count = {}, {}
    for i, pair in enumerate(pairs(data)):
        total[pair] = total.get(pair, 0) + (1 if data.value is None else float(data.value[i]))
        count[pair] = count.get(pair, 0) + 1
    added = data.clean("sum")
    assert len(added) == len(total)
    if len(data):
        np.testing.assert_allclose(added.value, [total[pair] for pair in pairs(added)], rtol=1e-6)
    mean = data.clean("mean")
    expected = None if data.value is None else [total[pair] / count[pair] for pair in pairs(mean)]
    assert mean.value is None if expected is None else np.allclose(mean.value, expected)
    assert data.clean("keep") is data


@given(interactions(values=True))
def test_filter_and_binarise(data):
    kept = data.filter(min_value=1, max_value=3)
    assert np.array_equal(kept.value, data.value[(data.value >= 1) & (data.value <= 3)])
    implicit = data.binarise(3)
    assert implicit.value is None
    assert len(implicit) == int((data.value >= 3).sum())
    assert len(data.binarise()) == len(data)
    assert kept.users is data.users


@given(interactions(values=True, min_size=1))
def test_normalise(data):
    centred = data.normalise("user_mean")
    sums = np.bincount(data.user, centred.value, minlength=data.n_users)
    np.testing.assert_allclose(sums, 0, atol=1e-4)
    assert len({*np.round(data.value - centred.value, 4)[data.user == data.user[0]].tolist()}) == 1
    items = data.normalise("item_mean")
    np.testing.assert_allclose(np.bincount(data.item, items.value), 0, atol=1e-4)
    scaled = data.normalise("minmax").value
    assert scaled.min() == 0
    assert scaled.max() == (data.value.max() > data.value.min())
    order = np.argsort(data.value, kind="stable")
    assert np.all(np.diff(scaled[order]) >= 0)
    np.testing.assert_allclose(data.normalise("mean").value, data.value - data.value.mean(), atol=1e-5)
    deviation = data.normalise("zscore").value.std()
    assert deviation == pytest.approx(1, abs=1e-4) or np.ptp(data.value) == 0
    per_user = data.normalise("user_zscore").value
    for own in (data.user == u for u in np.unique(data.user)):
        assert per_user[own].std() == pytest.approx(float(np.ptp(data.value[own]) > 0), abs=1e-4)


@given(interactions(), st.integers(0, 4), st.integers(0, 4))
def test_k_core_is_the_largest_part_that_holds(data, users, items):
    try:
        core = data.k_core(users, items)
    except DataError:
        return
    per_user, per_item = (np.bincount(c) for c in (core.user, core.item))
    assert per_user.min() >= users
    assert per_item.min() >= items
    assert (len(per_user), len(per_item)) == (core.n_users, core.n_items)
    assert core.k_core(users, items).fingerprint() == core.fingerprint()


@given(interactions(), st.randoms())
def test_fingerprint_depends_on_contents_alone(data, random):
    order = list(range(len(data)))
    random.shuffle(order)
    mark = data.fingerprint()
    assert data.take(np.array(order, np.int64)).fingerprint() == mark
    users, items = data.users.ids.tolist() + [77], data.items.ids.tolist()
    random.shuffle(users)
    random.shuffle(items)
    assert data.reindex(IdMap(users), IdMap(np.array(items, np.int64))).fingerprint() == mark
    assert len(mark) == 16
    if len(data):
        assert data.take(np.arange(len(data) - 1)).fingerprint() != mark
        other = np.array([str(i) for i in data.users.ids])[data.user]
        items = data.items.ids[data.item]
        assert Interactions.from_arrays(other, items, data.value, data.time).fingerprint() != mark


@given(interactions())
def test_describe_is_plain_and_right(data):
    card = data.describe()
    json.dumps(card)
    distinct = set(pairs(data))
    assert card["interactions"] == len(data)
    assert card["duplicates"] == len(data) - len(distinct)
    assert card["users"] == len({u for u, _ in distinct})
    assert card["items"] == len({i for _, i in distinct})
    if len(data):
        assert card["density"] == pytest.approx(len(distinct) / (card["users"] * card["items"]))
        assert card["events_per_user"]["mean"] == pytest.approx(len(data) / card["users"])
        if data.value is not None:
            assert sum(card["values"]["counts"].values()) == len(data)


def test_gini():
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0


def test_misuse_is_explained():
    implicit = Interactions.from_arrays([1], [1])
    for verb in (implicit.normalise, lambda: implicit.filter(1), lambda: implicit.binarise(3)):
        with pytest.raises(DataError, match="no values"):
            verb()
    with pytest.raises(ParameterError, match=r"duplicates must be one of .*'keep'.*got 'best'"):
        implicit.clean("best")
    with pytest.raises(ParameterError, match="how must be one of"):
        Interactions.from_arrays([1], [1], [1]).normalise("l2")
    with pytest.raises(ParameterError, match="at least 0"):
        implicit.k_core(-1, 1)
    with pytest.raises(DataError, match=r"nothing is left of Interactions\(1 rows.*with 5 rows a user"):
        implicit.k_core(5, 1)


def test_events_worth_nothing_are_not_counted_in_silence():
    bought = Interactions.from_arrays([1, 1, 2, 2], [7, 8, 7, 8], [2, -1, 1, 0])
    for model in (Popular(), ItemKNN(), EASE()):
        with pytest.warns(DataWarning, match=r"the data: 2 of 4 events have a value of 0 or less and count like"):
            model.fit(bought)
    with pytest.warns(DataWarning, match="2 of 4 events"):
        Popular().fit(bought.filter(min_value=1)).partial_fit(bought)
    EASE(weights="value").fit(bought)
    Bias().fit(bought)
    ItemKNN().fit(bought.clean("keep", negative="drop").filter(min_value=1))
    assert bought.binarise().notes == ("the data: 2 of 4 events have a value of 0 or less and count like all others.",)
    assert bought.binarise(1).notes == ()
