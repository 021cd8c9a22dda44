"""Float16 is a format to store numbers in: what is summed or goes through intermediate results is so in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.ops.elementwise import astype
from minidl.tensors import Tensor

__all__ = ["in_single", "widened"]


def in_single(forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward`, computed in float32 where an argument is of float16, and rounded once if all arrays are.

    The largest number of float16 is 65,504, less than half of the sum of 4,096 times 40; and 2,048 + 1 is 2,048 in it.
    """
    @functools.wraps(forward)
    def call(*args: Any, **params: Any) -> Any:
        for a in args:
            if _is_half(a):
                break
        else:
            return forward(*args, **params)
        out = forward(*(a.astype(np.float32) if _is_half(a) else a for a in args), **params)
        return out.astype(np.result_type(*(a.dtype for a in args if hasattr(a, "dtype"))), copy=False)

    return call


def widened(x: Any) -> Any:
    """A Tensor or array of float16 in float32; anything else as it is."""
    return astype(x, np.float32) if _is_half(x) else x


def _is_half(a: Any) -> bool:
    return isinstance(a, (np.ndarray, np.generic, Tensor)) and a.dtype.char == "e"
