"""What somebody has handed over, in the words of messages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["described", "is_frame"]


def is_frame(data: Any) -> bool:
    """Whether it is a frame of pandas or polars, or made like one: columns with names, and `to_numpy`."""
    return hasattr(data, "to_numpy") and hasattr(data, "columns")


def described(data: Any) -> str:
    """What something is, for the middle of a sentence: "a path, 'x.csv'", "an array of shape (3, 2)"."""
    if data is None:
        return "None"
    if isinstance(data, type):
        return f"the class {data.__name__}"
    if isinstance(data, (str, os.PathLike)):
        return f"a path, {os.fspath(data)!r}"
    if isinstance(data, np.ndarray):
        return f"an array of shape {data.shape}"
    if isinstance(data, Iterator):
        return f"an iterator ({type(data).__name__})"
    name = type(data).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name} of {len(data)}" if isinstance(data, (tuple, list, dict, set)) else f"{article} {name}"
