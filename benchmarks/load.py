"""A client that is cheap, and sends at a fixed rate whatever the answers do.

A client that waits for an answer before it sends the next request stops asking just when the service is slow, and so
does not see it (coordinated omission). Here a request is due at its place in time, and its latency counts from then.
"""

from __future__ import annotations

import asyncio
import gc
import json
import selectors
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine with timers that are exact to microseconds, and without pauses of the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            return runner.run(work)  # epoll has timers of whole milliseconds
    finally:
        gc.enable()
        gc.unfreeze()


def request(method: str, path: str, body: Any = None) -> bytes:
    """The bytes of a request."""
    raw = b"" if body is None else json.dumps(body).encode()
    return (f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(raw)}\r\n\r\n").encode() + raw


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._read = b""
        self.closed = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, raw: bytes) -> asyncio.Future[Answer]:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._read += data
        head = self._read.find(b"\r\n\r\n")
        if head < 0:
            return
        place = self._read.find(b"content-length: ", 0, head) + 16
        end = head + 4 + int(self._read[place:self._read.index(b"\r", place)])
        if len(self._read) >= end and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            answer, self._read = Answer(int(self._read[9:12]), self._read[head + 4:end]), self._read[end:]
            if not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the service closed the connection"))

    def close(self) -> None:
        self._transport.close()


class Client:
    """Keep-alive connections, which are opened as they are needed.

    Parameters
    ----------
    port : int
    most : int
        Connections; who needs another one waits for one that is free.
    """

    def __init__(self, port: int, most: int = 64) -> None:
        self._port, self._free, self._room = port, deque[_Connection](), asyncio.Semaphore(most)

    async def ask(self, raw: bytes, timeout: float = 30.0) -> Answer:
        """The answer to a request; OSError if there is no connection, or it breaks first."""
        async with self._room:
            connection = await self._take()
            try:
                answer = await asyncio.wait_for(connection.ask(raw), timeout)
            except BaseException:
                connection.close()
                raise
            self._free.append(connection)
            return answer

    async def ask_until_answered(self, raw: bytes, seconds: float = 30.0) -> Answer:
        """The answer to a request that may be sent again, whatever breaks meanwhile."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            try:
                answer = await self.ask(raw)
                if answer.status != 503:
                    return answer
            except OSError:
                if loop.time() > deadline:
                    raise
            if loop.time() > deadline:
                return answer
            await asyncio.sleep(.005)

    async def _take(self) -> _Connection:
        while self._free:
            connection = self._free.popleft()  # the one used longest ago: all workers are asked
            if not connection.closed:
                return connection
        _, made = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self._port)
        return made

    def close(self) -> None:
        """Close what is open."""
        for connection in self._free:
            connection.close()
        self._free.clear()


@dataclass(slots=True)
class Outcome(Generic[T]):
    """What came of a request: when it was due, and when it was done, in seconds of one clock."""

    due: float
    done: float
    value: T

    @property
    def latency(self) -> float:
        """Seconds since it was due."""
        return self.done - self.due


async def at_rate(rate: float, count: int, act: Callable[[int], Awaitable[T]]) -> list[Outcome[T]]:
    """Begin `act(0)`, `act(1)`, ... so many a second, whether or not earlier ones have ended.

    Parameters
    ----------
    rate : float
        A second.
    count : int
    act : callable
        An exception of one is raised when all have ended.
    """
    loop = asyncio.get_running_loop()
    start = loop.time() + .05

    async def one(number: int, due: float) -> Outcome[T]:
        value = await act(number)
        return Outcome(due, loop.time(), value)

    tasks = []
    for number in range(count):
        due = start + number / rate
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        tasks.append(loop.create_task(one(number, due)))
    return await asyncio.gather(*tasks)


async def at_once(connections: int, count: int, act: Callable[[int], Awaitable[T]]) -> list[T]:
    """As many answers as there can be: each of some askers asks again as soon as it has its answer."""
    found: list[Any] = [None] * count
    numbers = iter(range(count))

    async def asker() -> None:
        for number in numbers:
            found[number] = await act(number)

    await asyncio.gather(*(asker() for _ in range(connections)))
    return found


def percentiles(latencies: Any) -> dict[str, float]:
    """The 50th, 99th and 99.9th, and the largest: milliseconds."""
    values = np.asarray(latencies, np.float64) * 1000
    return {"p50_ms": float(np.percentile(values, 50)), "p99_ms": float(np.percentile(values, 99)),
            "p999_ms": float(np.percentile(values, 99.9)), "max_ms": float(values.max())}
