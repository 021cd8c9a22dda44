"""Markov chains against their formula, and on sequences whose successor is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.models import Markov, Popular

sequences = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=1, max_size=6)


def interactions(rows, start=0):
    pairs = [(user, item) for user, row in enumerate(rows) for item in row]
    return Interactions.from_arrays(*np.array(pairs).T, times=np.arange(len(pairs)) + start)


def by_hand(rows, n, history, *, recent, decay, window, window_decay, smoothing):
    counts, share = np.zeros((n, n)), np.bincount(np.concatenate(rows), minlength=n)
    for row in rows:
        for at, item in enumerate(row):
            for ahead, after in enumerate(row[at + 1:at + 1 + window]):
                counts[item, after] += window_decay**ahead
    chance = (counts + smoothing * share / share.sum()) / (counts.sum(axis=1, keepdims=True) + smoothing)
    last = history if recent is None else history[-recent:]
    return sum(decay**age * chance[item] for age, item in enumerate(reversed(last)))


@given(sequences, st.lists(st.integers(0, 5), min_size=1, max_size=5), st.sampled_from([None, 1, 2]),
       st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 3), st.sampled_from([0.5, 1.0]), st.sampled_from([0.1, 5.0]))
def test_scores_follow_the_formula(rows, history, order, decay, window, window_decay, smoothing):
    rows = [*rows, [0, 1, 2, 3, 4, 5]]  # every item occurs
    params = {"recent": order, "decay": decay, "window": window, "window_decay": window_decay, "smoothing": smoothing}
    model = Markov(**params).fit(interactions(rows))
    recs = model.recommend(history=history, k=6, filter_seen=False)
    found = dict(zip(recs.items.tolist(), recs.scores.tolist(), strict=True))
    expected = by_hand(rows, 6, history, **params)
    assert [found[item] for item in range(6)] == pytest.approx(expected, rel=1e-4)
    reasons = model.explain(history, 3, k=100)
    assert sum(reason.contribution for reason in reasons) == pytest.approx(expected[3], rel=1e-4)


def test_a_window_beyond_all_histories_takes_them_whole():
    rows = [[0, 1, 2], [2, 1]]
    whole, beyond = (Markov(window=window).fit(interactions(rows)) for window in (2, 10**11))
    assert whole.predict(0, [0, 1, 2]).tolist() == beyond.predict(0, [0, 1, 2]).tolist()
    assert Markov(window=10**11).fit(interactions([[0], [1]])).recommend(0, k=2).items.tolist() == [1]


@given(sequences, sequences)
def test_learning_in_two_parts_is_learning_at_once(first, second):
    parts = Markov().fit(interactions(first)).partial_fit(interactions(second, start=1000))
    old, new = interactions(first), interactions(second, start=1000)
    together = [np.concatenate([getattr(old, f"{side}s").ids[getattr(old, side)],
                                getattr(new, f"{side}s").ids[getattr(new, side)]]) for side in ("user", "item")]
    whole = Markov().fit(Interactions.from_arrays(*together, times=np.arange(len(old) + len(new))))
    for user in whole.users.ids.tolist():
        a, b = (model.predict(user, whole.items.ids) for model in (parts, whole))
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_finds_the_successor():
    rng = np.random.default_rng(0)
    rows = [(np.arange(start, start + 6) % 10).tolist() for start in rng.integers(0, 10, 60)]
    model = Markov().fit(interactions(rows))
    for item in range(10):
        assert model.recommend(history=[item], k=1).items.tolist() == [(item + 1) % 10]
        assert model.similar_items(item, k=1).items.tolist() == [(item + 1) % 10]


def test_without_transitions_it_is_popularity():
    data = Interactions.from_arrays([1, 2, 3, 4], ["a", "b", "b", "c"])
    assert Markov().fit(data).recommend(4, k=3).items.tolist() == Popular().fit(data).recommend(4, k=3).items.tolist()
