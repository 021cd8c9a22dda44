"""Ranking kernels: one pass over the scores, no sort of a row, no copy of the matrix.

Rows are shared out, and who takes some owns one scratch row, so the threads never meet.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread
from recsys.kernels.numpy_ranking import UNREACHABLE

__all__ = ["UNREACHABLE", "ranks", "topk"]

_LARGE = 100_000  # scores; with fewer, other threads are not worth waking
_WIDTH = 32  # scores tested against the threshold at once
_BLOCK = 256  # scores counted between two looks at whether the target is too deep to matter


def topk(scores, seen_indptr, seen_indices, allowed, k):
    rows, n = scores.shape
    barred = np.zeros(n, np.bool_) if allowed is None else ~allowed
    items = np.full((rows, k), -1, np.int32)
    best = np.full((rows, k), -np.inf, scores.dtype)

    def some(first, last):
        _topk(first, last, scores, seen_indptr, seen_indices, barred, barred.copy(), items, best)

    if k:
        spread(some, rows, scores.size > _LARGE)
    return items, best


def ranks(scores, seen_indptr, seen_indices, allowed, target_indptr, target_indices, deepest):
    n = scores.shape[1]
    barred = np.zeros(n, np.bool_) if allowed is None else ~allowed
    greater, equal = np.empty((2, len(target_indices)), np.int32)

    def some(first, last):
        _ranks(first, last, scores, seen_indptr, seen_indices, barred, barred.copy(), np.empty(n, scores.dtype),
               target_indptr, target_indices, deepest, greater, equal)

    spread(some, len(scores), scores.size > _LARGE)
    return greater, equal


@njit(cache=True, nogil=True)
def _topk(first, last, scores, seen_indptr, seen_indices, barred, skip, items, best):
    for row in range(first, last):
        for at in range(seen_indptr[row], seen_indptr[row + 1]):
            skip[seen_indices[at]] = True
        _topk_row(scores[row], skip, items[row], best[row])
        for at in range(seen_indptr[row], seen_indptr[row + 1]):
            skip[seen_indices[at]] = barred[seen_indices[at]]


@njit(cache=True, nogil=True, inline="always")
def _topk_row(scores, skip, items, best):
    """Insert into a sorted list what beats its last entry; most blocks fall to one vectorised comparison.

    A list costs less than a heap up to a hundred entries, and is no disaster with a thousand.
    """
    n, k = len(scores), len(items)
    found = item = 0
    while item < n:
        end = min(item + _WIDTH, n)
        threshold = best[k - 1]
        above = found < k or end - item < _WIDTH
        if not above:
            for at in range(item, item + _WIDTH):
                above |= scores[at] > threshold
        if above:
            for at in range(item, end):
                score = scores[at]
                if (score > best[k - 1] or (found < k and score == score)) and not skip[at]:
                    _insert(best, items, min(found, k - 1), score, at)
                    found = min(found + 1, k)
        item = end
    for item in range(n):  # the places left go to NaNs in order of index
        if found == k:
            break
        if math.isnan(scores[item]) and not skip[item]:
            best[found], items[found] = scores[item], item
            found += 1


@njit(cache=True, nogil=True, inline="always")
def _insert(best, items, place, score, item):
    """Put an entry into a descending list, behind its equals; the entry at `place` is overwritten."""
    while place > 0 and best[place - 1] < score:
        best[place], items[place] = best[place - 1], items[place - 1]
        place -= 1
    best[place], items[place] = score, item


@njit(cache=True, nogil=True)
def _ranks(first, last, scores, seen_indptr, seen_indices, barred, skip, values, target_indptr, target_indices, deepest,
           greater, equal):
    for row in range(first, last):
        for at in range(seen_indptr[row], seen_indptr[row + 1]):
            skip[seen_indices[at]] = True
        begin, end = target_indptr[row], target_indptr[row + 1]
        _ranks_row(scores[row], skip, values, target_indices[begin:end], deepest, greater[begin:end], equal[begin:end])
        for at in range(seen_indptr[row], seen_indptr[row + 1]):
            skip[seen_indices[at]] = barred[seen_indices[at]]


@njit(cache=True, nogil=True, inline="always")
def _ranks_row(scores, skip, values, targets, deepest, greater, equal):
    for item in range(len(scores)):  # values: NaN, which compares false, where there is no candidate
        values[item] = np.nan if skip[item] else scores[item]
    for at in range(len(targets)):
        score = scores[targets[at]]
        if skip[targets[at]]:
            greater[at], equal[at] = UNREACHABLE, 0
            continue
        if math.isnan(score):
            greater[at], equal[at] = _numbers_and_nans(scores, skip)
        else:
            greater[at], equal[at] = _count(values, score, deepest)
        if greater[at] >= deepest:
            greater[at], equal[at] = deepest, 1


@njit(cache=True, nogil=True, inline="always")
def _count(values, score, deepest):
    above = same = np.int32(0)
    for begin in range(0, len(values), _BLOCK):
        for item in range(begin, min(begin + _BLOCK, len(values))):  # in int32, so that many fit a register
            above = np.int32(above + np.int32(values[item] > score))
            same = np.int32(same + np.int32(values[item] == score))
        if above >= deepest:
            break
    return above, same


@njit(cache=True, nogil=True, inline="always")
def _numbers_and_nans(scores, skip):
    numbers = nans = 0
    for item in range(len(scores)):
        if not skip[item]:
            nans += math.isnan(scores[item])
            numbers += not math.isnan(scores[item])
    return numbers, nans
