"""Any worker answers with any event that was acknowledged before, while workers are killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.recsys.serving.service import (  # isort: skip
    DEEP, Checker, Client, InProcess, Running, event, history, serving, settings_of)

from recsys.serving import supervising
from recsys.serving.deployment import version_of
from recsys.serving.people import People

PAIRS, KILLS, THREADS = (10_000, 20, 8) if DEEP else (240, 3, 4)


@pytest.fixture(scope="module")
def service(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """EASE, two workers."""
    folder = tmp_path_factory.mktemp("live")
    with serving(models["EASE"].path, "--workers", 2, "--events", folder / "log.db", folder=folder) as running:
        yield running


def checker_of(*made: Any) -> Checker:
    """Compares answers with those of some models."""
    return Checker({version_of(one.path): one.fitted for one in made}, made[0].data)


class Person:
    """Somebody who does one thing after the other, and asks in between; each event is sent until it is acknowledged."""

    def __init__(self, client: Any, checker: Checker, user: str, items: list[str], seed: int) -> None:
        self._client, self._checker, self._items = client, checker, items
        self._rng = random.Random(seed)
        self.user, self.done, self.sent = user, [], []

    def pair(self) -> None:
        """Do something, and ask."""
        item, id = self._rng.choice(self._items), f"{self.user}/{len(self.done)}"
        status, said = self._client("POST", "/v1/events", {"events": [event(self.user, item, id=id)]}, {})
        assert status == 200, said
        assert said["accepted"] + said["duplicates"] == 1
        self.done.append(item)
        self.sent.append(id)
        request = f"r-{self._rng.getrandbits(60)}"
        status, said = self._client("POST", "/v1/recommend", {"user": self.user}, {"x-request-id": request})
        assert status == 200, said
        self._checker.check(said, request, self.user, self.done)

    def account(self) -> None:
        """All that was acknowledged is kept, once each, in order."""
        status, said = self._client("GET", f"/v1/users/{self.user}", None, {})
        assert status == 200, said
        assert [each["id"] for each in said["events"]] == self.sent
        assert [each["item"] for each in said["events"]] == self.done


def test_none_stale_and_none_lost_while_workers_are_killed(models: Any, service: Running) -> None:
    made, count, lock = models["EASE"], iter(range(1, PAIRS + 1)), threading.Lock()
    checker, ids = checker_of(made), made.fitted.items.ids.tolist()
    deadly = {round((place + .5) * PAIRS / KILLS) for place in range(KILLS)}
    killed = []

    def live(thread: int) -> list[Person]:
        client = Client(service)
        users = [f"live-{thread}-{number}" for number in range(3)] + [f"user {50 + thread:03d}"]
        people = [Person(client.insist, checker, user, ids, place) for place, user in enumerate(users)]
        while True:
            with lock:
                number = next(count, None)
            if number is None:
                return people
            if number in deadly:
                with lock:
                    service.until(service.workers)
                    victim = random.choice(service.workers())
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
            people[number % len(people)].pair()

    with ThreadPoolExecutor(THREADS) as pool:
        lived = [person for people in pool.map(live, range(THREADS)) for person in people]
    client = Client(service)
    for person in lived:
        person._client = client.insist
        person.account()
    assert sum(len(person.done) for person in lived) == PAIRS
    assert len(killed) == KILLS
    service.until(lambda: len(service.workers()) == 2)


def test_each_worker_knows_what_another_acknowledged(models: Any, service: Running) -> None:
    """Connections are spread over the workers; an event goes by one, questions by all others."""
    clients = [Client(service) for _ in range(8)]
    checker, done = checker_of(models["EASE"]), []
    for place, item in enumerate(models["EASE"].fitted.items.ids[20:36].tolist()):
        assert clients[place % 8].insist("POST", "/v1/events", {"events": [event("spread", item)]})[0] == 200
        done.append(item)
        for number, client in enumerate(clients):
            _, said = client.insist("POST", "/v1/recommend", {"user": "spread"}, {"x-request-id": f"s{number}"})
            checker.check(said, f"s{number}", "spread", done)


def test_counters_go_on_where_a_killed_worker_left_them(service: Running) -> None:
    def asked() -> float:
        return Client(service).insist("GET", "/v1/stats")[1]["requests"].get("/v1/similar", 0)

    before = asked()
    client = Client(service)
    for _ in range(20):
        assert client.insist("POST", "/v1/similar", {"item": "item 001"})[0] == 200
    service.until(lambda: asked() == before + 20)
    for pid in service.workers():
        os.kill(pid, signal.SIGKILL)
    service.until(lambda: len(service.workers()) == 2 and Client(service).ask("GET", "/readyz")[0] == 200)
    assert asked() == before + 20


def test_a_worker_that_dies_as_it_starts_is_started_again(models: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its death breaks the pipe by which it is told what to do; that must not end the service."""
    monkeypatch.setattr(supervising.time, "sleep", lambda _: None)
    supervisor = supervising.Supervisor(settings_of(models["Popular"].path, Path()), "127.0.0.1", 0, 1, print)
    dead, alive = SimpleNamespace(exitcode=-9), SimpleNamespace(exitcode=None)
    starts = iter((BrokenPipeError(), BlockingIOError(), alive))

    def start(slot: int) -> Any:
        found = next(starts)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(supervisor, "_start", start)
    supervisor._workers, supervisor._begun = [dead], [0.0]
    for _ in range(4):
        supervisor._revive()
    assert supervisor._workers == [alive]
    supervisor.socket.close()
    shutil.rmtree(supervisor.folder)


