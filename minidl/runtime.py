"""Threads, memory and bits: what has to be said to the libraries underneath.

Imported before NumPy by `minidl/__init__`, because OpenBLAS and GNU OpenMP read their variables once,
when they are loaded. Both are defaults: what the user has set stays.

- `OPENBLAS_THREAD_TIMEOUT=4`: OpenBLAS's workers sleep soon after a product, instead of spinning for
  2^26 cycles on the cores that Numba's threads need.
- `GOMP_SPINCOUNT=1000`: the same for the threads of GNU OpenMP, Numba's usual layer on Linux.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

NUMPY_FIRST = "numpy" in sys.modules  # then OpenBLAS has read its variables already
DEFAULTS = {"OPENBLAS_THREAD_TIMEOUT": "4", "GOMP_SPINCOUNT": "1000"}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)

from minidl.blas import blas_threads, deterministic, matmul, openblas  # noqa: E402  (NumPy: after the variables)
from minidl.compiling import Stopwatch, compilations, compile_seconds  # noqa: E402

__all__ = ["Stopwatch", "blas_threads", "compilations", "compile_seconds", "convolutions_are_exact", "deterministic",
           "exact_convolutions", "matmul", "numba_enabled", "parallel_guard", "parallel_is_safe", "report",
           "set_threads", "threads", "trim", "tune"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_SIZES = (1 << 30, 1 << 25)  # the second is the most that some releases of glibc accept


# ------------------------------------------------------------------------------------------ Numba

def numba_enabled() -> bool:
    """Whether kernels run in Numba: it is installed and `MINIDL_NUMBA` is not `0`."""
    return os.environ.get("MINIDL_NUMBA", "1") != "0" and importlib.util.find_spec("numba") is not None


def threads() -> int:
    """Number of threads that parallel kernels use, called from this thread."""
    if not numba_enabled():
        return 1
    if "numba" not in sys.modules:
        return int(os.environ.get("NUMBA_NUM_THREADS") or len(_cores()))
    if _layer() is None:  # asking Numba would start threads that nothing may need
        return int(_numba().config.NUMBA_NUM_THREADS)
    return int(_numba().get_num_threads())


def set_threads(n: int) -> None:
    """Let parallel kernels use `n` threads when they are called from this thread.

    Parameters
    ----------
    n : int
        From 1 to the number of cores. The results of kernels do not depend on it.

    Raises
    ------
    ValueError
        When there are not so many; and in a process that was forked after a parallel kernel had run on GNU OpenMP,
        which stays at one thread, for more than one.
    """
    if n < 1:
        raise ValueError(f"set_threads: n={n}; at least one thread is needed")
    if n > 1 and _forked:
        raise ValueError(f"set_threads: n={n}, but this process was forked after a parallel kernel had run, and GNU "
                         "OpenMP has no threads left in it but one; start it with the method 'spawn', or set "
                         "NUMBA_THREADING_LAYER=workqueue, to have more")
    if numba_enabled():
        numba = _numba()
        most = int(numba.config.NUMBA_NUM_THREADS)
        if n > most:
            raise ValueError(f"set_threads: n={n}, but Numba started with {most} threads; "
                             "set NUMBA_NUM_THREADS before it is imported to have more")
        numba.set_num_threads(n)


def _numba() -> Any:
    return importlib.import_module("numba")  # Any: Numba's own hints do not cover what is used here


def _cores() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


_lock = threading.RLock()


def parallel_guard() -> AbstractContextManager[Any]:
    """Hold this around parallel kernels that two Python threads may call; `minidl.kernels` does so where needed.

    Numba's `workqueue` layer, which is what remains without OpenMP and TBB, aborts the process when two
    threads run parallel kernels at once, so the guard is a lock; with another layer it is nothing.
    """
    return nullcontext() if parallel_is_safe() else _lock


@cache
def parallel_is_safe() -> bool:
    """Whether two Python threads may run parallel kernels at once: Numba will not fall back to `workqueue`."""
    if not numba_enabled():
        return True
    wanted = _numba().config.THREADING_LAYER
    if wanted != "default":
        return bool(wanted != "workqueue")
    try:
        importlib.import_module("numba.np.ufunc.omppool")  # what Numba itself tries before workqueue
    except ImportError:
        return False
    return True


_forked = False  # after a parallel kernel had run on GNU OpenMP, which does not survive that by itself


def _after_fork() -> None:
    """Let parallel kernels run in a forked child, on its one thread and with the same bits.

    The threads of GNU OpenMP stay with the parent: a child that waits for them waits for ever, so Numba ends a process
    that runs a parallel kernel when it finds that it is the child of the one that started the threads. With one thread
    nothing is waited for; and starting them again, here, tells Numba that this process is its own.
    """
    global _forked, _lock
    _lock = threading.RLock()  # a thread of the parent may have held the old one
    if _layer() == "omp":
        pool = importlib.import_module("numba.np.ufunc.omppool")
        if pool.openmp_vendor == "GNU":
            ctypes.CFUNCTYPE(None, ctypes.c_int)(pool.launch_threads)(1)
            _numba().set_num_threads(1)
            _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _layer() -> str | None:
    """Numba's threading layer, once a parallel kernel has run."""
    if "numba" not in sys.modules:
        return None
    try:
        return str(_numba().threading_layer())
    except ValueError:  # not initialised
        return None


