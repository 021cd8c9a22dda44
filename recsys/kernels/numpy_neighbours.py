"""NumPy references of the neighbourhood kernels, and what both versions promise.

A sparse matrix is three arrays: indptr int64 (n + 1,), indices int32 (nnz,), data float32 (nnz,).
Indices are in range; a row holds a column at most once, unless a kernel says otherwise.
"""

from __future__ import annotations

import numpy as np

__all__ = ["continuations", "gram", "largest", "rate", "sum_sparse_rows", "top_similar"]


def top_similar(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, columns_indptr: np.ndarray,
                columns_indices: np.ndarray, columns_data: np.ndarray, row_scale: np.ndarray, column_scale: np.ndarray,
                own: np.ndarray, k: int, shrink: float, pearson: bool) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar rows of a matrix Y (n, m), for every row of a matrix X (B, m).

    Only similarities above 0 count. With the sums over columns c that both rows hold:

    - cosine: `sum(x_c y_c) / (row_scale[x] * column_scale[y] + shrink)`;
    - pearson: `sum(x_c y_c) / sqrt(sum(x_c**2) sum(y_c**2)) * (common - 1) / (common - 1 + shrink)`.

    Parameters
    ----------
    indptr, indices, data
        X by rows.
    columns_indptr, columns_indices, columns_data
        Y by columns: the transpose of Y by rows, (m, n).
    row_scale, column_scale : ndarray of float64, shapes (B,) and (n,)
    own : ndarray of int32, shape (B,)
        The row of Y to leave out of each list, or -1.
    k : int
    shrink : float
    pearson : bool

    Returns
    -------
    neighbours : ndarray of int32, shape (B, k)
        Most similar first, ties by lower index; padded with -1.
    similarities : ndarray of float32, shape (B, k)
        Padded with 0.
    """
    n_rows, n = len(indptr) - 1, len(column_scale)
    neighbours, similarities = np.full((n_rows, k), -1, np.int32), np.zeros((n_rows, k), np.float32)
    for row in range(n_rows):
        part = slice(indptr[row], indptr[row + 1])
        mine, other, place = _meet(indices[part], data[part], columns_indptr, columns_indices, columns_data)
        similar: np.ndarray = np.bincount(place, mine * other, n)
        if pearson:
            common = np.bincount(place, minlength=n)
            spread = np.sqrt(np.bincount(place, mine * mine, n) * np.bincount(place, other * other, n))
            support = np.maximum(common - 1.0, 0)
            scale = np.where(spread > 0, spread, 1) * np.where(support > 0, support + shrink, 1)
            similar = np.where(spread > 0, similar * support, 0) / scale
        else:
            scale = row_scale[row] * column_scale + shrink
            similar = similar / np.where(scale > 0, scale, 1)
        similar = similar.astype(np.float32)
        if own[row] >= 0:
            similar[own[row]] = 0
        best = np.argsort(-similar, kind="stable")[:k]
        best = best[similar[best] > 0]
        neighbours[row, :len(best)], similarities[row, :len(best)] = best, similar[best]
    return neighbours, similarities


def _meet(indices: np.ndarray, data: np.ndarray, columns_indptr: np.ndarray, columns_indices: np.ndarray,
          columns_data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of one row's entry with an entry of the same column: both values, and the other's row."""
    counts = columns_indptr[indices + 1] - columns_indptr[indices]
    first = np.repeat(columns_indptr[indices] - (np.cumsum(counts) - counts), counts)
    entries = first + np.arange(len(first))
    mine, other = np.repeat(data.astype(np.float64), counts), columns_data[entries].astype(np.float64)
    return mine, other, columns_indices[entries]


