"""Anytime-valid intervals: what they promise is watched from the first person on, in a thousand experiments each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import DataError, ParameterError
from recsys.experiments.sequences import (
    BURN_IN,
    Moments,
    betting_sequence,
    confidence_sequence,
    difference_sequence,
)

EXPERIMENTS = 1000
DEEP = settings.get_current_profile_name() == "deep"
PEOPLE, LISTS = (20_000, 10_000) if DEEP else (4000, 3000)  # of each experiment
RATES = [0.01, 0.05, 0.2, 0.5]
UNITS = st.lists(st.floats(0, 1), max_size=30)


def watched(rng, rate, people, block=200):
    """Clicks and variants of people who come once, block by block of experiments: two arrays (block, people)."""
    for _ in range(EXPERIMENTS // block):
        yield (rng.random((block, people), np.float32) < rate), rng.random((block, people), np.float32)


def counted(clicks, mine):
    """The moments, after each person, of those of one variant."""
    total = np.cumsum(clicks & mine, 1, np.int32)
    return Moments(total, total, np.cumsum(mine, 1, np.int32))


def excludes(interval, value):
    return (interval.low > value) | (interval.high < value)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("rate", RATES)
def test_of_1000_experiments_without_a_difference_at_most_5_percent_ever_show_one(rate, share):
    rng, alarms, naive = np.random.default_rng(0), 0, 0
    for clicks, draw in watched(rng, rate, PEOPLE):
        first, second = counted(clicks, draw < share), counted(clicks, draw >= share)
        alarms += excludes(difference_sequence(first, second), 0).any(1).sum()
        naive += _naive(first, second)[:, 1000:].any(1).sum()
    print(f"false alarms: {alarms / EXPERIMENTS:.1%}, of an interval made for one look {naive / EXPERIMENTS:.1%}")
    assert alarms <= 0.05 * EXPERIMENTS
    assert naive > 0.15 * EXPERIMENTS  # the same experiments fool whoever looks often at an interval made for once


@pytest.mark.parametrize("likelier", [False, True])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_people_who_come_back_do_not_raise_false_alarms(rate, likelier):
    rng = np.random.default_rng(1)
    alarms = np.zeros(EXPERIMENTS, bool)
    for pair in returning(rng, rate, lists=LISTS, fresh=0.3, likelier=likelier):
        alarms |= excludes(difference_sequence(*pair), 0)
    print(f"false alarms: {alarms.mean():.1%} of experiments with {int(sum(each.n.mean() for each in pair))} people")
    assert min(pair[0].n.min(), pair[1].n.min()) > 3 * BURN_IN
    assert alarms.mean() <= 0.05


@pytest.mark.parametrize("rate", [0.002, *RATES])
def test_a_mean_is_left_out_by_at_most_5_percent_at_any_time(rate):
    missed = 0
    for clicks, _ in watched(np.random.default_rng(2), rate, PEOPLE):
        missed += excludes(confidence_sequence(*counted(clicks, np.ones_like(clicks))), rate).any(1).sum()
    print(f"left out: {missed / EXPERIMENTS:.1%}")
    assert missed <= 0.05 * EXPERIMENTS


def test_a_difference_that_is_there_is_found():
    rng, found = np.random.default_rng(3), 0
    for _ in range(100):
        first, second = Moments.of(rng.random(5000) < 0.10), Moments.of(rng.random(5000) < 0.14)
        found += difference_sequence(first, second).low > 0
    assert found >= 95


def test_betting_leaves_out_the_mean_by_at_most_5_percent_from_the_first_person_on():
    rng = np.random.default_rng(4)
    for draw, mean in ((lambda: rng.random(400) < 0.05, 0.05), (lambda: rng.beta(1, 3, 400), 0.25)):
        missed = sum(bool(excludes(betting_sequence(draw(), grid=200), mean)) for _ in range(300))
        assert missed <= 0.05 * 300


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=60), alpha=st.floats(0.01, 0.5))
def test_betting_agrees_with_a_plain_loop(values, alpha):
    grid, kept = 20, []
    for step in range(grid + 1):
        m, up, down, alive = step / grid, 1.0, 1.0, True
        total, spread = 0.5, 0.25
        for i, x in enumerate(values, 1):
            bet = math.sqrt(2 * math.log(2 / alpha) / (spread * math.log(1 + i)))
            up *= 1 + min(bet, 0.5 / m if m else math.inf) * (x - m)
            down *= 1 - min(bet, 0.5 / (1 - m) if m < 1 else math.inf) * (x - m)
            alive &= max(up, down) / 2 < (1 / alpha) * (1 - 1e-9)
            total += x
            spread += (x - total / (i + 1)) ** 2
        kept += [step] * alive
    low, high = betting_sequence(values, alpha, grid=grid)
    if kept:
        assert low <= max(kept[0] - 1, 0) / grid + 1e-12
        assert high >= min(kept[-1] + 1, grid) / grid - 1e-12
    assert 0 <= low <= high <= 1


@given(values=UNITS, others=UNITS)
def test_nobody_is_told_anything_before_the_burn_in(values, others):
    first, second = Moments.of(values), Moments.of(others)
    assert confidence_sequence(*first) == (0, 1)
    assert difference_sequence(first, second) == (-1, 1)
    assert betting_sequence([]) == (0, 1)


@given(values=UNITS.filter(bool), others=UNITS.filter(bool), times=st.integers(BURN_IN, 999))
def test_intervals_hold_the_estimate_and_mirror(values, others, times):
    first, second = (Moments(*(each * times for each in Moments.of(list_))) for list_ in (values, others))
    low, high = confidence_sequence(*first)
    assert 0 <= low <= first.mean + 1e-9
    assert first.mean - 1e-9 <= high <= 1
    forth, back = difference_sequence(first, second), difference_sequence(second, first)
    np.testing.assert_allclose(forth, (-back.high, -back.low), atol=1e-12)
    assert forth.low - 1e-9 <= second.mean - first.mean <= forth.high + 1e-9
    wider = difference_sequence(first, second, alpha=0.01)
    assert wider.low <= forth.low
    assert forth.high <= wider.high


def test_what_has_no_interval_is_refused():
    for values in ([0.5, 1.5], [float("nan")], [-0.1]):
        with pytest.raises(DataError, match=r"values must lie in \[0, 1\]"):
            Moments.of(values)
        with pytest.raises(DataError, match=r"values must lie in \[0, 1\]"):
            betting_sequence(values)
    for sums in ((5, 5, 3), (1, 2, 3), (-1, 1, 3), (1, 1, -1), (3, 1, 3), (np.nan, 1, 3)):
        with pytest.raises(DataError, match="do not belong to"):
            confidence_sequence(*sums)
        with pytest.raises(DataError, match="do not belong to"):
            difference_sequence(Moments(0, 0, 0), Moments(*sums))
    for alpha in (0.0, 1.0, "x", float("nan")):
        with pytest.raises(ParameterError, match="alpha"):
            confidence_sequence(1, 1, 3, alpha)


def returning(rng, rate, lists, fresh, likelier):
    """Moments of two variants every 10 lists, of experiments side by side, where people have rates and come back.

    A list is of a new person with probability `fresh`, else of somebody who was there; `likelier`: of two such, of the
    one who clicked more. A person's value is the share of lists with a click.
    """
    every, column = np.arange(EXPERIMENTS), np.zeros(EXPERIMENTS, int)
    clicks, visits = np.zeros((2, EXPERIMENTS, lists), np.int32)
    chances = rng.beta(2 * rate, 2 * (1 - rate), (EXPERIMENTS, lists))
    variants = rng.random((EXPERIMENTS, lists)) < 0.5
    total, squares, people = np.zeros((3, 2, EXPERIMENTS))
    for step in range(1, lists + 1):
        one, two = (rng.random((2, EXPERIMENTS)) * column).astype(int)
        back = np.where(likelier & (clicks[every, two] > clicks[every, one]), two, one)
        new = (rng.random(EXPERIMENTS) < fresh) | (column == 0)
        who = np.where(new, column, back)
        column += new
        variant = variants[every, who].astype(int)
        before = clicks[every, who] / np.maximum(visits[every, who], 1)
        clicks[every, who] += rng.random(EXPERIMENTS) < chances[every, who]
        visits[every, who] += 1
        after = clicks[every, who] / visits[every, who]
        total[variant, every] += after - before
        squares[variant, every] += after**2 - before**2
        people[variant, every] += new
        if step % 10 == 0:
            yield Moments(total[0], squares[0], people[0]), Moments(total[1], squares[1], people[1])


def _naive(first, second):
    """Whether a 95 % interval that is made to be looked at once excludes 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = first.mean, second.mean
        return np.abs(a - b) > 1.96 * np.sqrt(a * (1 - a) / first.n + b * (1 - b) / second.n)
