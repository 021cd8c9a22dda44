"""Off-policy estimates against worlds whose truth is known, a plain loop, and planted faults."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.simulate import simulate
from recsys.errors import DataError, ParameterError
from recsys.experiments import Logged, estimate_policy, explore

NAMES = ("ips", "snips", "dr")
WORLDS = 400 if settings.get_current_profile_name() == "deep" else 80
Shown = namedtuple("Shown", "request_id user items propensities variant")


def world(seed, *, clicks=6.0, people=150, epsilon=0.4, pool=12, k=4, users=400, n_items=60):
    """Lists of popular items with exploration; a target that sorts by true tastes; what that would have brought."""
    rng = np.random.default_rng((seed, 1))
    data, truth = simulate(users, n_items, 2000, seed=seed)
    taste = truth.probabilities(np.arange(users))
    score = np.log1p(np.bincount(data.item, minlength=n_items)) + rng.normal(0, 0.7, (users, n_items))
    ranked = np.argsort(-score, axis=1)[:, :pool]
    best = np.take_along_axis(ranked, np.argsort(-np.take_along_axis(taste, ranked, 1), axis=1)[:, :k], 1)

    def chance(user, items):
        return 0.9 ** np.arange(k) * np.minimum(0.8, clicks * taste[user[:, None], items])

    who = np.repeat(np.arange(people), rng.integers(1, 6, people))
    user = rng.integers(users, size=people)[who]
    positions, propensities = map(np.array, zip(*(explore(range(pool), k, epsilon, rng) for _ in user), strict=True))
    shown = np.take_along_axis(ranked[user], positions, 1)
    logged = Logged(who, shown, propensities, rng.random(shown.shape) < chance(user, shown))
    return logged, best[user], chance(np.arange(users), best).sum(1).mean()


@pytest.mark.parametrize(("clicks", "people", "epsilon", "pool"), [(6, 150, 0.4, 12), (0.4, 60, 0.2, 12)])
def test_intervals_cover_the_truth_and_dr_errs_no_more_than_ips(clicks, people, epsilon, pool):
    covered, errors, blind = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0.0), 0
    for seed in range(WORLDS):
        logged, target, truth = world(seed, clicks=clicks, people=people, epsilon=epsilon, pool=pool)
        found = estimate_policy(logged, target)
        for name in NAMES:
            estimate = getattr(found, name)
            covered[name] += estimate.low <= truth <= estimate.high
            errors[name] += (estimate.value - truth) ** 2
        blind += found.unsupported > 0
    print(*(f"{name}: {covered[name] / WORLDS:.1%} covered, root mean squared error "
            f"{np.sqrt(errors[name] / WORLDS):.4f};" for name in NAMES))
    assert min(covered.values()) >= 0.93 * WORLDS
    assert errors["dr"] <= errors["ips"]
    assert blind <= 0.01 * WORLDS


def test_a_wrong_propensity_is_found_or_misses_the_truth():
    missed = 0
    for seed in range(20):
        logged, target, truth = world(seed, people=600)
        found = estimate_policy(replace(logged, propensities=np.ones(logged.items.shape)), target)
        missed += not found.ips.low <= truth <= found.ips.high
        assert found.unsupported > 0.2
        with pytest.raises(DataError, match="propensities in the log are too small"):
            estimate_policy(replace(logged, propensities=logged.propensities / 4), target)
    assert missed >= 18


@given(data=st.data(), n=st.integers(1, 12), k=st.integers(1, 3))
def test_ips_and_snips_are_the_plain_sums(data, n, k):
    def draw(values):
        return np.array(data.draw(st.lists(st.lists(values, min_size=k, max_size=k), min_size=n, max_size=n)))

    items, target = draw(st.integers(-1, 3)), draw(st.integers(-1, 3))
    propensities, rewards = draw(st.floats(0.5, 1)), draw(st.integers(0, 2))
    total = weight = length = 0.0
    for i in range(n):
        for j in range(k):
            length += target[i, j] >= 0
            if target[i, j] == items[i, j] >= 0:
                weight += 1 / propensities[i, j]
                total += rewards[i, j] / propensities[i, j]
    logged = Logged(np.arange(n) // 2, items, propensities, rewards)
    if not weight:
        with pytest.raises(DataError, match="no list shows any of the target's items"):
            estimate_policy(logged, target)
        return
    try:
        found = estimate_policy(logged, target)
    except DataError as error:
        assert weight > length
        assert "too small" in str(error)  # noqa: PT017
        return
    assert found.ips.value == pytest.approx(total / n)
    assert found.snips.value == pytest.approx(length / n * total / weight)
    for name in NAMES:
        estimate = getattr(found, name)
        assert estimate.low <= estimate.value <= estimate.high


def test_showing_the_logs_own_lists_gives_what_they_brought():
    logged, _, _ = world(0, epsilon=0)
    found = estimate_policy(logged, logged.items)
    for name in NAMES:
        assert getattr(found, name).value == pytest.approx(logged.rewards.sum(1).mean())
    assert found.effective == found.matches == logged.items.size
    assert found.max_weight == 1
    assert found.note == ""


def test_no_list_is_used_for_its_own_guess():
    items = np.tile([[0, 1]], (40, 1))
    rewards, target = np.zeros((40, 2)), np.full((40, 2), -1)
    rewards[0] = 1  # person 0 alone has rewards, in a list that the target has nothing in common with
    target[0], target[1] = [1, 0], [0, 1]  # only the lists of person 0 are asked about
    people = np.maximum(np.arange(40) - 1, 0)
    found = estimate_policy(Logged(people, items, np.ones((40, 2)), rewards), target)
    assert found.dr.value == 0
    others = estimate_policy(Logged(people, items, np.ones((40, 2)), rewards), np.roll(target, 7, axis=0))
    assert others.dr.value > 0 or others.dr.low == -np.inf


def test_one_person_or_no_reward_has_no_interval():
    alone = Logged(np.zeros(4, int), np.arange(4)[:, None], np.ones((4, 1)), np.ones((4, 1)))
    barren = Logged(np.arange(4), np.arange(4)[:, None], np.ones((4, 1)), np.zeros((4, 1)))
    for logged in (alone, barren):
        found = estimate_policy(logged, logged.items)
        for name in NAMES:
            assert getattr(found, name).low == -np.inf
            assert getattr(found, name).high == np.inf


def test_one_persons_lists_are_of_one_piece():
    logged, target, _ = world(2)
    again = Logged(*(np.repeat(each, 4, axis=0)
                     for each in (logged.people, logged.items, logged.propensities, logged.rewards)))
    once, four = estimate_policy(logged, target), estimate_policy(again, np.repeat(target, 4, axis=0))
    for name in ("ips", "snips"):
        assert getattr(four, name).error == pytest.approx(getattr(once, name).error)


def test_what_could_never_be_shown_is_said():
    logged, target, _ = world(3)
    beyond = np.where(np.arange(4) == 3, 59 + 10, target)  # at the last place an item that there is not
    reachable = np.tile([0.05, 0.05, 0.05, 0.0], (len(target), 1))
    exact = estimate_policy(logged, beyond, reachable=reachable)
    assert (exact.unsupported, exact.exact) == (0.25, True)
    assert "no support for 25.0% of the target's items" in exact.note
    with pytest.raises(DataError, match="above 0 where the log shows the pair"):
        estimate_policy(logged, target, reachable=reachable * 0)
    logged, target, _ = world(3, people=2000)
    about = estimate_policy(logged, np.where(np.arange(4) == 3, 69, target))
    assert about.unsupported == pytest.approx(0.25, abs=0.1)
    assert "could not be shown, or were not by chance" in about.note


def test_rows_of_the_log_become_arrays():
    rows = [Shown("r1", "ann", ["x", "y"], [0.5, 0.25], "a"), Shown("r2", None, ["y"], [0.5], "a"),
            Shown("r3", "ann", ["z", 7], [1.0, 1.0], "b"), Shown("r4", 7, ["7", 7], [1.0, 1.0], "b")]
    logged = Logged.of(rows, [("r1", "y"), ("r1", "y"), ("r2", "x"), ("r4", 7), ("r9", "x"), ("r3", "none")])
    np.testing.assert_array_equal(logged.items, [[0, 1], [1, -1], [2, 3], [4, 3]])
    np.testing.assert_array_equal(logged.rewards, [[0, 1], [0, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(logged.people[[0, 2]], logged.people[0])
    assert len(set(logged.people.tolist())) == 3
    np.testing.assert_array_equal(logged.numbers([["y", "x", "z"], [], ["new", 7], ["7"]]),
                                  [[1, 0], [-1, -1], [5, 3], [4, -1]])
    with pytest.raises(ParameterError, match="one list for each of the 4"):
        logged.numbers([[]])
    with pytest.raises(DataError, match="'r1' has 2 items, but propensities for 0"):
        Logged.of([Shown("r1", 1, ["x", "y"], [], "a")], [])
    with pytest.raises(DataError, match="two lists have the request id 'r1'"):
        Logged.of([rows[0], rows[0]], [])
    with pytest.raises(DataError, match="there are no lists"):
        Logged.of([], [])


@pytest.mark.parametrize("wrong", [np.nan, 0.0, 1.5, -0.1, np.inf])
def test_propensities_that_are_none_are_refused(wrong):
    with pytest.raises(DataError, match=r"propensities must be in \(0, 1\], but list 1 has \S+ at place 0 \(1 such"):
        Logged(np.arange(2), np.zeros((2, 2), int), np.array([[1, 1], [wrong, 1]]), np.zeros((2, 2)))
    Logged(np.arange(2), np.array([[0, 0], [-1, 0]]), np.array([[1, 1], [wrong, 1]]), np.zeros((2, 2)))


def test_what_does_not_fit_is_refused():
    logged, target, _ = world(4)
    with pytest.raises(ParameterError, match="target must have the shape"):
        estimate_policy(logged, target[:, :2])
    with pytest.raises(ParameterError, match="reachable must have the shape"):
        estimate_policy(logged, target, reachable=np.ones(3))
    with pytest.raises(ParameterError, match="alpha"):
        estimate_policy(logged, target, alpha=2.0)
    with pytest.raises(DataError, match="one shape"):
        Logged(logged.people[1:], logged.items, logged.propensities, logged.rewards)
    with pytest.raises(DataError, match="rewards must be finite and 0 or more"):
        replace(logged, rewards=logged.rewards - 1)
