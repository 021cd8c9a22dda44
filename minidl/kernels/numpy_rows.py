"""NumPy references of the row kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["bag", "bag_argmax", "bag_dot", "bag_transposed", "coalesce", "scatter_add"]


def scatter_add(out: np.ndarray, indices: np.ndarray, rows: np.ndarray, axis: int = 0) -> None:
    """`out[indices[k]] += rows[k]` for k in order, or the same along another axis; duplicates add up.

    Parameters
    ----------
    out : float array, shape (..., N, ...)
        Changed in place.
    indices : int array, shape (n,)
    rows : float array, shape (..., n, ...)
    axis : int
        Where N and n are; not negative.

    Raises
    ------
    IndexError
        When an index is negative or not less than N.
    """
    check_range("scatter_add", indices, out.shape[axis])
    place: Any = (slice(None),) * axis + (indices,)
    total = out.astype(_sum_dtype(out), copy=False)
    np.add.at(total, place, rows)
    if total is not out:
        out[...] = total


def coalesce(indices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted unique indices and the sums of their rows, added in order of appearance.

    Parameters
    ----------
    indices : int array, shape (n,)
        Not negative.
    rows : float array, shape (n, ...)

    Returns
    -------
    unique : int array, shape (m,)
    total : float array, shape (m, ...)
    """
    unique, where = np.unique(indices, return_inverse=True)
    total = np.zeros((len(unique), *rows.shape[1:]), _sum_dtype(rows))
    np.add.at(total, where, rows)
    return unique, total.astype(rows.dtype, copy=False)


def _sum_dtype(a: np.ndarray) -> np.dtype[Any]:
    """What it is summed in: float32 for float16."""
    return np.dtype(np.float32) if a.dtype.char == "e" else a.dtype


def bag(table: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Weighted sums of rows: `out[b] = sum scale[k] table[indices[k]]` over the k of bag b.

    Parameters
    ----------
    table : float array, shape (N, d)
    indices : int array, shape (n,)
    ends : int array, shape (B + 1,)
        Bag b holds the k from `ends[b]` to `ends[b + 1]`.
    scale : float array, shape (n,)

    Returns
    -------
    float array, shape (B, d)
        Zeros for an empty bag.
    """
    check_range("bag", indices, len(table))
    out = np.zeros((len(ends) - 1, table.shape[1]), table.dtype)
    np.add.at(out, _owners(ends), table[indices] * scale[:, None])
    return out


def bag_argmax(table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The index of each bag whose row has the largest number in a column: the first of equal ones, and NaN is largest.

    Returns
    -------
    int array, shape (B, d)
        -1 for an empty bag.
    """
    check_range("bag_argmax", indices, len(table))
    out = np.full((len(ends) - 1, table.shape[1]), -1)
    for b in np.flatnonzero(np.diff(ends)):
        bag = indices[ends[b]:ends[b + 1]]
        out[b] = bag[np.argmax(table[bag], axis=0)]
    return out


def bag_transposed(g: np.ndarray, indices: np.ndarray, ends: np.ndarray, scale: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
    """The table's gradient: for each index, `scale[k] g[b]` summed over all k with that index, b being k's bag.

    In Numba there are never rows for all n elements at a time.

    Returns
    -------
    int array, shape (m,), and float array, shape (m, d)
        The indices that occur, sorted, and their sums, in order of appearance.
    """
    unique, place = np.unique(indices, return_inverse=True)
    sums = np.zeros((len(unique), g.shape[1]), g.dtype)
    np.add.at(sums, place, g[_owners(ends)] * scale[:, None])
    return unique, sums


def bag_dot(g: np.ndarray, table: np.ndarray, indices: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The scales' gradients, `<g[b], table[indices[k]]>` for each k of bag b; shape (n,)."""
    check_range("bag_dot", indices, len(table))
    dots: np.ndarray = np.einsum("kd,kd->k", g[_owners(ends)], table[indices])
    return dots


def _owners(ends: np.ndarray) -> np.ndarray:
    """The bag of each element, shape (n,)."""
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


def check_range(name: str, indices: np.ndarray, n: int) -> None:
    """Raise an IndexError unless all of `0 <= indices < n`."""
    large = indices.view(np.uint64) if indices.dtype == np.int64 else indices  # those below 0 are the largest there
    if indices.size and (large.max() >= n or (large is indices and indices.min() < 0)):
        bad = indices[(indices < 0) | (indices >= n)][0]
        raise IndexError(f"{name}: index {bad} is out of range for a table of {n} rows")
