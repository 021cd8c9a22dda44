"""Learning again beside the service: a process of its own, whose model all workers take if it is not found worse."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.recsys.serving.service import Client, Running  # isort: skip

from recsys.cli import main
from recsys.events import Event, EventLog
from recsys.serving.learning import Learning

ECHO = ("-c", "print()")


def pairs(people: Sequence[int], first: int) -> list[tuple[int, int]]:
    """Everybody has three items that go together: 3 n, 3 n + 1, 3 n + 2."""
    return [(person, first + 3 * (person % 5) + place) for person in people for place in range(3)]


def test_a_better_model_is_learned_from_the_log_and_taken_by_all_workers(tmp_path: Path) -> None:
    data, model, log = (tmp_path / name for name in ("data.csv", "model.recsys", "log.db"))
    with open(data, "w", newline="") as file:
        csv.writer(file).writerows([("user", "item"), *pairs(range(100), 0)])
    assert main(["train", "--data", str(data), "--model", "ItemKNN", "--out", str(model)]) == 0
    running = Running(model, "--events", log, "--data", data, "--retrain", "events=1000", "--workers", "2",
                      folder=tmp_path)
    try:
        clients = [Client(running) for _ in range(4)]
        before = {client.ask("GET", "/v1/model")[1]["variants"][0]["version"] for client in clients}
        assert len(before) == 1
        events = [{"id": f"e{place}", "user": user, "item": item, "type": "click"}  # of new people and new items
                  for place, (user, item) in enumerate(pairs(range(1000, 1400), 1000))]
        for start in range(0, len(events), 300):
            assert clients[0].ask("POST", "/v1/events", {"events": events[start:start + 300]})[0] == 200

        def learned() -> bool:
            found = [client.ask("GET", "/v1/model")[1]["variants"][0] for client in clients]
            return all(each["version"] not in before and each["learned_to"] == 1200 for each in found)

        running.until(learned, timeout=60)
        _, answer = clients[1].ask("POST", "/v1/recommend", {"history": [1003], "k": 2})
        assert {each["id"] for each in answer["items"]} == {1004, 1005}
    finally:
        running.kill()


@pytest.mark.parametrize(("new", "begins"), [(9, False), (10, True)])
def test_it_begins_after_so_many_new_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: int,
                                            begins: bool) -> None:
    said: list[str] = []
    monkeypatch.setattr("recsys.serving.learning.sys.executable", "true")
    with EventLog(tmp_path / "log.db") as log:
        log.append([Event(f"e{place}", 1, 1, "click", None, 0.0, None) for place in range(5 + new)])
    learning = Learning(ECHO, str(tmp_path / "log.db"), learned_to=5, events=10)
    learning._looked = time.monotonic() - 10
    learning.look(said.append)
    assert bool(said) == begins
    learning.stop()
