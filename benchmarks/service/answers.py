"""Recommendations under load: at a fixed rate, while models are swapped, and as many as there can be."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import load
from benchmarks.load import Answer, Client, Outcome, percentiles, request
from benchmarks.service.bench import Bench
from benchmarks.service.checking import wrong
from benchmarks.service.place import Service, beside

__all__ = ["loaded", "open_loop", "reloads", "saturated"]

DIFFERENT = 5000  # histories, asked in turn
RATE, CALM = 500, 200  # requests a second: of the open loop, and beside reloads
RELOADS = 50
CONNECTIONS = 16


def open_loop(bench: Bench) -> dict[str, float]:
    """Histories of people whom training does not know, at a fixed rate."""
    histories = bench.histories(DIFFERENT)
    asked = asking(histories)
    with Service(bench.place("open"), bench.shop) as service, beside():
        load.run(_at_rate(service.port, asked, RATE, 500))
        outcomes = load.run(_at_rate(service.port, asked, RATE, round(RATE * bench.seconds)))
    model, version = loaded(bench.shop)
    return {"requests": len(outcomes), "wrong": wrong([each.value for each in outcomes], histories, {version: model}),
            **percentiles([each.latency for each in outcomes])}


def asking(histories: list[list[int]]) -> list[bytes]:
    """A request for each history."""
    return [request("POST", "/v1/recommend", {"history": history, "k": 10}) for history in histories]


def loaded(path: Path) -> tuple[Any, str]:
    """A model as the service has it, and its version."""
    from recsys.estimator import storing
    from recsys.serving.deployment import version_of

    return storing.load(path, mmap=True), version_of(path)


async def _at_rate(port: int, asked: list[bytes], rate: float, count: int) -> list[Outcome[Answer]]:
    client = Client(port)
    try:
        return await load.at_rate(rate, count, lambda number: client.ask(asked[number % len(asked)]))
    finally:
        client.close()


# ------------------------------------------------------------------------------------------- reloads
def reloads(bench: Bench) -> dict[str, float]:
    """Two models take turns in one file, one a second, while requests come; then a large file is loaded again."""
    histories = bench.histories(1000)
    asked = asking(histories)
    folder = bench.place("reloads")
    path = folder / "model.recsys"
    shutil.copy(bench.shop, path)
    with Service(folder, path) as service, beside():
        load.run(_at_rate(service.port, asked, CALM, 500))
        calm = load.run(_at_rate(service.port, asked, CALM, round(CALM * bench.within(15))))
        each = round(CALM * min(1.0, bench.seconds / 300))
        stirred, failed = load.run(_while_reloading(service.port, asked, path, [bench.other_shop, bench.shop], each))
    models = {version: model for model, version in map(loaded, (bench.shop, bench.other_shop))}
    usual = percentiles([each.latency for each in calm])["p99_ms"]
    now = percentiles([each.latency for each in stirred])["p99_ms"]
    return {"reloads": RELOADS, "refused": failed, "requests": len(stirred),
            "failed": sum(each.value.status != 200 for each in stirred),
            "wrong": wrong([each.value for each in stirred], histories, models),
            "p99_ms": now, "calm_p99_ms": usual, "p99_ratio": now / usual, **_large(bench)}


async def _while_reloading(port: int, asked: list[bytes], path: Path, models: list[Path], each: int
                           ) -> tuple[list[Outcome[Answer]], int]:
    """What came of requests, `each` of them beside each of the reloads, and how many of these were refused."""
    client = Client(port)
    found: list[Outcome[Answer]] = []
    failed = 0
    for number in range(RELOADS):
        made = path.with_suffix(".new")
        shutil.copy(models[number % 2], made)
        os.replace(made, path)
        again = request("POST", "/v1/reload", {"verify": number % 4 < 2})
        start = len(found)

        async def ask(place: int, start: int = start) -> Answer:
            return await client.ask(asked[(start + place) % len(asked)])

        part, answer = await asyncio.gather(load.at_rate(CALM, each, ask), client.ask(again))
        found += part
        failed += answer.status != 200
    client.close()
    return found, failed


def _large(bench: Bench) -> dict[str, float]:
    """Seconds until a file of about 1 GB is loaded again: mapped alone, and compared with its checksums."""
    gigabytes = bench.large.stat().st_size / 1e9
    taken: dict[bool, list[float]] = {False: [], True: []}
    with Service(bench.place("large"), bench.large, pinned=False) as service:
        for verify in (False, True, False, True, False):
            status, answer = service.ask("POST", "/v1/reload", {"verify": verify})
            if status != 200:
                raise RuntimeError(f"the service did not load {bench.large} again: {answer}")
            taken[verify].append(answer["seconds"])
    return {"unhashed_ms": 1000 * float(np.median(taken[False])), "gigabytes": gigabytes,
            "hashed_s_per_gb": float(np.median(taken[True])) / gigabytes}


# ---------------------------------------------------------------------------------------- saturation
def saturated(service: Service, asked: list[bytes], seconds: float) -> tuple[dict[str, float], list[Answer]]:
    """As many answers as one core gives, and its CPU for each."""
    count = 16 * CONNECTIONS
    begun = time.perf_counter()
    load.run(_at_once(service.port, asked, count))
    count = max(count, round(seconds * count / (time.perf_counter() - begun)))
    busy, begun = service.cpu_seconds(), time.perf_counter()
    answers = load.run(_at_once(service.port, asked, count))
    took = time.perf_counter() - begun
    return {"requests": count, "rate": count / took, "cpu_us": 1e6 * (service.cpu_seconds() - busy) / count}, answers


async def _at_once(port: int, asked: list[bytes], count: int) -> list[Answer]:
    client = Client(port, CONNECTIONS)
    try:
        return await load.at_once(CONNECTIONS, count, lambda number: client.ask(asked[number % len(asked)]))
    finally:
        client.close()
