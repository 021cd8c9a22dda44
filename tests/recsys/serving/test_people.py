"""What is held of people is what the log has, however few of them are held."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.recsys.serving.service import history  # isort: skip

from recsys.events import Event, EventLog, EventTypes
from recsys.serving.people import People, live, trained_history

PEOPLE = ["ann", "bob", "cid"]
STEPS = st.lists(st.one_of(
    st.tuples(st.just("event"), st.sampled_from(PEOPLE), st.integers(1, 4)),
    st.tuples(st.just("forget"), st.sampled_from(PEOPLE)), st.tuples(st.just("ask"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("follow"))), max_size=40)


@given(STEPS, st.integers(1, 5), st.integers(1, 8))
def test_people_are_those_of_the_log(tmp_path_factory: Any, steps: list[Any], recent: int, most: int) -> None:
    path = tmp_path_factory.mktemp("people") / "log.db"
    with EventLog(path) as ours, EventLog(path) as other:
        people, number = People(ours, recent, most), 0

        def follow() -> None:
            seq, _, _, epoch = ours.state()
            people.follow(seq, epoch)

        for what, *rest in steps:
            if what == "event":
                user, count = rest
                other.append([Event(f"e{number + place}", user, number + place, "click", None, 0.0, None)
                              for place in range(count)])
                number += count
            elif what == "forget":
                other.forget(rest[0])
            elif what == "ask":
                follow()
                assert [*people.events(rest[0])] == [(event.item, event.type, event.value, event.seq)
                                                     for event in other.of_user(rest[0], recent)]
            else:
                follow()


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(
    ["click", "like", "dislike", "undo", "impression", "gone"])), max_size=12), st.integers(0, 12))
def test_the_last_word_on_an_item_counts(models: Any, said: list[tuple[int, str]], learned_to: int) -> None:
    """Against one pass for each item: liked since the last dislike or undo, and hidden unless that is undone."""
    fitted = models["EASE"].fitted
    events = [(item, kind, None, seq) for seq, (item, kind) in enumerate(said, 1)]
    found = live(events, EventTypes(), fitted, learned_to)
    liked, hidden, disliked = [], set(), set()
    for item in {item for item, _ in said}:
        own = [(kind, seq) for each, kind, _, seq in events if each == item and kind not in ("impression", "gone")]
        last = max((seq for kind, seq in own if kind in ("dislike", "undo")), default=0)
        since = [seq for kind, seq in own if seq > last]
        liked += [(seq, item) for seq in since if seq > learned_to]
        if own and own[-1][0] != "undo":
            hidden.add(item)
        if last and not since:
            disliked.add(item)
    assert found.items == [item for _, item in sorted(liked)]
    assert (found.hidden, found.disliked) == (hidden, disliked)
    assert len(found.values) == len(found.items)


def test_the_trained_history_is_that_of_training(models: Any) -> None:
    for name in ("EASE", "ALS", "ItemKNN", "SequenceRecommender"):
        made = models[name]
        for number in (0, 50, 299):
            own, _ = history(made.data, made.fitted.users.ids[number].item())
            found = made.fitted.items.ids[trained_history(made.fitted, number)[0]].tolist()
            assert sorted(found) == sorted(own)
            if made.fitted.can.sequence:
                assert found == own
