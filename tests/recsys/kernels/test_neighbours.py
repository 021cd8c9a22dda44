"""Neighbourhood kernels against their references and against dense formulas, for any sparse matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import CSR
from recsys.kernels import neighbours

pytest.importorskip("numba")
NUMBA, NUMPY = neighbours.module(True), neighbours.module(False)


ROWS, COLUMNS = st.integers(0, 9), st.integers(1, 9)


@st.composite
def matrices(draw, rows=ROWS, columns=COLUMNS):
    """A sparse matrix of small half-integers: sums are exact, ties are many, rows may be empty."""
    shape = draw(rows), draw(columns)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    held = rng.random(shape) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    low = draw(st.sampled_from([1, -4]))
    dense = np.where(held, rng.integers(low, 5, shape) / 2, 0).astype(np.float32)
    rows_, columns_ = np.nonzero(held)
    return CSR.from_pairs(rows_, columns_, dense[rows_, columns_], shape)


def parts(csr):
    return csr.indptr, csr.indices, csr.data


def search(module, x, y, k, shrink, pearson, own=None):
    own = np.full(x.shape[0], -1, np.int32) if own is None else own
    scales = [np.sqrt((m.toarray().astype(np.float64) ** 2).sum(axis=1)) for m in (x, y)]
    return module.top_similar(*parts(x), *parts(y.T), *scales, own, k, shrink, pearson)


def dense_similarity(x, y, shrink, pearson):
    a, b = x.toarray().astype(np.float64), y.toarray().astype(np.float64)
    held_a, held_b = (np.zeros(m.shape, bool) for m in (x, y))
    held_a[x.row_of_entry, x.indices], held_b[y.row_of_entry, y.indices] = True, True
    if not pearson:
        scale = np.sqrt((a**2).sum(axis=1))[:, None] * np.sqrt((b**2).sum(axis=1)) + shrink
        return np.divide(a @ b.T, scale, out=np.zeros(scale.shape), where=scale > 0)
    common = held_a.astype(float) @ held_b.T
    spread = np.sqrt((a**2 @ held_b.T) * (held_a @ (b**2).T))
    weight = np.divide(common - 1, common - 1 + shrink, out=np.zeros(common.shape), where=common > 1)
    return np.divide(a @ b.T, spread, out=np.zeros(spread.shape), where=spread > 0) * weight


@given(matrices(columns=st.just(6)), matrices(rows=st.integers(1, 9), columns=st.just(6)), st.integers(1, 10),
       st.sampled_from([0.0, 2.0]), st.booleans())
def test_top_similar_is_the_top_of_the_dense_similarity(x, y, k, shrink, pearson):
    similarity = dense_similarity(x, y, shrink, pearson)
    expected = -np.sort(-np.maximum(similarity, 0), axis=1)[:, :k]
    for module in (NUMBA, NUMPY):
        found, values = search(module, x, y, k, shrink, pearson)
        np.testing.assert_allclose(values[:, :expected.shape[1]], expected, rtol=1e-6)
        for row in range(x.shape[0]):
            listed = found[row][found[row] >= 0]
            assert len(set(listed)) == len(listed)
            np.testing.assert_allclose(similarity[row, listed], values[row, :len(listed)], rtol=1e-6)


@given(matrices(rows=st.integers(1, 9)), st.integers(1, 10), st.booleans())
def test_twins_agree_and_leave_out_the_row_itself(x, k, pearson):
    own = np.arange(x.shape[0], dtype=np.int32)
    (found, values), (expected, exact) = (search(m, x, x, k, 1.0, pearson, own) for m in (NUMBA, NUMPY))
    np.testing.assert_allclose(values, exact, rtol=1e-6)
    clear = np.diff(exact, append=-1, axis=1) < -1e-6  # equal up to rounding may stand in either order
    clear &= np.diff(exact, prepend=2, axis=1) < -1e-6
    assert np.array_equal(found[clear], expected[clear])
    assert not np.any(found == own[:, None])


def test_ties_go_to_the_lower_index():
    x = CSR.from_pairs(np.arange(6), np.zeros(6, int), np.ones(6), (6, 1))
    for module in (NUMBA, NUMPY):
        found, _ = search(module, x, x, 3, 0.0, False, np.arange(6, dtype=np.int32))
        assert found.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]


@given(matrices(), st.integers(1, 10))
def test_largest_entries_of_rows(x, k):
    for module in (NUMBA, NUMPY):
        found = CSR(*module.largest(*parts(x), k), x.shape)
        for row in range(x.shape[0]):
            columns, values = x.row(row)
            best = sorted(zip(-values, columns, strict=True))[:k]
            listed = zip(*found.row(row), strict=True)
            assert [(-value, column) for column, value in listed] == best


@given(matrices(columns=st.just(5)), matrices(rows=st.just(5)))
def test_sums_of_rows_are_matrix_products(w, s):
    expected = w.toarray() @ s.toarray()
    for module in (NUMBA, NUMPY):
        np.testing.assert_allclose(module.sum_sparse_rows(*parts(w), *parts(s), s.shape[1]), expected, rtol=1e-5)


@given(matrices(rows=st.integers(1, 9)))
def test_gram(x):
    expected = x.toarray().astype(np.float64) @ x.toarray().T
    for module in (NUMBA, NUMPY):
        np.testing.assert_allclose(module.gram(*parts(x), *parts(x.T)), expected)


@given(matrices(columns=st.just(7)), matrices(rows=st.just(5), columns=st.just(7)), st.integers(1, 4),
       st.integers(1, 3), st.integers(0, 99), st.sampled_from([0.0, 0.5]))
def test_rate_is_a_weighted_mean_of_the_nearest(held, similar, k, min_k, seed, prior):
    similar = CSR(similar.indptr, similar.indices, np.abs(similar.data) + np.float32(0.5), similar.shape)
    counts = np.random.default_rng(seed).integers(0, 4, held.shape[0])
    targets = np.random.default_rng(seed).integers(0, 5, counts.sum()).astype(np.int32)
    pairs = np.append(0, np.cumsum(counts)).astype(np.int64)
    expected = []
    for row in range(held.shape[0]):
        value = dict(zip(*held.row(row), strict=True))
        for target in targets[pairs[row]:pairs[row + 1]]:
            near = [(s, value[j]) for j, s in zip(*similar.row(target), strict=True) if j in value][:k]
            enough = len(near) >= min_k
            expected.append(sum(s * d for s, d in near) / (sum(s for s, _ in near) + prior) if enough else 0.0)
    for module in (NUMBA, NUMPY):
        found = module.rate(*parts(held), pairs, targets, *parts(similar), 7, k, min_k, prior)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_results_do_not_depend_on_the_number_of_threads():
    import numba

    rng = np.random.default_rng(0)
    rows, columns = np.divmod(np.flatnonzero(rng.random(200 * 150) < 0.1), 150)
    x = CSR.from_pairs(rows, columns, rng.standard_normal(len(rows)), (200, 150))
    before, results = numba.get_num_threads(), []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            results.append([*search(NUMBA, x, x, 20, 1.0, True), NUMBA.gram(*parts(x), *parts(x.T)),
                            *NUMBA.largest(*parts(x), 3)])
    finally:
        numba.set_num_threads(before)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*results, strict=True))


@given(matrices(columns=st.just(6)), st.integers(1, 7), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 1.0]),
       st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_continuations_are_those_of_the_reference(history, sessions, seed, backward, decay, repeats):
    """Sessions may hold an item more than once, and be empty."""
    rng = np.random.default_rng(seed)
    history = CSR(history.indptr, history.indices, np.abs(history.weights), history.shape)
    counts = rng.integers(0, 6, sessions)
    rows = CSR(np.concatenate([[0], np.cumsum(counts)]), rng.integers(0, 6, counts.sum()).astype(np.int32), None,
               (sessions, 6))
    held = rng.random((history.shape[0], sessions)) < 0.7
    near = CSR.from_pairs(*np.nonzero(held), rng.random(held.sum()), held.shape)
    ages = rng.permutation(history.nnz).astype(np.float32)
    given_ = (*parts(history), ages, *parts(near), rows.indptr, rows.indices, decay ** np.arange(6.0), backward,
              repeats, 6)
    np.testing.assert_allclose(NUMBA.continuations(*given_), NUMPY.continuations(*given_), rtol=1e-5, atol=1e-6)
