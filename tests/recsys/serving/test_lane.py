"""The thread that takes what has queued: each request gets its own result, none is lost, and too many are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.recsys.serving.service  # noqa: F401 - skips this module where the extra is missing
from recsys.serving.lane import Lane
from recsys.serving.problems import Problem


def run(body: Callable[[], Any]) -> Any:
    """Run a coroutine function, but not for ever."""
    return asyncio.run(asyncio.wait_for(body(), 30))


@given(st.lists(st.integers(-5, 5), max_size=200), st.integers(1, 70))
def test_everybody_gets_their_own_result_in_batches_that_are_not_too_large(requests: list[int], batch: int) -> None:
    sizes: list[int] = []

    def work(taken: Sequence[int]) -> list[Any]:
        sizes.append(len(taken))
        return [ValueError(str(one)) if one < 0 else 10 * one for one in taken]

    async def body() -> list[Any]:
        lane: Lane[int] = Lane("test", work, most=1000, batch=batch)
        lane.open()
        found = await asyncio.gather(*map(lane.put, requests), return_exceptions=True)
        assert lane.waiting == 0
        await lane.close()
        return found

    for request, result in zip(requests, run(body), strict=True):
        assert str(result) == str(request) if request < 0 else result == 10 * request
    assert sum(sizes) == len(requests)
    assert max(sizes, default=0) <= batch


def test_what_queues_while_a_batch_runs_is_the_next_batch() -> None:
    begun, released, batches = threading.Event(), threading.Event(), []

    def work(taken: Sequence[int]) -> Sequence[int]:
        batches.append([*taken])
        begun.set()
        released.wait(20)
        return taken

    async def body() -> None:
        lane: Lane[int] = Lane("test", work, most=5)
        lane.open()
        futures = [lane.put(0)]
        await asyncio.to_thread(begun.wait, 20)
        futures += [lane.put(number) for number in range(1, 5)]
        with pytest.raises(Problem, match="5 requests are waiting"):
            lane.put(5)
        futures[2].cancel()  # who goes away is not waited for
        released.set()
        await asyncio.gather(*futures, return_exceptions=True)
        await lane.close()
        assert lane.waiting == 0

    run(body)
    assert batches == [[0], [1, 2, 3, 4]]


def test_a_failure_of_a_batch_is_everybodys_and_the_thread_goes_on() -> None:
    def work(taken: Sequence[int]) -> Sequence[int]:
        if 0 in taken:
            raise ZeroDivisionError
        return taken

    async def body() -> None:
        lane: Lane[int] = Lane("test", work, most=5)
        lane.open()
        with pytest.raises(ZeroDivisionError):
            await lane.put(0)
        assert await lane.put(1) == 1
        await lane.close()

    run(body)


def test_what_is_posted_is_done_and_closing_works_off_the_rest() -> None:
    done: list[int] = []
    ends: list[str] = []

    def work(taken: Sequence[int]) -> list[None]:
        done.extend(taken)
        return [None] * len(taken)

    async def body() -> None:
        lane: Lane[int] = Lane("test", work, most=1, start=lambda: ends.append("start"),
                               stop=lambda: ends.append("stop"))
        with pytest.raises(RuntimeError):
            lane.put(0)
        lane.open()
        for number in range(100):
            lane.post(number)
        await lane.close()

    run(body)
    assert done == [*range(100)]
    assert ends == ["start", "stop"]
