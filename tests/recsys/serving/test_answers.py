"""Answers, in process: each is that of the direct call, alone and in a batch, filtered, from what was just done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recsys.serving.service import InProcess, event, history, listed, same_list, settings_of  # isort: skip

from recsys.events import EventLog, Item
from recsys.serving.deployment import Deployment
from recsys.serving.engine import Engine, Job
from recsys.serving.problems import Problem
from recsys.serving.schemas import ExplainAsk, RecommendAsk, SimilarAsk
from recsys.serving.settings import Variant

NAMES = ("EASE", "ALS", "ItemKNN", "UserKNN", "Popular", "SequenceRecommender", "GMF", "MLP",
         ("EASE", "rated"), ("ALS", "rated"), ("MatrixFactorization", "rated"))
FOLDING = tuple(name for name in NAMES if name not in ("Popular", "MLP", ("MatrixFactorization", "rated")))
EXACT = ("EASE", "ALS", "ItemKNN", "UserKNN", ("EASE", "rated"))


def engine_of(made: Any, folder: Path, **given: Any) -> Engine:
    """What answers, with a log of its own in a folder."""
    settings = settings_of(made.path if hasattr(made, "path") else made, folder, **given)
    return Engine(settings, Deployment.load(settings), EventLog(settings.events or folder / "none.db"))


def answers(engine: Engine, *asks: Any) -> list[dict[str, Any]]:
    """The answers of questions that come together."""
    return [found if isinstance(found, Problem) else msgspec.json.decode(found)
            for found in engine.answer([Job(ask, f"request {place}", 0.0) for place, ask in enumerate(asks)])]


def answer(engine: Engine, **asked: Any) -> dict[str, Any]:
    """The answer to a question for a list."""
    (found,) = answers(engine, RecommendAsk(**asked))
    assert not isinstance(found, Problem), found.detail
    return found


def did(engine: Engine, *events: dict[str, Any]) -> None:
    """Put events in the log, as the service does."""
    from recsys.events import Event

    before = engine.log.last_seq()
    engine.log.append([Event(one.get("id", f"e{before + place}"), one["user"], one["item"], one["type"],
                             one.get("value"), one.get("time", 1.7e9), None) for place, one in enumerate(events)])


@pytest.fixture
def engine(models: Any, tmp_path: Path) -> Iterator[Engine]:
    """EASE on string ids."""
    made = engine_of(models["EASE"], tmp_path)
    yield made
    made.log.close()


# ------------------------------------------------------------------------------------------ the direct call
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_known_users_get_what_training_says(models: Any, tmp_path: Path, name: Any) -> None:
    made = models[name]
    engine = engine_of(made, tmp_path)
    users = made.fitted.users.ids[::29].tolist()
    found = answers(engine, *(RecommendAsk(user=user, k=7 + place) for place, user in enumerate(users)))
    for place, (user, one) in enumerate(zip(users, found, strict=True)):
        same_list(one, made.fitted.recommend(user, 7 + place))
        assert {each["source"] for each in one["items"]} <= {"model", "popular"}


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_histories_get_the_fold_in(models: Any, tmp_path: Path, name: Any, rng: np.random.Generator) -> None:
    made = models[name]
    engine = engine_of(made, tmp_path)
    rates = made.fitted.scorer.needs_values
    for length in (1, 2, 9, 40):
        items = made.fitted.items.ids[rng.integers(0, len(made.fitted.items), length)].tolist()
        values = rng.integers(1, 6, length).astype(float).tolist() if rates else None
        if not made.fitted.can.fold_in:
            (refused,) = answers(engine, RecommendAsk(history=items))
            assert refused.status == 409
            assert refused.field == "history"
            continue
        one = answer(engine, history=items, values=values)
        same_list(one, made.fitted.recommend(history=items, values=values))
        assert {each["source"] for each in one["items"]} <= {"history", "popular"}


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_events_count_from_the_next_answer_on(models: Any, tmp_path: Path, name: Any, rng: np.random.Generator) -> None:
    """Clicks, or ratings, of a known and of a new user, one by one: the fold-in of training and events."""
    made = models[name]
    engine, fitted = engine_of(made, tmp_path), made.fitted
    newcomer = 10**6 if fitted.users.integers else "newcomer"
    rates = fitted.scorer.needs_values
    for user in (fitted.users.ids[17].item(), newcomer):
        old, old_values = history(made.data, user) if user != newcomer else ([], [] if rates else None)
        assert answer(engine, user=user)["items"]
        for _ in range(5):
            item = fitted.items.ids[rng.integers(len(fitted.items))].item()
            value = float(rng.integers(1, 6)) if rates else None
            did(engine, event(user, item, "rating", value=value) if rates else event(user, item))
            old = [*old, item]
            old_values = None if old_values is None else [*old_values, value if rates else 1.0]
            one = answer(engine, user=user)
            if fitted.can.fold_in:
                same_list(one, fitted.recommend(history=old, values=old_values))
            else:
                direct = fitted.recommend(user, len(fitted.items), on_unknown="fallback")
                wanted = [each for each in direct.items.tolist() if each not in old][:10]
                assert listed(one)[0] == wanted
            assert not {*old} & {*listed(one)[0]}


@pytest.mark.parametrize("name", FOLDING, ids=str)
def test_seen_items_may_be_listed(models: Any, tmp_path: Path, name: Any) -> None:
    made = models[name]
    engine, user = engine_of(made, tmp_path), made.fitted.users.ids[3].item()
    same_list(answer(engine, user=user, filter_seen=False), made.fitted.recommend(user, filter_seen=False))
    item = listed(answer(engine, user=user))[0][0]
    did(engine, event(user, item))
    old, values = history(made.data, user)
    same_list(answer(engine, user=user, filter_seen=False, k=30), made.fitted.recommend(
        history=[*old, item], values=None if values is None else [*values, 1.0], k=30, filter_seen=False))


def test_unpersonalised_lists_are_those_of_popular(models: Any, tmp_path: Path) -> None:
    popular = models["Popular"].fitted.recommend("nobody", 20, on_unknown="fallback")
    for name in ("EASE", "SequenceRecommender", "Popular"):
        engine = engine_of(models[name], tmp_path, events=str(tmp_path / f"{name}.db"))
        user = models[name].fitted.users.ids[0].item()
        for asked in ({"user": user, "profiling": "off"}, {}, {"user": "nobody"}, {"history": []}):
            one = answer(engine, k=20, **asked)
            assert listed(one)[0] == popular.items.tolist()
            assert {each["source"] for each in one["items"]} == {"popular"}


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_a_source_is_popular_where_nothing_of_the_person_counts(models: Any, tmp_path: Path, name: Any) -> None:
    """Of nobody, of a newcomer, and of everybody where there is one order for all; and what cannot count is said."""
    fitted = models[name].fitted
    engine, rates = engine_of(models[name], tmp_path), fitted.scorer.needs_values
    known, newcomer = fitted.users.ids[0].item(), 10**6 if fitted.users.integers else "newcomer"

    def asked(user: Any) -> tuple[set[str], str]:
        one = answer(engine, user=user)
        return {each["source"] for each in one["items"]} - {"popular"}, " ".join(one.get("notes", []))

    own = {"model"} if name != "Popular" else set()
    assert asked(newcomer) == (set(), "")
    assert asked(known) == (own, "")
    for user in (known, newcomer):
        did(engine, event(user, fitted.items.ids[3].item(), "like"))
        found, note = asked(user)
        if name == "Popular":
            assert (found, "one order of items for everybody" in note) == (set(), True)
        elif rates:
            assert (found, "1 items without a rating" in note) == (own if user == known else set(), True)
            did(engine, event(user, fitted.items.ids[3].item(), "rating", value=5.0))
            assert asked(user) == ({"history"}, "")
        elif fitted.can.fold_in:
            assert (found, note) == ({"history"}, "")
        else:
            assert found == (own if user == known else set())
            assert f"{name} does not fold in histories, and 1 items since" in note
            assert ("unpersonalised" in note) == (user == newcomer)
    if fitted.can.fold_in and not rates:
        one = answer(engine, history=[fitted.items.ids[3].item()])
        assert ({each["source"] for each in one["items"]} == {"popular"}) == (name == "Popular") == ("notes" in one)


# ------------------------------------------------------------------------------------------------ batches
@pytest.mark.parametrize("name", ["EASE", "ALS", "ItemKNN", "SequenceRecommender", "GMF",
                                  ("MatrixFactorization", "rated")], ids=str)
def test_a_batch_changes_no_answer(models: Any, tmp_path_factory: Any, name: Any) -> None:
    """Mixed questions, answered together and one by one, are the same to the last byte."""
    made = models[name]
    engine = engine_of(made, tmp_path_factory.mktemp("log"))
    ids, people = made.fitted.items.ids.tolist(), made.fitted.users.ids.tolist()
    rates = made.fitted.scorer.needs_values
    for place, user in enumerate(people[:6]):
        did(engine, *(event(user, ids[(7 * place + j) % len(ids)], "rating" if rates else "click",
                            value=4.0 if rates else None) for j in range(place)))
    engine.log.put_item(Item(ids[5], "A title", "words", {"genre": ["Drama"]}, None, True))
    engine.log.put_item(Item(ids[9], None, None, {"genre": ["Drama", "War"]}, None, False))
    some_items = st.lists(st.sampled_from(ids), max_size=6)
    whom = st.one_of(
        st.fixed_dictionaries({"user": st.sampled_from(people[:9] + people[-2:])}),
        some_items.map(lambda items: {"history": items, **({"values": [3.0] * len(items)} if rates else {})}),
        st.just({}))
    recommend = st.builds(lambda who, more: RecommendAsk(**who, **more), whom, st.fixed_dictionaries({}, optional={
        "k": st.integers(1, 60), "filter_seen": st.booleans(), "items": st.lists(st.sampled_from(ids), max_size=30),
        "exclude": some_items, "where": st.just({"genre": ["Drama"]}), "diversity": st.sampled_from([0.0, 0.3, 1.0]),
        "explain": st.just(name != "GMF" and name != "SequenceRecommender"),
        "profiling": st.sampled_from(["on", "off"])}))
    similar = st.builds(lambda item, k: SimilarAsk(item=item, k=k), st.sampled_from(ids), st.integers(1, 20))
    asks = st.lists(st.one_of(recommend, recommend, similar), min_size=2, max_size=12)

    @given(asks)
    def check(asked: list[Any]) -> None:
        jobs = [Job(ask, f"r{place}", 0.0) for place, ask in enumerate(asked)]
        together = engine.answer(jobs)
        for place, (ask, one) in enumerate(zip(asked, together, strict=True)):
            (alone,) = engine.answer([Job(ask, f"r{place}", 0.0)])
            if isinstance(one, Problem):
                assert isinstance(alone, Problem)
                assert alone.body() == one.body()
            else:
                assert alone == one

    check()


# ------------------------------------------------------------------------------------------------ filters
@pytest.mark.parametrize("name", ["EASE", "SequenceRecommender", "Popular"])
def test_filters_are_those_of_a_plain_loop(models: Any, tmp_path_factory: Any, name: str) -> None:
    made = models[name]
    engine = engine_of(made, tmp_path_factory.mktemp("log"))
    ids = made.fitted.items.ids.tolist()
    rng = np.random.default_rng(1)
    attributes = {item: {"genre": rng.choice(["a", "b", "c"], rng.integers(0, 3), replace=False).tolist(),
                         "era": [str(rng.integers(2))]} for item in ids[::2]}
    closed = {*rng.choice(ids, 40, replace=False).tolist()}
    engine.log.put_items([Item(item, None, None, attributes.get(item, {}), None, item not in closed) for item in ids])
    person = made.fitted.users.ids[5].item()
    whole = made.fitted.recommend(person, len(ids))

    @given(st.none() | st.lists(st.sampled_from([*ids, "unknown"]), max_size=80), st.none() |
           st.lists(st.sampled_from([*ids, "unknown"]), max_size=40),
           st.none() | st.dictionaries(st.sampled_from(["genre", "era", "colour"]),
                                       st.lists(st.sampled_from(["a", "b", "0", "z"]), max_size=3), max_size=2),
           st.integers(1, 250))
    def check(items: Any, exclude: Any, where: Any, k: int) -> None:
        def may(item: str) -> bool:
            held = attributes.get(item, {})
            return (item not in closed and (items is None or item in items) and item not in (exclude or ()) and
                    all({*held.get(key, ())} & {*values} for key, values in (where or {}).items()))

        wanted = [(item, score) for item, score in zip(whole.items.tolist(), whole.scores.tolist(), strict=True)
                  if may(item)]
        found = answer(engine, user=person, items=items, exclude=exclude, where=where, k=k)
        assert [*zip(*listed(found), strict=True)] == wanted[:k]

    check()


def test_an_item_that_is_gone_is_never_shown(models: Any, tmp_path: Path) -> None:
    """Not in a list, not among those alike, not as a new one; and it comes back when it is there again."""
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
        user, item = "user 001", None
        _, before = service.ask("POST", "/v1/recommend", {"user": user})
        item, kept = before["items"][0]["id"], before["items"][1]["id"]
        assert item in listed(service.ask("POST", "/v1/similar", {"item": kept, "k": 200})[1])[0]
        for available in (False, True):
            status, put = service.ask("PUT", f"/v1/items/{item}", {"title": "It", "available": available})
            assert (status, put["available"], put["in_model"]) == (200, available, True)
            for path, asked in (("recommend", {"user": user, "k": 200}), ("similar", {"item": kept, "k": 200}),
                                ("recommend", {"history": [kept], "items": [item]}),
                                ("recommend", {"user": user, "profiling": "off", "k": 1000})):
                found = listed(service.ask("POST", f"/v1/{path}", asked)[1])[0]
                assert (item in found) == available


# ---------------------------------------------------------------------------------------------- diversity
def test_diversity_reorders_and_repeats_nothing(models: Any, tmp_path: Path) -> None:
    engine, user = engine_of(models["EASE"], tmp_path), "user 002"
    plain = answer(engine, user=user, k=50)
    assert answer(engine, user=user, k=50, diversity=0.0) | {"request_id": ""} == plain | {"request_id": ""}
    varied = answer(engine, user=user, k=10, diversity=0.7)
    assert {*listed(varied)[0]} <= {*listed(plain)[0]}
    assert len({*listed(varied)[0]}) == 10
    assert listed(varied)[0][0] == listed(plain)[0][0]
    assert listed(varied)[0] != listed(plain)[0][:10]


# -------------------------------------------------------------------------------------- defined, never 5xx
@pytest.mark.parametrize("name", NAMES, ids=str)
def test_whoever_and_whatever_is_unknown_gets_a_defined_answer(models: Any, tmp_path: Path, name: Any) -> None:
    made = models[name]
    engine, whole = engine_of(made, tmp_path), made.fitted.items.integers
    nobody, nothing = (10**12, -5) if whole else ("nobody", "nothing")
    known = made.fitted.items.ids[4].item()
    values = {"values": [3.0]} if made.fitted.scorer.needs_values else {}
    for asked in ({"user": nobody}, {"history": []}, {}, {"user": nobody, "explain": True, "diversity": 1.0}):
        if asked != {"history": []} or made.fitted.can.fold_in:
            assert len(answer(engine, **asked)["items"]) == 10
    if made.fitted.can.fold_in:
        one = answer(engine, history=[nothing], **values)
        assert one["items"]
        assert one["notes"] == ["history: 1 of 1 items are unknown to the model, and were left out."]
        two = answer(engine, history=[nothing, known, nothing], **({"values": [1.0, 3.0, 1.0]} if values else {}))
        assert "history: 2 of 3 items are unknown to the model, and were left out." in two["notes"]
        same_list(two, made.fitted.recommend(history=[known], **values))
    assert answer(engine, items=[])["items"] == []
    assert answer(engine, items=[nothing])["items"] == []
    assert answer(engine, where={"nothing": []})["items"] == []
    similar, explained = answers(engine, SimilarAsk(item=nothing), ExplainAsk(user=nobody, item=nothing))
    assert similar["items"] == []
    assert "unknown" in similar["notes"][0]
    assert explained.status == 404
    did(engine, event(nobody, nothing), event(nobody, nothing, "dislike"))
    assert len(answer(engine, user=nobody)["items"]) == 10


@pytest.mark.parametrize("name", NAMES, ids=str)
def test_no_event_breaks_the_answers_of_a_person(models: Any, tmp_path: Path, name: Any) -> None:
    """Every type, with every value that is taken, of known and unknown people and items, and whatever is asked then."""
    made = models[name]
    ids, people = made.fitted.items.ids.tolist(), made.fitted.users.ids.tolist()
    with InProcess(settings_of(made.path, tmp_path)) as service:
        whom = [people[0], people[1], 10**9 if made.fitted.users.integers else "someone new"]
        for person in whom:
            for kind in service.app.settings.types:
                for value in (None, 0.0, -3.0, 4.5, 1e6, -1e6, 1e30, -1e300):
                    status, said = service.ask("POST", "/v1/events", {"events": [event(
                        person, ids[hash((kind, value)) % 7], kind, value=value)]})
                    assert status in (200, 422), said


def test_what_is_excluded_and_unknown_is_told(engine: Engine) -> None:
    engine.log.put_item(Item("brand new", "Title of item 001", None, {}, None, True))
    asked = {"exclude": ["item 001", "nothing", "brand new", "nothing"], "items": ["nothing", "item 002", "brand new"]}
    for who in ({"user": "user 001"}, {}, {"user": "user 001", "profiling": "off"}):
        assert answer(engine, **who, **asked)["notes"] == ["exclude: 2 of 4 are unknown, and were left out.",
                                                           "items: 1 of 3 are unknown, and were left out."]


def test_ratings_beyond_those_of_the_training_are_refused(models: Any, tmp_path: Path) -> None:
    """By models that predict ratings; to others a value is a weight."""
    for name, predicts in (("MatrixFactorization", True), ("EASE", False)):
        made = models[name, "rated"]
        low, high = made.fitted.facts.rating_range
        item = made.fitted.items.ids[3].item()
        with InProcess(settings_of(made.path, tmp_path, events=str(tmp_path / f"{name}.db"))) as service:
            for value, inside in ((low, True), (high, True), (low - .1, False), (high + 100, False), (-1e6, False)):
                wanted = 200 if inside or not predicts else 422
                events = [event(1, item, "rating", value=high), event(1, item, "rating", value=value)]
                for path, asked, field in (
                        ("recommend", {"history": [item, item], "values": [high, value]}, "values[1]"),
                        ("events", {"events": events}, "events[1].value")):
                    status, said = service.ask("POST", f"/v1/{path}", asked)
                    assert (status, said.get("field")) == (wanted, field if wanted == 422 else None), said
                    assert wanted == 200 or f"{low:g} to {high:g}" in said["detail"]
            assert service.ask("POST", "/v1/events", {"events": [event(1, item, "view", value=1e6)]})[0] == 200


def test_kinds_of_ids_are_told_apart(engine: Engine) -> None:
    for asked, field in (({"user": 7}, "user"), ({"history": ["item 001", 7]}, "history[1]"),
                         ({"items": [7]}, "items[0]"), ({"exclude": ["item 001", 7]}, "exclude[1]")):
        (found,) = answers(engine, RecommendAsk(**asked))
        assert found.status == 422
        assert found.field == field


# ----------------------------------------------------------------------------------------- what it means
def test_a_dislike_takes_back_and_an_undo_forgives(models: Any, engine: Engine) -> None:
    fitted, user = models["EASE"].fitted, "newcomer"
    first, second, third = fitted.items.ids[[3, 50, 90]].tolist()
    did(engine, event(user, first), event(user, second), event(user, third))
    same_list(answer(engine, user=user), fitted.recommend(history=[first, second, third]))
    did(engine, event(user, second, "dislike"))
    found = answer(engine, user=user, k=200)
    same_list(found, fitted.recommend(history=[first, third], exclude=[second], k=200))
    assert second not in listed(found)[0]
    did(engine, event(user, third, "undo"))
    found = answer(engine, user=user, k=200)
    same_list(found, fitted.recommend(history=[first], exclude=[second], k=200))
    assert third in listed(found)[0]
    did(engine, event(user, second, "like"))
    assert listed(answer(engine, user=user))[0] == fitted.recommend(history=[first, second]).items.tolist()


def test_a_dislike_of_what_training_saw_takes_it_out(models: Any, engine: Engine) -> None:
    made = models["EASE"]
    old, _ = history(made.data, "user 010")
    did(engine, event("user 010", old[0], "dislike"))
    same_list(answer(engine, user="user 010"),
              made.fitted.recommend(history=[each for each in old if each != old[0]], exclude=[old[0]]))


def test_impressions_change_nothing(engine: Engine) -> None:
    before = answer(engine, user="user 020")
    did(engine, *(event("user 020", each["id"], "impression") for each in before["items"]))
    assert answer(engine, user="user 020") == before


def test_the_last_rating_counts(models: Any, tmp_path: Path) -> None:
    made = models["MatrixFactorization", "rated"]
    engine, user = engine_of(made, tmp_path), 10**6
    first, second = made.fitted.items.ids[[3, 50]].tolist()
    did(engine, event(user, first, "rating", value=1.0), event(user, second, "rating", value=5.0),
        event(user, first, "rating", value=4.0))
    same_list(answer(engine, user=user),
              made.fitted.recommend(history=[first, second, first], values=[1.0, 5.0, 4.0]))


def test_events_that_a_model_has_learned_are_not_counted_twice(models: Any, tmp_path: Path) -> None:
    from recsys.estimator import storing

    made, user = models["EASE"], "user 030"
    path = tmp_path / "learned.recsys"
    storing.save(made.fitted, path, card={"log": {"learned_to": 2}})
    engine = engine_of(path, tmp_path)
    old, _ = history(made.data, user)
    did(engine, event(user, old[0]), event(user, old[1]))
    same_list(answer(engine, user=user), made.fitted.recommend(user))
    did(engine, event(user, "item 150"))
    same_list(answer(engine, user=user), made.fitted.recommend(history=[*old, "item 150"]))


# ---------------------------------------------------------------------------------------------- reasons
@pytest.mark.parametrize("name", EXACT, ids=str)
def test_exact_reasons_and_the_rest_sum_to_the_score(models: Any, tmp_path: Path, name: Any) -> None:
    made = models[name]
    engine, ids = engine_of(made, tmp_path), made.fitted.items.ids.tolist()
    newcomer = 10**6 if made.fitted.users.integers else "newcomer"
    did(engine, event(newcomer, ids[3]), event(newcomer, ids[90]), event(made.fitted.users.ids[8].item(), ids[4]))
    for who in ({"user": made.fitted.users.ids[7].item()}, {"user": made.fitted.users.ids[8].item()},
                {"user": newcomer}, {"history": ids[10:16]}):
        listing = answer(engine, **who, explain=True)
        for item, k in ((listing["items"][0]["id"], 3), (listing["items"][5]["id"], 1000), (ids[3], 5)):
            (found,) = answers(engine, ExplainAsk(item=item, k=k, **who))
            parts = [each["contribution"] for each in found["reasons"]]
            assert found["exact"]
            assert len(parts) <= k
            assert np.isclose(sum(parts) + found["rest"], found["item"]["score"], rtol=1e-4, atol=1e-5)
            assert np.all(np.diff(np.abs(parts)) <= 1e-12)
            if item == listing["items"][0]["id"]:
                assert found["item"]["score"] == listing["items"][0]["score"]
                reasons = [each for each in listing["items"][0]["reasons"] if each["item"] is not None]
                assert reasons[:k] == found["reasons"][:len(reasons)]


def test_sentences_say_why_and_what_would_have_to_be_otherwise(models: Any, engine: Engine) -> None:
    did(engine, event("newcomer", "item 003"))
    first = answer(engine, user="newcomer", explain=True)["items"][0]["id"]
    (found,) = answers(engine, ExplainAsk(item=first, user="newcomer", removed=2))
    assert found["method"] in ("exact", "leave-one-out")
    assert "Because of Title of item 003" in found["sentences"][0]
    assert any("Title of item 003" in line and "place" in line for line in found["sentences"][1:])
    (plain,) = answers(engine, ExplainAsk(item=first, user="newcomer"))
    assert not any("place" in line for line in plain["sentences"])


def test_reasons_are_of_what_somebody_did_just_now(models: Any, engine: Engine) -> None:
    did(engine, event("newcomer", "item 003"))
    found = answer(engine, user="newcomer", explain=True)
    assert found["items"][0]["reasons"][0]["item"] == "item 003"
    assert found["items"][0]["reasons"][0]["title"] == "Title of item 003"
    assert found["items"][0]["title"] == f"Title of {found['items'][0]['id']}"


# --------------------------------------------------------------------------------------------- new items
@pytest.mark.parametrize("diversity", [0.0, 0.6])
def test_a_new_item_stands_where_its_content_puts_it(models: Any, tmp_path: Path, diversity: float) -> None:
    engine, ids = engine_of(models["EASE"], tmp_path), models["EASE"].fitted.items.ids.tolist()
    engine.log.put_items([Item(item, None, None, {"genre": [f"g{number % 4}"]}, None, True)
                          for number, item in enumerate(ids)])
    before = answer(engine, user="user 004", k=200, diversity=diversity)
    best = before["items"][0]["id"]
    genre = f"g{ids.index(best) % 4}"
    engine.log.put_items([Item("brand new", "Title of " + best, None, {"genre": [genre]}, None, True),
                          Item("not there", "Title of " + best, None, {"genre": [genre]}, None, False),
                          Item("unlike all", None, "zzz", {}, None, True)])
    after = answer(engine, user="user 004", k=200, diversity=diversity)
    new = [each for each in after["items"] if each["source"] == "content"]
    assert [each["id"] for each in new] == ["brand new"]
    assert [each for each in after["items"] if each["source"] != "content"] == before["items"][:199]
    place = after["items"].index(new[0])
    assert all(each["score"] >= new[0]["score"] for each in after["items"][:place]) or diversity
    assert "brand new" not in listed(answer(engine, user="user 004", k=200, exclude=["brand new"]))[0]
    assert listed(answer(engine, user="user 004", items=["brand new"]))[0] == ["brand new"]
    assert "brand new" in listed(answer(engine, user="user 004", where={"genre": [genre]}, k=200))[0]
    (similar,) = answers(engine, SimilarAsk(item="brand new", k=3))
    assert similar["items"][0]["id"] == best
    assert {each["source"] for each in similar["items"]} == {"content"}
    assert "brand new" not in listed(answer(engine, history=["brand new"], k=200))[0]
    did(engine, event("user 004", "brand new"))
    assert "brand new" not in listed(answer(engine, user="user 004", k=200))[0]


@pytest.mark.parametrize("name", ["EASE", "ALS", "Popular", "MLP"])
def test_a_new_item_is_explained_by_those_it_is_like(models: Any, tmp_path: Path, name: str) -> None:
    engine, ids = engine_of(models[name], tmp_path), models[name].fitted.items.ids.tolist()
    engine.log.put_items([Item(item, None, None, {"genre": [f"g{number % 4}"]}, None, True)
                          for number, item in enumerate(ids)])
    engine.log.put_items([Item("brand new", "A new one", None, {"genre": ["g1"]}, None, True),
                          Item("not there", None, None, {"genre": ["g1"]}, None, False),
                          Item("unlike all", None, "zzz", {}, None, True)])
    for who in ({"user": "user 004"}, {"user": "nobody"}, {}):
        listing = answer(engine, items=["brand new"], **who)["items"]
        alike, part = answers(engine, ExplainAsk(item="brand new", k=1000, **who),
                              ExplainAsk(item="brand new", k=3, **who))
        assert alike["item"] == listing[0]
        assert listing[0]["source"] == "content"
        assert not alike["exact"]
        assert {ids.index(each["item"]) % 4 for each in alike["reasons"]} == {1}
        assert all(each["title"] == f"Title of {each['item']}" for each in alike["reasons"])
        shares = [each["contribution"] for each in alike["reasons"]]
        assert np.isclose(sum(shares), alike["item"]["score"], rtol=1e-5)
        assert np.all(np.diff(np.abs(shares)) <= 0)
        assert part["reasons"] == alike["reasons"][:3]
        assert np.isclose(sum(shares[:3]) + part["rest"], part["item"]["score"], rtol=1e-5)
        for item, status in (("not there", 409), ("unlike all", 409), ("nothing", 404)):
            (refused,) = answers(engine, ExplainAsk(item=item, **who))
            assert (refused.status, refused.field) == (status, "item")


# ---------------------------------------------------------------------------------------------- similar
@pytest.mark.parametrize("name", ["EASE", "ALS", "ItemKNN", "GMF"])
def test_similar_items_are_those_of_the_model(models: Any, tmp_path: Path, name: str) -> None:
    made = models[name]
    engine = engine_of(made, tmp_path)
    for item in made.fitted.items.ids[::40].tolist():
        (found,) = answers(engine, SimilarAsk(item=item, k=6))
        same_list(found, made.fitted.similar_items(item, 6))


# --------------------------------------------------------------------------------------------- variants
def two(models: Any) -> tuple[Variant, Variant]:
    """Two models that share the people."""
    return (Variant("ease", str(models["EASE"].path), 0.3), Variant("als", str(models["ALS"].path), 0.7))


def test_people_keep_their_variant_and_shares_are_kept(models: Any, tmp_path: Path) -> None:
    engine = engine_of(two(models), tmp_path)
    people = [f"person {number}" for number in range(2000)]
    given = [engine.deployment.of(person).variant.name for person in people]
    assert given == [engine_of(two(models), tmp_path).deployment.of(person).variant.name for person in people[:1]] + \
        given[1:]
    share = given.count("ease") / len(given)
    assert abs(share - .3) < 4 * np.sqrt(.3 * .7 / len(given))
    for name, made in (("ease", models["EASE"]), ("als", models["ALS"])):
        user = next(user for user in made.fitted.users.ids.tolist()
                    if engine.deployment.of(user).variant.name == name)
        found = answer(engine, user=user)
        assert found["variant"] == name
        assert found["model"]["version"] == engine.deployment.models[name].version
        same_list(found, made.fitted.recommend(user))


def test_what_was_shown_is_kept_with_its_propensity(models: Any, tmp_path: Path) -> None:
    settings = settings_of(two(models), tmp_path, explore=.5, explore_pool=20)
    plain = engine_of(two(models), tmp_path, log_shown=False)
    asked = [f"user {number:03d}" for number in range(1, 41)]
    with InProcess(settings) as service:
        told = [service.ask("POST", "/v1/recommend", {"user": user, "k": 5}, {"x-request-id": f"of-{user[-3:]}"})[1]
                for user in asked]
    log = EventLog(settings.events or "")
    kept = {row.request_id: row for row in log.shown()}
    changed = 0
    for user, one in zip(asked, told, strict=True):
        row = kept[one["request_id"]]
        assert (row.user, row.variant, row.model, row.items) == (
            user, one["variant"], one["model"]["version"], listed(one)[0])
        own = listed(answer(plain, user=user, k=20))[0]
        for place, (item, chance) in enumerate(zip(row.items, row.propensities, strict=True)):
            assert item in own
            assert np.isclose(chance, .5 * (own[place] == item) + .5 / 20)
        changed += row.items != own[:5]
    assert 8 <= changed <= 32
    log.close()


def test_a_list_without_profiling_is_not_explored(models: Any, tmp_path: Path) -> None:
    engine = engine_of(models["EASE"], tmp_path, explore=1.0)
    plain = engine_of(models["EASE"], tmp_path)
    for user in ("user 001", "user 002"):
        assert listed(answer(engine, user=user, profiling="off")) == listed(answer(plain, user=user, profiling="off"))


# -------------------------------------------------------------------------------------------- forgotten
def test_who_was_forgotten_is_somebody_never_seen(models: Any, engine: Engine) -> None:
    """Even while the model still knows them; and whoever comes back starts anew."""
    fitted, user = models["EASE"].fitted, "user 040"
    did(engine, event(user, "item 003"))
    never = answer(engine, user="never seen", k=50)
    assert answer(engine, user=user, k=50) != never
    engine.log.forget(user)
    assert answer(engine, user=user, k=50) == never
    did(engine, event(user, "item 003"))
    same_list(answer(engine, user=user), fitted.recommend(history=["item 003"]))


# ------------------------------------------------------------------------------------------ a long life
def test_whatever_happens_answers_are_those_of_a_fresh_start(models: Any, tmp_path_factory: Any) -> None:
    """Events, dislikes, undos, items, erasures in any order: what is held answers as a new engine on the same log."""
    made = models["EASE"]
    people, ids = ["user 001", "user 002", "new one", "new two"], made.fitted.items.ids[:8].tolist()
    step = st.one_of(
        st.tuples(st.just("event"), st.sampled_from(people), st.sampled_from([*ids, "fresh"]),
                  st.sampled_from(["click", "like", "dislike", "undo", "view", "purchase"])),
        st.tuples(st.just("forget"), st.sampled_from(people)),
        st.tuples(st.just("item"), st.sampled_from([*ids, "fresh"]), st.booleans()),
        st.tuples(st.just("ask"), st.sampled_from(people)))

    @given(st.lists(step, max_size=25))
    def check(steps: list[Any]) -> None:
        folder = tmp_path_factory.mktemp("life")
        engine, other = engine_of(made, folder, ), EventLog(folder / "log.db")  # another worker's connection
        engine.people._most = 2
        for what, *rest in steps:
            if what == "event":
                user, item, kind = rest
                did_by = Engine.__new__(Engine)
                did_by.log = other
                did(did_by, event(user, item, kind))
            elif what == "forget":
                other.forget(rest[0])
            elif what == "item":
                other.put_item(Item(rest[0], "Title of item 003", None, {}, None, rest[1]))
            else:
                fresh = engine_of(made, folder)
                assert answer(engine, user=rest[0], k=20) == answer(fresh, user=rest[0], k=20)
                fresh.log.close()
        for user in people:
            fresh = engine_of(made, folder)
            assert answer(engine, user=user, k=20) == answer(fresh, user=user, k=20)
            fresh.log.close()
        engine.log.close()
        other.close()

    check()
