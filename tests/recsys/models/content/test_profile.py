"""Profiles of words against their formula, what is disliked, and why an item is recommended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys
from recsys.data import CSR, Features, IdMap, Interactions, splits
from recsys.errors import DataError, DataWarning, ParameterError, UnknownIdError
from recsys.evaluation import evaluate, run
from recsys.models import ContentProfile, Popular
from recsys.models.content.fields import WordFields
from tests.recsys.models.conftest import N_ITEMS, hits_among_cold, tastes

WORDS = ["tea", "jam", "bun", "oil", "tea tea jam", "bun jam", "", "oil tea"]


def shop(texts, events, values=None) -> Interactions:
    user, item = np.array(events).T
    n = len(texts)
    labels = CSR.from_pairs(np.arange(n), np.arange(n) % 2, None, (n, 2))
    return Interactions.from_arrays(user, item, values, item_ids=IdMap(np.arange(n)), item_features=Features(
        text=texts, genres=labels, genre_names=["even", "odd"]))


SHOPS = st.integers(2, 6).flatmap(lambda n: st.tuples(
    st.lists(st.sampled_from(WORDS), min_size=n, max_size=n),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, n - 1)), min_size=1, max_size=12),
    st.integers(0, 99)))


@settings(max_examples=30)
@given(SHOPS, st.sampled_from(["bm25", "tfidf"]), st.sampled_from(["binary", "value"]), st.sampled_from([None, 1, 2]))
def test_scores_are_the_formula(made, similarity, weights, recent):
    texts, events, seed = made
    values = np.random.default_rng(seed).integers(1, 6, len(events)).astype(np.float32)
    data = shop(texts, events, values)
    model = ContentProfile(similarity=similarity, weights=weights, recent=recent, prior=2.0).fit(data)
    fields = WordFields.learn(data.item_features, None, np.bincount(data.item, minlength=len(texts)) > 0, similarity, 1,
                              "test")
    said, unit = fields.read(data.item_features)
    d, q = said.toarray(), CSR(said.indptr, said.indices, unit, said.shape).toarray()
    for user in range(data.n_users):
        mine = [(i, v) for u, i, v in zip(data.user, data.item, data.value, strict=True) if u == user]
        last = dict(mine if recent is None else mine[-recent:])
        w = np.ones(len(last)) if weights == "binary" else np.array(list(last.values())) - (
            sum(last.values()) + 2 * data.value.mean()) / (len(last) + 2)
        profile = (w[:, None] * q[list(last)]).sum(axis=0) / max(np.abs(w).sum(), 1e-12)
        np.testing.assert_allclose(model.score_block(np.array([user]))[0], d @ profile, rtol=1e-4, atol=1e-5)


def test_items_nobody_has_met_are_ranked_by_their_words():
    rng = np.random.default_rng(0)
    kinds = ["love", "kiss", "wedding", "heart"], ["murder", "gun", "killer", "police"]
    texts = [" ".join([*rng.choice(kinds[i % 2], 2), *rng.choice(["a", "the", "of", "with"], 2)])
             for i in range(N_ITEMS)]
    data = tastes(Features(text=texts))
    model = ContentProfile().fit(data)
    assert hits_among_cold(model) > 0.85
    assert run(ContentProfile(), data, "new-items", metrics=["auc"]).metrics["auc"] > 0.8
    mixed = tastes(Features(text=list(rng.permutation(texts))))
    assert run(ContentProfile(), mixed, "new-items", metrics=["auc"]).metrics["auc"] < 0.65
    same = tastes(Features(text=["a film"] * N_ITEMS))
    assert run(ContentProfile(), same, "new-items", metrics=["auc"]).metrics["auc"] == pytest.approx(0.5, abs=0.01)
    split = splits.split_random(data, valid=0, test=0.25, seed=0)
    found, floor = (evaluate(m.fit(split.train), split, metrics=["recall@10"]).metrics["recall@10"]
                    for m in (ContentProfile(), Popular()))
    assert found > 1.3 * floor


def test_what_is_disliked_counts_against():
    data = shop(["tea", "jam", "tea pot", "jam pot"], [(0, 0), (0, 1), (1, 0), (1, 1)], [5, 1, 1, 5])
    model = ContentProfile(weights="value", fields=("text",)).fit(data)
    assert model.recommend(0, k=2).items.tolist() == [2, 3]
    assert model.recommend(1, k=2).items.tolist() == [3, 2]
    liked = model.recommend(history=[0], values=[5.0], k=1)
    assert (liked.items.tolist(), liked.source.tolist()) == ([2], ["model"])
    assert model.predict(0, 3) < 0 < model.predict(0, 2)
    assert model.recommend(history=[0], k=1).items.tolist() == [2]  # without values, it is liked


def test_reasons_and_words_sum_to_the_score():
    data = shop(["red tea", "red jam", "tea jam", "bun"], [(0, 0), (0, 1), (1, 3)], [5.0, 4.0, 3.0])
    for model in (ContentProfile(), ContentProfile(weights="value"), ContentProfile(similarity="tfidf")):
        model.fit(data)
        for asked, more in ((0, {}), ([0, 1], {"values": [5.0, 2.0]})):
            words = model.shared_words(asked, 2, k=100, **more)
            score = (model.predict(0, 2) if asked == 0 else
                     model.recommend(history=asked, items=[2], filter_seen=False, **more).scores[0])
            assert sum(word.contribution for word in words) == pytest.approx(score, rel=1e-5)
            assert sum(each.contribution for each in model.explain(asked, 2, **more)) == pytest.approx(score, rel=1e-5)
            assert {word.word for word in words} == {"text=tea", "text=jam", "genres=even"}
    assert model.shared_words(1, 2) == []
    assert model.shared_words(0, 2, k=1)[0] == max(model.shared_words(0, 2), key=lambda each: abs(each.contribution))
    with pytest.raises(UnknownIdError):
        model.shared_words(0, 77)
    with pytest.raises(ParameterError, match="shared_words: k must"):
        model.shared_words(0, 2, k=0)


def test_nothing_in_common_is_no_evidence():
    data = shop(["tea", "jam", "tea"], [(0, 0), (1, 1)])
    model = ContentProfile(fields=("text",)).fit(data)
    recs = model.recommend(0, k=3)
    assert (recs.items.tolist(), recs.source.tolist()) == ([2, 1], ["model", "popular"])
    assert model.similar_items(0, k=5).items.tolist() == [2]


def test_items_that_come_later_by_their_words(tmp_path):
    texts = ["red tea", "red jam", "tea jam", "bun"]
    events = [(0, 0), (0, 1), (1, 3), (1, 0)]
    known = shop([*texts, "a bun of tea"], events)
    model = ContentProfile().fit(shop(texts, events))
    model.save(tmp_path / "model")
    new = Interactions(IdMap(np.array([], np.int64)), IdMap(np.array([4])), np.array([]), np.array([]), item_features=(
        known.item_features.take(np.array([4]))))
    loaded = recsys.load(tmp_path / "model").partial_fit(new)
    model.partial_fit(new)
    whole, users = ContentProfile().fit(known), np.arange(2)
    for each in (model, loaded):
        np.testing.assert_allclose(each.score_block(users), whole.score_block(users), rtol=1e-6)
    model.partial_fit(Interactions.from_arrays([1, 7], [2, 4]))
    scores = model.score_block(np.arange(3))
    folded = model.recommend(history=[4], k=5, filter_seen=False)
    assert scores[2].argmax() == folded.items[0] == 4
    assert model.score_block(np.array([1]))[0, 2] > whole.score_block(np.array([1]))[0, 2]
    assert (model.words_, model.seen.counts.tolist()) == (whole.words_, [2, 3, 1])
    with pytest.warns(DataWarning, match="of 1 of 1 new items no word is known"):
        model.partial_fit(Interactions.from_arrays(
            [0], [9], item_ids=IdMap([9]), item_features=Features(text=["unheard"])))


def test_data_without_descriptions():
    data = Interactions.from_arrays([0, 0, 1], [0, 1, 1])
    with pytest.raises(DataError, match=r"^ContentProfile\.fit: nothing is said of the items in words"):
        ContentProfile().fit(data)
    assert ContentProfile().lacks(data) == "titles, texts, genres or attributes of the items"
    blank = ContentProfile().fit(ContentProfile().with_blanks(data))
    assert blank.recommend(0, k=3, filter_seen=False).source.tolist() == ["popular"] * 2
    with pytest.raises(ParameterError, match="fields must be None or a sequence of names"):
        ContentProfile(fields="text").fit(data)
