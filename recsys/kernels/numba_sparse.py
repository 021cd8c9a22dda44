"""Sparse structure in Numba; what each kernel does is described at its NumPy twin."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

__all__ = ["group", "k_core", "search_rows"]


@njit(cache=True, nogil=True)
def group(rows, n_rows):
    n = rows.shape[0]
    indptr = np.zeros(n_rows + 1, np.int64)
    for i in range(n):
        indptr[rows[i] + 1] += 1
    for r in range(n_rows):
        indptr[r + 1] += indptr[r]
    next_place = indptr[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        r = rows[i]
        order[next_place[r]] = i
        next_place[r] += 1
    return indptr, order


@njit(cache=True, nogil=True)
def k_core(user, item, n_users, n_items, users, items):
    n = user.shape[0]
    user_count = np.zeros(n_users, np.int64)
    item_count = np.zeros(n_items, np.int64)
    for i in range(n):
        user_count[user[i]] += 1
        item_count[item[i]] += 1
    keep = np.ones(n, np.bool_)
    changed = True
    while changed:
        changed = False
        for i in range(n):
            if keep[i] and (user_count[user[i]] < users or item_count[item[i]] < items):
                keep[i] = False
                user_count[user[i]] -= 1
                item_count[item[i]] -= 1
                changed = True
    return keep


@njit(cache=True, nogil=True, parallel=True)
def search_rows(keys, indptr, rows, values):
    found = np.empty(values.shape, np.int64)
    for i in prange(values.shape[0]):
        for k in range(values.shape[1]):
            low, high = indptr[rows[i]], indptr[rows[i] + 1]
            while low < high:
                middle = (low + high) >> 1
                if keys[middle] <= values[i, k]:
                    low = middle + 1
                else:
                    high = middle
            found[i, k] = low
    return found
