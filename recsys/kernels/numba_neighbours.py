"""Neighbourhood kernels: sparse products by rows, with a dense accumulator that is never a matrix.

Rows of the output are dealt out to a fixed number of shares, so that heavy rows spread; a thread that takes some has
its own scratch, clean after every row, and no result depends on the number of threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread

__all__ = ["continuations", "gram", "largest", "rate", "sum_sparse_rows", "top_similar"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}}
_SHARES = 64
_BELOW = 1 - 1e-6  # less than this times the worst kept: out, without a division
_LARGE = 50_000  # entries; with fewer, other threads are not worth waking


# -------------------------------------------------------------------------------------------- most similar rows

def top_similar(indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale, column_scale, own, k,
                shrink, pearson):
    n_rows, n = len(indptr) - 1, len(column_scale)
    neighbours = np.full((n_rows, k), -1, np.int32)
    similarities = np.zeros((n_rows, k), np.float32)

    def share(first, last):
        products, (common, mine, other) = np.zeros(n), np.zeros((3, n if pearson else 0))
        _top_similar(first, last, indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale,
                     column_scale, own, shrink, products, common, mine, other, neighbours, similarities)

    spread(share, min(_SHARES, n_rows), len(indices) > _LARGE)
    return neighbours, similarities


@njit(cache=True, nogil=True, **_FAST)
def _top_similar(first, last, indptr, indices, data, columns_indptr, columns_indices, columns_data, row_scale,
                 column_scale, own, shrink, products, common, mine, other, neighbours, similarities):
    n_rows, n, pearson = len(neighbours), len(column_scale), len(common) > 0
    for share in range(first, last):
        for row in range(share, n_rows, _SHARES):
            begin, end = indptr[row], indptr[row + 1]
            work = _add_products(products, begin, end, indices, data, columns_indptr, columns_indices, columns_data)
            if pearson:
                _add_squares(common, mine, other, begin, end, indices, data, columns_indptr, columns_indices,
                             columns_data)
            # What was touched: all columns, if most of them were, or else the same entries again.
            dense, found = work >= n, np.int64(0)  # not the literal 0, for which helpers would be compiled once more
            scale = 0.0 if pearson else row_scale[row]
            near, similar, without = neighbours[row], similarities[row], own[row]
            # The loop's body is no helper: one that takes arrays counts references at every call, even inlined.
            for at in range(0 if dense else begin, 1 if dense else end):
                begin_at = 0 if dense else columns_indptr[indices[at]]
                end_at = n if dense else columns_indptr[indices[at] + 1]
                for entry in range(begin_at, end_at):
                    j = entry if dense else np.int64(columns_indices[entry])
                    product = products[j]
                    products[j] = 0
                    if pearson:
                        support, denominator = common[j] - 1, math.sqrt(mine[j] * other[j])
                        common[j], mine[j], other[j] = 0, 0, 0
                        if support <= 0:
                            continue
                        product *= support
                        denominator *= support + shrink
                    elif product <= 0:  # as most are: asked first, and alone
                        continue
                    else:
                        denominator = scale * column_scale[j] + shrink
                    if product <= 0 or denominator <= 0 or j == without:
                        continue
                    if found == len(near) and product < similar[0] * denominator * _BELOW:
                        continue
                    similarity = np.float32(product / denominator)
                    if similarity > 0:
                        found = _keep(near, similar, found, similarity, j)
            _best_first(near, similar, found)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_products(sums, first, last, indices, data, columns_indptr, columns_indices, columns_data):
    """Add rows of Y', each times an entry of a row of X; how many entries they had."""
    work = 0
    for at in range(first, last):
        begin, end = columns_indptr[indices[at]], columns_indptr[indices[at] + 1]
        theirs, values = columns_indices[begin:end], columns_data[begin:end]  # let the loop below unroll
        work += len(theirs)
        x = np.float64(data[at])
        for entry in range(len(theirs)):
            sums[theirs[entry]] += x * values[entry]
    return work


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add_squares(common, mine, other, first, last, indices, data, columns_indptr, columns_indices, columns_data):
    """For each column, how many entries both have, and the sums of their squares."""
    for at in range(first, last):
        begin, end = columns_indptr[indices[at]], columns_indptr[indices[at] + 1]
        theirs, values, x = columns_indices[begin:end], columns_data[begin:end], np.float64(data[at])
        for entry in range(len(theirs)):
            j = theirs[entry]
            common[j] += 1
            mine[j] += x * x
            other[j] += np.float64(values[entry]) * values[entry]


@njit(cache=True, nogil=True, inline="always")
def _keep(neighbours, similarities, found, similarity, j):
    """Offer an entry to the heap of the best; how many there are then."""
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
def _best_first(neighbours, similarities, found):
    """Sort the heap: the worst goes to the back, again and again."""
    for end in range(found - 1, 0, -1):
        similarity, j = similarities[end], np.int64(neighbours[end])
        similarities[end], neighbours[end] = similarities[0], neighbours[0]
        _sink(neighbours, similarities, end, similarity, j)


def largest(indptr, indices, data, k):
    out = np.zeros(len(indptr), np.int64)
    np.cumsum(np.minimum(np.diff(indptr), k), out=out[1:])
    columns, values = np.empty(out[-1], np.int32), np.empty(out[-1], np.float32)
    spread(_largest, len(out) - 1, len(indices) > _LARGE, indptr, indices, data, out, columns, values)
    return out, columns, values


