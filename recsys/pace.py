"""How long work will take: before it begins by what a small piece takes here, and then by what the parts took."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from minidl import runtime

__all__ = ["Pace", "about", "unit"]


def unit() -> float:
    """Seconds that a fixed piece of work takes on this machine now: interpreted code, and products of matrices."""
    a, best = np.full((256, 256), 0.5, np.float32), np.inf
    for _ in range(5):
        begin, count = time.perf_counter(), 0
        for i in range(100_000):
            count += i % 7
        for _ in range(10):
            runtime.matmul(a, a)
        best = min(best, time.perf_counter() - begin)
    return float(best)


class Pace:
    """Foretells what is left from the parts that are done.

    Parameters
    ----------
    shares : sequence of float
        How long each part takes, in any one unit.
    expected : float
        Seconds that all parts together will take, as far as is known beforehand.

    Examples
    --------
    >>> pace = Pace([1, 3], expected=40)
    >>> pace.left()
    40.0
    >>> pace.add(20)  # the first part took twice as long as expected
    >>> 30 < pace.left() < 60
    True
    """

    def __init__(self, shares: Sequence[float], expected: float) -> None:
        self._shares, self._expected = list(shares), float(expected)
        self._done, self._seconds = 0, 0.0

    def add(self, seconds: float) -> None:
        """The next part is done, and took so long."""
        self._done += 1
        self._seconds += seconds

    def left(self) -> float:
        """Seconds for what is left: as expected at first, then more and more as measured."""
        whole = sum(self._shares) or 1.0
        seen = sum(self._shares[:self._done]) / whole
        by_plan = self._expected * (1 - seen)
        by_measure = self._seconds / seen * (1 - seen) if seen else 0.0
        trust = math.sqrt(seen)  # small parts say little of large ones
        return float(trust * by_measure + (1 - trust) * by_plan)


def about(seconds: float) -> str:
    """Seconds in words, as exact as a guess may be.

    >>> about(0), about(0.4), about(23), about(212)
    ('0 s', 'a second', '25 s', '4 min')
    """
    if seconds < 0.05:
        return "0 s"
    if seconds < 1.5:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds < 10 else f"{5 * round(seconds / 5)} s"
    return f"{round(seconds / 60)} min"
