"""Losses of sampled negatives: their formulas, their derivatives, and negatives that do not count."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.testing import gradcheck
from recsys.training import losses
from recsys.training.losses import SAMPLED

RNG = np.random.default_rng(0)
P, N = RNG.normal(size=5), RNG.normal(size=(5, 4))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def share(n):
    return np.exp(n) / np.exp(n).sum()


def warp(p, n):
    gaps = np.maximum(0, 1 - p + n)
    v = np.count_nonzero(gaps)
    return sum(1 / j for j in range(1, v + 1)) * gaps.sum() / max(v, 1)


FORMULAS = {
    "bce": lambda p, n: -np.log(sigmoid(p)) - np.log(sigmoid(-n)).sum(),
    "bpr": lambda p, n: -np.log(sigmoid(p - n)).mean(),
    "hinge": lambda p, n: np.maximum(0, 1 - p + n).mean(),
    "adaptive_hinge": lambda p, n: max(0, 1 - p + n.max()),
    "warp": warp,
    "sampled_softmax": lambda p, n: -np.log(np.exp(p) / (np.exp(p) + np.exp(n).sum())),
    "gbce": lambda p, n: -np.log(sigmoid(p)) - np.log(sigmoid(-n)).sum(),  # of all items
    "bpr_max": lambda p, n: -np.log((share(n) * sigmoid(p - n)).sum()) + (share(n) * n**2).sum()}


@pytest.mark.parametrize("name", SAMPLED)
def test_formula(name):
    rows = [FORMULAS[name](p, n) for p, n in zip(P, N, strict=True)]
    assert float(SAMPLED[name](P, N)) == pytest.approx(np.mean(rows))


@pytest.mark.parametrize("name", SAMPLED)
def test_derivative(name):
    gradcheck(SAMPLED[name], [P, N], name=name)
    hits = np.zeros(N.shape, bool)
    hits[0, 1] = hits[3, 2:] = True
    gradcheck(lambda p, n: SAMPLED[name](p, n, hits), [P, N], name=name)


@pytest.mark.parametrize("name", SAMPLED)
def test_hits_do_not_count(name):
    """As if they were not there: the same result with fewer negatives."""
    more = np.concatenate([N, np.full((5, 1), 7.0)], axis=1)
    hits = more == 7
    assert float(SAMPLED[name](P, more, hits)) == pytest.approx(float(SAMPLED[name](P, N)))
    nothing = float(SAMPLED[name](P, N, np.ones(N.shape, bool)))
    assert np.isfinite(nothing)


@pytest.mark.parametrize(("n_items", "t"), [(5, 0.75), (41, 0.75), (401, 1.0), (401, 0.0), (1, 0.5)])
def test_gbce_weighs_the_right_item_by_how_many_are_drawn(n_items, t):
    alpha = min(1, 4 / max(n_items - 1, 1))
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    rows = [-beta * np.log(sigmoid(p)) - np.log(1 - sigmoid(n)).sum() for p, n in zip(P, N, strict=True)]
    assert float(losses.gbce(P, N, n_items=n_items, calibration=t)) == pytest.approx(np.mean(rows))


def test_losses_are_told_how_negatives_are_drawn():
    log_q = np.log(RNG.dirichlet(np.ones(9)))
    items, drawn = np.array([3, 1, 0, 8, 8]), RNG.integers(0, 9, (5, 4))
    for name, loss in SAMPLED.items():
        told = {"sampled_softmax": {"log_q": (log_q[items], log_q[drawn])}, "gbce": {"n_items": 9}}.get(name, {})
        assert float(losses.of_draws(name, log_q, items, drawn)(P, N)) == float(loss(P, N, **told))


def test_log_q_makes_it_the_softmax_over_all():
    """Every item drawn as often as its probability says: the corrected loss is the full one's, up to noise."""
    rng = np.random.default_rng(1)
    scores, q = rng.normal(size=50), rng.dirichlet(np.ones(50))
    drawn = rng.choice(50, size=(1, 200_000), p=q)
    log_q = np.log(q), np.log(q * drawn.size)  # a negative stands for that many
    found = losses.sampled_softmax(scores[:1] - 0, scores[drawn], drawn == 0,
                                   log_q=(np.zeros(1), log_q[1][drawn]))
    assert float(found) == pytest.approx(-np.log(share(scores)[0]), rel=0.02)


def test_softmax_and_mse():
    scores, items, offsets = N, np.array([0, 2, 3]), np.array([0, 1, 1, 3, 3, 3])
    log_p = np.log([share(n) for n in N])
    assert float(losses.softmax(scores, items, offsets)) == pytest.approx(
        -(log_p[0, 0] + log_p[2, 2] + log_p[2, 3]))
    assert float(losses.mse(P, P + 2)) == pytest.approx(4)
    gradcheck(lambda s: losses.softmax(s, items, offsets), [scores])
