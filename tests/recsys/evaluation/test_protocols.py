"""What each protocol does to the data, by the definitions in its summary."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.data.splits import split_predefined
from recsys.errors import DataError, DataWarning, LeakWarning, ParameterError, UnsupportedError
from recsys.estimator import Learned
from recsys.evaluation import PROTOCOLS, protocols, run
from recsys.evaluation.metrics import parse
from recsys.models.baselines import Bias, Popular


def divide(name, data, **options):
    return PROTOCOLS[name].divide(data, **options)


def pairs(data):
    return list(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if not name.startswith("predefined")])
def test_every_protocol_runs_and_says_what_it_did(name, known, random_data):
    data = random_data(0, users=30, items=25, events=400)
    found = run(known(rule=lambda user, item: (user * item) % 5 + 0.5) if PROTOCOLS[name].task == "ratings"
                else Popular(), data, name)
    assert all(np.isfinite(value) for value in found.metrics.values())
    assert set(found.errors) <= set(found.metrics)
    assert found.card["protocol"] == name
    assert {"split", "fingerprint", "part", "folds"} <= set(found.card)
    assert name in str(found)


class NeverFitted(Popular):
    """Fails when it is fitted, so that what is refused is refused before."""

    def learn(self, data, context):
        raise AssertionError("fitted")


def test_what_cannot_be_measured_is_refused_before_fitting(random_data):
    data = random_data(0, users=30, items=25, events=400)
    with pytest.raises(ParameterError, match=r"no metric 'nonsense@3'"):
        run(NeverFitted(), data, "last-one-full", metrics=["nonsense@3"])
    with pytest.raises(ParameterError, match="rmse cannot be measured with task='ranking'"):
        run(NeverFitted(), data, "last-one-full", metrics=["rmse"])
    with pytest.raises(UnsupportedError, match="NeverFitted predicts none; use a protocol that ranks"):
        run(NeverFitted(), data, "ratings-5fold")
    with pytest.raises(AssertionError, match="fitted"):
        run(NeverFitted(), data, "last-one-full")


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_protocols_are_described_and_their_metrics_exist(protocol):
    assert protocol.summary[:30] in str(protocol).replace("\n  ", " ")
    for name in protocol.metrics:
        parse(name.format(k=10))


def test_folds_cover_every_rating_once(random_data):
    data = random_data(1)
    folds = divide("ratings-5fold", data)
    assert sorted(pair for fold in folds for pair in pairs(fold.test)) == sorted(pairs(data))


def test_ninety_ten_is_repeated_with_new_seeds(random_data):
    folds = divide("ratings-90-10", random_data(1), folds=3)
    assert [fold.card["seed"] for fold in folds] == [0, 1, 2]
    assert all(len(fold.test) == 9 and len(fold.valid) == 8 for fold in folds)


def test_last_one_keeps_the_first_event_of_a_pair_and_stable_order():
    data = Interactions.from_arrays(["u"] * 6, ["a", "b", "a", "c", "d", "b"], None, [1, 2, 3, 4, 4, 5])
    split, = divide("last-one-full", data)
    assert (pairs(split.train), pairs(split.valid), pairs(split.test)) == \
        ([("u", "a"), ("u", "b")], [("u", "c")], [("u", "d")])


def test_refitting_learns_from_all_but_the_test_for_as_many_epochs_as_were_best(random_data):
    fitted = []

    class Watching(Bias):
        def learn(self, data, context):
            fitted.append((len(data), None if context.valid is None else len(context.valid), self.epochs))
            return Learned(super().learn(data, context).scorer, {"curves_": {"loss": [3, 2, 1],
                                                                              "valid": [0.1, 0.3, 0.2]}})

    data = random_data(0, users=30, items=25, events=400)
    split, = divide("last-one-full", data)
    found = run(Watching(), data, "last-one-full", refit=True)
    n, m = len(split.train), len(split.valid)
    assert fitted == [(n, m, 10), (n + m, None, 2)]
    assert found.card["refit"] == "on training and validation rows"
    assert sorted(pairs(split.known())) == sorted(pairs(split.train) + pairs(split.valid))
    with pytest.raises(ParameterError, match="refit=True learns from the validation rows"):
        run(Watching(), data, "last-one-full", refit=True, part="valid")
    with pytest.raises(DataError, match="no validation rows to learn from"):
        run(NeverFitted(), data, "strong-generalisation", refit=True, n_valid=0, n_test=3)
    with pytest.raises(DataError, match=r"the valid part of .* has no events"):
        run(NeverFitted(), data, "last-one-full", part="valid", valid=False)


def test_refitting_takes_in_the_users_that_validated(random_data):
    data = random_data(0, users=30, items=25, events=400)
    split, = divide("strong-generalisation", data, n_valid=3, n_test=3)
    known = sorted(pairs(split.known()))
    assert known == sorted(pairs(split.train) + pairs(split.valid_history) + pairs(split.valid))
    assert not {user for user, _ in known} & {user for user, _ in pairs(split.test)}
    found = run(Popular(), data, "strong-generalisation", refit=True, n_valid=3, n_test=3)
    assert found.card["refit"] == "on training and validation rows"


def test_validating_on_a_sample_of_users(random_data):
    fitted = []

    class Watching(Popular):
        def learn(self, data, context):
            fitted.append(context.valid)
            return super().learn(data, context)

    data = random_data(0, users=30, items=25, events=400)
    split, = divide("last-one-full", data)
    found = run(Watching(), data, "last-one-full", valid_users=7)
    assert len(np.unique(fitted[0].user)) == 7
    assert set(pairs(fitted[0])) < set(pairs(split.valid))
    assert found.card["validation users"] == "7 of 30, drawn with seed 0"
    assert found.metrics == run(Popular(), data, "last-one-full").metrics  # the test excludes all validation rows
    assert run(Popular(), data, "last-one-full", valid_users=7, part="valid").card["users evaluated"] == 7
    assert sorted(pairs(split.sample_valid(7).known())) == sorted(pairs(split.known()))
    everybody = run(Popular(), data, "last-one-full", valid_users=99, part="valid")
    assert everybody.metrics == run(Popular(), data, "last-one-full", part="valid").metrics
    with pytest.raises(ParameterError, match="users must be 1 or more, got 0"):
        split.sample_valid(0)


def test_repeated_events_count_and_can_be_found_again():
    user, item = ["u"] * 5 + ["v"] * 4, list("aabab") + list("cccc")
    data = Interactions.from_arrays(user, item, None, [1, 2, 3, 4, 5, 1, 2, 3, 4])
    split, = divide("last-one-repeats", data)
    assert pairs(split.train) == [("u", "a"), ("u", "a"), ("u", "b"), ("v", "c"), ("v", "c")]
    assert (pairs(split.valid), pairs(split.test)) == ([("u", "a"), ("v", "c")], [("u", "b"), ("v", "c")])
    found = run(Popular(), data, "last-one-repeats", k=3)
    assert found.metrics["hit@3"] == 1  # though both users have had the item
    assert found.card["seen items"] == "not excluded"
    data = Interactions.from_arrays(["u"] * 6, list("ababab"), None, [1, 1, 2, 2, 3, 3])
    split, = divide("next-basket-repeats", data)
    assert pairs(split.test) == [("u", "a"), ("u", "b")]
    assert run(Popular(), data, "next-basket-repeats", k=2).metrics["recall@2"] == 1


def test_next_basket_takes_all_of_a_time():
    data = Interactions.from_arrays(["u"] * 7, list("abacdeb"), None, [1, 1, 2, 2, 3, 4, 4])
    split, = divide("next-basket", data)
    assert (pairs(split.train), pairs(split.valid), pairs(split.test)) == \
        ([("u", "a"), ("u", "b"), ("u", "c")], [("u", "d")], [("u", "e")])


def test_users_with_too_few_events_only_train():
    data = Interactions.from_arrays([1, 1, 1, 2, 2], ["a", "b", "c", "a", "b"])
    split, = divide("last-one-full", data)
    assert set(split.test.users.ids[split.test.user].tolist()) == {1}
    assert (2, "b") in pairs(split.train)


def test_min_value_filters_before_the_first_event_is_taken():
    data = Interactions.from_arrays([1] * 5, ["a", "b", "a", "c", "d"], [1, 5, 5, 4, 3], range(5))
    split, = divide("last-one-full", data, min_value=3)
    assert pairs(split.train) == [(1, "b"), (1, "a")]


def test_values_are_dropped_but_for_models_of_ratings(known, random_data):
    seen = {}

    class Watching(Popular):
        def learn(self, data, context):
            seen["train"], seen["valid"] = data.value, context.valid.value
            return super().learn(data, context)

    run(Watching(), random_data(0), "ratio-811-full")
    assert seen == {"train": None, "valid": None}
    run(Watching(), random_data(0), "ratio-811-full", values=True)
    assert seen["train"] is not None
    run(known(rule=lambda user, item: 3.0), random_data(0), "ratio-811-full")  # cannot do without


def test_strong_generalisation_separates_users(random_data):
    data = random_data(0, users=60, items=25, events=700)
    split, = divide("strong-generalisation", data)
    parts = [set(part.user.tolist()) for part in (split.train, split.valid_history, split.test_history)]
    assert all(a.isdisjoint(b) for a, b in zip(parts, parts[1:] + parts[:1], strict=True))
    assert set(split.test.user.tolist()) <= parts[2]


def test_new_items_are_ranked_among_themselves(random_data):
    data = random_data(0, users=30, items=40, events=600)
    split, = divide("new-items", data)
    tested = set(split.test.item.tolist())
    assert len(tested) == 4
    assert tested.isdisjoint([*split.train.item, *split.valid.item])
    chance = run(Popular(), data, "new-items")  # which has no score for them
    assert chance.metrics["auc"] == pytest.approx(0.5)
    assert chance.card["candidates"] == "4 items, those of this part without training events"
    assert chance.card["unreachable targets"] == 0


def test_global_time_never_looks_ahead(random_data):
    split, = divide("global-time", random_data(0))
    assert split.train.time.max() < split.valid.time.min()
    assert split.valid.time.max() < split.test.time.min()


def test_predefined_takes_parts_as_they_are():
    train, test = Interactions.from_arrays([1, 1], ["a", "b"]), Interactions.from_arrays([1], ["c"])
    with pytest.warns(DataWarning, match="none of the 1 targets of the test part can be found"):
        found = run(Popular(), (train, test), "predefined", metrics=["hit@1"])
    assert found.card["unreachable targets"] == 1
    with pytest.raises(DataError, match="give a Split"):
        run(Popular(), train, "predefined")


def in_parts(train, test, valid=""):
    """Parts given apart, as words of a user and an item each: "1a 2b"."""
    found = (Interactions.from_arrays(*zip(*text.split(), strict=True)) for text in (train, test, valid) if text)
    return tuple(replace(part, value=np.ones(len(part), np.float32)) for part in found)


def first(user, item):
    """A rule of scores: items by their names, a first."""
    return -ord(item)


@pytest.mark.parametrize(("name", "hit", "seen"), [
    ("predefined", 1, "excluded, validation events too"),
    ("predefined-train", 0, "excluded, but not validation events"),
    ("predefined-repeats", 0, "not excluded")])
def test_what_is_ranked_of_parts_is_the_protocols(name, hit, seen, known):
    """User 1 has had a, and b to validate; c is asked for, the first of those that are left, or not."""
    found = run(known(rule=first), in_parts("1a 2b 2c", "1c", "1b"), name, metrics=["hit@1"])
    assert (found.metrics["hit@1"], found.card["seen items"], found.card["refit"]) == (hit, seen, "no")


def test_after_refitting_items_of_the_validation_part_are_ranked(known):
    model, parts = known(rule=first), in_parts("1a 2b", "1c", "2c")
    with pytest.warns(DataWarning, match="none of the 1 targets"):
        assert run(model, parts, "predefined", metrics=["hit@2"]).metrics["hit@2"] == 0
    found = run(model, parts, "predefined", metrics=["hit@2"], refit=True)
    assert found.metrics["hit@2"] == 1
    assert found.card["candidates"].startswith("3 items")
    with pytest.raises(ParameterError, match="ranks the validation items in the test, which refit=True would learn"):
        run(model, parts, "predefined-train", refit=True)


def test_pairs_of_the_test_in_training_are_told():
    parts = in_parts("1a 2b", "1a 1b")
    with pytest.warns(LeakWarning, match="1 of the 2 test pairs are in the training part, too, so no model can find"):
        assert run(Popular(), parts, "predefined").card["test pairs in train"] == 1
    assert run(Popular(), parts, "predefined-repeats").card["unreachable targets"] == 0
    with pytest.warns(LeakWarning, match="has learned what it is asked for"):
        run(Bias(), parts, "predefined-ratings")


def test_the_card_names_files_and_cut_offs(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("user,item\n")
    found = run(Popular(), in_parts("1a 2b", "1b"), "predefined", k=7, files=[path])
    assert found.card["files"] == f"train.csv sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    assert found.card["cut-offs"] == "7"
    assert found.card["epochs chosen on"] == "nothing, as the model says"
    with pytest.raises(ParameterError, match="files must be a list of paths of files"):
        run(Popular(), in_parts("1a 2b", "1b"), "predefined", files=[tmp_path / "nowhere.csv"])


def test_sessions_take_three_parts():
    parts = [Interactions.from_arrays([f"{name}1"] * 3 + [f"{name}2"] * 2, list("abcab")) for name in "xyz"]
    found = run(Popular(), tuple(parts), "sessions-next")
    assert "2 sessions to validate, 2 to test" in found.card["split"]
    with pytest.raises(DataError, match="give whole sessions"):
        run(Popular(), split_predefined(*parts), "sessions-next")


def test_predefined_ratings_are_those_of_the_test_part():
    train = Interactions.from_arrays([1, 1, 2], ["a", "b", "a"], [5, 3, 1])
    test = Interactions.from_arrays([2], ["b"], [3])
    found = run(Bias(reg_user=0, reg_item=0), (train, test), "predefined-ratings")
    assert found.metrics["rmse"] == pytest.approx(2)  # user 2 is four worse than user 1, so b gets the least, 1


def test_the_model_given_is_not_touched_and_factories_are_called(known, random_data):
    model = known(rule=lambda user, item: 3.0)
    one = run(model, random_data(0), "ratings-5fold", folds=3)
    assert not model.fitted
    other = run(lambda: known(rule=lambda user, item: 3.0), random_data(0), "ratings-5fold", folds=3)
    assert one.metrics == other.metrics
    assert len(one.evaluations) == one.card["folds"] == 3
    assert one.metrics["rmse"] == pytest.approx(np.mean([each.metrics["rmse"] for each in one.evaluations]))
    assert one.card["standard errors"] == "over folds"


def test_validation_events_reach_the_model_when_training_knows_their_users(random_data):
    seen = []

    class Watching(Popular):
        def learn(self, data, context):
            seen.append(context.valid)
            return super().learn(data, context)

    run(Watching(), random_data(0), "ratio-811-full")
    run(Watching(), random_data(0, users=30, events=300), "strong-generalisation")
    assert seen[0] is not None
    assert seen[1] is None


def test_choosing_on_the_validation_part(random_data):
    assert run(Popular(), random_data(0), "last-one-full", part="valid").card["part"] == "valid"


def test_the_seed_changes_the_split(random_data):
    found = [run(Popular(), random_data(0), "ratio-811-full", seed=seed).metrics for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_names_and_options_that_do_not_exist(random_data):
    with pytest.raises(ParameterError, match="last-one-full"):
        protocols.find("leave-one-out")
    with pytest.raises(ParameterError, match="its options are: min_value"):
        run(Popular(), random_data(0), "ratio-811-full", ratio=3)


class TestOnRealData:
    """The floor of every table, on MovieLens 100K: plain implementations elsewhere give the same."""

    def test_popular_reaches_its_yardsticks(self, shared_data):
        from recsys import datasets

        data = datasets.load(shared_data / "ml-100k")
        found = run(Popular(), data, "last-one-full").metrics
        assert (round(found["hit@10"], 3), round(found["ndcg@10"], 3)) == (0.085, 0.044)
        assert run(Popular(), data, "ratio-811-full").metrics["recall@10"] == pytest.approx(0.12, abs=0.02)
