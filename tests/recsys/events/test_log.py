"""The log against a model in plain Python, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recsys.errors import DataError, LogError, ParameterError
from recsys.events import Erased, Event, EventLog, Item, Shown
from recsys.events.database import Database

# few ids, so that they meet: integers and the texts of the same digits among them
IDS = st.sampled_from([7, "7", -1, 2**63 - 1, -(2**63), "ann", "Ann", "ann ", "日本", "a\x00b", "'; --"])
TIMES = st.floats(-1e10, 1e10).map(lambda time: time + 0.0)  # SQLite keeps no -0.0
NAMES = st.sampled_from([f"name-{i}" for i in range(12)])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
EVENTS = st.builds(Event, NAMES, IDS, IDS, st.sampled_from(["click", "rating"]),
                   st.one_of(st.none(), TIMES), TIMES, st.one_of(st.none(), NAMES))
ITEMS = st.builds(Item, IDS, st.one_of(st.none(), TEXTS), st.one_of(st.none(), TEXTS),
                  st.dictionaries(TEXTS, st.lists(TEXTS, max_size=2), max_size=2), st.none(), st.booleans())


@st.composite
def lists(draw: st.DrawFn) -> Shown:
    items = draw(st.lists(IDS, max_size=3))
    shares = draw(st.lists(st.floats(1e-9, 1), min_size=len(items), max_size=len(items)))
    return Shown(draw(NAMES), draw(TIMES), draw(st.one_of(st.none(), IDS)), "a", "ease 1", items, shares)


def typed(rows: Any) -> str:
    """Rows as text, in which 7 and "7" and 7.0 differ."""
    return repr(list(rows))


class Model(RuleBasedStateMachine):
    """Every answer of the log is that of lists and dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "log.db"
        self.log = EventLog(self.path)
        self.other = EventLog(self.path)  # a second connection sees the same
        self.events: list[Event] = []
        self.shown: list[Shown] = []
        self.items: dict[str, Item] = {}
        self.state: dict[str, str] = {}
        self.forgotten: set[Any] = set()
        self.changes = self.generations = self.epochs = 0
        self.seen_state = tuple(self.log.state())

    def teardown(self) -> None:
        self.log.close()
        self.other.close()
        self.folder.cleanup()

    @rule(events=st.lists(EVENTS, max_size=5))
    def append(self, events: list[Event]) -> None:
        before = self.log.last_seq()
        new = []
        for event in events:
            if event.id not in {kept.id for kept in self.events + new}:
                new.append(event)
        assert self.log.append(events) == len(new)
        added = self.other.since(before)
        assert typed(event._replace(seq=0) for event in added) == typed(event._replace(seq=0) for event in new)
        assert sorted({event.seq for event in added}) == [event.seq for event in added]
        self.events += added

    @rule(rows=st.lists(lists(), max_size=3))
    def show(self, rows: list[Shown]) -> None:
        new = []
        for row in rows:
            if row.request_id not in {kept.request_id for kept in self.shown + new}:
                new.append(row)
        after = self.shown[-1].seq if self.shown else 0
        assert self.log.append_shown(rows) == len(new)
        added = list(self.other.shown(after))
        assert typed(row._replace(seq=0) for row in added) == typed(new)
        self.shown += added

    @rule(item=ITEMS)
    def put_item(self, item: Item) -> None:
        before = self.log.last_change()
        self.changes = self.log.put_item(item)
        assert typed(self.other.items_since(before)) == typed([(self.changes, item)])
        self.items.pop(repr(item.id), None)
        self.items[repr(item.id)] = item

    @rule(key=NAMES, value=TEXTS, bump=st.booleans())
    def put(self, key: str, value: str, bump: bool) -> None:
        if bump:
            self.generations += 1
            assert self.log.bump(key, value) == self.generations
        else:
            self.log.put(key, value)
        self.state[key] = value

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        user = data.draw(st.one_of(IDS, st.sampled_from([event.user for event in self.events])))

        def others(rows: list[Any]) -> list[Any]:
            return [row for row in rows if typed([row.user]) != typed([user])]

        kept, lists = others(self.events), others(self.shown)
        before = self.log.last_seq()
        assert self.log.forget(user) == Erased(len(self.events) - len(kept), len(self.shown) - len(lists))
        self.events, self.shown = kept, lists
        self.epochs += 1
        self.forgotten.add(user)
        assert not self.other.needs_scrub()
        assert self.other.hash_of(user) in self.other.forgotten(after=before)
        assert self.other.forgotten(after=self.log.last_seq()) == set()
        assert self.other.export(user) == {"user": user, "events": [], "shown": []}

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = EventLog(self.path, create=False)

    @rule(limit=st.one_of(st.none(), st.integers(0, 4)), after=st.integers(0, 20))
    def pages(self, limit: int | None, after: int) -> None:
        assert typed(self.other.since(after, limit)) == typed([e for e in self.events if e.seq > after][:limit])
        assert typed(self.other.shown(after, limit)) == typed([row for row in self.shown if row.seq > after][:limit])

    @rule(user=IDS, limit=st.one_of(st.none(), st.integers(0, 4)), after=st.integers(0, 20))
    def person(self, user: Any, limit: int | None, after: int) -> None:
        own = [event for event in self.events if typed([event.user]) == typed([user])]
        late = [event for event in own if event.seq > after]
        late = late if limit is None else late[len(late) - min(limit, len(late)):]
        assert typed(self.other.of_user(user, limit, after)) == typed(late)
        assert typed(self.other.history(user, limit, after)) == typed((e.item, e.type, e.value, e.seq) for e in late)
        kept = self.other.export(user)
        assert typed(kept["events"]) == typed(event._asdict() for event in own)
        assert typed(kept["shown"]) == typed(row._asdict() for row in self.shown if typed([row.user]) == typed([user]))
        assert json.loads(json.dumps(kept)) == kept
        assert self.other.is_forgotten(user) is (typed([user]) in {typed([other]) for other in self.forgotten})

    @invariant()
    def same(self) -> None:
        assert typed(self.other.since(0)) == typed(self.events)
        assert self.other.count() == len(self.events)
        newest = [(event.user, event.item) for event in self.events] or [(None, id) for id, *_ in self.items.values()]
        assert typed(self.other.newest()) == typed([(None, None), *newest][-1])
        assert typed(self.other.shown()) == typed(self.shown)
        assert typed(item for _, item in self.other.items_since(0)) == typed(self.items.values())
        for item in self.items.values():
            assert typed([self.other.item(item.id)]) == typed([item])
        for name in (f"name-{i}" for i in range(12)):
            assert self.other.get(name) == self.state.get(name)
            found = [row for row in self.shown if row.request_id == name]
            assert typed([self.other.of_request(name)]) == typed(found or [None])
        state = self.other.state()
        assert state[1:] == (self.other.last_change(), self.other.generation(), self.epochs)
        assert state[1:] == (self.changes, self.generations, self.epochs)
        assert state.seq == self.other.last_seq() >= max((event.seq for event in self.events), default=0)
        assert all(now >= then for now, then in zip(state, self.seen_state, strict=True))
        self.seen_state = tuple(state)


