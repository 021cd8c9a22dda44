"""An answer does not depend on who else is asked for: for every model, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data.csr import CSR
from recsys.estimator import Fitted, Learned
from recsys.estimator.ranking import rank_rows
from recsys.estimator.scorers.blend import Blend
from recsys.models import ALS, EASE, GRU4Rec


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
    blend = Blend([part.scorer for part in parts], [1.0, 0.5, 0.1])
    require_independent_rows(Fitted("Blend", {}, parts[0].facts, Learned(blend)), data, 0)


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
