"""Sparse structure in Numba; what each kernel does is described at its NumPy reference."""

from __future__ import annotations

import numpy as np

from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread

__all__ = ["group", "k_core", "search_rows"]

_LARGE = 10_000  # searches; with fewer, other threads are not worth waking


def group(rows, n_rows):
    indptr, order = np.zeros(n_rows + 1, np.int64), np.empty(len(rows), np.int64)
    _group(rows, indptr, np.empty(n_rows, np.int64), order)
    return indptr, order


@njit(cache=True, nogil=True)
def _group(rows, indptr, next_place, order):
    n = rows.shape[0]
    for i in range(n):
        indptr[rows[i] + 1] += 1
    for r in range(len(next_place)):
        next_place[r] = indptr[r]
        indptr[r + 1] += indptr[r]
    for i in range(n):
        r = rows[i]
        order[next_place[r]] = i
        next_place[r] += 1


def k_core(user, item, n_users, n_items, users, items):
    keep = np.ones(len(user), np.bool_)
    _k_core(user, item, np.bincount(user, minlength=n_users), np.bincount(item, minlength=n_items), users, items, keep)
    return keep


@njit(cache=True, nogil=True)
def _k_core(user, item, user_count, item_count, users, items, keep):
    n = user.shape[0]
    changed = True
    while changed:
        changed = False
        for i in range(n):
            if keep[i] and (user_count[user[i]] < users or item_count[item[i]] < items):
                keep[i] = False
                user_count[user[i]] -= 1
                item_count[item[i]] -= 1
                changed = True


def search_rows(keys, indptr, rows, values):
    found = np.empty(values.shape, np.int64)
    spread(_search_rows, len(values), values.size > _LARGE, keys, indptr, rows, values, found)
    return found


@njit(cache=True, nogil=True)
def _search_rows(first, last, keys, indptr, rows, values, found):
    for i in range(first, last):
        for k in range(values.shape[1]):
            low, high = indptr[rows[i]], indptr[rows[i] + 1]
            while low < high:
                middle = (low + high) >> 1
                if keys[middle] <= values[i, k]:
                    low = middle + 1
                else:
                    high = middle
            found[i, k] = low
