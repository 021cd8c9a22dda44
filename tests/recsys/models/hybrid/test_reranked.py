"""Re-ranking: greedy orders against ones found by trying all, scores that are exchanged, what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys import datasets
from recsys.data.mixes import divergence
from recsys.data.splits import split_random
from recsys.errors import DataError, ParameterError
from recsys.estimator.rearranging import calibrated, varied, worth
from recsys.estimator.scorers.reranked import likeness
from recsys.models import EASE, Reranked


def drawn(seed: int, candidates: int, ended: int) -> np.ndarray:
    """Scores of two rows, best first; the second has no more than `ended` candidates."""
    scores = -np.sort(-np.random.default_rng(seed).normal(size=(2, candidates)).round(1))
    scores[1, ended:] = -np.inf
    return scores


@given(seed=st.integers(0, 999), candidates=st.integers(1, 7), ended=st.integers(0, 7), strength=st.floats(0, 1))
@example(seed=0, candidates=3, ended=1, strength=1.0)
def test_varied_takes_the_largest_marginal_relevance(seed: int, candidates: int, ended: int, strength: float) -> None:
    good = worth(drawn(seed, candidates, ended))
    alike = np.random.default_rng(seed).uniform(0, 1, (2, candidates, candidates))
    for row, order in enumerate(varied(good, alike, strength, candidates).tolist()):
        held = [i for i in range(candidates) if good[row, i] > -np.inf]
        assert sorted(order) == list(range(candidates))
        assert sorted(order[:len(held)]) == held
        for place in range(1, len(held)):
            gains = {i: (1 - strength) * good[row, i] - strength * max(alike[row, j, i] for j in order[:place])
                     for i in held if i not in order[:place]}
            assert gains[order[place]] == pytest.approx(max(gains.values()))
        assert not held or order[0] == 0


@given(seed=st.integers(0, 999), candidates=st.integers(1, 6), ended=st.integers(0, 6), strength=st.floats(0, 1))
def test_calibrated_takes_what_makes_the_list_best(seed: int, candidates: int, ended: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    good = worth(drawn(seed, candidates, ended))
    labels = rng.integers(0, 2, (2, candidates, 3)).astype(float)
    labels /= np.maximum(labels.sum(-1, keepdims=True), 1)
    own = rng.integers(0, 3, (2, 3)).astype(float)

    def value(row: int, items: list[int]) -> float:
        p, q = own[row], labels[row, items].sum(0)
        far = 0.0
        if p.sum():
            p, q = p / p.sum(), q / max(q.sum(), 1e-300)
            far = sum(a * np.log2(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a)
        return (1 - strength) * good[row, items].sum() - strength * far

    for row, order in enumerate(calibrated(good, labels, own, strength, candidates).tolist()):
        held = [i for i in range(candidates) if good[row, i] > -np.inf]
        for place in range(len(held)):
            tried = {i: value(row, [*order[:place], i]) for i in held if i not in order[:place]}
            assert tried[order[place]] == pytest.approx(max(tried.values()))


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_items_without_labels_do_not_come_first(strength: float) -> None:
    labels = np.array([[[1.0, 0], [0, 1], [0, 0], [0, 0]]])
    assert calibrated(np.array([[1.0, 0.9, 0.1, 0.0]]), labels, np.ones((1, 2)), strength, 4).tolist() == [[0, 1, 2, 3]]


@given(st.lists(st.integers(0, 5), min_size=3, max_size=3), st.lists(st.integers(0, 5), min_size=3, max_size=3))
def test_the_divergence_is_least_between_equal_mixes(own: list[int], shown: list[int]) -> None:
    a, b = np.array(own, float), np.array(shown, float)
    assert divergence(a, b) >= -1e-12
    assert divergence(a, 3 * a) == pytest.approx(0)


# --------------------------------------------------------------------------------------------------- models
DATA = datasets.simulate(n_users=120, n_items=60, n_events=2500, seed=1)[0]
EVERY = ("diversity", "calibration", "popularity")


@pytest.mark.parametrize("by", EVERY)
def test_without_strength_lists_are_those_of_the_model(by: str) -> None:
    plain, model = EASE().fit(DATA), Reranked(model="EASE", by=by, strength=0.0).fit(DATA)
    assert model.recommend(k=10).items.tolist() == plain.recommend(k=10).items.tolist()


@pytest.mark.parametrize("by", EVERY)
def test_candidates_exchange_their_scores_and_all_else_stays(by: str) -> None:
    plain = EASE().fit(DATA).recommend(k=40)
    recs = Reranked(model="EASE", by=by, strength=0.8, candidates=15).fit(DATA).recommend(k=40)
    assert recs.items.tolist() != plain.items.tolist()
    for before, after in zip(plain, recs, strict=True):
        assert set(before.items[:15]) == set(after.items[:15])
        assert before.items[15:].tolist() == after.items[15:].tolist()
        np.testing.assert_allclose(before.scores, after.scores, rtol=1e-5)
        assert np.all(np.diff(after.scores) <= 0)


def test_lists_of_any_length_begin_alike() -> None:
    model = Reranked(model="ItemKNN", by="calibration", strength=0.6).fit(DATA)
    assert model.recommend(k=5).items.tolist() == model.recommend(k=20).items[:, :5].tolist()


def test_a_list_is_as_a_greedy_search_over_the_models_own_likeness_has_it() -> None:
    fitted = EASE().fit(DATA).require("test")
    recs = Reranked(model="EASE", by="diversity", strength=0.5, candidates=12).fit(DATA).recommend(1, k=12)
    best = fitted.recommend(1, k=12)
    items = fitted.items.encode(best.items)
    alike, good = likeness(fitted.scorer, items), worth(best.scores[None])[0]
    chosen = [0]
    while len(chosen) < 12:
        gain = [-np.inf if i in chosen else 0.5 * good[i] - 0.5 * max(alike[j, i] for j in chosen) for i in range(12)]
        chosen.append(int(np.argmax(gain)))
    assert recs.items.tolist() == best.items[chosen].tolist()


def test_more_candidates_than_there_are_change_nothing() -> None:
    """What fills the places of candidates that are missing is no item, and like none."""
    data = datasets.simulate(n_users=30, n_items=12, n_events=200, seed=0)[0]
    whole = Reranked(model=EASE(reg=2.0), by="diversity", strength=0.4, candidates=12).fit(data)
    for user, row in zip(data.users.ids.tolist(), data.csr.unique().counts.tolist(), strict=True):
        if row <= 10:
            some = Reranked(model=EASE(reg=2.0), by="diversity", strength=0.4, candidates=12 - row).fit(data)
            assert some.recommend(user, k=12).items.tolist() == whole.recommend(user, k=12).items.tolist()


def test_each_strength_buys_what_it_is_for() -> None:
    split = split_random(DATA, valid=0.2, test=0.1, seed=0)
    for by, better in (("calibration", "miscalibration"), ("popularity", "popularity"), ("diversity", "ndcg@10")):
        model = Reranked(model="EASE", by=by).fit(split.train)
        curve = model.curve(split, (0.0, 0.5, 0.9))
        assert [point["strength"] for point in curve] == [0.0, 0.5, 0.9]
        named = {name.partition("@")[0]: name for name in curve[0]}
        assert curve[-1][named[better.partition("@")[0]]] < curve[0][named[better.partition("@")[0]]]


def test_what_it_needs_is_said() -> None:
    with pytest.raises(ParameterError, match="how alike items are"):
        Reranked(model="Popular", by="diversity").fit(DATA)
    with pytest.raises(DataError, match="genres"):
        Reranked(model="Popular", by="calibration").fit(replace(DATA, item_features=None))
    with pytest.raises(ParameterError, match="model must be a name"):
        Reranked(model=7).fit(DATA)
    assert "genres" in Reranked(model="EASE", by="calibration").lacks(replace(DATA, item_features=None))


def test_calibrated_lists_are_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = datasets.simulate(n_users=40, n_items=30, n_events=500, seed=3)[0]
    model = Reranked(model="EASE", by="calibration", strength=0.7, candidates=12).fit(data)
    users = np.arange(data.n_users, dtype=np.int32)
    whole = model.score_block(users)
    monkeypatch.setattr("recsys.estimator.scorers.reranked.blocks",
                        lambda n, width: (slice(i, min(i + 7, n)) for i in range(0, n, 7)))
    assert model.score_block(users).tobytes() == whole.tobytes()
    assert model.score_block(users[:0]).shape == (0, data.n_items)
