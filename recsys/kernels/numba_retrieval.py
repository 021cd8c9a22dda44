"""Exact search in vectors without reading most of them, in Numba; what it promises is described at the NumPy reference.

Items are passed over by blocks in the order of their norms. An item's product with a query q is at most `norm |q|`, so
that a search ends where this is below what it has found. Before that, a product is bounded by codes of 8 bits, a
quarter of the traffic and less of the work, and computed in full only where the bound reaches what was found.

The bound: with `v = a C + r`, `|r| <= e`, and `q = s D + t`, where a and s are steps, C and D whole numbers,

    q . v = (s D) . (a C) + t . (a C) + q . r  <=  a s (C . D) + |t| |a C| + e |q|,

with `|a C| <= |v| + e` and `e <= a sqrt(f) / 2 <= |v| sqrt(f) / 254`. `C . D` is exact in int32, as D is kept as small
as that takes. What float64 rounds, here and in the product itself, is less than `(f + 64) 2^-52` times the largest
value that any of it can have, and is added.

Ranks need most products of a row, and a matrix product in float32 is the fastest way to them. In any order, it is off
by less than `(f + 8) 2^-24 |q| |v|`; items that are no further from a target than that are computed again.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math

import numpy as np

from minidl import runtime
from minidl.kernels.ahead import later, njit
from minidl.kernels.launch import spread
from recsys.kernels import numba_ranking
from recsys.kernels.numpy_ranking import UNREACHABLE
from recsys.kernels.numpy_retrieval import LANES, Index

__all__ = ["LANES", "Index", "dots", "ranks", "search"]

dot = later("recsys.kernels.lanes", "dot")

_BLOCK = 256  # items between two looks at the norm
_LARGE = 500_000  # items times queries; with fewer, other threads are not worth waking
_MEASURES = 4  # numbers that are kept of a query
_FEW = 16  # where so many times fewer items are allowed, each of them is looked at, and no other
_LONG = 8  # a list of more than one in so many items is chosen from all of them
_TOGETHER = 2**21  # products of a matrix product: 8 MB, which stay in the cache for counting
_HIGHEST = 1e37  # products that float32 holds
_PATIENCE = 512, 8, 16  # products in full, plus so many for a place, plus one in so many items: bounds are of no use


def dots(queries, vectors, bias, rows, items):
    products = np.empty(len(items))
    rows, items = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(items, np.int64)

    def some(first, last):
        _dots(first, last, queries, vectors, bias, rows, items, products, np.empty(queries.shape[1]))

    spread(some, len(items), len(items) > _LARGE)
    return products


def search(queries, index, hidden_indptr, hidden_indices, allowed, k):
    n = len(index.vectors)
    items, products = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf)
    if not k or not n:
        return items, products
    bounded = _bounded(queries, index)
    if k * _LONG > n:
        bounded[:] = False
    few = np.zeros(0, np.int32)
    scarce = allowed is not None and np.count_nonzero(allowed) * _FEW <= n
    if scarce:
        few = np.flatnonzero(allowed).astype(np.int32)
    may = np.ones(0, np.bool_) if allowed is None or scarce else allowed
    which = np.flatnonzero(bounded)

    def some(first, last):
        count = last - first
        _search(first, last, which, queries, index, hidden_indptr, hidden_indices, may, scarce, few, items, products,
                np.empty((count, queries.shape[1])), np.zeros((count, index.codes.shape[1]), np.int16),
                np.empty((count, _MEASURES)), np.zeros(count, np.int64), np.zeros(count, np.bool_),
                np.empty(_BLOCK))

    spread(some, len(which), n * len(which) > _LARGE)

    def choose(row, own, indptr, indices):
        items[row], products[row] = numba_ranking.topk(own, indptr, indices, allowed, k)

    _each(choose, np.flatnonzero(~bounded), queries, index, hidden_indptr, hidden_indices)
    return items, products


def ranks(queries, index, hidden_indptr, hidden_indices, allowed, target_indptr, target_indices, deepest):
    n = len(index.vectors)
    greater, equal = np.empty((2, len(target_indices)), np.int32)
    barred = np.zeros(n, np.bool_) if allowed is None else ~allowed
    lengths = np.sqrt(np.einsum("bf,bf->b", queries, queries, dtype=np.float64))
    bounded = _bounded(queries, index)
    bounded[bounded] = lengths[bounded] * (index.norms[0] if n else 0.0) < _HIGHEST
    which, step = np.flatnonzero(bounded), max(_TOGETHER // max(n, 1), 1)
    for start in range(0, len(which), step):
        rows = which[start:start + step]
        nearly = runtime.matmul(queries[rows], index.vectors.T)
        spread(_ranks, len(rows), nearly.size > _LARGE, rows, nearly, lengths, queries, index, hidden_indptr,
               hidden_indices, barred, target_indptr, target_indices, deepest, greater, equal)

    def count(row, own, indptr, indices):
        part = slice(target_indptr[row], target_indptr[row + 1])
        targets = target_indices[part]
        greater[part], equal[part] = numba_ranking.ranks(own, indptr, indices, allowed, np.array([0, len(targets)]),
                                                         targets, deepest)

    _each(count, np.flatnonzero(~bounded), queries, index, hidden_indptr, hidden_indices)
    return greater, equal


def _bounded(queries, index):
    """Which rows have numbers that can be compared: not NaN, nor infinite."""
    known = not len(index.norms) or math.isfinite(index.norms[0])
    return np.isfinite(queries).all(axis=1) & known


def _each(use, rows, queries, index, hidden_indptr, hidden_indices):
    """Call `use(row, products with all items (1, n), hidden items as CSR of one row: indptr, indices)` for rows."""
    n = len(index.vectors)

    def some(first, last):
        own = np.empty((1, n))
        for row in rows[first:last]:
            _all(queries[row].astype(np.float64), index.vectors, index.bias, own[0])
            hidden = hidden_indices[hidden_indptr[row]:hidden_indptr[row + 1]]
            use(row, own, np.array([0, len(hidden)]), hidden)

    spread(some, len(rows), n * len(rows) > _LARGE)


@njit(cache=True, nogil=True)
def _dots(first, last, queries, vectors, bias, rows, items, products, query):
    before = -1
    for at in range(first, last):
        if rows[at] != before:
            before = rows[at]
            for j in range(len(query)):
                query[j] = queries[before, j]
        products[at] = dot(query, vectors[items[at]])
        if len(bias):
            products[at] += bias[items[at]]


@njit(cache=True, nogil=True)
def _all(query, vectors, bias, products):
    for item in range(len(vectors)):
        products[item] = dot(query, vectors[item])
        if len(bias):
            products[item] += bias[item]


@njit(cache=True, nogil=True)
def _search(first, last, which, queries, index, hidden_indptr, hidden_indices, allowed, scarce, few, items, products,
            full, whole, measures, spent, done, upper):
    n, count, k = len(index.vectors), last - first, items.shape[1]
    left = count
    for at in range(count):
        row = which[first + at]
        _measure(queries[row], index, full[at], whole[at], measures[at])
        nothing = measures[at, 1] == 0 and len(index.bias) == 0  # then all items tie, and the first ones are listed
        spent[at], done[at] = 0, scarce or nothing
        if done[at]:
            hidden = hidden_indices[hidden_indptr[row]:hidden_indptr[row + 1]]
            _scan(full[at], index, hidden, allowed, scarce, few, nothing, items[row], products[row])
            left -= 1
    for begin in range(0, n, _BLOCK):
        if left == 0:
            break
        end = min(begin + _BLOCK, n)
        for at in range(count):  # one pass over the codes for all queries
            if done[at]:
                continue
            row = which[first + at]
            own, best = items[row], products[row]
            if _reach(index, measures[at], begin) < best[k - 1]:  # strictly: an item that ties may come first
                done[at] = True
                left -= 1
                continue
            hidden = hidden_indices[hidden_indptr[row]:hidden_indptr[row + 1]]
            _bounds(whole[at], measures[at], index, begin, end, upper)
            for r in range(begin, end):
                if upper[r - begin] >= best[k - 1]:
                    item = index.order[r]
                    if (len(allowed) == 0 or allowed[item]) and not _holds(hidden, item):
                        product = dot(full[at], index.vectors[item])
                        if len(index.biases):
                            product += index.biases[r]
                        _offer(product, item, own, best)
                        spent[at] += 1
            if spent[at] > _PATIENCE[0] + _PATIENCE[1] * k + end // _PATIENCE[2]:
                for place in range(k):
                    own[place], best[place] = -1, -np.inf
                _scan(full[at], index, hidden, allowed, scarce, few, scarce, own, best)  # which it is not, here
                done[at] = True
                left -= 1


@njit(cache=True, nogil=True, inline="always")
def _measure(query, index, full, whole, measures):
    """A query in float64 and in whole numbers; their step, its length, that with the last column, what they miss."""
    f = len(query)
    largest = length = missed = 0.0
    for j in range(f):
        full[j] = query[j]
        largest = abs(full[j]) if abs(full[j]) > largest else largest
        length += full[j] * full[j]
    most = min(32767, (2**31 - 1) // (127 * max(index.codes.shape[1], 1)))
    step = largest / most
    for j in range(len(whole)):
        whole[j] = 0
    for j in range(f):
        if step > 0:
            whole[j] = np.int16(round(full[j] / step))
        rest = full[j] - step * whole[j]
        missed += rest * rest
    rounding = 1 + (f + 64) * 2.0**-52
    unit = index.unit if len(index.bias) else 0.0
    measures[0] = step
    measures[1] = math.sqrt(length) * rounding
    measures[2] = math.sqrt(length + unit * unit) * rounding
    measures[3] = math.sqrt(missed) * rounding + measures[1] * (f + 64) * 2.0**-52


@njit(cache=True, nogil=True, inline="always")
def _reach(index, measures, begin):
    """What no product of the items from `begin` on exceeds."""
    return index.norms[begin] * measures[2] + index.offset + _rounding(index, measures, begin)


@njit(cache=True, nogil=True, inline="always")
def _rounding(index, measures, begin):
    return (index.vectors.shape[1] + 64) * 2.0**-52 * (index.norms[begin] * measures[2] + abs(index.offset))


@njit(cache=True, nogil=True, inline="always")
def _bounds(whole, measures, index, begin, end, upper):
    """What the products of some items do not exceed."""
    codes, steps, errors, biases = index.codes, index.steps, index.errors, index.biases
    for r in range(begin, end):
        total = np.int32(0)
        for j in range(len(whole)):  # a plain loop, of which LLVM makes multiplications of 16 bits added in pairs
            total += np.int32(whole[j]) * np.int32(codes[r, j])
        upper[r - begin] = total
    step, length, lost = measures[0], measures[1], measures[3]
    longest = index.norms[begin] * (1 + math.sqrt(index.vectors.shape[1]) / 200)
    slack = lost * longest + _rounding(index, measures, begin)
    for r in range(end - begin):
        upper[r] = upper[r] * steps[begin + r] * step + errors[begin + r] * length + slack
    if len(biases):
        for r in range(end - begin):
            upper[r] += biases[begin + r]


@njit(cache=True, nogil=True, inline="always")
def _holds(hidden, item):
    """Whether an ascending list has an item."""
    low, high = 0, len(hidden)
    while low < high:
        middle = (low + high) // 2
        if hidden[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low < len(hidden) and hidden[low] == item


@njit(cache=True, nogil=True, inline="always")
def _offer(product, item, items, products):
    """Put an item into a list by its product, behind higher ones and lower items of the same, if it has a place."""
    place = len(items) - 1
    if product < products[place] or (product == products[place] and item > items[place]):
        return
    while place > 0 and (products[place - 1] < product or (products[place - 1] == product and items[place - 1] > item)):
        products[place], items[place] = products[place - 1], items[place - 1]
        place -= 1
    products[place], items[place] = product, item


@njit(cache=True, nogil=True)
def _scan(query, index, hidden, allowed, scarce, few, nothing, items, products):
    """The list from all items, or from few, one by one in ascending order; with `nothing`, the first ones."""
    last = len(items) - 1
    for at in range(len(few) if scarce else len(index.vectors)):
        item = few[at] if scarce else at
        product = dot(query, index.vectors[item])
        if len(index.bias):
            product += index.bias[item]
        if product > products[last] and (len(allowed) == 0 or allowed[item]) and not _holds(hidden, item):
            _offer(product, item, items, products)
            if nothing and items[last] >= 0:
                break


@njit(cache=True, nogil=True)
def _ranks(first, last, which, nearly, lengths, queries, index, hidden_indptr, hidden_indices, barred, target_indptr,
           target_indices, deepest, greater, equal):
    """Count by products that a matrix product rounded in its own way; what is too near to a target is computed anew."""
    n, f = index.vectors.shape
    full, values, skip = np.empty(f), np.empty(n, np.float32), barred.copy()
    for at in range(first, last):
        row = which[at]
        hidden = hidden_indices[hidden_indptr[row]:hidden_indptr[row + 1]]
        for item in hidden:
            skip[item] = True
        for item in range(n):  # NaN, which compares false, where there is no candidate
            values[item] = np.float32(np.nan) if skip[item] else nearly[at, item]
        if len(index.bias):
            for item in range(n):
                values[item] += index.bias[item]
        for j in range(f):
            full[j] = queries[row, j]
        highest = lengths[row] * index.norms[0] * (1 + 2.0**-20)
        around = highest * (f + 8) * 2.0**-24 * (1 + 2.0**-10) + f * 2.0**-125
        if len(index.bias):
            around += (highest + abs(index.offset) + index.norms[0] * index.unit) * 2.0**-22
        for t in range(target_indptr[row], target_indptr[row + 1]):
            target = target_indices[t]
            greater[t], equal[t] = UNREACHABLE, 0
            if not skip[target]:
                greater[t], equal[t] = _count(_product(full, index, target), around, full, index, values, deepest)
                if greater[t] >= deepest:
                    greater[t], equal[t] = deepest, 1
        for item in hidden:
            skip[item] = barred[item]


@njit(cache=True, nogil=True, inline="always")
def _product(query, index, item):
    product = dot(query, index.vectors[item])
    return product + index.bias[item] if len(index.bias) else product


@njit(cache=True, nogil=True, inline="always")
def _count(score, around, query, index, values, deepest):
    """How many items have a product above a score, and how many have it; values are theirs but for `around`."""
    above = same = np.int32(0)
    low, high = np.float32(score - around), np.float32(score + around)  # `around` has room for this rounding
    for begin in range(0, len(values), _BLOCK):
        end = min(begin + _BLOCK, len(values))
        higher = reaching = np.int32(0)
        for item in range(begin, end):  # in int32, so that many fit a register
            higher = np.int32(higher + np.int32(values[item] > high))
            reaching = np.int32(reaching + np.int32(values[item] >= low))
        above = np.int32(above + higher)
        if reaching > higher:
            for item in range(begin, end):
                if values[item] >= low and not values[item] > high:
                    product = _product(query, index, item)
                    above = np.int32(above + np.int32(product > score))
                    same = np.int32(same + np.int32(product == score))
        if above >= deepest:
            break
    return above, same
