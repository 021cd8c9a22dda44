"""Rows of a kernel shared out to Python's threads, which the kernel, being without the GIL, keeps busy.

Numba's own `prange` compiles a loop two to five times as long, and once more for every place that it is written in. A
launch costs it 5 µs, and here 30 to 50: what takes less than about 0.1 ms stays on the thread that asks. Norms of rows,
attention and dropout, which take little time and are called in every step, keep `prange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from minidl.blas import on_threads
from minidl.runtime import threads

__all__ = ["spread"]

_EACH = 4  # parts for every thread, so that uneven ones even out


def spread(kernel: Callable[..., None], n: int, large: bool, *args: Any) -> None:
    """Call `kernel(first, last, *args)` for parts that make up `range(n)`.

    Parameters
    ----------
    kernel : callable
        Where the parts are cut must not show in its results.
    n : int
    large : bool
        Whether several threads pay; otherwise there is one part.
    *args
    """
    count = min(threads(), n) if large else 1
    if count < 2:
        kernel(0, n, *args)
        return
    parts = min(n, _EACH * count)

    def work(bounds: Iterator[tuple[int, int]]) -> None:
        for first, last in bounds:
            kernel(first, last, *args)

    on_threads(work, [(n * i // parts, n * (i + 1) // parts) for i in range(parts)], count)
