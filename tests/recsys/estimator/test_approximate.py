"""Approximate search beside the exact one: what it lists is scored exactly, and how much it misses is measured."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.csr import CSR
from recsys.datasets import simulate
from recsys.errors import ParameterError, UnsupportedError
from recsys.estimator import storing
from recsys.estimator.approximate import ApproximateIndex, approximated
from recsys.estimator.retrieval import VectorIndex
from recsys.models import ALS, EASE

pytest.importorskip("faiss")


@pytest.fixture(scope="module", params=[False, True])
def searches(request):
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal((3000, 16)) * rng.lognormal(0, 0.7, (3000, 1))).astype(np.float32)
    bias = rng.standard_normal(3000).astype(np.float32) if request.param else None
    queries = rng.standard_normal((60, 16)).astype(np.float32)
    exact = VectorIndex.build(vectors, bias, 4.0)
    return exact, ApproximateIndex.measured(exact, queries[:40], best_of(exact, queries[:40])), queries[40:]


def best_of(exact, queries):
    """What those who ask have seen."""
    return CSR(np.arange(len(queries) + 1) * 50, exact.search(queries, 50)[0].ravel(), None, (len(queries), 3000))


def test_what_is_listed_is_exact_and_most_is_found(searches):
    exact, approximate, queries = searches
    assert 0.95 <= approximate.probing.recall <= 1
    assert approximate.probing.probes < approximate.probing.lists
    for rows in (None, best_of(exact, queries)):
        wanted, best = exact.search(queries, 10, rows)
        items, products = approximate.search(queries, 10, rows)
        assert np.mean([np.isin(a, b).mean() for a, b in zip(wanted, items, strict=True)]) > 0.85
        for row in range(20):
            listed = items[row]
            assert len(set(listed)) == 10
            pairs = exact.products(queries[row:row + 1], np.zeros(10, int), listed)
            assert pairs.tobytes() == products[row].tobytes()
            assert np.all(products[row] <= best[row])
            own = None if rows is None else rows.rows(np.array([row]))
            assert approximate.search(queries[row:row + 1], 10, own)[0].tobytes() == listed.tobytes()


def test_a_row_of_which_little_is_found_is_searched_exactly(searches):
    exact, approximate, queries = searches
    allowed = np.zeros(3000, bool)
    allowed[[5, 7, 2000]] = True
    for one, other in zip(exact.search(queries, 10, None, allowed), approximate.search(queries, 10, None, allowed),
                          strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_recall_below_the_floor_is_refused(searches):
    exact, _, queries = searches
    with pytest.raises(ParameterError, match=r"recall at 10 is 0\.\d+ with 1 of 219 lists probed, below the floor"):
        ApproximateIndex.measured(exact, queries, probes=1)
    with pytest.raises(ParameterError, match="one or more items and queries"):
        ApproximateIndex.measured(exact, queries[:0])


def test_a_model_that_searches_approximately_is_stored_with_its_recall(tmp_path):
    data = simulate(200, 900, 6000, seed=1)[0].binarise()
    exact = ALS(factors=8, epochs=2).fit(data).require("test")
    fitted = approximated(exact, np.arange(100), k=5, floor=0.9)
    expected = fitted.recommend(k=5)
    storing.save(fitted, tmp_path / "model")
    assert storing.container.manifest(tmp_path / "model")["index"]["recall"] >= 0.9
    again = storing.load(tmp_path / "model", mmap=True)
    assert again.index.probing == fitted.index.probing
    assert again.recommend(k=5).scores.tobytes() == expected.scores.tobytes()
    with pytest.raises(UnsupportedError, match="no products of vectors"):
        approximated(EASE().fit(data).require("test"), np.arange(3))
