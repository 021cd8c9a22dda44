"""Products of matrices on OpenBLAS: as many threads as pay, and the same bits for any number of them.

OpenBLAS shares a product out to its own threads, which wait for each other spinning: beside other busy processes
a product of 0.2 ms then takes 8 to 30 ms, and its last bits depend on how many threads there are. So `matmul` holds
OpenBLAS to one thread, and cuts large products into parts whose number depends on the shapes alone.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minidl.locks import lock_across_forks

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["blas_threads", "deterministic", "matmul", "on_threads", "share"]

_T = TypeVar("_T")

# Sizes are multiplications, m*n*k for (m, k) and (k, n). Up to the first number OpenBLAS itself uses one thread.
# From the second on a product is cut into parts of at least half that size: measured, two threads then need 0.6 of
# the time that one needs. At 2^23 waking a second one costs what it brings, within a training step even more.
BLAS_SMALL = 262_144
BLAS_LARGE = 2**25
_MOST_PARTS = 32
_NARROWEST = 64  # rows or columns of a part

_SYMBOLS = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads64_",
            "openblas_{}_num_threads")


class _OpenBLAS:
    """The thread count of NumPy's OpenBLAS; `count` is what it has while no product is pinned to one thread."""

    def __init__(self, get: Any, set_: Any) -> None:
        self._set = set_
        self._lock = lock_across_forks(self._forget)
        self._pins = 0
        self.count: int = get()

    def _forget(self) -> None:
        self._pins = 0  # those of other threads, which will not undo them

    def use(self, count: int) -> None:
        """Have so many threads, as soon as nothing is pinned."""
        with self._lock:
            self.count = count
            if not self._pins:
                self._set(count)

    def pin(self) -> None:
        """One thread, until as many calls of `unpin`."""
        with self._lock:
            self._pins += 1
            if self._pins == 1 != self.count:
                self._set(1)

    def unpin(self) -> None:
        """Undo one `pin`."""
        with self._lock:
            self._pins -= 1
            if self._pins == 0 and self.count != 1:
                self._set(self.count)


def _libraries() -> list[str]:
    """Files of the OpenBLAS libraries in this process, NumPy's own first."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        loaded = {line.split(maxsplit=5)[-1].strip() for line in maps.read_text().splitlines() if "openblas" in line}
        return sorted(loaded, key=lambda path: "numpy" not in path)
    package = Path(np.__file__).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    return [str(path) for folder in folders for path in sorted(folder.glob("*openblas*"))]


@cache
def openblas() -> _OpenBLAS | None:
    """NumPy's OpenBLAS, or None where NumPy was built with another library."""
    for path in _libraries():
        library = ctypes.CDLL(path)
        for symbol in _SYMBOLS:
            get = getattr(library, symbol.format("get"), None)
            set_ = getattr(library, symbol.format("set"), None)
            if get is not None and set_ is not None:
                get.restype = ctypes.c_int
                set_.argtypes, set_.restype = [ctypes.c_int], None
                return _OpenBLAS(get, set_)
    return None


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> Any:
    """`np.matmul`, on as many threads as pay; the bits do not depend on their number.

    Parameters
    ----------
    a : array, shape (..., m, k)
    b : array, shape (..., k, n)
    out : array, shape (..., m, n), optional
        Where to write.

    Returns
    -------
    array, shape (..., m, n)

    Notes
    -----
    An outer product (k = 1) is a multiplication, which takes a half to a quarter of the time. Products in stacks of
    more than `BLAS_LARGE` multiplications each are left to OpenBLAS and its threads.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import runtime
    >>> runtime.matmul(np.eye(2), np.ones((2, 3))).shape
    (2, 3)
    """
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        return np.matmul(a, b, out=out)
    if a.shape[-1] == 1:
        return np.multiply(a, b, out=out)
    size, blas = a.shape[-2] * a.shape[-1] * b.shape[-1], openblas()
    stacked = a.ndim > 2 or b.ndim > 2
    if size <= BLAS_SMALL or blas is None or (stacked and size >= BLAS_LARGE):
        return np.matmul(a, b, out=out)
    if size >= BLAS_LARGE and _can_be_cut(a, b, out):
        return _in_parts(a, b, out, size)
    blas.pin()
    try:
        return np.matmul(a, b, out=out)
    finally:
        blas.unpin()


def _can_be_cut(a: np.ndarray, b: np.ndarray, out: np.ndarray | None) -> bool:
    return out is None or (out.shape == (a.shape[0], b.shape[1])
                           and not np.may_share_memory(out, a) and not np.may_share_memory(out, b))


def _in_parts(a: np.ndarray, b: np.ndarray, out: np.ndarray | None, size: int) -> np.ndarray:
    """The product by blocks of rows or columns, whichever are more, each computed by the next free thread."""
    m, n = a.shape[0], b.shape[1]
    if out is None:
        out = np.empty((m, n), np.result_type(a, b))
    count = max(min(2 * size // BLAS_LARGE, max(m, n) // _NARROWEST, _MOST_PARTS), 1)
    spans = [slice(max(m, n) * i // count, max(m, n) * (i + 1) // count) for i in range(count)]
    share(_multiply, [(a[s], b, out[s]) if m >= n else (a, b[:, s], out[:, s]) for s in spans], size)
    return out


def _multiply(parts: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    for a, b, out in parts:
        np.matmul(a, b, out=out)


def share(work: Callable[[Iterator[_T]], None], tasks: Sequence[_T], size: int) -> None:
    """Have `work` done on all tasks, by several threads if `size`, the multiplications in all, pays for it.

    Which thread takes a task is a matter of chance, so a result must not depend on it. BLAS has one thread meanwhile.

    Parameters
    ----------
    work : callable
        `work(tasks)` goes through an iterator, of which other threads take tasks too.
    tasks : sequence
    size : int
    """
    blas = openblas()
    if blas is None:  # another library, with threads of its own
        work(iter(tasks))
        return
    blas.pin()
    try:
        on_threads(work, tasks, min(blas.count, len(tasks)) if size >= BLAS_LARGE else 1)
    finally:
        blas.unpin()


def on_threads(work: Callable[[Iterator[_T]], None], tasks: Sequence[_T], threads: int) -> None:
    """Have `work` done on all tasks by at most so many threads, this one among them; see `share`."""
    left = iter(tasks)
    helpers = [_pool().submit(work, left) for _ in range(threads - 1)]
    try:
        work(left)
    finally:
        for helper in helpers:
            if not helper.cancel():  # one that has not even started is not waited for
                helper.result()


@cache
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor
    return ThreadPoolExecutor(os.cpu_count() or 1, "minidl-matmul")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Compute products, inverses and other linear algebra on `n` threads inside the block, in the whole process.

    Does nothing where NumPy was built with something other than OpenBLAS.

    Examples
    --------
    >>> import minidl
    >>> with minidl.runtime.blas_threads(1):
    ...     pass
    """
    if n < 1:
        raise ValueError(f"blas_threads: n={n}; at least one thread is needed")
    blas = openblas()
    if blas is None:
        yield
        return
    before = blas.count
    blas.use(n)
    try:
        yield
    finally:
        blas.use(before)


def deterministic() -> AbstractContextManager[None]:
    """Give the same bits for any number of threads inside the block.

    Minidl's kernels and products of two matrices always do. The rest of BLAS and LAPACK does not: inverses and
    stacks of large products differ in the last bits between one and two OpenBLAS threads. The block holds them to
    one thread.

    Examples
    --------
    >>> import minidl
    >>> with minidl.runtime.deterministic():
    ...     pass
    """
    return blas_threads(1)
