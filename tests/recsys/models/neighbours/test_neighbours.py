"""Neighbourhood models against dense formulas, for implicit data and for ratings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import load
from recsys.data import Interactions
from recsys.data.simulate import simulate
from recsys.errors import UnsupportedError
from recsys.models import Bias, ItemKNN, ItemKNNBaseline, UserKNN, UserKNNBaseline
from recsys.models.neighbours import implicit


def interactions(seed, n_users=16, n_items=9, density=0.5):
    """Ratings of real numbers, so that similarities do not tie."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < density)
    user, item = [*user, *range(n_users), *range(n_items)], [*item, *[0] * n_users, *range(n_items)]
    return Interactions.from_arrays(user, item, rng.uniform(1, 5, len(user))).clean("last")


def cosine(x, shrink, alpha):
    squares = (x**2).sum(axis=1)
    scale = squares[:, None] ** alpha * squares ** (1 - alpha) + shrink
    return np.divide(x @ x.T, scale, out=np.zeros(scale.shape), where=scale > 0)


def keep(similarity, k):
    """The k largest of each row."""
    kth = -np.sort(-similarity, axis=1)[:, min(k, similarity.shape[1]) - 1]
    return np.where(similarity >= kth[:, None], similarity, 0)


parameters = st.integers(0, 1000), st.integers(1, 9), st.sampled_from([0.0, 3.0]), st.sampled_from([0.3, 0.5, 1.0])


@given(*parameters)
def test_item_knn(seed, k, shrink, alpha):
    data = interactions(seed)
    x = data.csr.toarray().astype(np.float64)
    similarity = cosine(x.T, shrink, alpha).astype(np.float32)  # so that ties are those of the model
    np.fill_diagonal(similarity, 0)
    model = ItemKNN(neighbours=k, shrink=shrink, asymmetry=alpha, weights="value").fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), x @ keep(similarity, k).T, rtol=1e-4, atol=1e-6)
    assert model.score_block(users, data.csr).tobytes() == model.score_block(users).tobytes()


