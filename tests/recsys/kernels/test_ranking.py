"""Top-k and ranks against a lexicographic sort of every row, in both versions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import kernels
from recsys.kernels import numpy_ranking
from recsys.kernels.numpy_ranking import UNREACHABLE

VERSIONS = [kernels.ranking.module(numba) for numba in (True, False)]
LEVELS = np.array([np.nan, -np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.inf])


def rows(draw, count, n, most):
    """Random CSR rows, unsorted and with duplicates."""
    lists = [draw(st.lists(st.integers(0, n - 1), max_size=most if n else 0)) if n else [] for _ in range(count)]
    indptr = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return indptr, np.array([i for each in lists for i in each], np.int32)


@st.composite
def problems(draw):
    count, n = draw(st.integers(0, 5)), draw(st.sampled_from([0, 1, 2, 7, 31, 32, 33, 64, 97]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tied = draw(st.booleans())
    scores = LEVELS[rng.integers(0, len(LEVELS), (count, n))] if tied else rng.standard_normal((count, n))
    allowed = draw(st.sampled_from([None, rng.random(n) < 0.7, np.zeros(n, bool)]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return scores.astype(dtype), *rows(draw, count, n, n + 3), allowed, rows(draw, count, n, 40)


def candidates(n, indptr, indices, allowed, row):
    seen = set(indices[indptr[row]:indptr[row + 1]].tolist())
    return np.array([i for i in range(n) if i not in seen and (allowed is None or allowed[i])], int)


def order(scores, among):
    """Best first: numbers before NaN, higher before lower, then by index."""
    values = scores[among]
    return among[np.lexsort((among, -np.nan_to_num(values, nan=0.0), np.isnan(values)))]


@pytest.mark.parametrize("version", VERSIONS)
@given(problem=problems(), k=st.integers(0, 70))
def test_topk_is_the_head_of_a_full_sort(version, problem, k):
    scores, indptr, indices, allowed, _ = problem
    before = scores.copy()
    items, best = version.topk(scores, indptr, indices, allowed, k)
    assert items.dtype == np.int32
    assert best.dtype == scores.dtype
    assert items.shape == best.shape == (len(scores), k)
    for row in range(len(scores)):
        expected = order(scores[row], candidates(scores.shape[1], indptr, indices, allowed, row))[:k]
        rest = k - len(expected)
        np.testing.assert_array_equal(items[row], np.append(expected, np.full(rest, -1)))
        np.testing.assert_array_equal(best[row], np.append(scores[row, expected], np.full(rest, -np.inf)))
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("version", VERSIONS)
@given(problem=problems(), deepest=st.sampled_from([1, 2, 5, 1000]))
def test_ranks_count_what_stands_above_and_beside(version, problem, deepest):
    scores, indptr, indices, allowed, (target_indptr, targets) = problem
    greater, equal = version.ranks(scores, indptr, indices, allowed, target_indptr, targets, deepest)
    assert greater.dtype == equal.dtype == np.int32
    for row in range(len(scores)):
        among = candidates(scores.shape[1], indptr, indices, allowed, row)
        keys = [(not np.isnan(s), 0.0 if np.isnan(s) else s) for s in scores[row]]
        for at in range(target_indptr[row], target_indptr[row + 1]):
            key = keys[targets[at]]
            expected = (sum(keys[i] > key for i in among), sum(keys[i] == key for i in among))
            expected = (deepest, 1) if expected[0] >= deepest else expected
            assert (greater[at], equal[at]) == (expected if targets[at] in among else (UNREACHABLE, 0))


def big_problem():
    rng = np.random.default_rng(0)
    scores = np.round(rng.standard_normal((150, 500)), 1).astype(np.float32)
    counts = rng.integers(0, 60, (2, 150))
    indptr = np.concatenate([np.zeros((2, 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    seen, targets = (rng.integers(0, 500, total).astype(np.int32) for total in indptr[:, -1])
    return scores, (indptr[0], seen, rng.random(500) < 0.9), (indptr[1], targets)


@pytest.mark.parametrize("deepest", [20, 300, 500])
def test_many_rows_agree_with_the_twin_for_any_number_of_threads(deepest):
    numba = pytest.importorskip("numba")
    scores, seen, targets = big_problem()
    expected = *numpy_ranking.topk(scores, *seen, 10), *numpy_ranking.ranks(scores, *seen, *targets, deepest)
    most = numba.get_num_threads()
    for threads in {1, min(2, most)}:
        numba.set_num_threads(threads)
        got = *VERSIONS[0].topk(scores, *seen, 10), *VERSIONS[0].ranks(scores, *seen, *targets, deepest)
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    numba.set_num_threads(most)


@pytest.mark.parametrize("version", VERSIONS)
def test_rank_of_the_listed_items_is_their_place(version):
    scores, seen, _ = big_problem()
    scores += np.arange(500, dtype=np.float32) * 1e-4  # no ties
    items, _ = version.topk(scores, *seen, 30)
    greater, equal = version.ranks(scores, *seen, np.arange(151) * 30, items.ravel(), scores.shape[1])
    assert (greater.reshape(150, 30) == np.arange(30)).all()
    assert (equal == 1).all()
