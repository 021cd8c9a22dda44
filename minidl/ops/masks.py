"""Masks of dropout: drawn by a kernel, from one number of a generator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import kernels
from minidl.replay import drawn

__all__ = ["dropout_factors"]


def dropout_factors(p: float, shape: tuple[int, ...], dtype: Any, generator: np.random.Generator) -> np.ndarray:
    """0 with probability p, else 1 / (1 - p), of the given shape and dtype.

    The generator gives the key of all numbers, so they can be computed in any order and by several threads.
    """
    out = np.empty(math.prod(shape), np.float32 if np.dtype(dtype).itemsize <= 4 else np.float64)
    key = drawn(lambda: generator.integers(2**64, dtype=np.uint64))
    kernels.masks.dropout_factors(key, p, 0 if p == 1 else 1 / (1 - p), out)
    return out.reshape(shape).astype(dtype, copy=False)
