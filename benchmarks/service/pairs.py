"""Whether an answer knows every event that was acknowledged before it was asked for, while workers are killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.datasets import SEED
from benchmarks.load import Answer, Client, Outcome, percentiles, request
from benchmarks.service.answers import loaded
from benchmarks.service.bench import Bench
from benchmarks.service.checking import answered, direct
from benchmarks.service.place import Service, beside

__all__ = ["event_then_recommend"]

RATE = 300  # pairs a second
PEOPLE = 2000
KILLS = 20
MOST = 60.0  # seconds: a worker dies every three


@dataclass(frozen=True)
class Pair:
    """A click, and the list that was asked for once it had been acknowledged."""

    user: int
    item: int
    id: str
    acknowledged: Answer
    listed: Answer


def event_then_recommend(bench: Bench) -> dict[str, float]:
    """People, of whom training knows half, click, and ask as soon as the click is acknowledged."""
    seconds = bench.within(MOST)
    count, kills = round(RATE * seconds), max(1, round(KILLS * seconds / MOST))
    random = np.random.default_rng(SEED)
    ids, items = bench.events.users.ids, bench.events.items.ids
    known = random.permutation(ids)[:PEOPLE // 2].tolist()
    people = [*known, *range(int(ids.max()) + 1, int(ids.max()) + 1 + PEOPLE // 2)]
    clicks = items[random.integers(0, len(items), count)].tolist()
    with Service(bench.place("pairs"), bench.shop, workers=2, pinned=False) as service, beside():
        outcomes, killed = load.run(_asked(service, people, clicks, kills))
        log = service.log
    pairs = [each.value for each in outcomes]
    calm = [each.latency for each in outcomes
            if not any(begin <= each.done and each.due <= end for begin, end in killed)]
    return {"pairs": len(pairs), "kills": len(killed), "stale": _stale(bench, pairs), "lost": _lost(log, pairs),
            "pairs_outside": len(calm), **percentiles(calm)}


async def _asked(service: Service, people: Sequence[int], clicks: Sequence[int], kills: int
                 ) -> tuple[list[Outcome[Pair]], list[tuple[float, float]]]:
    client = Client(service.port)
    turns = {user: asyncio.Lock() for user in people}  # one click of a person at a time: what is known is certain

    async def pair(number: int) -> Pair:
        user, item, id = people[number % len(people)], clicks[number], f"click-{number}"
        async with turns[user]:
            event = {"id": id, "user": user, "item": item, "type": "click"}
            acknowledged = await client.ask_until_answered(request("POST", "/v1/events", {"events": [event]}))
            listed = await client.ask_until_answered(request("POST", "/v1/recommend", {"user": user}))
        return Pair(user, item, id, acknowledged, listed)

    await load.at_rate(50, 100, lambda number: client.ask(request("POST", "/v1/recommend", {"user": people[number]})))
    killer = asyncio.create_task(_kill(service, kills, len(clicks) / RATE))
    outcomes = await load.at_rate(RATE, len(clicks), pair)
    killed = await killer
    client.close()
    return outcomes, killed


async def _kill(service: Service, kills: int, seconds: float) -> list[tuple[float, float]]:
    """Kill a worker every so often; from when to when there was one too few."""
    loop, random = asyncio.get_running_loop(), np.random.default_rng(SEED)
    start, killed = loop.time(), []
    for number in range(kills):
        await asyncio.sleep(max(0, start + seconds * (number + .5) / (kills + .5) - loop.time()))
        victim = int(random.choice(service.workers()))
        begin = loop.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        while victim in (now := service.workers()) or len(now) < 2 or len(service.ready_workers()) < 2:
            await asyncio.sleep(.05)
        killed.append((begin, loop.time()))
    return killed


def _stale(bench: Bench, pairs: Sequence[Pair]) -> int:
    """Lists that are not the model's for what the person had in training and clicked until then."""
    model, _ = loaded(bench.shop)
    rows, numbers, ids = bench.events.csr.unique(), bench.events.users, bench.events.items.ids
    held: dict[int, list[Any]] = {}
    count = 0
    for pair in pairs:
        if pair.user not in held:
            number = int(numbers.encode([pair.user], "skip")[0])
            held[pair.user] = [] if number < 0 else ids[rows.row(number)[0]].tolist()
        held[pair.user].append(pair.item)
        count += answered(pair.listed) != direct(model, held[pair.user])
    return count


def _lost(path: Any, pairs: Sequence[Pair]) -> int:
    """Clicks that were acknowledged and are not in the log, or are there otherwise or twice."""
    from recsys.events import EventLog

    with EventLog(path) as log:
        kept: dict[str, list[tuple[Any, Any]]] = {}
        for event in log.since(0):
            kept.setdefault(event.id, []).append((event.user, event.item))
    return sum(pair.acknowledged.status != 200 or kept.get(pair.id) != [(pair.user, pair.item)] for pair in pairs)
