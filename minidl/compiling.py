"""How long this process has been compiling kernels, so that what is timed can leave it out.

Numba compiles a kernel when it is first called with new types, and keeps it on disk: the first fit on a machine takes
seconds that no later one does.
"""

from __future__ import annotations

import time

from minidl.locks import lock_across_forks

__all__ = ["Stopwatch", "clock", "compilations", "compile_seconds"]


class _Clock:
    """Runs while at least one thread compiles; compilations nest. `minidl.kernels.listening` starts and stops it."""

    def __init__(self) -> None:
        self._lock = lock_across_forks(self._forget)
        self._open = 0
        self._began = self._past = 0.0
        self.count = 0

    def _forget(self) -> None:
        self._open = 0  # what other threads were compiling

    def start(self) -> None:
        with self._lock:
            if not self._open:
                self._began = time.perf_counter()
            self._open += 1

    def stop(self) -> None:
        with self._lock:
            self._open -= 1
            self.count += 1
            if not self._open:
                self._past += time.perf_counter() - self._began

    def seconds(self) -> float:
        with self._lock:
            return self._past + (time.perf_counter() - self._began if self._open else 0.0)


clock = _Clock()


def compile_seconds() -> float:
    """Wall seconds during which this process compiled kernels, on any thread, since it loaded the first one."""
    return clock.seconds()


def compilations() -> int:
    """How many functions this process has compiled: kernels, and what they call."""
    return clock.count


class Stopwatch:
    """Seconds since it was made, those of compiling apart.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> watch.seconds >= 0, watch.compiling
    (True, 0.0)
    """

    def __init__(self) -> None:
        self._began, self._compiled = time.perf_counter(), compile_seconds()

    @property
    def compiling(self) -> float:
        """Seconds of compiling so far."""
        return compile_seconds() - self._compiled

    @property
    def seconds(self) -> float:
        """Seconds so far, without those of compiling."""
        return max(time.perf_counter() - self._began - self.compiling, 0.0)
