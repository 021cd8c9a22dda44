"""Where a model has no evidence, popular items stand in and say so, or the list is shorter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Features, IdMap, Interactions
from recsys.errors import UnsupportedError
from recsys.estimator.ranking import _with_popular
from recsys.models import (
    BPR,
    EASE,
    FactorizationMachine,
    GraphFilter,
    ItemKNN,
    MatrixFactorization,
    Popular,
    Recommender,
    RP3beta,
    UserKNN,
)
from tests.recsys.models.conftest import for_nobody, make

SUMS = ("ContentProfile", "EASE", "GraphFilter", "ItemKNN", "RP3beta", "SLIM", "SLIST", "SparseEASE", "TrustKNN",
        "UserKNN", "VSTAN")


@pytest.fixture(scope="module")
def sparse(data: Interactions, describe: Callable[[Interactions], Interactions]) -> Interactions:
    """The data, with six items and three users that have no events."""
    items = IdMap(np.sort([*data.items.ids, *(f"item {i:02d}x" for i in range(0, 24, 4))]))
    users = IdMap(np.sort([*data.users.ids, 1, 100, 1000]))
    return describe(data.reindex(users, items))


@pytest.fixture(scope="module")
def fitted(name: str, sparse: Interactions) -> Recommender:
    return make(name).fit(sparse)


def check(recs, model: Recommender, scores: np.ndarray | None, left_out: set[str], k: int, own: str = "model") -> None:
    """One list against what the model says of all items, or None if it knows nothing of the query."""
    ids, counts = model.items.ids, model.item_counts
    place = {item: i for i, item in enumerate(ids.tolist())}
    able = [i for i in range(len(ids)) if ids[i] not in left_out]
    known = [] if scores is None else [
        i for i in able if (counts[i] or model.can.cold_item) and (scores[i] != 0 or type(model).__name__ not in SUMS)]
    known.sort(key=lambda i: (-scores[i], i))
    popular = sorted((i for i in able if counts[i] and i not in known), key=lambda i: (-counts[i], i))
    expected = [*((i, own) for i in known), *((i, "popular") for i in popular)][:k]
    assert [(place[i], s) for i, s in zip(recs.items.tolist(), recs.source.tolist(), strict=True)] == expected
    assert recs.source.shape == recs.items.shape
    assert recs.counts == len(expected)
    for i, score in zip([i for i, _ in expected], recs.scores.tolist(), strict=True):
        assert score == pytest.approx(scores[i] if known else counts[i], rel=1e-4, abs=1e-5)


def test_lists_of_users(fitted: Recommender, sparse: Interactions) -> None:
    users = np.arange(sparse.n_users, dtype=np.int32)
    scores, seen = fitted.score_block(users), sparse.csr.unique()
    for k in (4, 100):
        recs = fitted.recommend(k=k, exclude=["item 03", "item 04x"])
        for user, one in enumerate(recs):
            known = seen.counts[user] or fitted.can.cold_user
            own = set(sparse.items.ids[seen.row(user)[0]].tolist()) | {"item 03", "item 04x"}
            source = "model" if seen.counts[user] else for_nobody(fitted)
            check(one, fitted, scores[user] if known else None, own, k, source)


def test_lists_of_histories(fitted: Recommender, sparse: Interactions) -> None:
    if not fitted.can.fold_in:
        pytest.skip("takes no histories")
    histories, values = [["item 01", "item 02"], ["item 04x"], []], [[4, 5], [3], []]
    recs = fitted.recommend(history=histories, values=values, k=100, items=sparse.items.ids[:12])
    for history, value, one in zip(histories, values, recs, strict=True):
        alone = fitted.recommend(history=history, values=value, k=100, items=sparse.items.ids[:12])
        assert alone.items.tolist() == one.items.tolist()
        assert alone.source.tolist() == one.source.tolist()
        assert not set(one.items) & {"item 04x", *history} or fitted.can.cold_item
        assert len(set(one.items)) == len(one.items)
        assert "".join(dict.fromkeys(one.source)) in ("model", "popular", "modelpopular")


def test_unknown_users_get_popular_items_with_events(fitted: Recommender) -> None:
    one = fitted.recommend(-5, k=100, on_unknown="fallback")
    check(one, fitted, None, set(), 100)
    assert [record["source"] for record in one.to_records()] == ["popular"] * 24


def test_nothing_is_like_what_nobody_has_met(fitted: Recommender, sparse: Interactions) -> None:
    new = {item for item in sparse.items.ids.tolist() if item.endswith("x")}
    try:
        recs = fitted.similar_items(sparse.items.ids, k=100)
    except UnsupportedError:
        assert not fitted.can.embeddings
        return
    for query, one in zip(sparse.items.ids.tolist(), recs, strict=True):
        assert query not in one.items
        if not fitted.can.cold_item:
            assert one.counts == 0 or query not in new
            assert not new & set(one.items)
    if fitted.can.cold_item:
        assert new & set(recs.items.ravel().tolist())
    assert recs.counts.sum() > 0


def test_nobody_is_like_a_user_without_events(fitted: Recommender, sparse: Interactions) -> None:
    try:
        recs = fitted.similar_users(sparse.users.ids, k=100)
    except UnsupportedError:
        return
    for query, one in zip(sparse.users.ids.tolist(), recs, strict=True):
        assert one.counts == 0 or query not in (1, 100, 1000)
        assert not {1, 100, 1000} & set(one.items.tolist())


def test_users_that_features_describe_are_like_others() -> None:
    users = IdMap([1, 2, 3, 4])
    data = Interactions.from_arrays([1, 2, 3], ["a", "b", "a"], user_ids=users,
                                    user_features=Features(attributes={"kind": np.array(["x", "y", "x", "x"])}))
    model = FactorizationMachine(factors=4, epochs=20, patience=None)
    assert model.fit(data).similar_users(4, k=5).counts == 3
    assert model.fit(replace(data, user_features=None)).similar_users(4, k=5).counts == 0


def test_a_user_whose_items_nothing_goes_with() -> None:
    data = Interactions.from_arrays([1, 1, 2, 2, 3, 4, 4, 5, 5], ["a", "b", "a", "b", "z", "c", "d", "c", "d"])
    for model in (ItemKNN(), UserKNN(), EASE(reg=1), RP3beta(), GraphFilter(), GraphFilter(response="turbo-cf")):
        model.fit(data)
        one = model.recommend(3, k=3)
        assert one.items.tolist() == ["a", "b", "c"]
        assert one.source.tolist() == ["popular"] * 3
        assert one.scores.tolist() == [2, 2, 2]
        two = model.recommend(history=["a"], k=3)
        assert two.items.tolist() == ["b", "c", "d"]
        assert two.source.tolist() == ["model", "popular", "popular"]
        assert two.scores[0] > 0 == two.scores[1] == two.scores[2]
        assert model.recommend([3, 1], k=1).source.tolist() == [["popular"], ["popular"]]


def test_a_shorter_list_where_nothing_has_events() -> None:
    data = Interactions.from_arrays([1, 1, 2], ["a", "b", "a"], [4, 5, 3], item_ids=IdMap(["a", "b", "c", "d"]))
    for model in (Popular(), ItemKNN(), BPR(factors=2, epochs=2), MatrixFactorization(factors=2, epochs=2)):
        recs = model.fit(data).recommend([1, 2], k=4)
        assert recs.counts.tolist() == [0, 1]
        assert recs.items.tolist() == [[""], ["b"]]
        assert recs.source[0].tolist() == [""]
        assert model.recommend(2, k=4, items=["c", "d"]).counts == 0


@given(st.integers(0, 2**32 - 1))
def test_what_stands_in_is_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, n, width = rng.integers(1, 4), rng.integers(1, 9), rng.integers(1, 9)
    values = rng.integers(-2, 3, (rows, n)).astype(np.float32)
    sure, counts = rng.random((rows, n)) < rng.random(), rng.integers(0, 4, n).astype(np.float32)
    seen, allowed = rng.random((rows, n)) < 0.3, rng.random(n) < 0.8
    skip = np.append(0, np.cumsum(seen.sum(axis=1))), np.nonzero(seen)[1].astype(np.int32)
    found = _with_popular(values, sure, counts, skip, allowed, int(min(width, n)))
    for row, (items, scores, popular) in enumerate(zip(*found, strict=True)):
        able = [i for i in range(n) if allowed[i] and not seen[row, i]]
        own = sorted((i for i in able if sure[row, i]), key=lambda i: (-values[row, i], i))
        rest = sorted((i for i in able if not sure[row, i] and counts[i]), key=lambda i: (-counts[i], i))
        expected = [(i, values[row, i], False) for i in own]
        expected += [(i, values[row, i] if own else counts[i], True) for i in rest]
        held = scores > -np.inf
        assert list(zip(items[held], scores[held], popular[held], strict=True)) == expected[:min(width, n)]
        assert held.tolist() == sorted(held.tolist(), reverse=True)
