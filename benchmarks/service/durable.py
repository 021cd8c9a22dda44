"""How fast events become durable, and how fast a person's last ones are read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import load
from benchmarks.datasets import SEED
from benchmarks.load import Answer, Client, request
from benchmarks.service.bench import EACH, Bench, fill
from benchmarks.service.place import Service, beside

__all__ = ["durable_events", "last_events"]

BATCH = 100
SYNCS = 500


def durable_events(bench: Bench) -> dict[str, float]:
    """Events one by one on one connection and on eight, then in batches into a log that holds two million."""
    seconds = bench.within(10)
    found = fsync(bench.folder)
    with Service(bench.place("events"), bench.shop) as service, beside():
        found |= {"one_by_one": _rate(service, 1, 1, seconds), "on_eight": _rate(service, 8, 1, seconds)}
    log = bench.log
    fill(log, 1_000_000, bench.events.items.ids, start=1_000_000)
    with Service(log.parent, bench.shop) as service, beside():
        found["in_batches"] = _rate(service, 4, BATCH, seconds)
        found["rows"] = 2_000_000
    del bench.log  # it has other rows now
    return found


def fsync(folder: Path) -> dict[str, float]:
    """What the disk takes to make 4 KB durable."""
    path, taken = folder / "synced", []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(4096))
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin)
    path.unlink()
    return {"fdatasync_p50_ms": 1000 * float(np.median(taken)),
            "fdatasync_p99_ms": 1000 * float(np.percentile(taken, 99))}


def _rate(service: Service, connections: int, batch: int, seconds: float) -> float:
    """New events a second, each in the log when it was answered."""
    random = np.random.default_rng(SEED)
    asked = [request("POST", "/v1/events", {"events": [
        {"user": int(user), "item": int(item), "type": "click"} for user, item in random.integers(1, 20_000, (batch, 2))
    ]}) for _ in range(200)]
    before = _count(service)
    answers, took = load.run(_for(service.port, asked, connections, seconds))
    accepted = sum(json.loads(each.body)["accepted"] for each in answers if each.status == 200)
    if accepted != batch * len(answers) or _count(service) - before != accepted:
        raise RuntimeError(f"{batch * len(answers):,} events were sent, {accepted:,} acknowledged, and the log has "
                           f"{_count(service) - before:,} more")
    return accepted / took


def _count(service: Service) -> int:
    return int(service.ask("GET", "/v1/stats")[1]["events"]["total"])


async def _for(port: int, asked: Sequence[bytes], connections: int, seconds: float) -> tuple[list[Answer], float]:
    """Answers of some seconds, and the seconds."""
    client, answers = Client(port, connections), []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        answers += await load.at_once(connections, 20 * connections, lambda number: client.ask(asked[number % 200]))
    took = time.perf_counter() - begun
    client.close()
    return answers, took


def last_events(bench: Bench) -> dict[str, float]:
    """A person's last 50 events out of a million, as an answer reads them, which leaves out what it does not need."""
    from recsys.events import EventLog

    random, taken = np.random.default_rng(SEED), []
    with EventLog(bench.log) as log:
        rows = log.count()
        for user in random.integers(0, rows // EACH, 5000).tolist():
            begin = time.perf_counter()
            events = log.history(user, 50)
            taken.append(time.perf_counter() - begin)
            if events != [(event.item, event.type, event.value, event.seq) for event in log.of_user(user)]:
                raise RuntimeError(f"user {user} has {len(events)} events in the log, and {EACH} were written")
    return {"rows": rows, "p50_us": 1e6 * float(np.median(taken)), "p99_us": 1e6 * float(np.percentile(taken, 99))}
