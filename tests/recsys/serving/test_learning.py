"""Learning again beside the service: a process of its own, whose model all workers take if it is not found worse."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recsys.serving.service import Client, Running  # isort: skip

from recsys.cli import main
from recsys.events import Event, EventLog
from recsys.retraining import LEAST, least_events
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

        running.until(learned, timeout=180)
        _, answer = clients[1].ask("POST", "/v1/recommend", {"history": [1003], "k": 2})
        assert {each["id"] for each in answer["items"]} == {1004, 1005}
    finally:
        running.kill()


@pytest.mark.parametrize(("when", "new", "says"), [
    ({"events": 10}, 9, ""), ({"events": 10}, 10, "Learning again."),
    ({"events": 10, "least": 16}, 10, "waits: the log has 15 of the 16 events"),
    ({"events": 10, "least": 16}, 11, "Learning again."),
    ({"every": 3600.0}, 10, ""), ({"every": 1e-9}, 0, "Learning again."), ({"every": 1e-9, "least": 6}, 0, "waits")])
def test_it_begins_when_it_is_due_and_the_log_is_long_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                             when: dict[str, Any], new: int, says: str) -> None:
    said: list[str] = []
    monkeypatch.setattr("recsys.serving.learning.sys.executable", "true")
    with EventLog(tmp_path / "log.db") as log:
        log.append([Event(f"e{place}", 1, 1, "click", None, 0.0, None) for place in range(5 + new)])
    learning = Learning(ECHO, str(tmp_path / "log.db"), learned_to=5, **when)
    for _ in range(2 if "waits" in says else 1):  # that it waits is said once
        learning._looked = time.monotonic() - 10
        learning.look(said.append)
    learning.stop()
    assert len(said) == (1 if says else 0)
    assert says in "".join(said)


@pytest.mark.parametrize(("text", "said"), [
    ("every=0h", "--retrain every=0h: give a time above 0, such as every=6h (s, m, h, d), or events=10000."),
    ("every=0", "--retrain every=0: give a time above 0, such as every=6h (s, m, h, d), or events=10000."),
    ("events=99", "--retrain events=99: give events=100 or more; of fewer new ones too few are held out to compare "
                  "two models."),
    ("events=0", "--retrain events=0: give events=100 or more"), ("often", "--retrain often: give a time above 0")])
def test_what_could_never_learn_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str,
                                           said: str) -> None:
    arguments = ["--data", "data.csv", "--events", str(tmp_path / "log.db"), "--retrain", text]
    assert main(["serve", "model.recsys", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_the_log_that_is_waited_for_is_the_shortest_of_which_enough_is_held_out() -> None:
    assert np.ceil(0.1 * least_events(0.1)) == LEAST > np.ceil(0.1 * (least_events(0.1) - 1))