TestModel = Model.TestCase
TestModel.settings = settings(stateful_step_count=20)

GOOD = Event("e", "u", "i", "click", None, 0.0, None)
LIST = Shown("r", 0.0, "u", "a", "m", ["i"], [1.0])
ITEM = Item("i", None, None, {}, None, True)
BAD_IDS = [None, True, 7.0, b"7", "", "x" * 256, "é" * 128, 2**63, -(2**63) - 1, "\ud800", (7,)]
BAD_NUMBERS = [math.nan, math.inf, -math.inf, "1", True, 10**400]


@pytest.fixture
def log(tmp_path: Path) -> Any:
    with EventLog(tmp_path / "log.db") as log:
        yield log


@pytest.mark.parametrize(("field", "bad"), [
    *((field, bad) for field in ("id", "user", "item", "type") for bad in BAD_IDS),
    *((field, 7) for field in ("id", "type", "request_id")), ("request_id", ""), ("request_id", "\udfff"),
    *((field, bad) for field in ("value", "time") for bad in BAD_NUMBERS), ("time", None),
])
def test_a_bad_event_is_named_and_none_is_kept(log: EventLog, field: str, bad: Any) -> None:
    with pytest.raises(DataError, match=f"event 2 of 2: {field} must"):
        log.append([GOOD, GOOD._replace(id="f")._replace(**{field: bad})])
    assert log.count() == log.last_seq() == 0