def streams(seed, repeat, n_users=60, n_items=30):
    """Events in order, each with probability `repeat` the one before it again."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), 12)
    item = rng.integers(0, n_items, len(user))
    for at in range(1, len(item)):
        if at % 12 and rng.random() < repeat:
            item[at] = item[at - 1]
    return Interactions.from_arrays(user, item)


@given(st.integers(0, 1000), st.sampled_from([0.0, 3.0]), st.sampled_from([1.0, 0.5]), st.sampled_from([None, 3]))
def test_an_item_is_like_itself_as_far_as_people_come_back_to_it(seed, shrink, decay, recent):
    data = streams(seed, 0.5, 20, 9)
    counts = data.csr.toarray()
    x = (counts > 0).astype(np.float64)
    similarity = cosine(x.T, shrink, 0.3)
    np.fill_diagonal(similarity, (counts > 1).sum(axis=0) / np.maximum(x.sum(axis=0) + shrink, 1e-12))
    held = np.zeros_like(x)
    for user in range(len(x)):
        events = data.csr.row(user)[0].tolist()
        for age, item in list(enumerate(reversed(events)))[:recent][::-1]:
            held[user, item] = decay ** age
    model = ItemKNN(shrink=shrink, decay=decay, recent=recent, repeats=True).fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), held @ similarity.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.score_block(users, data.csr), held @ similarity.T, rtol=1e-4, atol=1e-6)
    reasons = model.explain(data.users.ids[0], data.items.ids[3], k=20)
    assert sum(r.contribution for r in reasons) == pytest.approx((held @ similarity.T)[0, 3], rel=1e-4)
    assert 3 not in model.similar_items(3, k=9).items.tolist()


def test_repeats_and_fading_follow_from_the_data(tmp_path):
    again, never = streams(0, 0.7), streams(0, 0.0).clean("first")
    model = ItemKNN().fit(again)
    assert model.repeats_
    assert model.decay_ < 1
    plain = ItemKNN().fit(never)
    assert not plain.repeats_
    assert plain.decay_ == 1
    for a, b in ((model, ItemKNN(repeats=True, decay=model.decay_).fit(again)), (plain, ItemKNN(decay=1.0).fit(never))):
        assert a.score_block(np.arange(9)).tobytes() == b.score_block(np.arange(9)).tobytes()
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").score_block(np.arange(9), again.csr.rows(np.arange(9))).tobytes() == \
        model.score_block(np.arange(9)).tobytes()
    hits = [(m.recommend(k=1, filter_seen=False).items[:, 0] == again.csr.indices[again.csr.indptr[1:] - 1]).mean()
            for m in (model, ItemKNN(repeats=False, decay=1.0).fit(again))]
    assert hits[0] > 0.5 > hits[1]


@pytest.mark.parametrize(("events_repeat", "decay", "searches"), [(0.7, None, 2), (0.7, 0.5, 1), (0.0, None, 1)])
def test_neighbours_are_searched_once_and_once_to_choose_the_decay(events_repeat, decay, searches, monkeypatch):
    sizes, nearest = [], implicit.nearest
    monkeypatch.setattr(implicit, "nearest", lambda rows, columns, *rest: (
        sizes.append(rows.nnz), nearest(rows, columns, *rest))[1])
    data = streams(0, events_repeat) if events_repeat else streams(0, 0.0).clean("first")
    ItemKNN(decay=decay).fit(data)
    assert len(sizes) == searches
    assert sizes[-1] == data.csr.unique().nnz > max(sizes[:-1], default=0)


def test_neighbours_are_more_where_events_or_items_are_few():
    def found(model, n_users, n_items, events):
        data = simulate(n_users=n_users, n_items=n_items, n_events=events, activity=0.1)[0]
        return model.fit(data).neighbours_
    assert found(ItemKNN(), 1000, 800, 40_000) == 50
    assert found(ItemKNN(), 1000, 800, 3_000) > 150
    assert found(ItemKNN(), 1000, 60, 20_000) > 300
    assert 80 < found(UserKNN(), 1000, 800, 40_000) < 120 < 700 < found(UserKNN(), 1000, 800, 3_000)


@given(*parameters)
def test_user_knn(seed, k, shrink, alpha):
    data = interactions(seed)
    x = data.csr.toarray().astype(np.float64)
    model = UserKNN(neighbours=k, shrink=shrink, asymmetry=alpha, weights="value").fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    expected = keep(cosine(x, shrink, alpha).astype(np.float32), k) @ x  # ties are those of the model
    np.testing.assert_allclose(model.score_block(users), expected, rtol=1e-4, atol=1e-6)
    assert model.score_block(users, data.csr).tobytes() == model.score_block(users).tobytes()


@pytest.mark.parametrize("model_type", [ItemKNN, UserKNN])
def test_rare_items_weigh_more_with_idf(model_type):
    data = interactions(1)
    plain, weighted = (model_type(weights=w).fit(data) for w in ("binary", "idf"))
    assert not np.allclose(plain.score_block(np.arange(3)), weighted.score_block(np.arange(3)))
    rare, common = np.argmin(weighted.item_counts), np.argmax(weighted.item_counts)
    assert weighted.frequency[rare] > weighted.frequency[common] > 0


def deviations(data):
    baseline = Bias().fit(data)
    dense = np.full((data.n_users, data.n_items), np.nan)
    dense[data.user, data.item] = data.value
    baselines = baseline.mean_value + baseline.user_bias[:, None] + baseline.item_bias
    return dense - baselines, baselines


def correlation(x, shrink):
    """Shrunk correlation of the rows of a matrix with gaps (NaN), pair by pair."""
    out = np.zeros((len(x), len(x)))
    for i, a in enumerate(x):
        for j, b in enumerate(x):
            both = ~np.isnan(a) & ~np.isnan(b)
            n, spread = both.sum(), np.sqrt((a[both] ** 2).sum() * (b[both] ** 2).sum())
            if n > 1 and spread > 0:
                out[i, j] = (a[both] @ b[both]) / spread * (n - 1) / (n - 1 + shrink)
    return out


of_ratings = (st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3), st.sampled_from([1.0, 50.0]),
              st.sampled_from([0.0, 0.3]))


def rated(similarity, x, k, min_k, prior):
    """For each pair (target i, column u): the mean of x[j, u] over the k most similar j that hold u."""
    out = np.zeros(x.shape)
    for i, u in np.ndindex(*x.shape):
        near = [j for j in np.argsort(-similarity[i]) if similarity[i, j] > 0 and not np.isnan(x[j, u])][:k]
        if len(near) >= min_k:
            out[i, u] = similarity[i, near] @ x[near, u] / (similarity[i, near].sum() + prior)
    return out


@given(*of_ratings)
def test_item_knn_of_ratings(seed, k, min_k, shrink, prior):
    data = interactions(seed)
    x, baselines = deviations(data)
    similarity = correlation(x.T, shrink)
    np.fill_diagonal(similarity, 0)
    model = ItemKNNBaseline(neighbours=k, min_neighbours=min_k, shrink=shrink, prior=prior).fit(data)
    expected = baselines + rated(similarity, x.T, k, min_k, prior).T
    check_ratings(model, data, expected)


@given(*of_ratings)
def test_user_knn_of_ratings(seed, k, min_k, shrink, prior):
    data = interactions(seed)
    x, baselines = deviations(data)
    model = UserKNNBaseline(neighbours=k, min_neighbours=min_k, shrink=shrink, prior=prior).fit(data)
    check_ratings(model, data, baselines + rated(correlation(x, shrink), x, k, min_k, prior))


def check_ratings(model, data, expected):
    users = np.arange(data.n_users, dtype=np.int32)
    np.testing.assert_allclose(model.score_block(users), expected, rtol=1e-3)
    np.testing.assert_allclose(model.score_block(users, data.csr), model.score_block(users), rtol=1e-5)
    pairs = np.divmod(np.random.default_rng(0).permutation(expected.size), data.n_items)
    found = model.predict(data.users.ids[pairs[0]], data.items.ids[pairs[1]])
    np.testing.assert_allclose(found, np.clip(expected, *model.rating_range)[pairs], rtol=1e-3)


def test_a_pool_as_large_as_the_neighbours_is_enough_for_similar_items():
    data = interactions(5)
    small, large = (ItemKNNBaseline(pool=pool).fit(data) for pool in (3, 100))
    for a, b in zip(small.similar_items(data.items.ids, k=3), large.similar_items(data.items.ids, k=3), strict=True):
        assert a.items.tolist() == b.items.tolist()


def test_item_ratings_without_histories_answer_histories(tmp_path):
    from recsys import loading

    data = interactions(5)
    model = ItemKNNBaseline().fit(data)
    model.save(tmp_path / "model", seen=False)
    loaded = loading.load(tmp_path / "model")
    assert loaded.recommend(history=[1, 2], values=[5, 1]).items.tolist() == model.recommend(
        history=[1, 2], values=[5, 1]).items.tolist()
    with pytest.raises(UnsupportedError, match="pass a history instead of a user"):
        loaded.predict(0, 1)
