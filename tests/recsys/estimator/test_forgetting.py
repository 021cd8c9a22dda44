"""Forgetting is training without: every model beside a training that never saw the people."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import Features, IdMap, Interactions
from recsys.errors import DataError, NotFittedError, UnknownIdError, UnsupportedError
from recsys.estimator import Recommender, persons
from recsys.estimator.forgetting import level_of
from recsys.models import (
    ALS,
    BPR,
    EASE,
    GMF,
    REGISTRY,
    SLIST,
    VSTAN,
    ItemKNN,
    LinearRegression,
    Markov,
    Popular,
    SASRec,
    Sharded,
    TrustKNN,
    UserKNN,
    WeightedHybrid,
)
from tests.recsys.models.conftest import learned, make, simulated

PAGE = Path(__file__).parents[3] / "docs" / "forgetting.md"
ROWS = [line.strip("| \n").split(" | ") for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith(("| exact |", "| retrained |"))]
PROMISED = [(name, level, needs) for level, models, _, needs in ROWS for name in re.findall(r"`(\w+)`", models)]
TOLERANCE = 1e-5


def ordered(values: bool) -> Interactions:
    """Rows in the order of users, their items and times, each pair once: what models keep is then all there is."""
    data = simulated(n_users=18, n_items=12, n=150)
    data = data.clean(duplicates="first") if values else data.clean(duplicates="first").binarise()
    data = data.take(np.lexsort((data.item, data.user)))
    data = replace(data, time=np.arange(len(data)))
    return replace(data, user_features=Features(attributes={"age": np.arange(data.n_users) + 0.5}))


RATED, PLAIN = ordered(True), ordered(False)
GONE = [3, 11]


def small(name: str) -> Recommender:
    model = make(name)
    return model.set_params(epochs=1) if "epochs" in model.get_params() else model


def without(data: Interactions, gone: list[int]) -> Interactions:
    keep = np.ones(data.n_users, bool)
    keep[gone] = False
    return data.take(keep[data.user]).reindex(IdMap(data.users.ids[keep]), data.items)


def farthest(model: Recommender, other: Recommender) -> float:
    """The largest difference of a number that was learned."""
    a, b = learned(model), learned(other)
    assert a.keys() == b.keys()
    return max((float(np.abs(a[name].astype(np.float64) - b[name]).max(initial=0)) for name in a
                if a[name].dtype.kind in "fiub"), default=0.0)


def test_the_page_tells_of_every_model_once() -> None:
    assert sorted(name for name, _, _ in PROMISED) == sorted(REGISTRY)


@pytest.mark.parametrize(("name", "level", "needs"), PROMISED)
def test_it_is_a_training_without_them(name: str, level: str, needs: str) -> None:
    """At the level and with what the page says."""
    model = small(name)
    data = RATED if model.can.ratings else PLAIN
    model.fit(data)
    told = model.forget(data.users.ids[GONE], data if needs == "the data" else None)
    other = small(name).fit(without(data, GONE))
    assert told.level == level == level_of(small(name))
    assert told.people == 2
    assert told.events == int(np.isin(data.user, GONE).sum())
    assert told.tolerance is not None
    assert farthest(model, other) <= told.tolerance
    users = np.arange(data.n_users - 2)
    np.testing.assert_allclose(model.score_block(users), other.score_block(users), rtol=0, atol=10 * told.tolerance)
    assert model.users == other.users
    assert model.items == other.items
    assert np.array_equal(model.item_counts, other.item_counts)
    if needs == "the data":
        with pytest.raises(UnsupportedError, match=r"give the training data \(data=\), or accept with removed_only"):
            model.forget(data.users.ids[0])


def test_models_that_keep_less_ask_for_the_data() -> None:
    twice = simulated()
    model = BPR(epochs=1, factors=2).fit(twice)
    before = learned(model)
    with pytest.raises(UnsupportedError, match="repeated events, values or their order are not kept"):
        model.forget(twice.users.ids[0])
    assert all(np.array_equal(before[name], array) for name, array in learned(model).items())
    assert model.forget(twice.users.ids[0], twice).level == "retrained"
    assert farthest(model, BPR(epochs=1, factors=2).fit(without(twice, [0]))) == 0
    aged = Popular(half_life=50.0).fit(twice)
    with pytest.raises(UnsupportedError, match="times are not kept"):
        aged.forget(twice.users.ids[0])
    aged.forget(twice.users.ids[0], twice)
    assert farthest(aged, Popular(half_life=50.0).fit(without(twice, [0]))) == 0


def test_values_that_a_model_does_not_look_at_need_not_be_kept() -> None:
    model = BPR(epochs=2, factors=4).fit(RATED)
    model.forget(RATED.users.ids[GONE])
    other = BPR(epochs=2, factors=4).fit(without(RATED, GONE))
    assert farthest(model, other) == 0
    assert model.rating_range == RATED_RANGE  # as it was, for events that come later
    model.partial_fit(Interactions.from_arrays([5], [RATED.items.ids[0]], [3.0]))
    assert 5 in model.users


RATED_RANGE = float(RATED.value.min()), float(RATED.value.max())


def test_the_weakest_level_is_taken_only_if_it_is_accepted() -> None:
    model = BPR(epochs=1, factors=2).fit(PLAIN)
    items = model.item_factors.copy()
    told = model.forget(PLAIN.users.ids[3], removed_only=True)
    assert (told.level, told.tolerance, told.people) == ("removed only", None, 1)
    assert np.array_equal(model.item_factors, items)
    assert len(model.users) == PLAIN.n_users - 1


# ------------------------------------------------------------------------------------------------- downdates

WIDE = simulated(n_users=260, n_items=30, n=4000).clean(duplicates="first").binarise()
FORMS = [{"reg": 20.0}, {}, {"reg": 20.0, "dropout": 0.2}, {"reg": 20.0, "user_power": 0.3, "item_power": 0.4},
         {"reg": 20.0, "diagonal": 0.3}, {"reg": 30.0, "recent": 3}]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_hundred_removals_do_not_drift(form: dict[str, float]) -> None:
    model, order = EASE(**form).fit(WIDE), np.random.default_rng(0).permutation(WIDE.n_users)[:100]
    ways = [model.forget(WIDE.users.ids[user]).how for user in order]
    rest = without(WIDE, order.tolist())
    assert farthest(model, EASE(**form).fit(rest)) <= TOLERANCE
    if form.keys() == {"reg"}:
        assert set(ways) == {"the inverse downdated"}


@pytest.mark.parametrize("name", ["Popular", "Markov", "ItemKNN", "RP3beta", "UserKNN"])
def test_a_hundred_removals_leave_the_same_bits(name: str) -> None:
    model = make(name).fit(WIDE)
    for user in WIDE.users.ids[:100]:
        model.forget(user)
    assert farthest(model, make(name).fit(without(WIDE, list(range(100))))) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), reg=st.floats(0.01, 100), dropout=st.sampled_from([0.0, 0.3]),
       values=st.booleans(), gone=st.integers(1, 3))
def test_downdated_weights_are_those_of_a_refit(seed: int, reg: float, dropout: float, values: bool,
                                                gone: int) -> None:
    data = simulated(seed, n_users=40, n_items=26, n=500)
    model = EASE(reg=reg, dropout=dropout, weights="value" if values else "binary").fit(data)
    told = model.forget(data.users.ids[:gone])
    other = EASE(reg=reg, dropout=dropout, weights="value" if values else "binary").fit(without(data, [*range(gone)]))
    assert np.abs(model.item_weights - other.item_weights).max() <= told.tolerance <= TOLERANCE


def test_after_a_removal_alone_weights_are_not_downdated() -> None:
    """They would keep what the first one had left in them."""
    model = EASE(reg=20.0).fit(WIDE)
    model.forget(WIDE.users.ids[0], removed_only=True)
    told = model.forget(WIDE.users.ids[1])
    assert told.how == "learned again from the others' events"
    assert farthest(model, EASE(reg=20.0).fit(without(WIDE, [0, 1]))) == 0


def test_what_only_they_had_is_not_downdated() -> None:
    """Nearly nothing is left in that direction, and nearly no digits."""
    data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["a", "b", "a", "b", "c", "d"])
    model = EASE(reg=1e-9).fit(data)
    model.forget(3)
    assert farthest(model, EASE(reg=1e-9).fit(without(data, [2]))) == 0
    assert model.item_counts.tolist() == [2, 2, 0, 0]


def test_it_goes_on_learning_after_it_has_forgotten() -> None:
    model = EASE(reg=20.0).fit(WIDE)
    model.forget(WIDE.users.ids[5])
    new = Interactions.from_arrays([999_999], [WIDE.items.ids[0]])
    model.partial_fit(new)
    assert len(model.users) == WIDE.n_users


# --------------------------------------------------------------------------------------------- what is told

@pytest.mark.parametrize("name", ["UserKNN", "TrustKNN", "UserKNNBaseline", "VSTAN"])
def test_nobody_is_told_of_them_any_more(name: str) -> None:
    model = make(name)
    data = RATED if model.can.ratings else PLAIN
    model.fit(data)
    gone = data.users.ids[3]
    model.forget(gone)
    others = make(name).fit(without(data, [3]))
    assert gone not in model.users
    assert np.array_equal(model.score_block(np.arange(5)), others.score_block(np.arange(5)))
    assert np.array_equal(model.recommend(k=5).items, others.recommend(k=5).items)
    if name == "UserKNN":
        assert gone not in model.similar_users(model.users.ids, k=30).items


def test_sessions_with_a_half_life_forget_without_the_times() -> None:
    model = VSTAN(half_life=40.0).fit(PLAIN)
    model.forget(PLAIN.users.ids[GONE])
    assert farthest(model, VSTAN(half_life=40.0).fit(without(PLAIN, GONE))) == 0
    with pytest.raises(UnsupportedError, match="times are not kept"):
        SLIST(half_life=40.0).fit(PLAIN).forget(PLAIN.users.ids[0])


def test_networks_train_as_long_as_validation_chose() -> None:
    held = np.arange(len(PLAIN)) % 5 == 0
    model = GMF(epochs=6, factors=2, lr=0.5, seed=1).fit(PLAIN.take(~held), PLAIN.take(held))
    best = int(np.argmax(model.curves_["valid"])) + 1
    for user in PLAIN.users.ids[:2]:
        model.forget(user)
        assert len(model.curves_["loss"]) == best < 6
        assert model.fitted_params["epochs"] == 6


def test_hybrids_and_their_parts_say_whether_they_draw() -> None:
    assert level_of(Sharded(model="EASE")) == "exact"
    assert level_of(Sharded(model="SASRec")) == "retrained"
    assert level_of(WeightedHybrid()) == "retrained"


def test_cut_histories_are_not_taken_for_all_there_was() -> None:
    model = SASRec(epochs=1, factors=4, recent=2).fit(PLAIN)
    with pytest.raises(UnsupportedError, match="their order are not kept"):
        model.forget(PLAIN.users.ids[0])


# -------------------------------------------------------------------------------------------- hostile

def test_people_who_are_not_there() -> None:
    model = ItemKNN().fit(PLAIN)
    with pytest.raises(UnknownIdError, match="5"):
        model.forget([PLAIN.users.ids[0], 5])
    with pytest.raises(DataError, match="integers"):
        model.forget("7")
    with pytest.raises(DataError, match="users is empty"):
        model.forget([])
    with pytest.raises(NotFittedError):
        ItemKNN().forget(1)
    assert len(model.users) == PLAIN.n_users
    assert model.forget([PLAIN.users.ids[0]] * 2).people == 1
    with pytest.raises(UnknownIdError):
        model.forget(PLAIN.users.ids[0])


def test_the_only_one() -> None:
    data = Interactions.from_arrays(["ann"] * 3, ["a", "b", "c"])
    model = ItemKNN().fit(data)
    with pytest.raises(DataError, match="nobody would be left"):
        model.forget("ann")
    assert len(model.users) == 1
    model.forget("ann", removed_only=True)
    assert len(model.users) == 0


def test_other_data_is_refused() -> None:
    model, user = LinearRegression(epochs=1).fit(RATED), RATED.users.ids[0]
    for wrong, why in ((PLAIN, "with values"), (RATED.take(np.arange(20)), "events of the model's users"),
                       (replace(RATED, users=IdMap([str(each) for each in RATED.users.ids])), "are integers"),
                       (replace(RATED, item=(RATED.item + 1) % RATED.n_items), "or from others")):
        with pytest.raises(DataError, match=why):
            model.forget(user, wrong)
    model.forget(user, RATED)


def test_who_was_forgotten_does_not_come_back_with_the_data() -> None:
    model = LinearRegression(epochs=1).fit(RATED)
    for user in RATED.users.ids[GONE]:
        model.forget(user, RATED)
    assert farthest(model, LinearRegression(epochs=1).fit(without(RATED, GONE))) == 0


def test_links_and_histories_of_others_are_known_without_the_data() -> None:
    model = TrustKNN().fit(PLAIN)
    model.forget(PLAIN.users.ids[0])
    assert farthest(model, TrustKNN().fit(without(PLAIN, [0]))) == 0


# --------------------------------------------------------------------------------------------- what is kept

def test_what_is_kept_of_a_person() -> None:
    user = RATED.users.ids[3]
    kept = persons.kept(ALS(factors=2, epochs=1).fit(RATED).require("x"), user)
    mine = RATED.user == 3
    assert [event["item"] for event in kept["events"]] == RATED.items.ids[np.sort(RATED.item[mine])].tolist()
    assert len(kept["learned"]["vector"]) == 2
    kept = persons.kept(Markov().fit(RATED).require("x"), user)
    assert kept["learned"] == {}
    kept = persons.kept(ItemKNN().fit(RATED).require("x"), user)
    assert [event["value"] for event in kept["events"]] == RATED.value[mine].tolist()
    assert [event["title"] for event in kept["events"]] == RATED.item_features.titles[RATED.item[mine]].tolist()
    assert persons.kept(UserKNN().fit(RATED).require("x"), 5) == {}


@pytest.mark.parametrize(("name", "level", "needs"), PROMISED)
def test_what_it_needs_where_pairs_come_twice(name: str, level: str, needs: str) -> None:
    """As the page says: those that keep all events need nothing more, whatever they are."""
    data = simulated(n_users=18, n_items=12, n=250)
    model = small(name).fit(data)
    if needs.startswith("nothing") and "twice" not in needs:
        assert model.forget(data.users.ids[GONE]).level == level
    else:
        with pytest.raises(UnsupportedError, match="does not hold all that it learned from"):
            model.forget(data.users.ids[GONE])
