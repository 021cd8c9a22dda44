"""The evaluator against loops over users and sets, and what must not change its numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions, Split, splits
from recsys.errors import DataError, DataWarning, ParameterError, UnsupportedError
from recsys.evaluation import evaluate
from recsys.models.baselines import Popular

SEEDS = st.integers(0, 2**32 - 1)


def distinct(user, item):
    return ((user * 7919 + item * 104729) % 10007) / 10007


def tied(user, item):
    return (user * 3 + item) % 4


def by_user(data):
    found: dict[int, list[int]] = {}
    for user, item in zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True):
        found.setdefault(user, []).append(item)
    return found


def slowly(rule, split, k, hidden=("train", "valid"), only_trained=True):
    """Recall, NDCG and MRR of an untied rule, user by user."""
    ids = split.train.items.ids
    pool = set((ids[split.train.item] if only_trained else ids).tolist())
    seen = [by_user(getattr(split, part)) for part in hidden if getattr(split, part) is not None]
    rows = []
    for user, targets in sorted(by_user(split.test).items()):
        candidates = pool - {item for part in seen for item in part.get(user, [])}
        order = sorted(candidates, key=lambda item, user=user: -rule(user, item))
        places = sorted(order.index(item) + 1 for item in set(targets) if item in candidates)
        n = len(set(targets))
        ideal = sum(1 / math.log2(p + 1) for p in range(1, min(n, k) + 1))
        rows.append((sum(p <= k for p in places) / n, sum(1 / math.log2(p + 1) for p in places if p <= k) / ideal,
                     1 / places[0] if places else 0.0))
    return np.array(rows)


@given(SEEDS, st.integers(1, 6))
def test_full_ranking_is_what_loops_give(known, random_data, seed, k):
    split = splits.split_random(random_data(seed), valid=0.15, test=0.25, seed=seed)
    found = evaluate(known(rule=distinct).fit(split.train), split, k=k, metrics=["recall", "ndcg", "mrr"])
    order = np.argsort(found.users)
    got = np.stack([found.per_user[name][order] for name in (f"recall@{k}", f"ndcg@{k}", "mrr")], axis=1)
    expected = slowly(distinct, split, k)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    np.testing.assert_allclose(list(found.metrics.values()), expected.mean(0))
    np.testing.assert_allclose(list(found.errors.values()), expected.std(0, ddof=1) / np.sqrt(len(expected)))


@given(SEEDS, st.sampled_from([distinct, tied]), st.integers(1, 4))
def test_counting_only_as_deep_as_the_cut_changes_nothing(known, random_data, seed, rule, k):
    split = splits.split_random(random_data(seed), valid=0.15, test=0.25, seed=seed)
    model = known(rule=rule).fit(split.train)
    cut = [f"{name}@{k}" for name in ("hit", "precision", "recall", "recall_min", "ndcg", "mrr", "map")]
    short, whole = evaluate(model, split, metrics=cut), evaluate(model, split, metrics=[*cut, "auc"])
    for name in cut:
        np.testing.assert_array_equal(short.per_user[name], whole.per_user[name])
    assert short.card == whole.card


@given(SEEDS)
def test_seen_items_and_untrained_items_can_be_ranked_too(known, random_data, seed):
    split = splits.split_random(random_data(seed), seed=seed)
    model = known(rule=distinct).fit(split.train)
    found = evaluate(model, split, k=5, metrics=["mrr"], exclude_seen=False, candidates="all")
    np.testing.assert_allclose(found.metrics["mrr"], slowly(distinct, split, 5, (), only_trained=False)[:, 2].mean())
    assert found.card["seen items"] == "not excluded"


@given(SEEDS)
def test_ids_blocks_and_row_order_change_nothing(known, random_data, seed):
    data = random_data(seed)
    names = ["recall@5", "ndcg@5", "mrr", "map", "auc", "hit@3", "r_precision"]
    split = splits.split_random(data, seed=1)
    found = evaluate(known(rule=tied).fit(split.train), split, metrics=names, block=5)
    rng = np.random.default_rng(seed)
    users, items = data.users.ids[rng.permutation(data.n_users)], data.items.ids[rng.permutation(data.n_items)]
    parts = [part.reindex(*(type(data.users)(ids) for ids in (users, items))).take(rng.permutation(len(part)))
             for part in (split.train, split.valid, split.test)]
    other = splits.Split(*parts, split.card)
    again = evaluate(known(rule=tied).fit(other.train), other, metrics=names)
    np.testing.assert_allclose(list(found.metrics.values()), list(again.metrics.values()), rtol=1e-12)
    np.testing.assert_allclose(found.per_user["map"][np.argsort(found.users)],
                               again.per_user["map"][np.argsort(again.users)])


def test_a_constant_scorer_is_at_chance(known, random_data):
    split = splits.split_random(random_data(3), valid=0, seed=3)
    found = evaluate(known(rule=lambda user, item: 1.0).fit(split.train), split, metrics=["recall@4", "auc"])
    pool = len(np.unique(split.train.item))
    reachable = set(np.unique(split.train.item).tolist())
    expected = []
    for user in np.unique(split.test.user):
        size = pool - (split.train.user == user).sum()
        targets = split.test.item[split.test.user == user]
        expected.append(min(4 / size, 1) * np.mean([item in reachable for item in targets]))
    assert found.metrics["recall@4"] == pytest.approx(np.mean(expected))


def test_targets_nobody_trained_on_count_and_are_never_found(known):
    train = Interactions.from_arrays([1, 1, 2, 2], ["a", "b", "a", "c"], [1, 2, 3, 4])
    test = Interactions.from_arrays([1, 1], ["c", "new"], [5, 5])
    split = splits.split_predefined(train, test)
    found = evaluate(known(rule=lambda user, item: float(item == "new")).fit(split.train), split, metrics=["recall@10"])
    assert found.metrics["recall@10"] == 0.5
    assert found.card["unreachable targets"] == 1


def test_repeated_test_events_are_one_target(known):
    train = Interactions.from_arrays([1, 2, 2, 2], ["a", "b", "c", "d"], [1, 2, 3, 4])
    test = Interactions.from_arrays([1, 1, 1], ["b", "b", "c"], [5, 5, 5])
    split = splits.split_predefined(train, test)
    found = evaluate(known(rule=lambda user, item: float(item == "b")).fit(split.train), split, metrics=["recall@1"])
    assert found.metrics["recall@1"] == 0.5


def test_the_validation_event_is_in_the_history_at_test_time(folding):
    data = Interactions.from_arrays([1] * 5 + [2] * 4, [10, 11, 12, 13, 14, 14, 12, 11, 10], None, range(9))
    split = splits.split_last(data)
    model = folding(rule=tied).fit(split.train)
    found = evaluate(model, split, metrics=["hit@1"])
    assert sorted(model.shown) == [[10, 11, 12, 13], [14, 12, 11]]
    assert found.card["scored from"] == "history, folded in"
    assert evaluate(model, split, part="valid").card["scored from"] == "training"


def test_users_without_events_to_predict_are_left_out(known, random_data):
    split = splits.split_random(random_data(5), seed=5)
    kept = split.test.users.ids[split.test.user] < 105
    found = evaluate(known(rule=distinct).fit(split.train), replace(split, test=split.test.take(kept)))
    assert set(found.users.tolist()) == set(split.test.users.ids[split.test.user[kept]].tolist())


class TestSampledNegatives:
    def test_a_constant_scorer_is_at_chance_and_the_card_says_sampled(self, known, random_data):
        data = random_data(1, users=30, items=200, events=1500)
        split = splits.split_last(data, valid=False)
        found = evaluate(known(rule=lambda user, item: 0.0).fit(split.train), split, metrics=["hit@10"], negatives=24)
        reachable = np.isin(split.test.item, split.train.item).mean()
        assert found.metrics["hit@10"] == pytest.approx(10 / 25 * reachable)
        assert found.card["candidates"].startswith("SAMPLED: the targets and 24 of")

    @given(SEEDS)
    def test_a_perfect_scorer_is_perfect_for_any_sample(self, known, random_data, seed):
        split = splits.split_random(random_data(seed), valid=0, seed=seed)
        wanted = by_user(split.test)
        trained = set(split.train.items.ids[split.train.item].tolist())
        rule = known(rule=lambda user, item: float(item in wanted.get(user, ())))
        found = evaluate(rule.fit(split.train), split, metrics=["map"], negatives=3, seed=seed, block=4)
        share = [np.mean([item in trained for item in wanted[user]]) for user in found.users.tolist()]
        np.testing.assert_allclose(found.per_user["map"], share)
        again = evaluate(rule, split, metrics=["map"], negatives=3, seed=seed)
        np.testing.assert_array_equal(found.per_user["map"], again.per_user["map"])


class TestLists:
    def test_lists_are_those_of_recommend(self, known, random_data):
        split = splits.split_random(random_data(8), valid=0, seed=8)
        model = known(rule=distinct).fit(split.train)
        found = evaluate(model, split, metrics=["popularity@3", "coverage@3"])  # as of items with events
        recs = model.recommend(found.users, k=3)
        counts = np.bincount(split.train.item, minlength=split.train.n_items)
        shown = model.items.encode(recs.items.ravel()).reshape(recs.items.shape)
        np.testing.assert_allclose(found.per_user["popularity@3"], counts[shown].mean(1))
        assert found.metrics["coverage@3"] == len(np.unique(shown)) / np.count_nonzero(counts)
        assert "coverage@3" not in found.errors

    def test_diversity_takes_vectors(self, known, random_data):
        split = splits.split_random(random_data(8), seed=8)
        model = known(rule=distinct).fit(split.train)
        found = evaluate(model, split, metrics=["diversity@3"], vectors=np.eye(split.train.n_items))
        assert found.metrics["diversity@3"] == pytest.approx(1)
        with pytest.raises(ParameterError, match="diversity needs vectors"):
            evaluate(model, split, metrics=["diversity@3"])


class TestRatings:
    def split(self):
        train = Interactions.from_arrays([1, 1, 2, 3], ["a", "b", "a", "b"], [1, 5, 3, 4])
        test = Interactions.from_arrays([1, 2, 2, 4], ["c", "b", "c", "a"], [4, 2, 5, 5])
        return splits.split_predefined(train, test)

    def test_errors_are_averaged_over_ratings(self, known):
        split = self.split()
        model = known(rule=lambda user, item: 3.0).fit(split.train)
        found = evaluate(model, split, task="ratings")
        assert found.metrics["rmse"] == pytest.approx(np.sqrt((1 + 1 + 4 + 4) / 4))
        assert found.metrics["mae"] == pytest.approx((1 + 1 + 2 + 2) / 4)
        np.testing.assert_allclose(found.per_user["rmse"], np.sqrt([1, 5 / 2, 4]))
        assert found.weights.tolist() == [1, 2, 1]
        assert found.card["unseen user or item"] == 3

    def test_unseen_ids_may_get_a_constant(self, known):
        split = self.split()
        model = known(rule=lambda user, item: 2.0).fit(split.train)
        found = evaluate(model, split, task="ratings", metrics=["mae"], unseen=5.0)
        assert found.metrics["mae"] == pytest.approx((1 + 0 + 0 + 0) / 4)

    def test_the_standard_error_is_that_of_resampled_users(self, known, random_data):
        split = splits.split_random(random_data(2, users=60, items=20, events=700), valid=0, test=0.5)
        found = evaluate(known(rule=lambda u, i: 1 + distinct(u, i) * 4).fit(split.train), split, task="ratings")
        rng = np.random.default_rng(0)
        squares = found.per_user["rmse"] ** 2 * found.weights
        drawn = rng.integers(0, len(squares), (4000, len(squares)))
        values = np.sqrt(squares[drawn].sum(1) / found.weights[drawn].sum(1))
        assert found.errors["rmse"] == pytest.approx(values.std(), rel=0.1)

    def test_a_model_without_ratings_is_refused(self, folding):
        split = self.split()
        with pytest.raises(UnsupportedError, match="predicts no ratings"):
            evaluate(folding().fit(split.train), split, task="ratings")


class TestErrors:
    def test_no_validation_part(self, known, random_data):
        split = splits.split_random(random_data(0), valid=0)
        with pytest.raises(DataError, match="valid part"):
            evaluate(known(rule=distinct).fit(split.train), split, part="valid")

    def test_other_ids(self, known, random_data):
        split = splits.split_random(random_data(0))
        with pytest.raises(DataError, match=r"fit it on split\.train"):
            evaluate(known(rule=distinct).fit(random_data(1, items=16)), split)

    def test_new_users_and_a_model_that_cannot_fold_in(self, known, random_data):
        split = splits.split_users(random_data(0), 2, 4)
        with pytest.raises(UnsupportedError, match="does not fold in"):
            evaluate(known(rule=distinct).fit(split.train), split)

    @pytest.mark.parametrize("wrong", [{"task": "love"}, {"part": "train"}, {"candidates": "some"}, {"negatives": 0},
                                       {"metrics": ["rmse"]}, {"metrics": ["what@3"]}])
    def test_wrong_arguments(self, known, random_data, wrong):
        split = splits.split_random(random_data(0))
        with pytest.raises(ParameterError):
            evaluate(known(rule=distinct).fit(split.train), split, **wrong)


@given(SEEDS)
def test_groups_of_users_average_to_the_whole(known, random_data, seed):
    split = splits.split_random(random_data(seed), seed=seed)
    model = known(rule=lambda u, i: 1 + distinct(u, i) * 4).fit(split.train)
    ranked = evaluate(model, split, metrics=["ndcg@5"])
    groups = ranked.by_group({user: "even" if user % 2 == 0 else "odd" for user in range(100, 110)})
    chosen = ranked.users < 110
    total = sum(group["users"] * group["ndcg@5"] for group in groups.values())
    assert total == pytest.approx(ranked.per_user["ndcg@5"][chosen].sum())
    assert sum(group["users"] for group in groups.values()) == chosen.sum()
    rated = evaluate(model, split, task="ratings")
    everyone = rated.by_group(dict.fromkeys(rated.users.tolist(), "all"))["all"]
    assert everyone["rmse"] == pytest.approx(rated.metrics["rmse"])


def test_an_evaluation_prints_its_protocol(known, random_data):
    split = splits.split_random(random_data(0))
    found = evaluate(known(rule=distinct).fit(split.train), split, metrics=["ndcg@5", "coverage@5"])
    assert "ndcg@5" in repr(found)
    text = str(found)
    assert all(word in text for word in ("±", "coverage@5", "candidates", "fingerprint", "equal scores"))


@pytest.mark.parametrize("task", ["ranking", "ratings"])
def test_a_model_of_other_ids_is_refused(known, random_data, task):
    split = splits.split_random(random_data(4), seed=4)
    order = np.random.default_rng(0).permutation(split.train.n_items)
    moved = split.train.reindex(split.train.users, type(split.train.items)(split.train.items.ids[order]))
    model = known(rule=distinct).fit(moved)
    with pytest.raises(DataError, match=r"Known was fitted on other items .*number 0 is .*fit it on split"):
        evaluate(model, split, task=task)


def test_events_worth_nothing_are_told_when_items_are_ranked(known):
    data = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], [4.0, -1.0, 3.0, 2.0])
    split = Split(data.take([0, 2, 3]), None, data.take([1]))
    model = known(rule=lambda user, item: 1.0).fit(split.train)
    with pytest.warns(DataWarning, match="1 of 1 events have a value of 0 or less") as said:
        evaluate(model, split, metrics=["hit@1"])
    assert {each.filename for each in said} == {__file__}  # where it was called
    assert evaluate(model, split, task="ratings", metrics=["rmse"]).metrics


def test_targets_that_cannot_be_found_are_told():
    data = Interactions.from_arrays([1, 1, 2, 2], ["a", "b", "b", "c"])
    split = splits.split_predefined(data, data)
    with pytest.warns(DataWarning, match=r"none of the 4 targets of the test part .*last-one-repeats") as said:
        found = evaluate(Popular().fit(split.train), split)
    assert {each.filename for each in said} == {__file__}
    assert set(found.metrics.values()) == {0}
    assert evaluate(Popular().fit(split.train), split, exclude_seen=False).card["unreachable targets"] == 0
