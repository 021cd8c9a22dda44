"""Sparse structure in NumPy: grouping pairs by row, and peeling a bipartite graph to its k-core."""

from __future__ import annotations

import numpy as np

__all__ = ["group", "k_core"]


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
