"""One `map` over jobs: in this process, or in several that are started for it.

Processes are spawned, never forked, as threads of kernels do not survive a fork. They end with the process that started
them, even if that is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from minidl import runtime

__all__ = ["Died", "Executor", "executor"]

Job = Any
Executor = Callable[[Sequence[Job]], Iterator[Any]]
"""Jobs to their results, in their order, each as soon as it is there; `Died` where a process was lost."""


class Died:
    """A job whose process ended without a result, as the system does it when memory runs out."""


@contextmanager
def executor(work: Callable[[Any, Job], Any], shared: Any, workers: int = 1) -> Iterator[Executor]:
    """What does jobs by `work(shared, job)`.

    Parameters
    ----------
    work : callable
        A function of a module. It catches what it can tell of; an exception of it ends the map.
    shared : object
        Sent to each process once.
    workers : int
        1 works here. Several share the cores.

    Examples
    --------
    >>> with executor(pow, 2) as run:
    ...     list(run([1, 2, 3]))
    [2, 4, 8]
    """
    if workers == 1:
        yield lambda jobs: (work(shared, job) for job in jobs)
        return
    pool = _Pool(work, shared, workers)
    try:
        yield pool.map
    finally:
        pool.close()


class _Pool:
    def __init__(self, work: Callable[[Any, Job], Any], shared: Any, workers: int) -> None:
        self.start = (work, shared, max((os.cpu_count() or 1) // workers, 1))
        self.workers = workers
        self.pool = self._fresh(workers)

    def map(self, jobs: Sequence[Job]) -> Iterator[Any]:
        """If a process dies, all that were being done are lost with it, and are done again, one at a time."""
        futures = [self.pool.submit(_do, job) for job in jobs]
        try:
            for future, job in zip(futures, jobs, strict=True):
                yield self._result(future, job)
        finally:
            for future in futures:
                future.cancel()

    def _result(self, future: Future[Any], job: Job) -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            self.close()
            alone = self._fresh(1)
            try:
                return alone.submit(_do, job).result()
            except BrokenProcessPool:
                return Died()
            finally:
                alone.shutdown()
                self.pool = self._fresh(self.workers)

    def _fresh(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, self.start)

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)


_WORK: list[Any] = []  # of this process: the function and what all its jobs share


def _begin(work: Callable[[Any, Job], Any], shared: Any, threads: int) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ["NUMBA_NUM_THREADS"] = str(threads)  # before Numba is imported
    runtime.tune()
    _WORK[:] = work, shared


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _do(job: Job) -> Any:
    work, shared = _WORK
    return work(shared, job)
