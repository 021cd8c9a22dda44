"""Regressions on nearest items against their references and against dense least squares, for any sparse matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from recsys.data import CSR
from recsys.kernels import regressions

pytest.importorskip("numba")
NUMBA, NUMPY = regressions.module(True), regressions.module(False)


def problem(seed, n_users, n_items, most, counted=False):
    """X by columns, and for some targets lists of up to `most` others; columns and lists may be empty."""
    rng = np.random.default_rng(seed)
    held = rng.random((n_users, n_items)) < rng.choice([0.1, 0.5])
    dense = np.where(held, rng.integers(-4, 6, (n_users, n_items)), 0)
    user, item = np.nonzero(dense)
    columns = CSR.from_pairs(item, user, dense[user, item] / 2, (n_items, n_users))
    targets = rng.integers(0, n_items, rng.integers(0, 2 * n_items)).astype(np.int32)
    lists = [rng.permutation(np.delete(np.arange(n_items), t))[:rng.integers(0, most + 1)] for t in targets]
    indptr = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    near = np.concatenate([np.zeros(0, np.int32), *lists]).astype(np.int32)
    whole = dense.T @ dense / 4 if counted else np.zeros((0, 0))
    given_ = columns.indptr, columns.indices, columns.weights, n_users, whole, targets, indptr, near
    return dense / 2, given_, rng.uniform(0.5, 9, n_items)


sizes = st.integers(0, 2 ** 32), st.integers(1, 20), st.integers(1, 25), st.integers(0, 25), st.booleans()


@given(*sizes)
def test_ridge_is_the_penalised_least_squares(seed, n_users, n_items, most, counted):
    x, (*arrays, targets, indptr, near), penalty = problem(seed, n_users, n_items, most, counted)
    for module in (NUMBA, NUMPY):
        weights, left = module.ridge(*arrays, targets, indptr, near, penalty)
        for at, target in enumerate(targets):
            others = near[indptr[at]:indptr[at + 1]]
            stacked = np.concatenate([x[:, others], np.diag(np.sqrt(penalty[others]))])
            wanted = np.concatenate([x[:, target], np.zeros(len(others))])
            expected = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
            np.testing.assert_allclose(weights[indptr[at]:indptr[at + 1]], expected, rtol=1e-4, atol=1e-6)
            both = np.append(others, target)
            whole = np.linalg.inv(x[:, both].T @ x[:, both] + np.diag(penalty[both]))
            np.testing.assert_allclose(left[at], 1 / whole[-1, -1])


@given(*sizes, st.sampled_from([0.0, 0.7, 5.0]))
def test_the_elastic_net_meets_its_conditions(seed, n_users, n_items, most, counted, lasso):
    x, (*arrays, targets, indptr, near), penalty = problem(seed, n_users, n_items, most, counted)
    found = [module.elastic_net(*arrays, targets, indptr, near, penalty, lasso, 2000, 1e-7)
             for module in (NUMBA, NUMPY)]
    np.testing.assert_allclose(*found, atol=1e-5)
    weights = found[0].astype(np.float64)
    assert np.all(weights >= 0)
    for at, target in enumerate(targets):
        others, w = near[indptr[at]:indptr[at + 1]], weights[indptr[at]:indptr[at + 1]]
        slope = x[:, others].T @ (x[:, others] @ w - x[:, target]) + penalty[others] * w + lasso
        assert np.all(slope > -1e-3)
        assert np.all(np.abs(slope[w > 0]) < 1e-3)


def test_threads_change_no_bit():
    _, arguments, penalty = problem(1, 300, 200, 120)
    answers = []
    before = runtime.threads()
    for threads in (1, 2):
        runtime.set_threads(threads)
        answers.append([*NUMBA.ridge(*arguments, penalty), NUMBA.elastic_net(*arguments, penalty, 0.5, 50, 1e-5)])
    runtime.set_threads(before)
    for one, two in zip(*answers, strict=True):
        assert one.tobytes() == two.tobytes()
