"""Negatives: never seen, uniform, and refused where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR
from recsys.data.sampling import NegativeSampler, apart
from recsys.errors import DataError


def matrix(seed: int, n_users: int, n_items: int, density: float) -> tuple[np.ndarray, CSR]:
    dense = np.random.default_rng(seed).random((n_users, n_items)) < density
    dense[:, -1] = False
    return dense, CSR.from_pairs(*np.nonzero(dense), None, dense.shape)


@given(seed=st.integers(0, 10**6), n_users=st.integers(1, 6), n_items=st.integers(1, 9), density=st.floats(0, 1))
def test_draws_are_unseen_and_reach_every_unseen_item(seed, n_users, n_items, density):
    dense, seen = matrix(seed, n_users, n_items, density)
    draws = NegativeSampler(seen).sample(np.arange(n_users), 300, np.random.default_rng(seed))
    assert draws.shape == (n_users, 300)
    assert draws.dtype == np.int32
    for user in range(n_users):
        assert set(draws[user]) == set(np.flatnonzero(~dense[user]))


def test_draws_are_uniform():
    dense, seen = matrix(0, 3, 12, 0.5)
    n = 20_000
    draws = NegativeSampler(seen).sample(np.array([2]), n, np.random.default_rng(1))[0]
    counts = np.bincount(draws, minlength=12)[~dense[2]]
    assert np.sum((counts - n / len(counts)) ** 2 / (n / len(counts))) < 30  # chi-squared, at most 11 degrees, 0.2 %


def test_who_has_seen_everything_is_named():
    seen = CSR.from_pairs([0, 0, 1], [0, 1, 0], None, (2, 2))
    sampler = NegativeSampler(seen)
    assert sampler.unseen.tolist() == [0, 1]
    assert sampler.sample(np.array([1, 1]), 2, np.random.default_rng(0)).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(DataError, match="user number 0 has seen all"):
        sampler.sample(np.array([1, 0]), 1, np.random.default_rng(0))


def test_nobody_needs_nothing():
    _, seen = matrix(0, 2, 3, 0.5)
    assert NegativeSampler(seen).sample(np.zeros(0, int), 4, np.random.default_rng(0)).shape == (0, 4)


@given(seed=st.integers(0, 10**6), n_users=st.integers(1, 6), n_items=st.integers(1, 9), density=st.floats(0, 1),
       alpha=st.sampled_from([0.0, 0.5, 1.0, 3.0]), largest=st.sampled_from([0, 10, 10**9]))
def test_popular_draws_are_unseen(seed, n_users, n_items, density, alpha, largest):
    dense, seen = matrix(seed, n_users, n_items, density)
    counts = np.random.default_rng(seed).integers(0, largest + 1, n_items)
    sampler = NegativeSampler(seen, counts, alpha)
    users = np.repeat(np.arange(n_users), 3)
    draws = sampler.sample(users, 100, np.random.default_rng(seed))
    assert not dense[users[:, None], draws].any()
    assert np.array_equal(draws, NegativeSampler(seen, counts, alpha).sample(users, 100, np.random.default_rng(seed)))
    assert np.exp(sampler.log_q.astype(float)).sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_draws_follow_popularity(alpha):
    dense, seen = matrix(0, 3, 12, 0.5)
    counts = np.arange(12) ** 2
    sampler, n = NegativeSampler(seen, counts, alpha), 20_000
    draws = sampler.sample(np.array([2]), n, np.random.default_rng(1))[0]
    share = np.where(dense[2], 0, np.maximum(counts, 1.0) ** alpha)
    expected = n * share / share.sum()
    found = np.bincount(draws, minlength=12)
    kept = expected > 0
    assert np.sum((found - expected)[kept] ** 2 / expected[kept]) < 30  # chi-squared, at most 11 degrees, 0.2 %
    everything = np.maximum(counts, 1.0) ** alpha
    np.testing.assert_allclose(np.exp(sampler.log_q), everything / everything.sum(), rtol=1e-5)


def test_no_alpha_is_the_same_as_no_counts():
    _, seen = matrix(0, 5, 30, 0.5)
    plain, weighed = (NegativeSampler(seen, *rest).sample(np.arange(5), 50, np.random.default_rng(0))
                      for rest in ((), (np.arange(30), 0.0)))
    assert plain.tolist() == weighed.tolist()


def test_popularity_needs_counts():
    _, seen = matrix(0, 2, 3, 0.5)
    with pytest.raises(DataError, match="needs counts"):
        NegativeSampler(seen, alpha=1.0)
    full = NegativeSampler(CSR.from_pairs([0, 0], [0, 1], None, (1, 2)), np.array([3, 4]), 1.0)
    with pytest.raises(DataError, match="user number 0 has seen all"):
        full.sample(np.array([0]), 1, np.random.default_rng(0))


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=5), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_rows_fall_apart_into_two_that_are_the_whole(counts, share, seed):
    rng = np.random.default_rng(seed)
    rows = CSR.from_pairs(np.repeat(np.arange(len(counts)), counts), rng.integers(0, 9, sum(counts)),
                          np.arange(sum(counts)), (len(counts), 9))
    taken, left = apart(rows, np.full(len(counts), share), rng)
    for row, n in enumerate(counts):
        parts = [list(zip(*part.row(row), strict=True)) for part in (taken, left)]
        assert sorted(parts[0] + parts[1]) == sorted(zip(*rows.row(row), strict=True))
        assert len(parts[0]) == min(int(n * share), max(n - 1, 0))


def test_every_entry_is_left_as_often():
    rows = CSR.from_pairs(np.zeros(4, np.int32), np.arange(4), None, (1, 4))
    rng = np.random.default_rng(0)
    left = np.concatenate([apart(rows, np.array([0.5]), rng)[1].indices for _ in range(2000)])
    np.testing.assert_allclose(np.bincount(left) / 2000, 0.5, atol=0.05)
