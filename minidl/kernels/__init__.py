"""The hot loops: each exists in Numba and, under the same name and signature, in NumPy.

A family `rows` is two files, `numba_rows.py` and `numpy_rows.py` (the twin). `kernels.rows.coalesce`
resolves on first use: Numba when it is installed and `MINIDL_NUMBA` is not `0`, else the twin.
Arrays in, arrays out; nothing here knows Tensors.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

__all__ = ["Kernels", "numba_enabled", "optim", "rows"]


def numba_enabled() -> bool:
    """Whether kernels run in Numba: it is installed and `MINIDL_NUMBA` is not `0`."""
    return os.environ.get("MINIDL_NUMBA", "1") != "0" and importlib.util.find_spec("numba") is not None


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
        setattr(self, name, kernel)
        return kernel

    def module(self, numba: bool) -> Any:
        """The module of one of the two worlds."""
        return importlib.import_module(f"{self._package}.{'numba' if numba else 'numpy'}_{self._family}")


rows = Kernels("minidl.kernels", "rows")
optim = Kernels("minidl.kernels", "optim")
