"""An answer does not depend on who else is asked for: for every model, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.artifact import container
from recsys.data.csr import CSR
from recsys.estimator import storing
from recsys.estimator.ranking import rank_rows
from recsys.models import ALS, EASE, GRU4Rec
from tests.recsys.models.conftest import mixed


def some_histories(data, count, seed):
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(data.n_items)[:rng.integers(0, 9)] for _ in range(count)]
    rows = np.repeat(np.arange(count), [len(each) for each in lists])
    values = rng.integers(1, 6, len(rows)).astype(np.float32)
    return CSR.from_pairs(rows, np.concatenate(lists), values, (count, data.n_items))


def one(rows, at):
    return None if rows is None else rows.rows(np.array([at]))


@pytest.mark.parametrize("seed", range(3))
def test_lists_do_not_depend_on_other_rows(model, data, seed):
    require_independent_rows(model.require("test"), data, seed)


def test_lists_of_a_blend_do_not_depend_on_other_rows(data):
    parts = [model.fit(data).require("test") for model in (ALS(factors=20), EASE(), GRU4Rec(factors=4, epochs=1))]
    require_independent_rows(mixed(parts, [1.0, 0.5, 0.1]), data, 0)


def require_independent_rows(fitted, data, seed):
    rng, count = np.random.default_rng(seed), 17
    history = some_histories(data, count, seed)
    users = np.where(rng.random(count) < 0.5, rng.integers(0, data.n_users, count), -1).astype(np.int32)
    allowed = rng.random(data.n_items) < 0.8
    for given in (history, None):
        found = rank_rows(fitted, users, given, 6, history, allowed)
        for at in range(count):
            alone = rank_rows(fitted, users[at:at + 1], one(given, at), 6, one(history, at), allowed)
            for whole, own in zip(found, alone, strict=True):
                assert whole[at].tobytes() == own[0].tobytes()


def test_a_shorter_list_is_the_beginning_of_a_longer_one(model, data):
    fitted, history = model.require("test"), some_histories(data, 9, 1)
    users = np.append(np.arange(6), [-1, -1, -1]).astype(np.int32)
    long = rank_rows(fitted, users, history, data.n_items, history)
    for k in (1, 4):
        for whole, part in zip(long, rank_rows(fitted, users, history, k, history), strict=True):
            assert part.tobytes() == np.ascontiguousarray(whole[:, :k]).tobytes()


def test_a_score_is_that_of_the_pair(model, data):
    """Where a pair is a product, to the last bit."""
    fitted = model.require("test")
    recs = model.recommend(k=5, filter_seen=False)
    predicted = fitted.pairs(np.repeat(np.arange(data.n_users), 5), model.items.encode(recs.items.ravel()))
    if fitted.index is not None:
        assert predicted.tobytes() == recs.scores.tobytes()
    else:
        np.testing.assert_allclose(predicted, recs.scores.ravel(), rtol=1e-4, atol=1e-5)


def test_places_of_a_list_are_the_ranks_that_evaluation_counts(model, data):
    fitted, users = model.require("test"), np.arange(data.n_users, dtype=np.int32)
    if fitted.index is None:
        assert fitted.products(users) is None
        return
    hidden = fitted.seen.rows(users)
    index, queries = fitted.products(users)
    items, products = index.search(queries, 5, hidden)
    targets = CSR(np.arange(data.n_users + 1) * 5, items.ravel(), None, hidden.shape)
    greater, equal = index.ranks(queries, targets, data.n_items, hidden)
    for row, own in enumerate(products):
        for at, product in enumerate(own):
            assert greater[5 * row + at] == (own > product).sum()
            assert equal[5 * row + at] >= (own == product).sum()


def test_an_index_is_in_the_file_and_mapped_where_it_lies(model, tmp_path):
    fitted, path = model.require("test"), tmp_path / "model"
    storing.save(fitted, path)
    card, arrays = container.read(path, mmap=True)
    assert any(name.startswith("index.") for name in arrays) == (fitted.index is not None)
    again = storing.restore(card, arrays)
    expected = fitted.recommend(k=4)
    assert again.recommend(k=4).scores.tobytes() == expected.scores.tobytes()
    if fitted.index is not None:
        assert np.shares_memory(again.index.index.codes, arrays["index.codes"])
    early = {name: array for name, array in arrays.items() if not name.startswith("index.")}
    old = storing.restore(card, early)
    assert old.kept is None
    assert old.recommend(k=4).items.tolist() == expected.items.tolist()
    assert old.recommend(k=4).scores.tobytes() == expected.scores.tobytes()
