"""Products with sparse matrices, beyond the generic proofs of the op table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import ops
from minidl.errors import ShapeError

INDICES, OFFSETS, WEIGHTS = np.array([0, 2, 2, 1]), np.array([0, 2, 2, 4]), np.array([1.0, 2.0, 3.0, 4.0])
DENSE = np.array([[1.0, 0, 2, 0], [0, 0, 0, 0], [0, 4, 3, 0]])


def compressed(dense):
    rows, columns = np.nonzero(dense)
    return columns, np.searchsorted(rows, np.arange(len(dense) + 1)), dense[rows, columns]


@given(seed=st.integers(0, 10**6), dtype=st.sampled_from([np.float32, np.float64]))
def test_a_given_transpose_gives_the_gradient_without(seed, dtype):
    rng = np.random.default_rng(seed)
    dense = (rng.normal(size=(5, 4)) * (rng.random((5, 4)) < 0.5)).astype(dtype)
    x, g, found = rng.normal(size=(4, 3)).astype(dtype), rng.normal(size=(5, 3)).astype(dtype), []
    for transposed in (None, compressed(dense.T)):
        table = minidl.tensor(x, requires_grad=True)
        out = ops.sparse_matmul(table, *compressed(dense), transposed=transposed)
        (out * g).sum().backward()
        found += [table.grad]
        assert out.dtype == table.grad.dtype == dtype
        np.testing.assert_allclose(out.data, dense @ x, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(table.grad, dense.T @ g, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(*found)


def test_ones_unless_there_are_weights():
    x = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(ops.sparse_matmul(x, INDICES, OFFSETS, WEIGHTS), DENSE @ x)
    np.testing.assert_array_equal(ops.sparse_matmul(x, INDICES, OFFSETS), (DENSE > 0) @ x)


def test_nothing_as_large_as_the_matrix_is_made():
    """Of 300,000 x 300,000 entries, which would take 720 GB."""
    n, rng = 300_000, np.random.default_rng(0)
    x, columns = minidl.tensor(rng.normal(size=(n, 2)), requires_grad=True), rng.integers(0, n, n)
    out = ops.sparse_matmul(x, columns, np.arange(n + 1))
    np.testing.assert_array_equal(out.data, x.data[columns])
    out.sum().backward()
    np.testing.assert_array_equal(x.grad[:, 0], np.bincount(columns, minlength=n))


@pytest.mark.parametrize(("args", "more", "error", "says"), [
    ((np.ones(4), INDICES, OFFSETS), {}, ShapeError, "a table has shape"),
    ((np.ones((2, 2)), INDICES, OFFSETS), {}, IndexError, "sparse_matmul: index 2 is out of range"),
    ((np.ones((4, 2)), -INDICES, OFFSETS), {}, IndexError, "sparse_matmul: index -2"),
    ((np.ones((4, 2)), INDICES, OFFSETS[1:]), {}, ValueError, "sparse_matmul: offsets must start at 0"),
    ((np.ones((4, 2)), INDICES, OFFSETS, WEIGHTS[1:]), {}, ShapeError, r"weights have shape \(3,\), indices \(4,\)"),
    ((np.ones((4, 2)), INDICES, OFFSETS), {"transposed": (INDICES, OFFSETS, WEIGHTS)}, ShapeError,
     "transposed has 3 rows; .* has 4"),
])
def test_what_is_no_matrix_is_refused(args, more, error, says):
    with pytest.raises(error, match=says):
        ops.sparse_matmul(*args, **more)
