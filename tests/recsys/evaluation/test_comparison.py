"""Comparisons: tests of known size and power, identities, and refusals."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import splits
from recsys.errors import DataError, ParameterError
from recsys.evaluation import Evaluation, compare, over_seeds, run
from recsys.evaluation.comparison import holm
from recsys.evaluation.evaluator import mean, standard_error

CARD = {"split": "same"}


def evaluation(metric="ndcg@10", values=(), weights=None, card=CARD, users=None, **more):
    values = np.asarray(values, float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    power = 2 if metric == "rmse" else 1
    return Evaluation({metric: mean(values, weights, power), **more}, {metric: standard_error(values, weights, power)},
                      {metric: values}, np.arange(len(values)) if users is None else users, weights, card, 0.0)


def entry(table, model):
    return next(each for each in table.entries if each.model == model)


def test_the_permutation_test_agrees_with_all_sign_flips():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 10))
    table = compare({"a": evaluation(values=a), "b": evaluation(values=b)}, baseline="a", permutations=20_000)
    flips = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = (np.abs(flips @ (b - a)) >= abs((b - a).sum()) * (1 - 1e-12)).mean()
    assert entry(table, "b").p == pytest.approx(exact, abs=0.015)


def test_under_the_null_hypothesis_p_is_uniform():
    rng = np.random.default_rng(1)
    p = [entry(compare({"a": evaluation(values=rng.random(30)), "b": evaluation(values=rng.random(30))}, baseline="a",
                       permutations=199, samples=10), "b").p for _ in range(300)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


def test_intervals_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(2)
    tables = [compare([evaluation(values=rng.normal(0.3, 0.2, 50))], samples=300, level=0.9) for _ in range(200)]
    covered = [each.entries[0].low <= 0.3 <= each.entries[0].high for each in tables]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.07)


def test_pairing_finds_a_small_difference_under_large_spread():
    rng = np.random.default_rng(3)
    a = rng.random(400)
    table = compare({"a": evaluation(values=a), "b": evaluation(values=a - 0.01 * rng.random(400))})
    worse = entry(table, "b")
    assert worse.p_holm < 0.01
    assert worse.difference_low < worse.difference < worse.difference_high < 0
    assert worse.baseline == "a"
    assert worse.low < entry(table, "a").value < worse.high  # the intervals alone would not tell
    assert [row[0] for row in table.rows] == ["a", "b"]
    assert table.rows[1][1].endswith("*")


def test_identical_models_do_not_differ():
    values = np.random.default_rng(4).random(50)
    table = compare({"a": evaluation(values=values), "b": evaluation(values=values)})
    assert entry(table, "b").p == 1
    assert entry(table, "b").difference_low == entry(table, "b").difference_high == 0


def test_rmse_is_compared_as_a_root_over_ratings_and_low_is_good():
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 30, 80)
    a, b = rng.random((2, 80)) + 0.5
    table = compare({"a": evaluation("rmse", a, weights), "b": evaluation("rmse", b + 0.2, weights)}, samples=4000)
    assert table.entries[0].model == "a"
    found = entry(table, "a")
    assert found.value == pytest.approx(np.sqrt((weights * a**2).sum() / weights.sum()))
    assert (found.high - found.low) / 3.92 == pytest.approx(standard_error(a, weights, 2), rel=0.1)
    assert entry(table, "b").p_holm < 0.05


def test_the_seed_decides():
    rng = np.random.default_rng(6)
    found = {"a": evaluation(values=rng.random(40)), "b": evaluation(values=rng.random(40))}
    assert compare(found, seed=1).to_records() == compare(found, seed=1).to_records()
    assert compare(found, seed=1).to_records() != compare(found, seed=2).to_records()


def test_numbers_without_users_are_shown_without_tests():
    found = {name: evaluation(values=[0.1, 0.2], **{"coverage@10": 0.5}) for name in "ab"}
    table = compare(found)
    assert table.columns == ["model", "ndcg@10", "coverage@10"]
    assert table.rows[0][2] == "0.5000"
    assert table.to_records()[1]["p"] is None
    assert table.caption in str(table)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm(p):
    p = np.array(p)
    corrected = holm(p)
    assert np.all(corrected >= p)
    assert np.all(corrected <= np.minimum(1, p * max(len(p), 1)) + 1e-15)
    assert np.all(np.diff(corrected[np.argsort(p, kind="stable")]) >= 0)


def test_folds_are_pooled_by_user(known, random_data):
    data = random_data(0, users=20, items=20, events=200)
    found = {name: run(known(rule=rule), data, "ratings-5fold")
             for name, rule in {"mean": lambda u, i: 3.0, "low": lambda u, i: 1.0}.items()}
    table = compare(found)
    assert [row[0] for row in table.rows] == ["mean", "low"]
    best = table.entries[0]
    assert best.low < best.value < best.high
    assert best.value == pytest.approx(np.sqrt(((data.value - 3.0) ** 2).mean()), rel=0.02)


def test_what_cannot_be_compared():
    a = evaluation(values=[0.1, 0.2])
    with pytest.raises(DataError, match="split is 'same' and 'other'"):
        compare({"a": a, "b": evaluation(values=[0.1, 0.2], card={"split": "other"})})
    with pytest.raises(DataError, match="different users"):
        compare({"a": a, "b": replace(a, users=np.array([5, 6]))})
    with pytest.raises(ParameterError, match="different names"):
        compare([a, a])
    with pytest.raises(ParameterError, match="baseline"):
        compare({"a": a}, baseline="z")
    with pytest.raises(ParameterError, match="at least one"):
        compare({})


def test_sampled_and_full_ranking_are_not_compared(known, random_data):
    split = splits.split_last(random_data(0), valid=False)
    model = known(rule=lambda user, item: item % 5)
    full = run(model, split, "predefined")
    sampled = run(model, random_data(0), "ncf-99")
    with pytest.raises(DataError, match="measured differently"):
        compare({"full": full, "sampled": sampled})


def seeded(seeds: int, users: int, shift: float, noise: float, start: int = 0, ids: int = 0) -> list[Evaluation]:
    """A model's evaluations, one a seed, whose users differ by seed only in noise."""
    taste = np.random.default_rng(7).random(users)
    found = []
    for seed in range(start, start + seeds):
        values = taste + shift + noise * np.random.default_rng(seed).standard_normal(users)
        found.append(Evaluation({"hit@1": values.mean()}, {}, {"hit@1": values}, np.arange(users) + ids,
                                np.ones(users), {"seed": seed - start}, 0.0))
    return found


