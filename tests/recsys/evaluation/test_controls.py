"""Controls: everything is kept but what belongs to whom, the seed decides, and nothing else changes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR, Features, IdMap, Interactions
from recsys.data.splits import split_random
from recsys.errors import DataError, ParameterError
from recsys.evaluation import controls
from recsys.evaluation.controls import alone, beside, constant, dropped, permuted
from recsys.models import TrustKNN

SEEDS = st.integers(0, 99)


def described(n, links=(), missing=()):
    """Users and items 0 to n - 1, all of them told of, but for images, which some are missing."""
    images = np.arange(1, n + 1)[:, None, None] * np.ones((1, 2, 2))
    images[list(missing)] = 0
    rows = np.arange(n)
    items = Features([f"title {i}" for i in rows], CSR.from_pairs(rows, rows, None, (n, n)), rows.astype(str),
                     np.array([f"plot {i}" for i in rows], np.dtypes.StringDType()), {"poster": images})
    social = CSR.from_pairs(*(np.array([link[end] for link in links], np.int64) for end in (0, 1)), None, (n, n))
    return Interactions.from_arrays(rows, rows, user_ids=IdMap(rows), item_ids=IdMap(rows), item_features=items,
                                    user_features=Features(attributes={"age": rows}), social=social, name="made")


def rows(features):
    """All that is said of each item, as text."""
    genres = [] if features.genres is None else [features.genres.row(i)[0].tolist() for i in range(len(features))]
    told = [values.tolist() for values in (features.titles, features.text) if values is not None]
    told += [values.reshape(len(values), -1).tolist() for values in features.attributes.values()]
    return [str(each) for each in zip(*told, *([genres] if genres else []), strict=True)]


def same_events(a, b):
    return a.fingerprint() == b.fingerprint() and (a.users, a.items, a.name) == (b.users, b.items, b.name)


@given(st.integers(2, 12), SEEDS, st.sets(st.integers(0, 11)))
def test_permuted_features_are_all_there_and_nobodys_own(n, seed, missing):
    data = described(n, missing=[i for i in missing if i < n])
    found = permuted(data, "item_features", seed)
    before, after = rows(data.item_features), rows(found.item_features)
    assert sorted(before) == sorted(after)
    assert not any(a == b for a, b in zip(before, after, strict=True))
    assert same_events(data, found)
    assert found.user_features is data.user_features
    assert found.social is data.social
    assert found.notes == (f"item_features: permuted with seed {seed}, so that it is that of others.",)
    without = [np.flatnonzero((each.item_features.attributes["poster"] == 0).all((1, 2))) for each in (data, found)]
    if len(without[0]) not in (1, n - 1):  # one alone has to take part with the others
        assert np.array_equal(*without)


LINKS = st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda link: link[0] != link[1]), min_size=1)


@given(LINKS, SEEDS)
def test_permuted_friends_are_a_graph_of_the_same_form(links, seed):
    data = described(10, sorted(links))
    found = permuted(data, "friends", seed)
    degrees = [np.stack([each.social.counts, each.social.T.counts], 1) for each in (data, found)]
    assert sorted(map(tuple, degrees[0])) == sorted(map(tuple, degrees[1]))
    company = np.unique(degrees[0], axis=0, return_inverse=True, return_counts=True)
    if min(company[2]) > 1:  # everybody keeps the number of friends
        assert np.array_equal(*degrees)
    old, new = (each.social.toarray() for each in (data, found))
    assert np.trace(np.linalg.matrix_power(old, 3)) == np.trace(np.linalg.matrix_power(new, 3))  # circles of three
    assert np.allclose(np.sort(np.linalg.eigvals(old).real), np.sort(np.linalg.eigvals(new).real), atol=0.01)
    assert same_events(data, found)


@pytest.mark.parametrize("what", controls.WHAT)
def test_the_seed_decides_and_no_correspondence_is_fixed(what):
    links = [(i, j) for i in range(9) for j in ((i + 1) % 9, (i + 2) % 9)]
    data, field = described(9, links), "social" if what == "friends" else what

    def told(seed):
        found = getattr(permuted(data, what, seed), field)
        return str(found.toarray().tolist() if what == "friends" else rows(found))

    assert told(3) == told(3)
    assert len({told(seed) for seed in range(9)}) > 5


def test_every_other_item_has_its_turn():
    data = described(5)
    found = np.array([permuted(data, "item_features", seed).item_features.titles for seed in range(99)])
    assert [len(np.unique(column)) for column in found.T] == [4] * 5


@given(SEEDS)
def test_constant_is_what_one_has_of_each(seed):
    data = described(6, [(0, 1), (2, 1), (3, 4)], missing=[0, 1, 2])
    found = constant(data, "item_features", seed).item_features
    assert len(set(rows(found))) == 1
    assert found.attributes["poster"].any()  # never what is missing
    friends = constant(data, "friends", seed).social
    friend, = np.unique(friends.indices)
    assert friend in (1, 4)
    assert friends.nnz == 5
    assert friends.row(int(friend))[0].size == 0


def test_modalities_are_changed_dropped_and_left_alone():
    data = described(5, [(0, 1)])
    shuffled = permuted(data, "item_features.text").item_features
    assert shuffled.titles.tolist() == data.item_features.titles.tolist()
    assert sorted(shuffled.text.tolist()) == sorted(data.item_features.text.tolist())
    assert not np.any(shuffled.text == data.item_features.text)
    without = dropped(data, "item_features.genres").item_features
    assert (without.genres, without.genre_names) == (None, None)
    assert without.titles is not None
    assert dropped(data, "friends").social is None
    only = alone(data, "item_features.poster")
    assert list(only.item_features.attributes) == ["poster"]
    assert (only.item_features.titles, only.item_features.genres, only.item_features.text) == (None, None, None)
    assert (only.user_features, only.social) == (None, None)
    assert len(only.notes) == 5
    assert alone(data, "friends").social is data.social


def test_all_parts_of_a_split_are_changed_alike(random_data):
    data = random_data(0)
    features = Features(data.items.ids.astype(str))
    split = split_random(Interactions(data.users, data.items, data.user, data.item, item_features=features))
    before = copy.copy(split.card)
    found = permuted(split, "item_features", 5)
    assert found.train.item_features is found.test.item_features is found.valid.item_features
    assert not np.any(found.train.item_features.titles == features.titles)
    assert found.card == {**before, "control": "item_features: permuted with seed 5, so that it is that of others."}
    assert split.card == before


@pytest.mark.parametrize(("what", "message"), [
    ("item_features.sound", "the data has no item_features.sound but titles, text, genres, poster"),
    ("friends", r"the data has no friends; name something"), ("user_features", "the data has no user_features;")])
def test_what_the_data_does_not_have_is_said(what, message):
    data = dropped(dropped(described(3, [(0, 1)]), "friends"), "user_features")
    for control in (permuted, constant, dropped, alone):
        with pytest.raises(DataError, match=message):
            control(data, what)


def test_what_says_nothing_of_anybody_is_not_there():
    data = described(3, [(0, 1)])
    silent = replace(data, social=CSR.empty(data.social.shape), item_features=Features(titles=[""] * 3))
    for what in ("friends", "item_features"):
        for control in (permuted, constant, dropped, alone):
            with pytest.raises(DataError, match=f"the data has no {what}"):
                control(silent, what)
    assert beside(TrustKNN(), data, "friends").keys() == {"friends permuted", "friends constant"}
    assert beside(TrustKNN(), silent, "friends") == beside(TrustKNN(), silent, "features") == {}


def test_names_and_seeds_are_checked():
    with pytest.raises(ParameterError, match="controls: what must be one of"):
        permuted(described(2), "features")
    with pytest.raises(ParameterError, match="permuted: seed must be"):
        permuted(described(2), "item_features", -1)