@njit(cache=True, nogil=True)
def _largest(first, last, indptr, indices, data, out, columns, values):
    for row in range(first, last):
        near, similar = columns[out[row]:out[row + 1]], values[out[row]:out[row + 1]]
        found = np.int64(0)
        for at in range(indptr[row], indptr[row + 1]):
            found = _keep(near, similar, found, data[at], np.int64(indices[at]))
        _best_first(near, similar, found)


# ------------------------------------------------------------------------------------------------------ products

def gram(indptr, indices, data, columns_indptr, columns_indices, columns_data):
    n = len(indptr) - 1
    out = np.zeros((n, n))
    spread(_gram, _SHARES, len(indices) > _LARGE, indptr, indices, data, columns_indptr, columns_indices, columns_data,
           out)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _gram(first, last, indptr, indices, data, columns_indptr, columns_indices, columns_data, out):
    for share in range(first, last):
        for row in range(share, len(out), _SHARES):
            _add_products(out[row], indptr[row], indptr[row + 1], indices, data, columns_indptr, columns_indices,
                          columns_data)


def sum_sparse_rows(indptr, indices, weights, rows_indptr, rows_indices, rows_data, n):
    out = np.zeros((len(indptr) - 1, n), np.float32)
    spread(_sum_sparse_rows, len(out), len(indices) > _LARGE, indptr, indices, weights, rows_indptr, rows_indices,
           rows_data, out)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _sum_sparse_rows(first, last, indptr, indices, weights, rows_indptr, rows_indices, rows_data, out):
    for row in range(first, last):
        sums = out[row]
        for at in range(indptr[row], indptr[row + 1]):
            begin, end = rows_indptr[indices[at]], rows_indptr[indices[at] + 1]
            columns, values, weight = rows_indices[begin:end], rows_data[begin:end], weights[at]
            for entry in range(len(columns)):
                sums[columns[entry]] += weight * values[entry]


# ----------------------------------------------------------------------------------------------------- sequences

def continuations(indptr, indices, weights, ages, near_indptr, near_indices, near_data, rows_indptr, rows_indices,
                  powers, backward, repeats, n):
    n_rows = len(indptr) - 1
    out = np.zeros((n_rows, n), np.float32)

    def share(first, last):
        _continuations(first, last, indptr, indices, weights, ages, near_indptr, near_indices, near_data, rows_indptr,
                       rows_indices, powers, backward, repeats, np.zeros(n), np.full(n, np.inf), np.full(n, -1), out)

    spread(share, min(_SHARES, n_rows), len(near_indices) > _LARGE // 10)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _continuations(first, last, indptr, indices, weights, ages, near_indptr, near_indices, near_data, rows_indptr,
                   rows_indices, powers, backward, repeats, held, since, met, out):
    for share in range(first, last):
        for row in range(share, len(out), _SHARES):
            sums = out[row]
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]], since[indices[at]] = weights[at], ages[at]
            for near in range(near_indptr[row], near_indptr[row + 1]):
                begin, end = rows_indptr[near_indices[near]], rows_indptr[near_indices[near] + 1]
                star, newest, weight = begin, np.inf, 0.0
                for at in range(begin, end):
                    item = rows_indices[at]
                    if since[item] < np.inf and since[item] <= newest:
                        star, newest, weight = at, since[item], near_data[near] * held[item]
                for at in range(end - 1, begin - 1, -1):
                    item = rows_indices[at]
                    if met[item] == near or (not repeats and since[item] < np.inf):
                        continue
                    met[item] = near
                    if at >= star:
                        sums[item] += weight * powers[max(at - star - 1, 0)]
                    else:
                        sums[item] += weight * backward * powers[star - at - 1]
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]], since[indices[at]] = 0, np.inf


# ------------------------------------------------------------------------------------------------------- ratings

def rate(indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices, similar_data, n, k, min_k,
         prior):
    n_rows = len(indptr) - 1
    out = np.zeros(len(targets), np.float32)

    def share(first, last):
        _rate(first, last, n_rows, indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices,
              similar_data, k, min_k, prior, np.zeros(n, np.bool_), np.zeros(n), out)

    spread(share, min(_SHARES, n_rows), len(indices) > _LARGE)
    return out


@njit(cache=True, nogil=True, **_FAST)
def _rate(first, last, n_rows, indptr, indices, data, pairs_indptr, targets, similar_indptr, similar_indices,
          similar_data, k, min_k, prior, held, value, out):
    for share in range(first, last):
        for row in range(share, n_rows, _SHARES):
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]], value[indices[at]] = True, data[at]
            for pair in range(pairs_indptr[row], pairs_indptr[row + 1]):
                weighted, total, taken = 0.0, prior, 0
                at, stop = similar_indptr[targets[pair]], similar_indptr[targets[pair] + 1]
                while at < stop and taken < k:
                    if held[similar_indices[at]]:
                        weighted += similar_data[at] * value[similar_indices[at]]
                        total += similar_data[at]
                        taken += 1
                    at += 1
                if taken >= min_k and taken:
                    out[pair] = weighted / total
            for at in range(indptr[row], indptr[row + 1]):
                held[indices[at]] = False