def test_over_seeds_a_lead_is_told_from_luck():
    ahead = over_seeds(seeded(5, 200, 0.2, 0.5), seeded(5, 200, 0, 0.5, 50))
    assert 0 < ahead.low < ahead.value < ahead.high
    assert ahead.value == pytest.approx(np.mean(ahead.by_seed))
    assert len(ahead.by_seed) == 5
    level = over_seeds(seeded(5, 200, 0, 0.5), seeded(5, 200, 0, 0.5, 50))
    assert level.low < 0 < level.high
    assert str(level).endswith("over 5 seeds")


def test_over_seeds_pairs_users_and_seeds():
    """Whatever the users differ by, a lead that is the same everywhere is known exactly."""
    exact = over_seeds(seeded(3, 40, 0.25, 1), seeded(3, 40, 0, 1))
    assert (exact.low, exact.high) == (pytest.approx(0.25), pytest.approx(0.25))
    own = over_seeds(seeded(3, 40, 0, 1))
    assert own.low < own.value < own.high
    again = over_seeds(seeded(3, 40, 0, 1))
    assert again == own


def test_over_seeds_of_one_seed_is_the_bootstrap_over_users():
    one = seeded(1, 300, 0, 0.3)
    found, row = over_seeds(one), compare({"a": one[0]}).entries[0]
    assert (found.low, found.high) == (pytest.approx(row.low, abs=0.01), pytest.approx(row.high, abs=0.01))


def test_over_seeds_an_error_is_the_root_of_a_mean_over_ratings():
    """Brute force, with users who differ in weights and are not all there with every seed."""
    users = [np.array([1, 2, 3]), np.array([2, 3, 4])]
    weights, values = [np.array([1.0, 2, 3]), np.array([2.0, 1, 1])], [np.array([1.0, 0.5, 2]), np.array([3.0, 1, 1])]
    found = [Evaluation({"rmse": 0.0}, {}, {"rmse": v}, u, w, {}, 0.0)
             for u, w, v in zip(users, weights, values, strict=True)]
    wanted = [np.sqrt((w * v**2).sum() / w.sum()) for w, v in zip(weights, values, strict=True)]
    assert over_seeds(found, metric="rmse").by_seed == pytest.approx(tuple(wanted))


def test_over_seeds_refuses_what_does_not_pair():
    with pytest.raises(DataError, match="ours and theirs were measured differently, seed is 0 and 1"):
        over_seeds(seeded(2, 9, 0, 1), seeded(3, 9, 0, 1)[1:])
    with pytest.raises(DataError, match="on different users"):
        over_seeds(seeded(2, 9, 0, 1), seeded(2, 9, 0, 1, ids=3))
    with pytest.raises(ParameterError, match=r"over_seeds: give as many of theirs as of ours, 2, not 1"):
        over_seeds(seeded(2, 9, 0, 1), seeded(1, 9, 0, 1))
    with pytest.raises(ParameterError, match=r"over_seeds: give one evaluation or more"):
        over_seeds([])
    with pytest.raises(ParameterError, match=r"ndcg@3 was not measured of all"):
        over_seeds(seeded(2, 9, 0, 1), metric="ndcg@3")
    with pytest.raises(ParameterError, match="where an Evaluation or Result belongs"):
        over_seeds([3])  # type: ignore[list-item]
