"""Exact search on one core: times, and whether every list is the one that computing all products gives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.datasets import MADE, SEED
from benchmarks.service.bench import FACTORS, Bench, vectors
from benchmarks.service.place import cores

__all__ = ["exact"]

SIZES = {500_000: "500k", 1_000_000: "1m"}
QUERIES, CHECKED = 40, 5  # timed; compared with all products
USERS, EVENTS = 50_000, 3_000_000  # of the training whose vectors are searched


def exact(bench: Bench) -> dict[str, Any]:
    """Trained vectors with live histories, flat norms, a filter that leaves 1 %, 100 places, and the worst of queries.

    All on one core. `worst` is the largest share of a plain scan's time, over a negated query, a zero one, and flat
    norms; `unequal` counts lists that differ from a brute force, in order, ties or bits of a product.
    """
    found: dict[str, Any] = {"unequal": 0, "data": {"name": MADE, "seed": SEED, "sizes": {
        "users": USERS, "items": list(SIZES), "events": EVENTS}}}
    before = os.sched_getaffinity(0)
    for n, name in SIZES.items():
        items, queries = trained(n)  # with all cores
        os.sched_setaffinity(0, cores()[1])
        try:
            found = _merged(found, _measured(n, name, items, queries))
        finally:
            os.sched_setaffinity(0, before)
    return found


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    unequal = one["unequal"] + other["unequal"]
    worst = max(one.get("worst", 0), other.get("worst", 0))
    return one | other | {"unequal": unequal, "worst": worst}


def _measured(n: int, name: str, items: np.ndarray, queries: np.ndarray) -> dict[str, Any]:
    from recsys.estimator.retrieval import VectorIndex

    random = np.random.default_rng(SEED)
    index = VectorIndex.build(items)
    flat_items = vectors(random, n, spread=0.0)
    flat_queries = vectors(random, QUERIES)
    scan = _median(lambda query: _scan(items, query), queries)
    allowed = random.random(n) < .01
    found = {f"trained_{name}_ms": _search(index, queries),
             f"filter_{name}_ms": _search(index, queries, allowed=allowed),
             f"k100_{name}_ms": _search(index, queries, k=100), f"scan_{name}_ms": scan}
    unequal = sum(_unequal(index, queries, **how) for how in ({}, {"allowed": allowed}, {"k": 100}))
    hard = {"negated": -queries, "zero": np.zeros_like(queries[:5])}
    worst = [_search(index, each) for each in hard.values()]
    unequal += sum(_unequal(index, each) for each in hard.values())
    del index
    flat = VectorIndex.build(flat_items)
    found[f"flat_{name}_ms"] = _search(flat, flat_queries)
    unequal += _unequal(flat, flat_queries)
    return found | {"unequal": unequal, "worst": max(*worst, found[f"flat_{name}_ms"]) / scan}


def trained(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of items as ALS learns them, (n, 64), and of live histories of 20 items, (QUERIES, 64)."""
    from recsys import datasets
    from recsys.data import CSR
    from recsys.estimator.scorers.factors import Factors
    from recsys.estimator.scorers.folding import FoldIn
    from recsys.models import ALS

    data = datasets.simulate(n_users=USERS, n_items=n, n_events=EVENTS, seed=SEED)[0].binarise()
    scorer = ALS(factors=FACTORS, epochs=3).fit(data).require("trained").answers_by(Factors)
    rows, random = data.csr, np.random.default_rng(SEED)
    long = np.flatnonzero(rows.counts >= 20)[:QUERIES]
    histories = [random.permutation(rows.row(user)[0])[:20] for user in long.tolist()]
    history = CSR(20 * np.arange(len(long) + 1), np.concatenate(histories).astype(np.int32), None, (len(long), n))
    return scorer.item_factors, scorer.folded_by(FoldIn).vectors(history, scorer)[0]


def _search(index: Any, queries: np.ndarray, k: int = 10, allowed: np.ndarray | None = None) -> float:
    return _median(lambda query: index.search(query[None], k, None, allowed), queries)


def _median(search: Callable[[np.ndarray], Any], queries: np.ndarray) -> float:
    """Milliseconds of one query."""
    search(queries[0])
    return 1000 * float(np.median([_seconds(search, query) for query in queries]))


def _seconds(search: Callable[[np.ndarray], Any], query: np.ndarray) -> float:
    begin = time.perf_counter()
    search(query)
    return time.perf_counter() - begin


def _scan(items: np.ndarray, query: np.ndarray) -> np.ndarray:
    """A plain one: all products, then the ten largest."""
    scores = items @ query
    best = np.argpartition(-scores, 10)[:10]
    return best[np.argsort(-scores[best], kind="stable")]


def _unequal(index: Any, queries: np.ndarray, k: int = 10, allowed: np.ndarray | None = None) -> int:
    """How many lists are not what all products give."""
    return sum(not same for same in _compared(index, queries[:CHECKED], k, allowed))


def _compared(index: Any, queries: np.ndarray, k: int, allowed: np.ndarray | None) -> Iterator[bool]:
    n = len(index)
    for query in queries:
        products = index.products(query[None], np.zeros(n, np.int32), np.arange(n, dtype=np.int32))
        if not np.allclose(products, index.index.vectors.astype(np.float64) @ query, rtol=1e-5, atol=1e-6):
            yield False
            continue
        candidates = np.arange(n) if allowed is None else np.flatnonzero(allowed)
        best = candidates[np.lexsort((candidates, -products[candidates]))[:k]]
        items, scores = index.search(query[None], k, None, allowed)
        yield bool(np.array_equal(items[0], best) and np.array_equal(scores[0], products[best]))
