"""The kernels of BPR: the schedule, the negatives, the steps, and the bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops, runtime
from recsys.kernels import numba_bpr, numpy_bpr

VERSIONS = [numba_bpr, numpy_bpr]


class Problem:
    """Random pairs, blocks of users and of items, and factors."""

    def __init__(self, seed, n_users=20, n_items=30, blocks=3, factors=4, dtype=np.float64, density=0.2):
        rng = np.random.default_rng(seed)
        self.positive = rng.random((n_users, n_items)) < density
        user, item = np.nonzero(self.positive)
        self.indptr = np.searchsorted(user, np.arange(n_users + 1))
        self.indices = item.astype(np.int32)
        self.bounds = np.arange(blocks + 1) * n_users // blocks
        self.edges = np.arange(blocks + 1) * n_items // blocks
        self.pool = rng.permutation(n_items).astype(np.int32)
        self.owner = np.empty(n_items, np.int32)
        self.owner[self.pool] = np.repeat(np.arange(blocks), np.diff(self.edges))
        self.X, self.Y = (rng.normal(size=(n, factors)).astype(dtype) for n in (n_users, n_items))
        self.bias = rng.normal(size=n_items).astype(dtype)
        self.blocks = blocks

    def deal(self, version):
        users, items = np.empty(len(self.indices), np.int32), np.empty(len(self.indices), np.int32)
        cells = np.empty((self.blocks, self.blocks + 1), np.int64)
        version.deal(self.indptr, self.indices, self.bounds, self.owner, users, items, cells)
        return users, items, cells

    def epoch(self, version, seed=7, lr=0.05, reg=0.01, epochs=1):
        X, Y, bias, loss = self.X.copy(), self.Y.copy(), self.bias.copy(), np.zeros(self.blocks)
        mark = np.full((self.blocks, len(Y)), -1, np.int32)
        for n in range(epochs):
            version.epoch(*self.deal(version), self.pool, self.edges, X, Y, bias, mark, lr, reg, seed + n, loss)
        return X, Y, bias, loss


@pytest.mark.parametrize("version", VERSIONS)
@given(seed=st.integers(0, 10**6))
def test_every_pair_is_dealt_to_its_cell_once(version, seed):
    p = Problem(seed)
    users, items, cells = p.deal(version)
    dealt = np.zeros_like(p.positive, dtype=int)
    np.add.at(dealt, (users, items), 1)
    np.testing.assert_array_equal(dealt, p.positive)
    for a in range(p.blocks):
        for b in range(p.blocks):
            cell = slice(cells[a, b], cells[a, b + 1])
            assert np.all((users[cell] >= p.bounds[a]) & (users[cell] < p.bounds[a + 1]))
            assert np.all(p.owner[items[cell]] == b)
            assert np.all(np.diff(users[cell]) >= 0)  # a user's items stand together


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from([np.float32, np.float64]))
def test_numba_equals_numpy(seed, dtype):
    p = Problem(seed, dtype=dtype)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    for a, b in zip(p.epoch(numba_bpr, epochs=2), p.epoch(numpy_bpr, epochs=2), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("version", VERSIONS)
def test_negatives_are_never_positives(version):
    """With users at zero only biases move, and the bias of an item that all users have never goes down."""
    p = Problem(1, blocks=1, density=0.5)
    p.positive[:, :10] = True
    user, item = np.nonzero(p.positive)
    p.indptr, p.indices = np.searchsorted(user, np.arange(len(p.X) + 1)), item.astype(np.int32)
    p.X[:] = 0
    p.bias[:] = 0
    _, _, bias, _ = p.epoch(version, reg=0.0, lr=0.01, epochs=3)
    assert np.all(bias[:10] > 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_user_who_has_everything_is_passed_over(version):
    p = Problem(2, n_users=1, n_items=5, blocks=1, density=2.0)
    X, Y, bias, loss = p.epoch(version)
    np.testing.assert_array_equal(X, p.X)
    np.testing.assert_array_equal(Y, p.Y)
    np.testing.assert_array_equal(bias, p.bias)
    assert loss[0] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_is_the_gradient_by_automatic_differentiation(version):
    """Two items, of which the user has one: the negative is the other."""
    p, lr, reg = Problem(3, n_users=1, n_items=2, blocks=1, density=0.0), 1e-3, 0.1
    p.indptr, p.indices = np.array([0, 1]), np.array([1], np.int32)

    def objective(X, Y, bias):
        s = (X[0] * (Y[1] - Y[0])).sum() + bias[1] - bias[0]
        squares = (X * X).sum() + (Y * Y).sum() + (bias * bias).sum()
        return ops.softplus(-s) + 0.5 * reg * squares

    value, gradients = minidl.value_and_grad(objective, argnums=(0, 1, 2))(p.X, p.Y, p.bias)
    *after, loss = p.epoch(version, lr=lr, reg=reg)
    squares = sum(float((a * a).sum()) for a in (p.X, p.Y, p.bias))
    assert float(loss[0]) == pytest.approx(float(value) - 0.5 * reg * squares, rel=1e-9)
    for name, gradient, now in zip(("X", "Y", "bias"), gradients, after, strict=True):
        np.testing.assert_allclose((getattr(p, name) - now) / lr, gradient, rtol=1e-7, atol=1e-9, err_msg=name)


def test_negatives_are_uniform():
    """Each unseen item is pushed down equally often, to within chance."""
    n_items, n_users = 8, 4000
    p = Problem(0, n_users=n_users, n_items=n_items, blocks=1, density=0.0, factors=1)
    p.indptr, p.indices = np.arange(n_users + 1), np.zeros(n_users, np.int32)
    p.X[:] = p.Y[:] = 0
    p.bias[:] = 0
    _, _, bias, _ = p.epoch(numba_bpr, lr=1e-6, reg=0.0)
    counts = -bias[1:] / 0.5e-6
    assert counts.sum() == pytest.approx(n_users, rel=1e-2)
    expected = n_users / (n_items - 1)
    assert np.sum((counts - expected) ** 2 / expected) < 22.5  # chi-squared, 6 degrees of freedom, 0.1 %


def test_same_bits_for_any_number_of_threads():
    p = Problem(5, n_users=200, n_items=150, blocks=8, factors=16, dtype=np.float32)
    before, found = runtime.threads(), []
    try:
        for n in {1, before}:
            runtime.set_threads(n)
            found.append(p.epoch(numba_bpr, epochs=2))
    finally:
        runtime.set_threads(before)
    for a, b in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(a, b)
