"""CSR against dense matrices and lists, and the kernels against their references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR
from recsys.data.csr import beside, stacked
from recsys.errors import DataError
from recsys.kernels import sparse


@st.composite
def entries(draw, max_size=30):
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    n = draw(st.integers(0, max_size))
    rows = np.array(draw(st.lists(st.integers(0, shape[0] - 1), min_size=n, max_size=n)), np.int32)
    cols = np.array(draw(st.lists(st.integers(0, shape[1] - 1), min_size=n, max_size=n)), np.int32)
    data = np.arange(1, n + 1, dtype=np.float32) if draw(st.booleans()) else None
    return rows, cols, data, shape


def dense(rows, cols, data, shape):
    out = np.zeros(shape, np.float32)
    for i, (r, c) in enumerate(zip(rows, cols, strict=True)):
        out[r, c] += 1 if data is None else data[i]
    return out


@given(entries())
def test_from_pairs_keeps_everything_in_order(e):
    rows, cols, data, shape = e
    matrix = CSR.from_pairs(*e)
    assert (matrix.indptr.dtype, matrix.indices.dtype, matrix.nnz) == (np.int64, np.int32, len(rows))
    np.testing.assert_array_equal(matrix.toarray(), dense(*e))
    np.testing.assert_array_equal(matrix.counts, np.bincount(rows, minlength=shape[0]))
    for r in range(shape[0]):
        indices, values = matrix.row(r)
        np.testing.assert_array_equal(indices, cols[rows == r])
        assert values is None if data is None else np.array_equal(values, data[rows == r])


@given(entries())
def test_transpose(e):
    matrix = CSR.from_pairs(*e)
    np.testing.assert_array_equal(matrix.T.toarray(), dense(*e).T)
    assert all(np.all(np.diff(matrix.T.row(c)[0]) >= 0) for c in range(e[3][1]))


@given(entries(), st.data())
def test_rows(e, data):
    which = np.array(data.draw(st.lists(st.integers(0, e[3][0] - 1), max_size=8)), np.int64)
    np.testing.assert_array_equal(CSR.from_pairs(*e).rows(which).toarray(), dense(*e)[which])


@given(entries(), st.integers(0, 5))
def test_tail_is_the_end_of_every_row(e, n):
    matrix = CSR.from_pairs(*e)
    tail = matrix.tail(n)
    for r in range(e[3][0]):
        np.testing.assert_array_equal(tail.row(r)[0], matrix.row(r)[0][max(matrix.counts[r] - n, 0):])


@given(entries())
def test_unique_is_the_sorted_pattern(e):
    unique = CSR.from_pairs(*e).unique()
    np.testing.assert_array_equal(unique.toarray(), dense(*e) > 0)
    assert unique.data is None
    assert all(np.all(np.diff(unique.row(r)[0]) > 0) for r in range(e[3][0]))


@given(st.integers(1, 5), st.data())
def test_submatrix(n, data):
    index = st.integers(0, n - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(index, index), max_size=12)), np.int32).reshape(-1, 2)
    which = data.draw(st.permutations([*range(n), -1, -1]))[: data.draw(st.integers(0, n + 2))]
    whole = dense(pairs[:, 0], pairs[:, 1], None, (n, n))
    expected = np.zeros((len(which), len(which)), np.float32)
    for i, a in enumerate(which):
        for j, b in enumerate(which):
            expected[i, j] = whole[a, b] if a >= 0 and b >= 0 else 0
    matrix = CSR.from_pairs(pairs[:, 0], pairs[:, 1], None, (n, n))
    np.testing.assert_array_equal(matrix.submatrix(np.array(which, np.int64)).toarray(), expected)


@given(entries(), st.integers(0, 5))
def test_times_is_the_product_and_a_row_has_its_own_bits(e, width):
    matrix = CSR.from_pairs(*e)
    vectors = np.random.default_rng(0).standard_normal((matrix.shape[1], width)).astype(np.float32)
    found = matrix.times(vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, matrix.toarray() @ vectors, rtol=1e-4, atol=1e-4)
    for r in range(len(found)):
        assert matrix.rows([r]).times(vectors).tobytes() == found[r].tobytes()


def test_bad_pairs_are_refused():
    with pytest.raises(DataError, match=r"one length; got 1 rows, 2 columns"):
        CSR.from_pairs([0], [0, 1])
    with pytest.raises(DataError, match=r"cols must lie in 0\.\.1, got -1\.\.0"):
        CSR.from_pairs([0, 0], [0, -1], None, (1, 2))


@given(entries())
def test_group_equals_its_twin(e):
    rows, n_rows = e[0], e[3][0]
    for got, expected in zip(sparse.group(rows, n_rows), sparse.module(numba=False).group(rows, n_rows), strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


@given(entries(max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_k_core_equals_its_twin_and_a_naive_oracle(e, users, items):
    rows, cols, _, shape = e
    pairs = list(enumerate(zip(rows.tolist(), cols.tolist(), strict=True)))
    while True:
        left = [(i, (r, c)) for i, (r, c) in pairs
                if sum(x == r for _, (x, _) in pairs) >= users and sum(y == c for _, (_, y) in pairs) >= items]
        if len(left) == len(pairs):
            break
        pairs = left
    expected = np.isin(np.arange(len(rows)), [i for i, _ in pairs])
    for numba in (True, False):
        kept = sparse.module(numba).k_core(rows, cols, *shape, users, items)
        np.testing.assert_array_equal(kept, expected)


@given(entries(), entries(), st.integers(0, 3))
def test_matrices_below_and_beside_each_other(one, other, more):
    (rows, cols, data, shape), (_, _, _, (n_rows, n_columns)) = one, other
    upper, table = CSR.from_pairs(rows, cols, data, shape), dense(*one)
    below = CSR.empty((n_rows, shape[1]))
    np.testing.assert_array_equal(stacked([upper, below, *[upper] * more], shape[1]).toarray(),
                                  np.vstack([table, np.zeros((n_rows, shape[1])), *[table] * more]))
    right = CSR.empty((shape[0], n_columns))
    np.testing.assert_array_equal(beside([upper, right, *[upper] * more]).toarray(),
                                  np.hstack([table, np.zeros((shape[0], n_columns)), *[table] * more]))
    assert stacked([], n_columns).shape == (0, n_columns)
