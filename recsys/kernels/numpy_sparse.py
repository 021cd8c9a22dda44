"""Sparse structure in NumPy: grouping pairs by row, searching in rows, and peeling a bipartite graph to its k-core."""

from __future__ import annotations

import numpy as np

__all__ = ["group", "k_core", "search_rows"]


def group(rows: np.ndarray, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Group entries by row, keeping their order within a row (a counting sort).

    Parameters
    ----------
    rows : int32 array, shape (n,)
        The row of each entry, in `0 .. n_rows - 1` (not checked).
    n_rows : int
        Number of rows.

    Returns
    -------
    indptr : int64 array, shape (n_rows + 1,)
        Entries of row `r` are `order[indptr[r]:indptr[r + 1]]`.
    order : int64 array, shape (n,)
        Positions of the entries, row by row.
    """
    indptr = np.zeros(n_rows + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
    return indptr, np.argsort(rows, kind="stable")


def k_core(user: np.ndarray, item: np.ndarray, n_users: int, n_items: int, users: int, items: int) -> np.ndarray:
    """Mark the rows of the largest part in which every user has `users` rows and every item `items` rows.

    Parameters
    ----------
    user, item : int32 arrays, shape (n,)
        The pair of each row.
    n_users, n_items : int
        Numbers of users and items.
    users, items : int
        Rows that a user and an item must have.

    Returns
    -------
    bool array, shape (n,)
        The rows to keep. The fixed point is unique, so it does not depend on the order of removal.
    """
    keep = np.ones(len(user), np.bool_)
    while True:
        left = np.flatnonzero(keep)
        weak_user = np.bincount(user[left], minlength=n_users) < users
        weak_item = np.bincount(item[left], minlength=n_items) < items
        drop = weak_user[user[left]] | weak_item[item[left]]
        if not drop.any():
            return keep
        keep[left[drop]] = False


def search_rows(keys: np.ndarray, indptr: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value would stand in a row of sorted keys, behind equal ones.

    Parameters
    ----------
    keys : int64 array, shape (nnz,)
        Row r has the keys from `indptr[r]` to `indptr[r + 1]`, ascending, not negative. The largest times the number of
        rows fits into int64.
    indptr : int64 array, shape (n_rows + 1,)
    rows : int64 array, shape (n,)
    values : int64 array, shape (n, k)
        To look for in the row of the same number; not negative, and at most one larger than keys may be.

    Returns
    -------
    int64 array, shape (n, k)
        From `indptr[r]` to `indptr[r + 1]`.
    """
    stride = max(int(keys.max(initial=0)), int(values.max(initial=0))) + 1
    of_row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.asarray(np.searchsorted(keys + of_row * stride, values + rows[:, None] * stride, side="right"))