def largest(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray,
            k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k largest entries of every row of a sparse matrix, largest first, ties by lower column, as such a matrix."""
    counts = np.diff(indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((indices, -data, rows))
    kept = order[np.arange(len(order)) - np.repeat(indptr[:-1], counts) < k]
    out = np.zeros(len(indptr), np.int64)
    np.cumsum(np.minimum(counts, k), out=out[1:])
    return out, indices[kept], data[kept]


def gram(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, columns_indptr: np.ndarray,
         columns_indices: np.ndarray, columns_data: np.ndarray) -> np.ndarray:
    """X X' of a sparse X (n, m), given by rows and by columns: float64 (n, n)."""
    n = len(indptr) - 1
    out = np.empty((n, n))
    for row in range(n):
        part = slice(indptr[row], indptr[row + 1])
        mine, other, place = _meet(indices[part], data[part], columns_indptr, columns_indices, columns_data)
        out[row] = np.bincount(place, mine * other, n)
    return out


def sum_sparse_rows(indptr: np.ndarray, indices: np.ndarray, weights: np.ndarray, rows_indptr: np.ndarray,
                    rows_indices: np.ndarray, rows_data: np.ndarray, n: int) -> np.ndarray:
    """W S of two sparse matrices as a dense one: float32 (B, n).

    Parameters
    ----------
    indptr, indices, weights
        W (B, m) by rows; a row may hold a column more than once.
    rows_indptr, rows_indices, rows_data
        S (m, n) by rows.
    n : int
        Columns of S.
    """
    out = np.zeros((len(indptr) - 1, n), np.float32)
    for row in range(len(out)):
        for at in range(indptr[row], indptr[row + 1]):
            part = slice(rows_indptr[indices[at]], rows_indptr[indices[at] + 1])
            out[row, rows_indices[part]] += weights[at] * rows_data[part]
    return out


def continuations(indptr: np.ndarray, indices: np.ndarray, weights: np.ndarray, ages: np.ndarray,
                  near_indptr: np.ndarray, near_indices: np.ndarray, near_data: np.ndarray, rows_indptr: np.ndarray,
                  rows_indices: np.ndarray, powers: np.ndarray, backward: float, repeats: bool, n: int) -> np.ndarray:
    """What stands around the items of a row in other rows, which are sequences: float32 (B, n).

    In each other row, of similarity s, the place p is the last one of the row's item with the least age, whose weight
    is w. An item whose last place there is q adds `s w powers[q - p - 1]` to its sum if q is behind p, `s w` if it
    is p, and `s w backward powers[p - q - 1]` if it is before.

    Parameters
    ----------
    indptr, indices, weights, ages
        The rows (B, n), and the weight and the age of each entry; each column at most once, and each age.
    near_indptr, near_indices, near_data
        The other rows of each row (B, m), and their similarities.
    rows_indptr, rows_indices
        All other rows (m, n), in their order; columns may come again.
    powers : ndarray of float64
        What a distance makes of a weight; at least as long as the longest other row.
    backward : float
    repeats : bool
        Whether the row's own items have a sum.
    n : int
    """
    out = np.zeros((len(indptr) - 1, n), np.float32)
    for row in range(len(out)):
        mine = slice(indptr[row], indptr[row + 1])
        held, since = np.zeros(n), np.full(n, np.inf)
        held[indices[mine]], since[indices[mine]] = weights[mine], ages[mine]
        for near in range(near_indptr[row], near_indptr[row + 1]):
            theirs = rows_indices[rows_indptr[near_indices[near]]:rows_indptr[near_indices[near] + 1]]
            newest = since[theirs].min(initial=np.inf)
            star = np.flatnonzero(since[theirs] == newest)[-1] if newest < np.inf else 0
            weight = held[theirs[star]] if newest < np.inf else 0.0
            items, back = np.unique(theirs[::-1], return_index=True)
            distance = len(theirs) - 1 - back - star
            value = np.where(distance < 0, backward, 1.0) * powers[np.maximum(np.abs(distance) - 1, 0)]
            kept = repeats | (since[items] == np.inf)
            out[row, items[kept]] += near_data[near] * weight * value[kept]
    return out


def rate(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, pairs_indptr: np.ndarray, targets: np.ndarray,
         similar_indptr: np.ndarray, similar_indices: np.ndarray, similar_data: np.ndarray, n: int, k: int,
         min_k: int, prior: float) -> np.ndarray:
    """Weighted means of what a row holds, over the k entries most similar to a target.

    For row b and target t: `sum(s d) / (sum(s) + prior)` over the first k of t's neighbours that row b holds,
    where s is the similarity and d the row's value; 0 if there are fewer than `min_k`.

    Parameters
    ----------
    indptr, indices, data
        The rows' values (B, n), such as a user's ratings less the baseline.
    pairs_indptr, targets : ndarray, shapes (B + 1,) and (p,)
        The targets of row b are `targets[pairs_indptr[b]:pairs_indptr[b + 1]]`.
    similar_indptr, similar_indices, similar_data
        Neighbours of each target among the n columns, most similar first.
    n, k, min_k : int
    prior : float

    Returns
    -------
    ndarray of float32, shape (p,)
    """
    out = np.zeros(len(targets), np.float32)
    held, value = np.zeros(n, bool), np.zeros(n)
    for row in range(len(indptr) - 1):
        part = slice(indptr[row], indptr[row + 1])
        held[indices[part]], value[indices[part]] = True, data[part]
        for at in range(pairs_indptr[row], pairs_indptr[row + 1]):
            near = slice(similar_indptr[targets[at]], similar_indptr[targets[at] + 1])
            chosen = np.flatnonzero(held[similar_indices[near]])[:k]
            if len(chosen) >= min_k and len(chosen):
                weight = similar_data[near][chosen].astype(np.float64)
                out[at] = weight @ value[similar_indices[near][chosen]] / (weight.sum() + prior)
        held[indices[part]] = False
    return out
