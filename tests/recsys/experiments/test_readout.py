"""The read-out against plain sums, false alarms end to end, and what is left out."""

from __future__ import annotations

import math
from collections import defaultdict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import DataError, ParameterError
from recsys.experiments import Moments, Variants, confidence_sequence, dealt, difference_sequence, rates

Shown = namedtuple("Shown", "request_id user variant items")
ROWS = st.lists(st.tuples(st.integers(0, 6) | st.sampled_from("0ab") | st.none(), st.sampled_from("abc"),
                          st.lists(st.integers(0, 4), max_size=3, unique=True)), max_size=40)
POSITIVES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=40)


@given(rows=ROWS, positives=POSITIVES)
def test_the_numbers_are_the_plain_sums(rows, positives):
    shown = [Shown(i, *row) for i, row in enumerate(rows)]
    first, lists = {}, defaultdict(lambda: defaultdict(list))
    crossed = 0
    for row in shown:
        who = (row.request_id,) if row.user is None else row.user
        if first.setdefault(who, row.variant) == row.variant:
            lists[row.variant][who].append(any((row.request_id, item) in positives for item in row.items))
        else:
            crossed += 1
    read = rates(shown, positives)
    assert [arm.variant for arm in read.arms] == list(dict.fromkeys(row.variant for row in shown))
    assert read.crossed == crossed
    assert read.unmatched == sum(r >= len(shown) or i not in shown[r].items for r, i in positives)
    for arm in read.arms:
        own = lists[arm.variant]
        every = [click for clicks in own.values() for click in clicks]
        assert (arm.people, arm.lists, arm.positive) == (len(own), len(every), sum(every))
        if own:
            assert arm.list_rate == pytest.approx(np.mean(every))
            assert arm.person_rate == pytest.approx(np.mean([np.mean(clicks) for clicks in own.values()]))
        assert arm.verdict == ("" if arm is read.arms[0] else "not decided")  # far too few
    assert len(read.rows) == len(read.arms)
    assert all(len(row) == len(read.columns) for row in read.rows)
    assert not any(isinstance(value, float) and math.isnan(value)
                   for record in read.to_records() for value in record.values())


def test_intervals_are_of_people_and_shared_among_the_differences():
    tenths = {"a": 2, "b": 6, "c": 2}
    shown = [Shown(i, i % 900, "abc"[i % 3], [1]) for i in range(2700)]
    positives = [(row.request_id, 1) for row in shown if row.user * 7919 % 10 < tenths[row.variant]]
    arms = rates(shown, positives).arms
    first, second, _ = (Moments.of([user * 7919 % 10 < tenths[name] for user in range(place, 900, 3)])
                        for place, name in enumerate("abc"))
    assert (arms[0].low, arms[0].high) == confidence_sequence(*first)
    assert (arms[1].difference_low, arms[1].difference_high) == difference_sequence(first, second, 0.025)
    assert [arm.verdict for arm in arms] == ["", "better", "not decided"]
    backwards = rates(shown, positives, variants=["b", "a"])
    assert [(arm.variant, arm.verdict) for arm in backwards.arms] == [("b", ""), ("a", "worse")]
    assert backwards.unmatched == 0


def test_equal_variants_are_hardly_ever_told_apart_from_assignment_to_verdict():
    alarms = 0
    for experiment in range(40):
        rng = np.random.default_rng(experiment)
        variants = Variants(["a", "b"], [0.5, 0.5], f"experiment {experiment}")
        rate = rng.beta(0.4, 3.6, 400)
        users = rng.integers(400, size=1200)
        shown = [Shown(i, int(user), variants.assign(int(user)), [0]) for i, user in enumerate(users)]
        positives = [(i, 0) for i, user in enumerate(users) if rng.random() < rate[user]]
        alarms += any(rates(shown[:upto], [each for each in positives if each[0] < upto], variants=["a", "b"])
                      .arms[1].verdict != "not decided" for upto in (600, 800, 1000, 1200))
    assert alarms <= 4  # 2 are expected of the worst that is promised


@given(weights=st.lists(st.integers(1, 5), min_size=3, max_size=3), came=st.lists(st.integers(0, 2), max_size=200))
def test_the_evidence_against_the_shares_is_a_fair_bet_on_each_person(weights, came):
    shares, counts, capital = [w / sum(weights) for w in weights], [0, 0, 0], 1.0
    for who in came:  # a bet that pays 1 on average where the shares hold; Ville's inequality does the rest
        capital *= (100 * shares[who] + counts[who]) / (100 + sum(counts)) / shares[who]
        counts[who] += 1
    p = dealt(dict(zip("abc", counts, strict=True)), dict(zip("abc", shares, strict=True)))
    assert p == pytest.approx(min(1 / capital, 1))


def test_people_who_are_lost_are_noticed_and_chance_is_not():
    alarms = 0
    for experiment in range(1000):
        first = np.cumsum(np.random.default_rng(experiment).random(2000) < 0.3)[99::100]
        alarms += min(dealt({"a": int(a), "b": 100 * (i + 1) - int(a)}, {"a": 0.3, "b": 0.7})
                      for i, a in enumerate(first)) < 0.05
    assert alarms <= 50
    shown = [Shown(i, i, "ab"[i % 2], [1]) for i in range(4000) if i % 10]  # a tenth is lost, all of them of a
    read = rates(shown, [], shares={"a": 0.5, "b": 0.5})
    assert read.dealt < 0.001
    assert "People were not dealt by the shares" in read.caption
    assert "dealt" not in rates(shown, [], shares={"a": 0.4, "b": 0.5, "c": 0.1}).caption  # 4 to 5, as it is
    assert dealt({"a": 1, "b": 1}, {"a": 0.0, "b": 1.0}) == 0
    assert dealt({"a": 0, "b": 1}, {"a": 0.0, "b": 1.0}) == 1
    assert dealt({}, {}) == 1


def test_nothing_shown_has_nothing_to_say():
    assert rates([], []).arms == []
    arms = rates([], [(1, 2)], variants=["a", "b"]).arms
    assert [(arm.people, arm.low, arm.high) for arm in arms] == [(0, 0, 1), (0, 0, 1)]
    assert arms[1].verdict == "not decided"
    assert rates([Shown(1, 1, "a", [1, 2])], [(1, 1), (1, 1), (1, 2)]).arms[0].positive == 1
    read = rates([Shown(1, 1, "a", [1]), Shown(2, 1, "b", [1])], [(3, 1)])
    assert "1 lists of people who had seen another variant" in read.caption
    assert "1 positive events without a list" in read.caption


def test_what_cannot_be_read_is_refused():
    with pytest.raises(DataError, match="two lists have the request id 1"):
        rates([Shown(1, 1, "a", [1]), Shown(1, 2, "a", [1])], [])
    for variants in ([], ["a", "a"], "ab", [1], [[]]):
        with pytest.raises(ParameterError, match="variants must be"):
            rates([], [], variants=variants)
    with pytest.raises(ParameterError, match="variant 'a' has no share"):
        rates([Shown(1, 1, "a", [1])], [], shares={"b": 1.0})
    with pytest.raises(ParameterError, match="the share of a must be"):
        rates([Shown(1, 1, "a", [1])], [], shares={"a": 2.0})
    with pytest.raises(ParameterError, match="alpha must be"):
        rates([], [], alpha=0)
