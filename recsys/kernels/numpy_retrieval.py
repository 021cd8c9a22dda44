"""NumPy references of the kernels that search in vectors, and what both versions promise.

The *product* of a query and an item is `q . v + b`, computed the same everywhere, so that a list, a rank and the score
of a pair agree to the last bit: the products `q_j v_j` of float32 numbers, which are exact in float64, go to 8 sums by
`j mod 8`, in order; sums 4 to 7 are added to 0 to 3, then 2 and 3 to 0 and 1, then 1 to 0; then `b` is added.
A fused multiplication and addition gives the same bits. A NaN ranks last; NaNs tie with one another.

Candidates of a row are the items that are allowed and not hidden. Hidden items and targets are CSR rows
(indptr int64 (B + 1,), indices int32 (nnz,)), indices in range; those of hidden items ascend within a row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recsys.kernels import numpy_ranking

__all__ = ["LANES", "Index", "dots", "ranks", "search"]

LANES = 8  # sums of a product


class Index(NamedTuple):
    """Vectors of items, and what tells bounds of their products: row r of the lower part is item `order[r]`.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n, f)
    bias : ndarray of float32, shape (n,), or (0,) where there is none
    order : ndarray of int32, shape (n,)
        Items by their norm, the largest first.
    norms : ndarray of float32, shape (n,)
        At least the norm of `(v, (b - offset) / unit)`; none rises above the one before. Infinite, if any number is
        not finite.
    codes : ndarray of int8, shape (n, F), F >= f
        `rint(v / step)`, 0 behind the f-th.
    steps : ndarray of float32, shape (n,)
        A 127th of the largest number of each vector.
    errors : ndarray of float32, shape (n,)
        At least the norm of `v - step * code`.
    biases : ndarray of float32, shape (n,) or (0,)
        Sorted, as the rest.
    offset, unit : float
        `unit` is what a query's last column is to be, about as long as queries are, or the norms are not telling.
    """

    vectors: np.ndarray
    bias: np.ndarray
    order: np.ndarray
    norms: np.ndarray
    codes: np.ndarray
    steps: np.ndarray
    errors: np.ndarray
    biases: np.ndarray
    offset: float
    unit: float


def dots(queries: np.ndarray, vectors: np.ndarray, bias: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Products of pairs.

    Parameters
    ----------
    queries : ndarray of float32, shape (B, f)
    vectors : ndarray of float32, shape (n, f)
    bias : ndarray of float32, shape (n,) or (0,)
    rows, items : ndarray of int, shape (m,)

    Returns
    -------
    ndarray of float64, shape (m,)

    Examples
    --------
    >>> dots(np.float32([[1, 2]]), np.float32([[3, 4]]), np.float32([0.5]), np.array([0]), np.array([0]))
    array([11.5])
    """
    with np.errstate(invalid="ignore"):
        return _plus(_sums(queries[rows].astype(np.float64) * vectors[items]), bias, items)


def search(queries: np.ndarray, index: Index, hidden_indptr: np.ndarray, hidden_indices: np.ndarray,
           allowed: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k candidates of every row with the largest products, ties by lower item, NaN last.

    Parameters
    ----------
    queries : ndarray of float32, shape (B, f)
    index : Index
    hidden_indptr, hidden_indices : ndarray, shapes (B + 1,) and (nnz,)
        Items to leave out of each row.
    allowed : ndarray of bool, shape (n,), or None
        Items that may be listed at all; None allows every one.
    k : int

    Returns
    -------
    items : ndarray of int32, shape (B, k)
        -1 where a row has fewer than k candidates.
    products : ndarray of float64, shape (B, k)
        -inf where a row has fewer than k candidates.
    """
    return numpy_ranking.topk(_all(queries, index), hidden_indptr, hidden_indices, allowed, k)


def ranks(queries: np.ndarray, index: Index, hidden_indptr: np.ndarray, hidden_indices: np.ndarray,
          allowed: np.ndarray | None, target_indptr: np.ndarray, target_indices: np.ndarray,
          deepest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each target stands among the candidates of its row: `recsys.kernels.ranking.ranks` of their products.

    Parameters
    ----------
    queries, index, hidden_indptr, hidden_indices, allowed
        As for `search`.
    target_indptr, target_indices, deepest
        As for `recsys.kernels.ranking.ranks`.

    Returns
    -------
    greater, equal : ndarray of int32, shape (m,)
    """
    return numpy_ranking.ranks(_all(queries, index), hidden_indptr, hidden_indices, allowed, target_indptr,
                               target_indices, deepest)


def _all(queries: np.ndarray, index: Index) -> np.ndarray:
    """Products with all items: float64 (B, n)."""
    products = np.empty((len(queries), len(index.vectors)))
    with np.errstate(invalid="ignore"):
        for row, query in enumerate(queries.astype(np.float64)):
            products[row] = _plus(_sums(query * index.vectors), index.bias, slice(None))
    return products


def _sums(parts: np.ndarray) -> np.ndarray:
    """float64 (m, f) -> (m,)."""
    sums = np.zeros((len(parts), LANES))
    for start in range(0, parts.shape[1], LANES):
        part = parts[:, start:start + LANES]
        sums[:, :part.shape[1]] += part
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]


def _plus(sums: np.ndarray, bias: np.ndarray, items: np.ndarray | slice) -> np.ndarray:
    return sums + bias[items] if len(bias) else sums