# ------------------------------------------------------------------------------------- checks of the check

def test_the_check_finds_a_stale_cache(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker, ids = checker_of(models["EASE"]), models["EASE"].fitted.items.ids.tolist()
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
        person = Person(service.ask, checker, "someone", ids, 0)
        for _ in range(3):
            person.pair()
        monkeypatch.setattr(People, "follow", lambda *_: None)
        with pytest.raises(AssertionError):
            person.pair()


def test_the_check_finds_a_lost_event(models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checker, ids = checker_of(models["EASE"]), models["EASE"].fitted.items.ids.tolist()
    with InProcess(settings_of(models["EASE"].path, tmp_path)) as service:
        person = Person(service.ask, checker, "someone", ids, 0)
        person.pair()

        async def forgets(events: Any) -> int:
            return len(events)

        monkeypatch.setattr(service.app.handlers, "append", forgets)
        with pytest.raises(AssertionError):
            person.pair()
        person.sent.append("someone/1")
        with pytest.raises(AssertionError):
            person.account()


def test_the_check_finds_doctored_answers(models: Any, tmp_path: Path) -> None:
    """An id or two swapped, the answer to another request, of another person, of another version."""
    ease, knn = models["EASE"], models["ItemKNN"]
    checker = checker_of(ease, knn)
    with InProcess(settings_of(ease.path, tmp_path)) as service:
        _, good = service.ask("POST", "/v1/recommend", {"user": "user 001"}, {"x-request-id": "r1"})
        _, other = service.ask("POST", "/v1/recommend", {"user": "user 002"}, {"x-request-id": "r1"})
    checker.check(good, "r1", "user 001", [])
    entries = good["items"]
    swapped = [{**entries[0], "id": entries[1]["id"]}, {**entries[1], "id": entries[0]["id"]}, *entries[2:]]
    unseen = next(item for item in ease.fitted.items.ids.tolist()
                  if item not in [each["id"] for each in entries] + history(ease.data, "user 001")[0])
    wrong = [{**good, "items": swapped}, {**good, "items": [*entries[:-1], {**entries[-1], "id": unseen}]},
             {**good, "items": entries[:-1]}, {**good, "items": entries[::-1]}, {**good, "request_id": "r2"}, other,
             {**good, "model": {**good["model"], "version": version_of(knn.path)}},
             {**good, "model": {**good["model"], "version": "0" * 12}},
             {**good, "items": [{**entries[0], "score": entries[0]["score"] * 1.001}, *entries[1:]]}]
    for doctored in wrong:
        with pytest.raises(AssertionError):
            checker.check(doctored, "r1", "user 001", [])


def test_a_killed_supervisor_leaves_no_orphan(models: Any, tmp_path: Path) -> None:
    with serving(models["Popular"].path, "--workers", 2, folder=tmp_path) as service:
        workers = service.workers()
        assert len(workers) == 2
        os.kill(service.process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while any(_runs(pid) for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
