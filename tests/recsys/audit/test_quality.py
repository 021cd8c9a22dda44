"""Differences between groups: equal to plain means, found where planted, not where groups are shuffled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.audit.drift import drift
from recsys.audit.groups import Grouping
from recsys.audit.quality import Measure, compare_groups, intervals

QUICK = {"samples": 200, "permutations": 200}


def halves(n):
    return Grouping("half", ("a", "b"), np.arange(n) % 2)


@given(st.integers(0, 1000))
def test_values_and_differences_are_those_of_plain_means(seed):
    rng = np.random.default_rng(seed)
    values, weights, of = rng.random(30), rng.random(30) + 0.1, rng.permutation(np.arange(30) % 3)
    one = Measure("rmse", values * weights, weights, power=2)
    found, _ = compare_groups([one], [Grouping("g", ("x", "y", "z"), of)], **QUICK)
    for each in found:
        here = of == "xyz".index(each.group)
        mean, rest = (np.sqrt(np.average(values[who], weights=weights[who])) for who in (here, ~here))
        assert each.value == pytest.approx(mean)
        assert each.difference == pytest.approx(mean - rest)
        assert each.low <= each.value <= each.high
        assert each.people == here.sum()
        assert each.difference_low <= each.difference <= each.difference_high


def test_a_planted_difference_is_shown_and_a_shuffled_one_is_not():
    rng = np.random.default_rng(1)
    values = rng.normal(0.3, 0.1, 400)
    groups = Grouping("planted", ("low", "high"), (rng.random(400) < 0.5).astype(int))
    worse = Measure("ndcg@10", values - 0.1 * (groups.of == 0), np.ones(400))
    (low, high), chance = compare_groups([worse], [groups], **QUICK)
    assert low.shown(0.05)
    assert high.shown(0.05)
    assert chance == 0
    assert low.verdict(0.05) == "worse than the rest"
    assert high.verdict(0.05) == "better than the rest"
    assert low.p_holm == high.p_holm  # two groups are one comparison
    (none, _), _ = compare_groups([Measure("ndcg@10", values, np.ones(400))], [groups], **QUICK)
    assert not none.shown(0.05)
    assert none.verdict(0.05).startswith("no difference shown; one of up to 0.0")


def test_shuffled_attributes_show_nothing_nearly_always():
    shown = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups = [Grouping(name, ("a", "b", "c"), rng.integers(0, 3, 90)) for name in "xy"]
        found, chance = compare_groups([Measure("m", rng.random(90), np.ones(90))], groups, seed=seed, **QUICK)
        shown += any(each.shown(0.05) for each in found) + (chance > 0)
    assert shown <= 10  # of 80, each with a chance of 5 % at most


def test_people_alike_are_compared_where_a_difference_comes_from_something_else():
    rng = np.random.default_rng(2)
    strata = rng.integers(0, 3, 600)
    groups = Grouping("g", ("a", "b"), (rng.random(600) < 0.2 + 0.3 * strata).astype(int))
    (first, _), _ = compare_groups([Measure("m", strata + rng.normal(0, 0.1, 600), np.ones(600))], [groups], strata,
                                   **QUICK)
    assert first.shown(0.05)
    assert first.difference < -0.3
    assert abs(first.alike) < 0.05
    assert first.alike_low < 0 < first.alike_high
    (apart, _), _ = compare_groups([Measure("m", strata.astype(float), np.ones(600))],
                                   [Grouping("g", ("a", "b"), (strata > 1).astype(int))], strata, **QUICK)
    assert np.isnan(apart.alike)  # nobody alike is in the other group


def test_one_group_or_nobody_measured_compares_nothing():
    one = Measure("m", np.ones(10), np.ones(10))
    assert compare_groups([one], [Grouping("g", ("all",), np.zeros(10, int))]) == ([], 0)
    empty = Measure("m", np.r_[np.ones(5), np.zeros(5)], np.r_[np.ones(5), np.zeros(5)])
    found, _ = compare_groups([empty], [Grouping("g", ("some", "none"), np.repeat([0, 1], 5))], **QUICK)
    assert [each.verdict(0.05) for each in found] == ["cannot be compared"] * 2


def test_intervals_hold_the_value_and_shrink_with_people():
    rng = np.random.default_rng(0)
    few, many = (intervals([Measure("m", rng.random(n), np.ones(n))], samples=300)[0] for n in (40, 4000))
    assert few[0] < 0.5 < few[1]
    assert many[1] - many[0] < few[1] - few[0]


@given(st.integers(0, 1000))
def test_drift_is_the_total_variation_of_mean_mixes(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(4), 25), rng.dirichlet(np.ones(4), 25)
    b[:3] = 0  # who has nothing there is left out
    found = drift("genre", "lists", "histories", (a, b), samples=100, seed=seed)
    assert found.people == 22
    assert found.value == pytest.approx(0.5 * np.abs(a[3:].mean(0) - b[3:].mean(0)).sum())
    assert 0 <= found.low <= found.high <= 1


def test_drift_of_exchangeable_mixes_is_within_chance():
    beyond = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mixes = rng.dirichlet(np.ones(5), 60), rng.dirichlet(np.ones(5), 60)
        beyond += drift("g", "a", "b", mixes, samples=200, seed=seed).p < 0.05
    assert beyond <= 6
    assert drift("g", "a", "b", (np.zeros((3, 2)), np.ones((3, 2)))) is None
