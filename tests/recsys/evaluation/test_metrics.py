"""Tie-aware metrics against brute force over every order of the ties, and against formulas of chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ParameterError
from recsys.evaluation.metrics import LISTS, RANKING, Lists, Ranks, parse

K = st.integers(1, 8)


def ordered_metrics(marks, n, k):
    """Textbook metrics of one untied order; `marks` says place by place whether a target stands there."""
    cut = marks[:k]
    places = [p for p, hit in enumerate(marks, 1) if hit]
    inside = [p for p in places if p <= k]
    precisions = [sum(marks[:p]) / p for p in places]
    ideal = sum(1 / math.log2(p + 1) for p in range(1, min(n, k) + 1))
    return {
        "hit": float(any(cut)), "precision": sum(cut) / k, "recall": sum(cut) / n, "recall_min": sum(cut) / min(k, n),
        "ndcg": sum(1 / math.log2(p + 1) for p in inside) / ideal,
        "mrr@k": 1 / inside[0] if inside else 0.0, "mrr": 1 / places[0] if places else 0.0,
        "map@k": sum(precisions[:len(inside)]) / min(k, n), "map": sum(precisions) / n,
        "r_precision": sum(marks[:n]) / n,
    }


def brute_force(scores, targets, unreachable, k):
    """The mean of every metric over all orders that agree with the scores."""
    levels = [[i for i, s in enumerate(scores) if s == level] for level in sorted(set(scores), reverse=True)]
    orders = itertools.product(*(itertools.permutations(level) for level in levels))
    found = [ordered_metrics([i in targets for level in order for i in level], len(targets) + unreachable, k)
             for order in orders]
    return {name: np.mean([each[name] for each in found]) for name in found[0]}


def ranks_of(scores, targets, unreachable):
    scores = np.asarray(scores)
    greater = [(scores > scores[t]).sum() for t in targets] + [2**31 - 1] * unreachable
    equal = [(scores == scores[t]).sum() for t in targets] + [0] * unreachable
    return greater, equal


def value(name, ranks, k):
    base, at, _ = name.partition("@")
    return RANKING[base](ranks, k if at or base not in ("mrr", "map", "auc", "r_precision") else None)


@given(data=st.data(), k=K)
def test_metrics_are_means_over_all_orders_of_ties(data, k):
    scores = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    targets = sorted(data.draw(st.sets(st.integers(0, len(scores) - 1))))
    unreachable = data.draw(st.integers(0 if targets else 1, 2))
    greater, equal = ranks_of(scores, targets, unreachable)
    ranks = Ranks(np.array(greater), np.array(equal), np.array([0, len(greater)]), np.array([len(scores)]))
    for name, expected in brute_force(scores, set(targets), unreachable, k).items():
        assert value(name, ranks, k)[0] == pytest.approx(expected, abs=1e-12), name


@given(data=st.data())
def test_auc_is_the_share_of_pairs_in_order(data):
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=12)))
    targets = sorted(data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1, max_size=len(scores) - 1)))
    greater, equal = ranks_of(scores, targets, 0)
    ranks = Ranks(np.array(greater), np.array(equal), np.array([0, len(greater)]), np.array([len(scores)]))
    others = np.delete(scores, targets)
    pairs = scores[targets][:, None] - others
    assert RANKING["auc"](ranks, None)[0] == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())


@given(st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 2)), min_size=2,
                max_size=5), K)
def test_users_do_not_disturb_one_another(users, k):
    parts = [ranks_of(scores, [0], unreachable) for scores, unreachable in users]
    sizes = np.array([len(scores) for scores, _ in users])
    indptr = np.append(0, np.cumsum([len(greater) for greater, _ in parts]))
    together = Ranks(np.concatenate([g for g, _ in parts]), np.concatenate([e for _, e in parts]), indptr, sizes)
    for name, metric in RANKING.items():
        alone = [metric(Ranks(np.array(g), np.array(e), np.array([0, len(g)]), np.array([size])), k)[0]
                 for (g, e), size in zip(parts, sizes, strict=True)]
        np.testing.assert_allclose(metric(together, k), alone, err_msg=name)


@given(st.integers(2, 200), st.data())
def test_a_constant_scorer_is_at_chance(candidates, data):
    n = data.draw(st.integers(1, candidates - 1))
    k = data.draw(st.integers(1, candidates))
    ranks = Ranks(np.zeros(n, int), np.full(n, candidates), np.array([0, n]), np.array([candidates]))
    chance = {"precision": n / candidates, "recall": k / candidates, "auc": 0.5, "r_precision": n / candidates,
              "hit": 1 - math.comb(candidates - n, k) / math.comb(candidates, k)}
    for name, expected in chance.items():
        assert value(name, ranks, k)[0] == pytest.approx(expected), name
    gains = 1 / np.log2(np.arange(2, k + 2))
    assert value("ndcg", ranks, k)[0] == pytest.approx(n / candidates * gains.sum() / gains[:min(k, n)].sum())
    first = [math.comb(candidates - p, n - 1) / math.comb(candidates, n) / p for p in range(1, candidates - n + 2)]
    assert value("mrr", ranks, k)[0] == pytest.approx(sum(first))


@given(st.integers(1, 9), K)
def test_a_perfect_scorer_reaches_one(n, k):
    ranks = Ranks(np.arange(n), np.ones(n, int), np.array([0, n]), np.array([n + 20]))
    for name in ("hit", "recall_min", "ndcg", "mrr", "map", "mrr@k", "map@k", "auc", "r_precision"):
        assert value(name, ranks, k)[0] == pytest.approx(1), name
    assert value("recall", ranks, k)[0] == pytest.approx(min(k, n) / n)


def test_users_without_targets_are_refused():
    with pytest.raises(ParameterError, match="needs at least one target"):
        Ranks(np.zeros(0, int), np.zeros(0, int), np.array([0, 0]), np.array([3]))


def lists(items, counts=(4, 2, 0, 1), users=4, allowed=(True, True, False, True), vectors=None):
    return Lists(np.array(items, np.int32), np.array(counts), users, np.array(allowed), vectors)


def test_metrics_of_lists_by_hand():
    shown = lists([[0, 1], [0, 3], [0, -1]])
    assert LISTS["coverage"](shown, 1) == pytest.approx(1 / 3)
    assert LISTS["coverage"](shown, 2) == 1
    assert LISTS["gini"](shown, 1) == pytest.approx(2 / 3)  # one of three candidates has everything
    np.testing.assert_allclose(LISTS["popularity"](shown, 2), [3, 2.5, 4])
    np.testing.assert_allclose(LISTS["novelty"](shown, 2), [0.5, 1, 0])


def test_an_evenly_shown_catalogue_has_gini_zero():
    assert LISTS["gini"](lists([[0], [1], [3]]), 1) == pytest.approx(0)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_diversity_is_the_mean_over_pairs(seed, k):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 2, (9, 4)).astype(np.float32)
    items = np.array([rng.permutation(9)[:k] for _ in range(3)], np.int32)
    items[0, 1:] = -1
    got = LISTS["diversity"](lists(items, np.ones(9, int), 3, np.ones(9, bool), vectors), k)
    for row, found in zip(items, got, strict=True):
        pairs = itertools.combinations([vectors[i].astype(float) for i in row if i >= 0], 2)
        apart = [1 - a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9) for a, b in pairs]
        assert found == pytest.approx(np.mean(apart) if apart else 0, abs=1e-9)


def test_diversity_without_vectors_says_what_to_pass():
    with pytest.raises(ParameterError, match="pass vectors="):
        LISTS["diversity"](lists([[0, 1]]), 2)


@pytest.mark.parametrize(("text", "expected"), [
    ("ndcg@10", "ndcg@10"), (" HR@5 ", "hit@5"), ("recall", "recall@7"), ("mrr", "mrr"), ("mrr@3", "mrr@3"),
    ("auc", "auc"), ("rmse", "rmse"), ("coverage", "coverage@7"), ("ild@4", "diversity@4")])
def test_names_of_metrics(text, expected):
    assert str(parse(text, k=7)) == expected


@pytest.mark.parametrize("text", ["nonsense", "ndcg@", "ndcg@0", "ndcg@x", "auc@5", "rmse@5", ""])
def test_names_that_are_no_metrics(text):
    with pytest.raises(ParameterError, match="metrics: "):
        parse(text, k=10)


def test_a_name_without_cut_off_needs_one():
    with pytest.raises(ParameterError, match="recall@10"):
        parse("recall")
