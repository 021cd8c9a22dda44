"""Words as bytes in NumPy: each distinct one gets a number."""

from __future__ import annotations

import numpy as np

__all__ = ["number_distinct"]


def number_distinct(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number pieces of bytes such that equal ones have one number, in the order of their first occurrence.

    Parameters
    ----------
    data : uint8 array, shape (n_bytes,)
    starts, ends : int64 arrays, shape (n,)
        Piece i is `data[starts[i]:ends[i]]`; not checked.

    Returns
    -------
    numbers : int64 array, shape (n,)
    first : int64 array, shape (n_distinct,)
        The piece that each number occurred in first.
    """
    seen: dict[bytes, int] = {}
    numbers, first = np.empty(len(starts), np.int64), list[int]()
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        numbers[i] = seen.setdefault(data[start:end].tobytes(), len(seen))
        if len(seen) > len(first):
            first.append(i)
    return numbers, np.array(first, np.int64)
