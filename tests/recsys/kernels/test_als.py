"""The kernels of ALS: against dense normal equations, their references, and themselves with other thread counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import runtime
from recsys.kernels import numba_als, numpy_als

VERSIONS = [numba_als, numpy_als]


def problem(seed, rows=9, columns=11, factors=6, dtype=np.float64):
    rng = np.random.default_rng(seed)
    filled = rng.random((rows, columns)) < rng.random((rows, 1))
    filled[0] = False
    row, column = np.nonzero(filled)
    indptr = np.searchsorted(row, np.arange(rows + 1))
    extra = rng.exponential(3, len(column)).astype(dtype)
    ridge = rng.uniform(0.1, 1, rows).astype(dtype)
    sparse = np.argsort(-np.diff(indptr), kind="stable"), indptr, column.astype(np.int32), extra, ridge
    return sparse, rng.normal(size=(columns, factors)).astype(dtype), rng.normal(size=(rows, factors)).astype(dtype)


def systems(sparse, Y, rows):
    """Dense `A` (rows, f, f) and `b` (rows, f), and each row's loss as a function of its vector."""
    _, indptr, column, extra, ridge = sparse
    A, b, losses = [], [], []
    for u in range(rows):
        own = slice(indptr[u], indptr[u + 1])
        confidence, preference = np.ones(len(Y)), np.zeros(len(Y))
        confidence[column[own]] += extra[own]
        preference[column[own]] = 1
        A.append((Y.T * confidence) @ Y + ridge[u] * np.eye(Y.shape[1]))
        b.append(Y.T @ (confidence * preference))
        losses.append(lambda x, c=confidence, p=preference, r=ridge[u]: c @ (p - Y @ x) ** 2 + r * x @ x)
    return np.array(A), np.array(b), losses


def start(version, sparse, Y, X):
    R, gain = X @ (Y.T @ Y), np.empty(len(X), X.dtype)
    version.residual(*sparse, Y, X, R, gain)
    return R, gain


def solve(version, sparse, Y, X, steps):
    X = X.copy()
    R, _ = start(version, sparse, Y, X)
    P = R.copy()
    for _ in range(steps):
        AP = P @ (Y.T @ Y)
        version.step(*sparse, Y, X, R, P, AP)
    return X, R, P


@pytest.mark.parametrize("version", VERSIONS)
@given(seed=st.integers(0, 10**6))
def test_residual_and_loss(version, seed):
    sparse, Y, X = problem(seed)
    A, b, losses = systems(sparse, Y, len(X))
    R, gain = start(version, sparse, Y, X)
    np.testing.assert_allclose(R, b - np.einsum("uij,uj->ui", A, X), rtol=1e-9, atol=1e-9)
    loss = np.array([f(x) for f, x in zip(losses, X, strict=True)])
    of_zero = np.array([f(np.zeros(X.shape[1])) for f in losses])
    np.testing.assert_allclose(of_zero - gain, loss, rtol=1e-9)


@pytest.mark.parametrize("version", VERSIONS)
@given(seed=st.integers(0, 10**6))
def test_as_many_steps_as_factors_solve_the_normal_equations(version, seed):
    sparse, Y, X = problem(seed)
    A, b, _ = systems(sparse, Y, len(X))
    found, _, _ = solve(version, sparse, Y, X, steps=2 * X.shape[1])  # twice, for rounding
    np.testing.assert_allclose(found, np.linalg.solve(A, b[..., None])[..., 0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_step_from_the_solution_stays(version):
    sparse, Y, _ = problem(1)
    X = np.zeros((len(sparse[1]) - 1, Y.shape[1]))
    A, b, _ = systems(sparse, Y, len(X))
    X[:] = np.linalg.solve(A, b[..., None])[..., 0]
    found, _, _ = solve(version, sparse, Y, X, steps=3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, X, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[0], 0)  # a row without items


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from([np.float32, np.float64]))
def test_numba_equals_numpy(seed, dtype):
    sparse, Y, X = problem(seed, dtype=dtype)
    tolerance = 2e-3 if dtype == np.float32 else 1e-9
    for a, b in zip(solve(numba_als, sparse, Y, X, 2), solve(numpy_als, sparse, Y, X, 2), strict=True):
        assert a.dtype == b.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


def test_same_bits_for_any_number_of_threads():
    sparse, Y, X = problem(2, rows=300, columns=200, factors=24, dtype=np.float32)
    before, found = runtime.threads(), []
    try:
        for n in {1, before}:
            runtime.set_threads(n)
            found.append(solve(numba_als, sparse, Y, X, 3)[0])
    finally:
        runtime.set_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])


@pytest.mark.parametrize("version", VERSIONS)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 12))
def test_a_fold_solves_the_normal_equations_of_each_row_by_itself(version, seed, rows):
    (_, indptr, column, extra, ridge), Y, _ = problem(seed, rows, 23, 5)
    Y = Y.astype(np.float32)
    gram = Y.T.astype(np.float64) @ Y
    X = np.full((rows, 5), np.nan, np.float32)
    version.fold(gram, indptr, column, extra, ridge, Y, X)
    A, b, _ = systems((None, indptr, column, extra, ridge), Y.astype(np.float64), rows)
    for u in range(rows):
        filled = indptr[u + 1] > indptr[u]
        np.testing.assert_allclose(X[u], np.linalg.solve(A[u], b[u]) if filled else np.zeros(5), rtol=1e-4, atol=1e-5)
        own, one = slice(indptr[u], indptr[u + 1]), np.empty((1, 5), np.float32)
        version.fold(gram, np.array([0, own.stop - own.start]), column[own], extra[own], ridge[u:u + 1], Y, one)
        assert one.tobytes() == X[u].tobytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fold_leaves_out_directions_that_nothing_determines(version):
    Y, X = np.float32([[1, 1, 0], [2, 2, 0]]), np.empty((1, 3), np.float32)
    extra, none = np.array([3.0]), np.zeros(1)
    version.fold(Y.T.astype(np.float64) @ Y, np.array([0, 1]), np.array([1], np.int32), extra, none, Y, X)
    np.testing.assert_allclose(Y.astype(np.float64) @ X[0], 8 / 17 * np.array([1, 2]), rtol=1e-6)
