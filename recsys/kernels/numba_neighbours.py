"""Neighbourhood kernels: sparse products by rows, with a dense accumulator that is never a matrix.

Rows of the output are dealt out to a fixed number of shares, each with its own scratch, so that
heavy rows spread and no result depends on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

__all__ = ["gram", "rate", "sum_dense_rows", "sum_sparse_rows", "top_similar"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_SHARES = 64
_BELOW = 1 - 1e-6  # less than this times the worst kept: out, without a division
_TILE = 128  # columns of a dense matrix that are worked on at once, so that they stay in cache


def top_similar(indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale, column_scale, own, k,
                shrink, pearson):
    neighbours = np.full((len(indptr) - 1, k), -1, np.int32)
    similarities = np.zeros((len(indptr) - 1, k), np.float32)
    if len(neighbours):
        _top_similar(indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale, column_scale,
                     own, shrink, pearson, neighbours, similarities)
    return neighbours, similarities


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _top_similar(indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale, column_scale, own,
                 shrink, pearson, neighbours, similarities):
    n_rows, n = len(neighbours), len(column_scale)
    for share in prange(min(_SHARES, n_rows)):
        products = np.zeros(n)
        common = np.zeros(n if pearson else 0)
        mine, other = np.zeros_like(common), np.zeros_like(common)
        for row in range(share, n_rows, _SHARES):
            work = 0
            for at in range(indptr[row], indptr[row + 1]):
                part = slice(columns_indptr[indices[at]], columns_indptr[indices[at] + 1])
                theirs, values = columns_indices[part], columns_data[part]  # slices let the loop below unroll
                work += len(theirs)
                x = np.float64(data[at])
                for entry in range(len(theirs)):
                    products[theirs[entry]] += x * values[entry]
                if pearson:
                    for entry in range(len(theirs)):
                        j = theirs[entry]
                        common[j] += 1
                        mine[j] += x * x
                        other[j] += np.float64(values[entry]) * values[entry]
            if pearson:
                scale = 0.0
            else:
                scale = row_scale[row]
            found = 0
            if work >= n:  # most of the accumulator was touched: one pass over all of it
                for j in range(n):
                    found = _offer(j, found, products, common, mine, other, scale, column_scale, own[row], shrink,
                                   neighbours[row], similarities[row])
            else:  # touch the same entries again
                for at in range(indptr[row], indptr[row + 1]):
                    for entry in range(columns_indptr[indices[at]], columns_indptr[indices[at] + 1]):
                        found = _offer(columns_indices[entry], found, products, common, mine, other, scale,
                                       column_scale, own[row], shrink, neighbours[row], similarities[row])
            _sort_heap(neighbours[row], similarities[row], found)


@njit(cache=True, nogil=True, forceinline=True, fastmath=_FAST)
def _offer(j, found, products, common, mine, other, scale, column_scale, own, shrink, neighbours, similarities):
    """Take entry j out of the accumulator; keep it if it is among the best so far."""
    product = products[j]
    products[j] = 0
    if len(common):
        spread = math.sqrt(mine[j] * other[j])
        support = common[j] - 1
        common[j], mine[j], other[j] = 0, 0, 0
        if spread <= 0 or support <= 0:
            return found
        product *= support
        denominator = spread * (support + shrink)
    else:
        denominator = scale * column_scale[j] + shrink
    if product <= 0 or denominator <= 0 or j == own:
        return found
    if found == len(neighbours) and product < similarities[0] * denominator * _BELOW:
        return found
    similarity = np.float32(product / denominator)
    if similarity <= 0:
        return found
    if found < len(neighbours):
        _rise(neighbours, similarities, found, similarity, j)
        return found + 1
    if found and (similarity > similarities[0] or (similarity == similarities[0] and j < neighbours[0])):
        _sink(neighbours, similarities, found, similarity, j)
    return found


@njit(cache=True, nogil=True)
def _rise(neighbours, similarities, at, similarity, j):
    """Put a new entry into the heap, whose root is the worst."""
    while at:
        parent = (at - 1) // 2
        better = similarities[parent] > similarity or (similarities[parent] == similarity and neighbours[parent] < j)
        if not better:
            break
        similarities[at], neighbours[at] = similarities[parent], neighbours[parent]
        at = parent
    similarities[at], neighbours[at] = similarity, j


@njit(cache=True, nogil=True)
def _sink(neighbours, similarities, size, similarity, j):
    """Replace the root, and let worse children come up."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and (similarities[child + 1] < similarities[child] or (
                similarities[child + 1] == similarities[child] and neighbours[child + 1] > neighbours[child])):
            child += 1
        if similarities[child] > similarity or (similarities[child] == similarity and neighbours[child] < j):
            break
        similarities[at], neighbours[at] = similarities[child], neighbours[child]
        at = child
    similarities[at], neighbours[at] = similarity, j


