"""The hot loops: each exists in Numba and, under the same name and signature, in NumPy.

A family `rows` is two files, `numba_rows.py` and `numpy_rows.py` (the reference). `kernels.rows.coalesce`
resolves on first use: Numba when it is installed and `MINIDL_NUMBA` is not `0`, else the reference.
Arrays in, arrays out; nothing here knows Tensors.

A function that kernels call and that sums in an order of the compiler's choice is `forceinline`. Otherwise the process
that compiles a kernel links it to the function as it was compiled alone, and a process that loads the kernel from the
cache to the kernel's own copy, with another order: the first run would give other bits than all later ones.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

import numpy as np

from minidl.kernels import ahead
from minidl.runtime import numba_enabled, parallel_guard, parallel_is_safe

__all__ = ["Kernels", "dense", "loss", "masks", "optim", "rows", "takes"]


class Kernels:
    """A family of kernels, loaded when the first one is called.

    Parameters
    ----------
    package : str
        Where the two modules are, such as `"minidl.kernels"`.
    family : str
        `numba_<family>` and `numpy_<family>` are the modules' names.
    """

    def __init__(self, package: str, family: str) -> None:
        self._package = package
        self._family = family

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kernel = getattr(self.module(numba_enabled()), name)
        if callable(kernel) and (ahead.in_use() or not parallel_is_safe()):
            kernel = _guarded(kernel)
        setattr(self, name, kernel)
        return kernel

    def module(self, numba: bool) -> Any:
        """The module of one backend, Numba or NumPy."""
        if numba and not ahead.in_use():
            importlib.import_module("minidl.kernels.listening").listen()
        return importlib.import_module(f"{self._package}.{'numba' if numba else 'numpy'}_{self._family}")


def _guarded(kernel: Any) -> Any:
    """The kernel under `runtime.parallel_guard`; with machine code of another process, as soon as Numba is there."""
    @functools.wraps(kernel)
    def call(*args: Any) -> Any:
        if ahead.in_use() and "numba" not in sys.modules:
            return kernel(*args)
        with parallel_guard():
            return kernel(*args)

    return call


def takes(*arrays: np.ndarray) -> bool:
    """Whether kernels are compiled for these: float32 or float64, C order, aligned, writeable."""
    for a in arrays:  # noqa: SIM110  (all() of a generator takes three times as long, before every small kernel)
        if a.dtype.char not in "fd" or not a.flags.carray:
            return False
    return True


dense = Kernels("minidl.kernels", "dense")
rows = Kernels("minidl.kernels", "rows")
optim = Kernels("minidl.kernels", "optim")
loss = Kernels("minidl.kernels", "loss")
masks = Kernels("minidl.kernels", "masks")