@pytest.mark.parametrize(("field", "bad"), [
    *(("user", bad) for bad in BAD_IDS[1:]), *(("items", [bad]) for bad in BAD_IDS), ("request_id", None),
    ("variant", 1), ("model", ""), ("time", math.nan), ("propensities", []), ("propensities", [0.0]),
    ("propensities", [1.5]), ("propensities", [math.nan]),
])
def test_a_bad_list_is_named_and_none_is_kept(log: EventLog, field: str, bad: Any) -> None:
    with pytest.raises(DataError, match=f"list 2 of 2: {field} must"):
        log.append_shown([LIST, LIST._replace(request_id="s")._replace(**{field: bad})])
    assert list(log.shown()) == []


@pytest.mark.parametrize(("field", "bad"), [
    *(("id", bad) for bad in BAD_IDS), ("title", 7), ("text", "\ud800"), ("image", b""), ("attributes", None),
    ("attributes", {1: []}), ("attributes", {"genre": "Drama"}), ("attributes", {"genre": [1]}), ("available", 1),
])
def test_a_bad_item_is_named_and_not_kept(log: EventLog, field: str, bad: Any) -> None:
    with pytest.raises(DataError, match=f"{field}.* must"):
        log.put_item(ITEM._replace(**{field: bad}))
    assert log.items_since(0) == []


def test_bad_questions_are_refused(log: EventLog) -> None:
    for asked in (lambda: log.of_user(True), lambda: log.of_user(1.0), lambda: log.forget(None), lambda: log.export(""),  # type: ignore[arg-type]
                  lambda: log.item(None), lambda: log.put("", "x"), lambda: log.put("k", "\ud800"),  # type: ignore[arg-type]
                  lambda: log.get(3), lambda: log.bump("k", None)):  # type: ignore[arg-type]
        with pytest.raises(DataError):
            asked()
    for limit in (-1, 1.5, True):
        with pytest.raises(ParameterError, match="limit must be None or an integer >= 0"):
            log.since(0, limit)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="EventLog: timeout must be"):
        EventLog(log.path, timeout=0)
    assert log.state() == (0, 0, 0, 0)


def test_order_is_that_of_arrival_when_the_clock_is_set_back(log: EventLog) -> None:
    for place, time in enumerate([1e9, 2e9, -5.0, 0.0]):
        log.append([GOOD._replace(id=str(place), time=time)])
    assert [event.id for event in log.of_user("u", 3)] == ["1", "2", "3"]
    assert [event.id for event in log.since(0)] == ["0", "1", "2", "3"]


def test_no_seq_is_given_twice(log: EventLog) -> None:
    """A reader that has followed up to the last event sees the next one also after that event was erased."""
    log.append([GOOD])
    followed = log.last_seq()
    log.forget("u")
    log.append([GOOD._replace(user="v")])
    assert [event.user for event in log.since(followed)] == ["v"]


def test_many_lists_come_in_pages(log: EventLog) -> None:
    log.append_shown([LIST._replace(request_id=str(i)) for i in range(2500)])
    assert [row.request_id for row in log.shown()] == [str(i) for i in range(2500)]
    assert [row.request_id for row in log.shown(after=10, limit=1500)] == [str(i) for i in range(10, 1510)]


def test_a_closed_log_says_so(log: EventLog) -> None:
    log.close()
    log.close()
    for asked in (log.state, lambda: log.append([GOOD])):
        with pytest.raises(LogError, match="closed"):
            asked()
    assert repr(log) == f"EventLog({str(log.path)!r})"


def test_a_log_that_another_process_begins_at_the_same_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made between two looks at the file, or not before both: never is it taken for another application's."""
    path, rows, looked = tmp_path / "log.db", Database.rows, False

    def interrupted(self: Database, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        nonlocal looked
        found = rows(self, query, values)
        if query == "PRAGMA application_id" and not looked:
            looked = True
            with contextlib.suppress(LogError), EventLog(path, timeout=.1):
                pass
        return found

    monkeypatch.setattr(Database, "rows", interrupted)
    with EventLog(path) as log:
        assert log.count() == 0
    assert looked
