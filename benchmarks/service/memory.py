"""What a large model takes in memory that workers share, and how long it takes until there is an answer."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import load
from benchmarks.datasets import MADE, SEED
from benchmarks.load import Answer, Client, request
from benchmarks.service.bench import BIG_ITEMS, BIG_USERS, Bench
from benchmarks.service.place import Service

__all__ = ["sharing"]

WORKERS = 4


def sharing(bench: Bench) -> dict[str, Any]:
    """A model file of about 1 GB in four workers, all of which have answered; then a small one, from nothing."""
    size = bench.large.stat().st_size / 1e9
    with Service(bench.place("first"), bench.large, workers=WORKERS, pinned=False):
        pass  # the first start on a machine compiles, and reads the file from the disk
    with Service(bench.place("sharing"), bench.large, workers=WORKERS, pinned=False) as service:
        ready = service.seconds_to_ready
        failed = sum(answer.status != 200 for answer in load.run(_all_workers(service)))
        memory = service.proportional_bytes() / 1e9
    made = {"name": MADE, "seed": SEED, "sizes": {"users": BIG_USERS, "items": BIG_ITEMS}}
    return {"data": made, "gigabytes": size, "workers": WORKERS, "memory_gb": memory, "over_gb": memory - size,
            "ready_s": ready, "failed": failed, "first_answer_s": min(_first_answer(bench) for _ in range(3))}


async def _all_workers(service: Service) -> list[Answer]:
    """Answers of all workers to people of training and to histories, which touch the whole model."""
    client = Client(service.port, 64)
    asked = [request("POST", "/v1/recommend", {"user": 1 + 997 * number} if number % 2 else
                     {"history": [number, 5 * number + 1], "where": {}}) for number in range(500)]
    try:
        return await load.at_once(64, len(asked), lambda number: client.ask(asked[number]))
    finally:
        client.close()


def _first_answer(bench: Bench) -> float:
    """Seconds from the start of a process to its first answer."""
    with Service(bench.place("cold"), bench.shop, pinned=False) as service:
        status, _ = service.ask("POST", "/v1/recommend", {"history": bench.histories(1)[0]})
        took = time.perf_counter() - service.began
    if status != 200:
        raise RuntimeError(f"the first request was answered with {status}")
    return took
