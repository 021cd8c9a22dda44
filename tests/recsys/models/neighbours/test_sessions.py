"""VSTAN against its formula, in plain Python, and on sessions whose successor is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import DataError
from recsys.models import VSTAN

sequences = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=7), min_size=1, max_size=6)
shares = st.sampled_from([0.0, 0.5, 1.0])
settings_ = st.fixed_dictionaries({
    "neighbours": st.sampled_from([1, 2, 100]), "pool": st.sampled_from([1, 2, 100]),
    "decay": shares, "match_decay": shares, "window_decay": shares,
    "backward": st.sampled_from([0.0, 0.3, 1.0]), "asymmetry": shares, "weights": st.sampled_from(["binary", "idf"]),
    "repeats": st.booleans(), "half_life": st.sampled_from([None, 3.0])})


def interactions(rows, start=0, times=True):
    pairs = [(user, item) for user, row in enumerate(rows) for item in row]
    return Interactions.from_arrays(*np.array(pairs).T, times=np.arange(len(pairs)) + start if times else None)


def by_hand(rows, n, history, p):
    """Scores, written from the docstring alone; the last session is the newest."""
    users = [sum(row.count(i) for row in rows) for i in range(n)]
    f = [math.log1p(len(rows) / c) if c and p["weights"] == "idf" else 1.0 for c in users]
    ends = np.cumsum([len(row) for row in rows]) - 1
    age = {item: len(history) - 1 - at for at, item in enumerate(history)}
    index = {i: [v for v, row in enumerate(rows) if i in row][-p["pool"]:] for i in range(n)}
    mine = sum((p["decay"] ** age[j] * f[j]) ** 2 for j in age) ** p["asymmetry"]
    similar = {}
    for v, row in enumerate(rows):
        products = sum(p["decay"] ** age[j] * f[j] ** 2 for j in age if v in index[j])
        theirs = sum(f[i] ** 2 for i in set(row)) ** (1 - p["asymmetry"])
        fresh = 1.0 if p["half_life"] is None else 2 ** (-(ends[-1] - ends[v]) / p["half_life"])
        if products > 0:
            similar[v] = products / (mine * theirs) * fresh
    nearest = sorted(similar, key=lambda v: (-np.float32(similar[v]), v))
    scores = np.zeros(n)
    for v in nearest[:p["neighbours"]]:
        row = rows[v]
        shared = [i for i in set(row) if i in age]
        if not shared:
            continue
        newest = min(shared, key=lambda i: age[i])
        at, weight = max(q for q, i in enumerate(row) if i == newest), p["match_decay"] ** age[newest]
        for i in set(row):
            q = max(place for place, other in enumerate(row) if other == i)
            if i in age and not p["repeats"]:
                continue
            gap = abs(q - at) - 1
            near = 1.0 if q == at else p["window_decay"] ** gap * (1 if q > at else p["backward"])
            scores[i] += similar[v] * weight * near
    margin = np.diff([np.float32(similar[v]) for v in nearest])
    return scores, bool(np.all(np.abs(margin) > 1e-5) or p["neighbours"] >= len(rows))


@given(sequences, st.lists(st.integers(0, 5), min_size=1, max_size=5), settings_)
def test_scores_follow_the_formula(rows, history, params):
    rows = [*rows, [0, 1, 2, 3, 4, 5]]  # every item occurs
    expected, told_apart = by_hand(rows, 6, history, params)
    if not told_apart:
        return
    model = VSTAN(**params).fit(interactions(rows))
    found = model.score_block(np.zeros(1, np.int32), interactions([history]).reindex(
        interactions([history]).users, model.items).csr)[0]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    reasons = model.explain(history, 3, k=100)
    assert sum(reason.contribution for reason in reasons) == pytest.approx(expected[3], rel=2e-4, abs=1e-6)


def test_finds_the_successor_with_and_without_times():
    rng = np.random.default_rng(0)
    rows = [(np.arange(start, start + 6) % 10).tolist() for start in rng.integers(0, 10, 60)]
    for times in (True, False):
        model = VSTAN().fit(interactions(rows, times=times))
        for item in range(10):
            assert model.recommend(history=[item], k=1).items.tolist() == [(item + 1) % 10]
            assert model.similar_items(item, k=1).items.tolist() == [(item + 1) % 10]


def test_whether_items_come_again_is_taken_from_the_data():
    once, again = VSTAN().fit(interactions([[0, 1], [1, 2]])), VSTAN().fit(interactions([[0, 0, 1], [1, 1, 2]]))
    assert (once.repeats_, again.repeats_) == (False, True)
    scores = again.recommend(history=[1], k=3, filter_seen=False)
    assert 1 in scores.items[scores.source == "model"]
    scores = once.recommend(history=[1], k=3, filter_seen=False)
    assert 1 not in scores.items[scores.source == "model"]


def test_only_the_newest_sessions_of_an_item_are_looked_at():
    rows = [[0, 1]] * 5 + [[0, 2]] * 2
    assert VSTAN(pool=2, weights="binary").fit(interactions(rows)).recommend(history=[0], k=1).items.tolist() == [2]
    assert VSTAN(pool=7, weights="binary").fit(interactions(rows)).recommend(history=[0], k=1).items.tolist() == [1]
    first = VSTAN(pool=2, weights="binary").fit(interactions(rows[2:])).partial_fit(interactions(rows[:2], start=99))
    assert first.recommend(history=[0], k=1).items.tolist() == [1]


def test_a_half_life_needs_times():
    data = interactions([[0, 1], [0, 2], [0, 2]], times=False)
    with pytest.raises(DataError, match="half_life needs data with times"):
        VSTAN(half_life=2.0).fit(data)
    old = Interactions.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 2], times=[0, 0, 1, 1, 10**15, 10**15])
    model = VSTAN(half_life=2.0, weights="binary").fit(old)
    assert model.recommend(history=[0], k=1).items.tolist() == [2]
    with pytest.raises(DataError, match="half_life needs data with times"):
        model.partial_fit(data)


def test_one_session_and_one_item():
    assert VSTAN().fit(interactions([[0]])).recommend(0, k=1).source.tolist() == []
    assert VSTAN().fit(interactions([[0, 1]])).recommend(history=[0], k=1).items.tolist() == [1]
