"""The truncated singular value decomposition against NumPy's dense one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import CSR
from recsys.errors import DataError, ParameterError, RecsysError
from recsys.models import svd
from recsys.models.svd import truncated_svd


def sparse(rng, n, m, density):
    held = rng.random((n, m)) < density
    rows, columns = np.nonzero(held)
    return CSR.from_pairs(rows, columns, rng.standard_normal(len(rows)), (n, m))


def require_triplets(matrix, found, rank, accuracy=1e-4):
    """Values, residuals and orthogonality, all in float64."""
    dense = matrix.toarray().astype(np.float64)
    exact = np.linalg.svd(dense, compute_uv=False)
    largest = max(exact[0], 1e-30)
    left, values, right = (part.astype(np.float64) for part in found)
    assert left.shape == (dense.shape[0], len(values))
    assert right.shape == (dense.shape[1], len(values))
    assert len(values) <= rank
    assert np.all(exact[len(values):rank] <= 3e-4 * largest)
    assert np.all(np.diff(values) <= 0)
    assert np.all(values > 0)
    bound = np.maximum(accuracy, 2e-6 * largest / np.maximum(values, 1e-12)) * largest
    np.testing.assert_array_less(np.abs(values - exact[:len(values)]), bound + 1e-12)
    assert np.all(np.linalg.norm(dense @ right - left * values, axis=0) <= bound)
    assert np.all(np.linalg.norm(dense.T @ left - right * values, axis=0) <= bound)
    clear = values > 1e-2 * largest
    for part in (left, right):
        np.testing.assert_allclose(part[:, clear].T @ part[:, clear], np.eye(clear.sum()), atol=1e-4)


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(1, 50),
       st.integers(0, 2**32))
def test_of_small_matrices(n, m, density, rank, seed):
    matrix = sparse(np.random.default_rng(seed), n, m, density)
    require_triplets(matrix, truncated_svd(matrix, rank), rank)


@settings(max_examples=6, deadline=None)
@given(st.integers(300, 450), st.integers(300, 450), st.sampled_from([0.005, 0.05]), st.sampled_from([1, 5, 20]),
       st.integers(0, 2**32))
def test_of_matrices_that_are_larger_than_the_basis(n, m, density, rank, seed):
    matrix = sparse(np.random.default_rng(seed), n, m, density)
    require_triplets(matrix, truncated_svd(matrix, rank, seed=seed % 7), rank)


@pytest.mark.parametrize("true_rank", [1, 3, 40])
def test_of_fewer_dimensions_than_are_asked_for(true_rank):
    """Equal rows and columns: singular values that come once, many times, and 0."""
    blocks = np.kron(np.eye(true_rank), np.ones((700 // true_rank, 600 // true_rank), np.float32))
    matrix = CSR.from_pairs(*np.nonzero(blocks), None, blocks.shape)
    found = truncated_svd(matrix, 50)
    assert len(found.values) == true_rank
    require_triplets(matrix, found, 50)


def test_of_a_matrix_without_entries():
    found = truncated_svd(CSR.from_pairs([], [], None, (700, 800)), 3)
    assert found.left.shape == (700, 0)
    assert found.values.shape == (0,)
    assert found.right.shape == (800, 0)


def test_of_a_spectrum_that_hardly_falls():
    """The identity has one singular value, many times."""
    n = 1000
    matrix = CSR.from_pairs(np.arange(n), np.arange(n), None, (n, n))
    require_triplets(matrix, truncated_svd(matrix, 40), 40)


def test_says_that_an_accuracy_was_not_reached(monkeypatch):
    matrix = sparse(np.random.default_rng(0), 600, 600, 0.1)
    monkeypatch.setattr(svd, "_RESTARTS", 1)
    with pytest.raises(RecsysError, match="1 restarts did not reach accuracy=1e-07"):
        truncated_svd(matrix, 100, accuracy=1e-7)


@pytest.mark.parametrize("given_", [{"rank": 0}, {"rank": 3, "accuracy": 0.0}, {"rank": 3, "seed": -1}])
def test_refuses_what_it_cannot_do(given_):
    with pytest.raises(ParameterError, match="truncated_svd"):
        truncated_svd(CSR.from_pairs([0], [0]), **given_)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_names_an_entry_that_is_no_number(bad):
    for shape in ((3, 2), (3, 40)):
        with pytest.raises(DataError, match=rf"row 2, column 1 is {bad}"):
            truncated_svd(CSR.from_pairs([0, 2], [0, 1], [1.0, bad], shape), 1)
