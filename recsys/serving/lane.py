"""A thread that takes whatever has queued and works on it in one pass."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from recsys.serving.problems import Problem

__all__ = ["Lane"]

_LOG = logging.getLogger("recsys.serving")

T = TypeVar("T")
Waiting = tuple[Any, "asyncio.Future[Any] | None", float]


class Lane(Generic[T]):
    """Work that is done beside the event loop, by one thread, in batches of what has queued while the last batch ran.

    There is no timer: a request that comes alone is worked on at once.

    Parameters
    ----------
    name : str
        Of the thread.
    work : callable
        `work(batch) -> results`, one for each of the batch, in its order; an exception among the results, or raised, is
        that of the request, or of all.
    most : int
        Requests that may wait; more are refused.
    batch : int
        How many are worked on at once.
    timeout : float
        Seconds after which a request is refused that was not begun.
    start, stop : callable, optional
        Called in the thread, before its first batch and after its last.
    """

    def __init__(self, name: str, work: Callable[[Sequence[T]], Sequence[Any]], *, most: int, batch: int = 64,
                 timeout: float = 5.0, start: Callable[[], None] | None = None,
                 stop: Callable[[], None] | None = None) -> None:
        self._work, self._most, self._batch, self._timeout = work, most, batch, timeout
        self._start, self._stop = start, stop
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.waiting = 0

    def open(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Work off what has queued, and end."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def put(self, request: T) -> asyncio.Future[Any]:
        """Have a request worked on.

        Raises
        ------
        Problem
            503, with `Retry-After`, if too many wait.
        """
        if self._loop is None:
            raise RuntimeError("a lane is opened before anything is put on it")
        if self.waiting >= self._most:
            raise Problem.busy(f"{self.waiting} requests are waiting already")
        self.waiting += 1
        future = self._loop.create_future()
        self._queue.put((request, future, time.monotonic() + self._timeout))
        return future

    def post(self, request: T) -> None:
        """Have a request worked on that nobody waits for; from any thread."""
        self._queue.put((request, None, float("inf")))

    # -------------------------------------------------------------------------------- in the thread
    def _run(self) -> None:
        if self._start is not None:
            self._start()
        while (first := self._queue.get()) is not None:
            taken, ends = [first], False
            while len(taken) < self._batch and not ends:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                ends = more is None
                if more is not None:
                    taken.append(more)
            self._pass(taken)
            if ends:
                break
        if self._stop is not None:
            self._stop()

    def _pass(self, taken: Sequence[Waiting]) -> None:
        now = time.monotonic()
        live = [one for one in taken if one[2] >= now]
        late = Problem.busy(f"the service was too busy to begin within {self._timeout:g} s")
        try:
            results: Sequence[Any] = self._work([one[0] for one in live]) if live else ()
        except Exception as error:  # whoever waits is told; the thread goes on
            results = [error] * len(live)
        done = [(future, result) for (_, future, _), result in zip(live, results, strict=True) if future is not None]
        done += [(future, late) for _, future, deadline in taken if deadline < now and future is not None]
        lost = [result for (_, future, _), result in zip(live, results, strict=True)
                if future is None and isinstance(result, Exception)]
        for problem in lost:
            _LOG.warning("%s: %s", self._thread.name, problem)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, done)

    def _deliver(self, done: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
        self.waiting -= len(done)
        for future, result in done:
            if future.done():  # nobody waits any more
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
