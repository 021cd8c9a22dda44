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
from functools import cache
from pathlib import Path
from typing import Any

NUMPY_FIRST = "numpy" in sys.modules  # then OpenBLAS has read its variables already
DEFAULTS = {"OPENBLAS_THREAD_TIMEOUT": "4", "GOMP_SPINCOUNT": "1000"}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)

import numpy as np  # noqa: E402  (after the variables)

__all__ = ["blas_threads", "deterministic", "matmul", "numba_enabled", "parallel_guard", "parallel_is_safe",
           "report", "set_threads", "threads", "tune"]

# A product of (m, k) and (k, n) with m*n*k in this range is computed by one thread: OpenBLAS itself does so
# below the first number; up to the second, waking a second thread costs more than it brings, most of all when
# the cores are busy.
BLAS_SMALL = 262_144
BLAS_LARGE = 3 * 2**22  # measured: two threads gain nothing at 2^23, 1.7 times at 2^24

_SYMBOLS = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads64_",
            "openblas_{}_num_threads")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_MMAP_SIZES = (1 << 30, 1 << 25)  # the second is the most that some releases of glibc accept


# ------------------------------------------------------------------------------------------- BLAS

class _OpenBLAS:
    """The thread count of NumPy's OpenBLAS; `count` is what it goes back to after a pinned product."""

    def __init__(self, get: Any, set_: Any) -> None:
        self.set = set_
        self.count: int = get()


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
def _openblas() -> _OpenBLAS | None:
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
    """`np.matmul`, on one BLAS thread where a second does not pay.

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
    Below `BLAS_LARGE` multiplications (m*n*k) OpenBLAS is held to one thread for the call. The bits of a product
    depend on the number of BLAS threads; see `deterministic`.
    """
    blas = _openblas()
    if (blas is None or blas.count == 1 or a.ndim < 2 or b.ndim < 2
            or not BLAS_SMALL < a.shape[-2] * a.shape[-1] * b.shape[-1] < BLAS_LARGE):
        return np.matmul(a, b, out=out)
    blas.set(1)
    try:
        return np.matmul(a, b, out=out)
    finally:
        blas.set(blas.count)


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Run BLAS on `n` threads inside the block; holds for the whole process.

    Does nothing where NumPy was built with something other than OpenBLAS.

    Examples
    --------
    >>> import minidl
    >>> with minidl.runtime.blas_threads(1):
    ...     pass
    """
    if n < 1:
        raise ValueError(f"blas_threads: n={n}; at least one thread is needed")
    blas = _openblas()
    if blas is None:
        yield
        return
    before = blas.count
    blas.count = n
    blas.set(n)
    try:
        yield
    finally:
        blas.count = before
        blas.set(before)


def deterministic() -> AbstractContextManager[None]:
    """Give the same bits for any number of threads inside the block.

    Minidl's kernels always do. BLAS does not: most products and inverses differ in the last bits between
    one and two OpenBLAS threads. The block holds BLAS to one thread.

    Examples
    --------
    >>> import minidl
    >>> with minidl.runtime.deterministic():
    ...     pass
    """
    return blas_threads(1)


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
    return int(_numba().get_num_threads())


def set_threads(n: int) -> None:
    """Let parallel kernels use `n` threads when they are called from this thread.

    Parameters
    ----------
    n : int
        From 1 to the number of cores. The results of kernels do not depend on it.
    """
    if n < 1:
        raise ValueError(f"set_threads: n={n}; at least one thread is needed")
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


def _layer() -> str | None:
    """Numba's threading layer, once a parallel kernel has run."""
    if "numba" not in sys.modules:
        return None
    try:
        return str(_numba().threading_layer())
    except ValueError:  # not initialised
        return None


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


# ----------------------------------------------------------------------------------------- report

def report() -> dict[str, Any]:
    """What runs underneath: versions, threads, variables. Worth adding to a bug report or a benchmark.

    Examples
    --------
    >>> import minidl
    >>> sorted(minidl.runtime.report())[:3]
    ['blas', 'blas_threads', 'cores']
    """
    blas = _openblas()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(_cores()),
        "numpy": np.__version__,
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
