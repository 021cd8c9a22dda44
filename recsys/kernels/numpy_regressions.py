"""NumPy references of the regressions of items on their nearest items, and what both versions promise.

X (n_rows, n_items) is given by columns, three arrays: indptr int64 (n_items + 1,), indices int32 (nnz,), data float32
(nnz,); a column holds a row at most once. Lists of items are given alike, without data; a list has an item at most
once, and its own target not at all.
"""

from __future__ import annotations

import numpy as np

__all__ = ["elastic_net", "ridge"]


def ridge(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_rows: int, whole: np.ndarray,
          targets: np.ndarray, near_indptr: np.ndarray, near_indices: np.ndarray, penalty: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Regress columns of X on lists of others: `w` that minimises `|x_t - X_N w|**2 + sum_i penalty_i w_i**2`.

    Parameters
    ----------
    indptr, indices, data
        X by columns.
    n_rows : int
    whole : ndarray of float64, shape (n_items, n_items), or (0, 0)
        The products of all columns, if they are at hand; else those that a list needs are summed up for it.
    targets : ndarray of int32, shape (B,)
        t of each regression.
    near_indptr, near_indices : ndarray of int64, shape (B + 1,), and of int32, shape (n,)
        N of each regression.
    penalty : ndarray of float64, shape (n_items,)
        Above 0.

    Returns
    -------
    weights : ndarray of float32, shape (n,)
        w of all regressions, in the order of the lists.
    left : ndarray of float64, shape (B,)
        `x_t . x_t + penalty_t - x_t . X_N w`: the inverse of what the inverse of the penalised Gram matrix of N and t
        has at t.
    """
    weights, left = np.zeros(len(near_indices), np.float32), np.zeros(len(targets))
    for at, target in enumerate(targets):
        part = slice(near_indptr[at], near_indptr[at + 1])
        gram = _local_gram(np.append(near_indices[part], target), indptr, indices, data, n_rows, whole)
        gram[np.diag_indices(len(gram))] += penalty[np.append(near_indices[part], target)]
        solution = np.linalg.solve(gram[:-1, :-1], gram[:-1, -1])
        weights[part], left[at] = solution, gram[-1, -1] - gram[-1, :-1] @ solution
    return weights, left


def elastic_net(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_rows: int, whole: np.ndarray,
                targets: np.ndarray, near_indptr: np.ndarray, near_indices: np.ndarray, penalty: np.ndarray,
                lasso: float, sweeps: int, close: float) -> np.ndarray:
    """The same under `w >= 0`, of `|x_t - X_N w|**2 / 2 + sum_i penalty_i w_i**2 / 2 + lasso sum_i w_i`.

    By coordinate descent from 0, in the order of the list: `w_i = max(0, (x_i . (x_t - X_N w + x_i w_i) - lasso) /
    (x_i . x_i + penalty_i))`.

    Parameters
    ----------
    indptr, indices, data, n_rows, whole, targets, near_indptr, near_indices, penalty
        As of `ridge`.
    lasso : float
        Not negative.
    sweeps : int
        At most so many passes over a list.
    close : float
        A pass in which no weight moved further is the last.

    Returns
    -------
    ndarray of float32, shape (n,)
        w of all regressions.
    """
    weights = np.zeros(len(near_indices), np.float32)
    for at, target in enumerate(targets):
        part = slice(near_indptr[at], near_indptr[at + 1])
        gram = _local_gram(np.append(near_indices[part], target), indptr, indices, data, n_rows, whole)
        square, slope = gram[:-1, :-1], gram[:-1, -1].copy()
        solution, scale = np.zeros(len(slope)), np.diag(square) + penalty[near_indices[part]]
        for _ in range(sweeps):
            before = solution.copy()
            for i in range(len(solution)):
                new = max(0.0, (slope[i] + square[i, i] * solution[i] - lasso) / scale[i])
                slope -= (new - solution[i]) * square[i]
                solution[i] = new
            if np.abs(solution - before).max(initial=0) <= close:
                break
        weights[part] = solution
    return weights


def _local_gram(items: np.ndarray, indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_rows: int,
                whole: np.ndarray) -> np.ndarray:
    """The products of some columns with each other: float64 (n, n)."""
    if len(whole):
        return np.array(whole[np.ix_(items, items)])
    dense = np.zeros((n_rows, len(items)))
    for place, item in enumerate(items):
        part = slice(indptr[item], indptr[item + 1])
        dense[indices[part], place] = data[part]
    return dense.T @ dense
