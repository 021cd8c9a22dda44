"""Tables of similarities from a regression of each item on its nearest items."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from recsys.data.csr import CSR, stacked
from recsys.errors import ParameterError
from recsys.estimator.scorers.neighbours import nearest
from recsys.kernels import neighbours as kernels

__all__ = ["Given", "Regress", "best_first", "local_weights"]

Given = tuple[np.ndarray, np.ndarray, np.ndarray, int, np.ndarray]
"""X by columns (indptr, indices, data), its rows, and the products of all columns: as `regressions` take them."""

Regress = Callable[[Given, np.ndarray, CSR], np.ndarray]
"""X, targets, int32 (B,), and their lists, (B, n_items) -> the weights of the entries of the lists, float32."""

_BYTES_AN_ENTRY = 36  # of the table: both orders, and what making them takes
_DENSE = 1 / 8  # of the memory may be for the products of all items, which else are counted list by list
_BLOCK = 1 << 22  # entries of lists that are worked on at a time


def local_weights(who: str, rows: CSR, neighbours: int, regress: Regress, max_gib: float) -> CSR:
    """Regress each item on its nearest ones, by the cosine of their columns, or on all if there are no more.

    Parameters
    ----------
    who : str
        Of messages.
    rows : CSR, shape (n_users, n_items)
        X, each pair once.
    neighbours : int
    regress : Regress
    max_gib : float

    Returns
    -------
    CSR, shape (n_items, n_items)
        Row j has the weights by which others tell of j, other than 0, the largest first.

    Raises
    ------
    ParameterError
        The table may take more memory than `max_gib`.
    """
    n, columns = rows.shape[1], rows.T
    pairs = n * min(neighbours, n - 1)
    if neighbours < n - 1:  # lists have only what occurs together
        pairs = min(pairs, int((rows.counts * (rows.counts - 1.0)).sum()))
    needed = _BYTES_AN_ENTRY * pairs / 2 ** 30
    if needed > max_gib:
        raise ParameterError(f"{who}: {n:,} items with {neighbours} neighbours need about {needed:.1f} GiB, more than "
                             f"max_gib={max_gib}; lower neighbours, keep fewer items (k_core), or raise max_gib.")
    whole = np.zeros((0, 0))
    if 8 * n * n / 2 ** 30 <= _DENSE * max_gib:
        whole = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices, rows.weights)
    given = columns.indptr, columns.indices, columns.weights, rows.shape[0], whole
    found = []
    for targets, lists in _lists(rows, min(neighbours, n - 1)):
        weights = regress(given, targets, lists)
        if not np.isfinite(weights).all():
            raise ParameterError(f"{who}: reg is too small beside the numbers of the data for weights to be computed; "
                                 f"raise it.")
        found.append(best_first(lists, weights))
    return stacked(found, n)


def _lists(rows: CSR, neighbours: int) -> Iterator[tuple[np.ndarray, CSR]]:
    """Blocks of items, and the nearest ones of each."""
    n = rows.shape[1]
    for targets in np.array_split(np.arange(n, dtype=np.int32), max(1, n * neighbours // _BLOCK)):
        if neighbours < n - 1:
            yield targets, nearest(rows.T.rows(targets), rows, neighbours, 0.0, 0.5, targets)
        else:
            others = np.arange(n - 1) + (np.arange(n - 1) >= targets[:, None])
            bounds = np.arange(len(targets) + 1, dtype=np.int64) * (n - 1)
            yield targets, CSR(bounds, others.ravel().astype(np.int32), None, (len(targets), n))


def best_first(lists: CSR, weights: np.ndarray) -> CSR:
    """The lists by descending weight, without those that are 0."""
    order = np.lexsort((-weights, lists.row_of_entry))
    order = order[weights[order] != 0]
    return CSR.from_pairs(lists.row_of_entry[order], lists.indices[order], weights[order], lists.shape)