@njit(cache=True, nogil=True)
def _sort_heap(neighbours, similarities, size):
    """Best first: the worst goes to the back, again and again."""
    for end in range(size - 1, 0, -1):
        similarity, j = similarities[end], neighbours[end]
        similarities[end], neighbours[end] = similarities[0], neighbours[0]
        _sink(neighbours, similarities, end, similarity, j)


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def gram(indptr, indices, data, columns_indptr, columns_indices, columns_data):
    n = len(indptr) - 1
    out = np.zeros((n, n))
    for share in prange(_SHARES):
        for row in range(share, n, _SHARES):
            sums = out[row]
            for at in range(indptr[row], indptr[row + 1]):
                part = slice(columns_indptr[indices[at]], columns_indptr[indices[at] + 1])
                theirs, values = columns_indices[part], columns_data[part]
                x = np.float64(data[at])
                for entry in range(len(theirs)):
                    sums[theirs[entry]] += x * values[entry]
    return out


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def sum_sparse_rows(indptr, indices, weights, rows_indptr, rows_indices, rows_data, n):
    out = np.zeros((len(indptr) - 1, n), np.float32)
    for row in prange(len(indptr) - 1):
        sums = out[row]
        for at in range(indptr[row], indptr[row + 1]):
            part = slice(rows_indptr[indices[at]], rows_indptr[indices[at] + 1])
            columns, values, weight = rows_indices[part], rows_data[part], weights[at]
            for entry in range(len(columns)):
                sums[columns[entry]] += weight * values[entry]
    return out


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def sum_dense_rows(indptr, indices, weights, matrix):
    n = matrix.shape[1]
    out = np.zeros((len(indptr) - 1, n), np.float32)
    for tile in prange((n + _TILE - 1) // _TILE):
        left, right = tile * _TILE, min((tile + 1) * _TILE, n)
        for row in range(len(indptr) - 1):
            sums = out[row, left:right]
            for at in range(indptr[row], indptr[row + 1]):
                weight, addend = weights[at], matrix[indices[at], left:right]
                for column in range(right - left):
                    sums[column] += weight * addend[column]
    return out


def rate(indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices, similar_data, n, k, min_k,
         prior):
    out = np.zeros(len(targets), np.float32)
    if len(targets):
        _rate(indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices, similar_data, n, k, min_k,
              prior, out)
    return out


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def _rate(indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices, similar_data, n, k, min_k,
          prior, out):
    n_rows = len(indptr) - 1
    for share in prange(min(_SHARES, n_rows)):
        held, value = np.zeros(n, np.bool_), np.zeros(n)
        for row in range(share, n_rows, _SHARES):
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]], value[indices[at]] = True, data[at]
            for pair in range(pairs_indptr[row], pairs_indptr[row + 1]):
                weighted, total, taken = 0.0, prior, 0
                at, last = similar_indptr[targets[pair]], similar_indptr[targets[pair] + 1]
                while at < last and taken < k:
                    if held[similar_indices[at]]:
                        weighted += similar_data[at] * value[similar_indices[at]]
                        total += similar_data[at]
                        taken += 1
                    at += 1
                if taken >= min_k and taken:
                    out[pair] = weighted / total
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]] = False
