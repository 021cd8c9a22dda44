"""The hot loops of recommending; the same two versions as `minidl.kernels`.

A family is two files here, `numba_<family>.py` and `numpy_<family>.py` (the reference, with the same
names and signatures).
"""

from __future__ import annotations

from minidl.kernels import Kernels

__all__ = ["PACKAGES", "als", "bpr", "mf", "neighbours", "ranking", "regressions", "retrieval", "sparse", "words"]

PACKAGES = ("minidl.kernels", "recsys.kernels")  # of which a process may run machine code of another one

als = Kernels("recsys.kernels", "als")
bpr = Kernels("recsys.kernels", "bpr")
mf = Kernels("recsys.kernels", "mf")
neighbours = Kernels("recsys.kernels", "neighbours")
ranking = Kernels("recsys.kernels", "ranking")
regressions = Kernels("recsys.kernels", "regressions")
retrieval = Kernels("recsys.kernels", "retrieval")
sparse = Kernels("recsys.kernels", "sparse")
words = Kernels("recsys.kernels", "words")