# ----------------------------------------------------------------------------------- convolutions

_exact: ContextVar[bool] = ContextVar("_exact", default=False)


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Compute convolutions by their definition inside the block, in this thread: forward and backward passes.

    Otherwise 3x3 kernels of stride 1 between 16 or more channels of float32 go by Winograd's algorithm where it is
    faster, which takes about half the time and rounds two to three times as much; see `minidl.ops.conv2d`.

    Examples
    --------
    >>> import minidl
    >>> with minidl.runtime.exact_convolutions():
    ...     pass
    """
    token = _exact.set(True)
    try:
        yield
    finally:
        _exact.reset(token)


def convolutions_are_exact() -> bool:
    """Whether this is inside of `exact_convolutions`."""
    return _exact.get()


# ----------------------------------------------------------------------------------------- memory

@cache
def tune() -> dict[str, int]:
    """Keep big arrays in the process between uses, on Linux with glibc.

    By default glibc maps every big array and gives it back when it is freed, and the next one costs a page
    fault every 4 kB: half the time of a large elementwise operation. This raises `M_MMAP_THRESHOLD` and
    `M_TRIM_THRESHOLD` for the whole process, which then keeps its peak memory.

    Returns
    -------
    dict
        What was set; empty where there is nothing to set. A second call changes nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return {}
    mallopt = ctypes.CDLL(None).mallopt
    done = {}
    for size in _MMAP_SIZES:
        if mallopt(_M_MMAP_THRESHOLD, size):
            done["M_MMAP_THRESHOLD"] = size
            break
    if mallopt(_M_TRIM_THRESHOLD, _MMAP_SIZES[0]):
        done["M_TRIM_THRESHOLD"] = _MMAP_SIZES[0]
    return done


def trim() -> None:
    """Give memory back to the system that was freed and that nothing uses, on Linux with glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


# ----------------------------------------------------------------------------------------- report

def report() -> dict[str, Any]:
    """What runs underneath: versions, threads, variables. Worth adding to a bug report or a benchmark.

    Examples
    --------
    >>> import minidl
    >>> sorted(minidl.runtime.report())[:3]
    ['blas', 'blas_threads', 'cores']
    """
    blas = openblas()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(_cores()),
        "numpy": _version("numpy"),
        "numpy_imported_first": NUMPY_FIRST,
        "blas": "OpenBLAS" if blas is not None else "not OpenBLAS",
        "blas_threads": blas.count if blas is not None else None,
        "numba": _version("numba"),
        "numba_kernels": numba_enabled(),
        "numba_layer": _layer(),
        "numba_threads": threads(),
        "variables": {name: os.environ.get(name) for name in DEFAULTS},
        "note": ("NumPy was imported before minidl, so OpenBLAS has not seen OPENBLAS_THREAD_TIMEOUT; import minidl "
                 "first, or set it in the environment" if NUMPY_FIRST else ""),
    }


def _version(package: str) -> str | None:
    """Version of an installed package, without importing it."""
    if importlib.util.find_spec(package) is None:
        return None
    from importlib.metadata import version
    return version(package)
