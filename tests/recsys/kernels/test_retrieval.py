"""Search in vectors against a sort of all products by the canonical sum, which is checked against fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import kernels
from recsys.data.csr import CSR
from recsys.estimator.retrieval import VectorIndex
from recsys.kernels import numpy_ranking, numpy_retrieval

VERSIONS = [kernels.retrieval.module(numba) for numba in (True, False)]
NOTHING = np.zeros(0, np.float32)


def canonical(query, vectors, bias):
    """Products in the documented order, by whole numbers' own arithmetic and one rounding a sum."""
    out = []
    for item, vector in enumerate(vectors):
        sums = [0.0] * 8
        for j, (a, b) in enumerate(zip(query.tolist(), vector.tolist(), strict=True)):
            sums[j % 8] = float(Fraction(sums[j % 8]) + Fraction(a) * Fraction(b))
        for half in (4, 2, 1):
            sums = [sums[i] + sums[i + half] for i in range(half)]
        out.append(sums[0] + float(bias[item]) if len(bias) else sums[0])
    return np.array(out)


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.sampled_from([1500, 3000, 600, 0, 1, 9, 255, 256, 257]))
    f = draw(st.sampled_from([64, 0, 1, 2, 7, 8, 31, 70]))
    shape = draw(st.sampled_from(["flat", "near", "skewed", "tied", "doubled", "zero"]))
    vectors = rng.standard_normal((n, f))
    if shape == "flat":
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    elif shape == "near":  # by less than their codes tell apart
        vectors = rng.standard_normal((1, f)) + 1e-3 * vectors
    elif shape == "skewed":
        vectors *= rng.lognormal(0, 1, (n, 1)) ** 2
    elif shape == "tied":
        vectors = rng.integers(-1, 2, (n, f))
    elif shape == "doubled":
        vectors = vectors[rng.integers(0, max(n // 3, 1), n)] if n else vectors
    else:
        vectors[rng.random(n) < 0.7] = 0
    count = draw(st.integers(0, 4))
    queries: np.ndarray = rng.standard_normal((count, f)) * draw(st.sampled_from([1e-30, 1, 1e6]))
    queries[rng.random(count) < 0.2] = 0
    if n and draw(st.booleans()):
        queries = -vectors[rng.integers(0, n, count)].astype(np.float64)
    bias = draw(st.sampled_from([None, rng.standard_normal(n), rng.integers(-1, 2, n), np.full(n, -3.0)]))
    strange = draw(st.sampled_from([None, None, None, np.nan, np.inf]))
    if strange is not None and f and count:
        queries[rng.integers(0, count), rng.integers(0, f)] = strange
        if n and draw(st.booleans()):
            vectors = vectors.astype(np.float64)
            vectors[rng.integers(0, n), rng.integers(0, f)] = -strange
    allowed = draw(st.sampled_from([None, rng.random(n) < 0.7, rng.random(n) < 0.03, np.zeros(n, bool)]))
    hide = rng.random((count, n)) < draw(st.sampled_from([0, 0.02, 0.9]))
    rows, items = np.nonzero(hide)
    mixed = rng.permutation(len(rows))
    hidden = CSR.from_pairs(rows[mixed], items[mixed], None, (count, n))
    index = VectorIndex.build(vectors.astype(np.float32), None if bias is None else bias.astype(np.float32),
                              draw(st.sampled_from([0.1, 1.0, 10.0])))
    return queries.astype(np.float32), index, draw(st.sampled_from([None, hidden])), allowed


def sparse(hidden, rows):
    return (np.zeros(rows + 1, np.int64), np.zeros(0, np.int32)) if hidden is None else (hidden.indptr, hidden.indices)


def every(queries, index):
    pairs = np.divmod(np.arange(len(queries) * len(index)), max(len(index), 1))
    return index.products(queries, *pairs).reshape(len(queries), len(index))


@given(seed=st.integers(0, 2**32 - 1), f=st.integers(0, 40), biased=st.booleans())
@settings(max_examples=40)
def test_products_are_summed_as_they_are_said_to_be(seed, f, biased):
    rng = np.random.default_rng(seed)
    query = (rng.standard_normal((1, f)) * 10.0 ** rng.integers(-20, 20, f)).astype(np.float32)
    vectors = (rng.standard_normal((3, f)) * 10.0 ** rng.integers(-20, 20, f)).astype(np.float32)
    bias = rng.standard_normal(3).astype(np.float32) if biased else NOTHING
    for version in VERSIONS:
        found = version.dots(query, vectors, bias, np.zeros(3, int), np.arange(3))
        assert found.dtype == np.float64
        assert found.tobytes() == canonical(query[0], vectors, bias).tobytes()


@given(problem=problems(), k=st.sampled_from([0, 1, 2, 10, 40, 200]))
@settings(max_examples=300)
def test_a_search_is_the_head_of_a_full_sort(problem, k):
    queries, index, hidden, allowed = problem
    expected = numpy_ranking.topk(every(queries, index), *sparse(hidden, len(queries)), allowed, k)
    items, products = index.search(queries, k, hidden, allowed)
    assert items.dtype == np.int32
    np.testing.assert_array_equal(items, expected[0])
    assert products.tobytes() == expected[1].tobytes()
    for row in range(len(queries)):  # whoever else is asked for
        one = None if hidden is None else hidden.rows(np.array([row]))
        alone = index.search(queries[row:row + 1], k, one, allowed)
        assert alone[0].tobytes() == items[row].tobytes()
        assert alone[1].tobytes() == products[row].tobytes()


@given(problem=problems(), k=st.sampled_from([1, 10]), deepest=st.sampled_from([1, 5, 10**6]))
@settings(max_examples=150)
def test_ranks_count_what_stands_above_and_beside(problem, k, deepest):
    queries, index, hidden, allowed = problem
    rng = np.random.default_rng(k)
    targets = CSR.from_pairs(*np.nonzero(rng.random((len(queries), len(index))) < 0.02), None,
                             (len(queries), len(index)))
    where = (*sparse(hidden, len(queries)), allowed)
    expected = numpy_ranking.ranks(every(queries, index), *where, targets.indptr, targets.indices, deepest)
    found = index.ranks(queries, targets, deepest, hidden, allowed)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, other)


def big():
    rng = np.random.default_rng(0)
    vectors = rng.integers(-3, 4, (9000, 16)).astype(np.float32)
    queries = rng.integers(-3, 4, (140, 16)).astype(np.float32)
    hidden = CSR.from_pairs(np.repeat(np.arange(140), 9), rng.integers(0, 9000, 1260), None, (140, 9000))
    return queries, VectorIndex.build(vectors, rng.integers(0, 9, 9000).astype(np.float32)), hidden.unique()


def test_versions_and_numbers_of_threads_agree():
    numba = pytest.importorskip("numba")
    queries, index, hidden = big()
    targets = CSR.from_pairs(np.arange(140), np.arange(140) * 60, None, hidden.shape)
    where = hidden.indptr, hidden.indices, None
    calls = [lambda version: version.search(queries, index.index, *where, 7),
             lambda version: version.ranks(queries, index.index, *where, targets.indptr, targets.indices, 50)]
    most = numba.get_num_threads()
    for call in calls:
        expected = call(numpy_retrieval)
        for threads in {1, min(2, most)}:
            numba.set_num_threads(threads)
            for one, other in zip(call(VERSIONS[0]), expected, strict=True):
                assert one.tobytes() == other.tobytes()
    numba.set_num_threads(most)


@pytest.mark.parametrize("bias", [None, np.float32([0, 5, 0, -1])])
def test_an_index_is_found_again_by_its_arrays(bias):
    vectors = np.float32([[1, 2], [0, 0], [3, 1], [2, 2]])
    index = VectorIndex.build(vectors, bias)
    again = VectorIndex.restore(index.arrays(), vectors, bias)
    for one, other in zip(again.index, index.index, strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
