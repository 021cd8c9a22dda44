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
