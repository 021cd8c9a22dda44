"""Chance: items that a user has not interacted with, and histories cut in two."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import DataError
from recsys.kernels import sparse

__all__ = ["NegativeSampler", "apart"]

_RESOLUTION = 2**40


class NegativeSampler:
    """Draws from the items that a user has not seen, evenly or by popularity; exact, without rejection.

    Item i has an integer weight w_i and is drawn with probability `w_i / sum_j w_j` over the unseen items j. Laid end
    to end, the weights of the unseen items before a user's seen item `s_t` take up `M_t`. A uniform r falls behind the
    t seen items with `M_t <= r`, which one binary search finds; with their weights put back, r lies in the stretch of
    the item drawn. All in integers: a seen item is never drawn, not even by a rounding error.

    Parameters
    ----------
    seen : CSR, shape (n_users, n_items)
        Sorted within a row, each pair once, such as `CSR.unique()` gives.
    counts : ndarray, shape (n_items,), optional
        How popular each item is; needed if `alpha` is not 0.
    alpha : float
        Weights are proportional to `max(count, 1) ** alpha`, to 12 digits or so; 0 draws evenly.

    Attributes
    ----------
    unseen : ndarray, int64, shape (n_users,)
        How many items each user has not seen.
    log_q : ndarray, float32, shape (n_items,)
        Logarithm of each item's probability for a user who has seen nothing; for another user, all that are unseen are
        more likely by one factor, which no softmax notices.

    Examples
    --------
    >>> seen = CSR.from_pairs([0, 0, 1], [0, 2, 1], None, (2, 4))
    >>> draws = NegativeSampler(seen).sample(np.array([0, 1]), 100, np.random.default_rng(0))
    >>> [np.unique(row).tolist() for row in draws]
    [[1, 3], [0, 2, 3]]
    >>> popular = NegativeSampler(seen, np.array([5, 1, 1, 99]), alpha=1.0)
    >>> np.bincount(popular.sample(np.array([0]), 1000, np.random.default_rng(0))[0]).tolist()
    [0, 11, 0, 989]
    """

    def __init__(self, seen: CSR, counts: np.ndarray | None = None, alpha: float = 0.0) -> None:
        n_users, n_items = seen.shape
        self.unseen = n_items - seen.counts
        weights = _whole(n_users, n_items, counts, alpha)
        self._ends = None if alpha == 0 else np.cumsum(weights)  # evenly, r is the item
        total = int(weights.sum())
        self.log_q = np.log(weights / max(total, 1)).astype(np.float32)
        self._indptr = seen.indptr
        before = np.cumsum(weights) - weights
        self._seen = np.concatenate([[0], np.cumsum(weights[seen.indices])])  # weight of all entries before each
        self._mass = total - np.diff(self._seen[seen.indptr])  # of what is unseen
        own = self._seen[:-1] - np.repeat(self._seen[seen.indptr[:-1]], seen.counts)
        self._keys = before[seen.indices] - own  # M_t, ascending within a row

    def sample(self, users: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Independent draws for each user.

        Parameters
        ----------
        users : int array, shape (n,)
        count : int
        rng : numpy.random.Generator

        Returns
        -------
        ndarray, int32, shape (n, count)

        Raises
        ------
        DataError
            A user has seen every item.
        """
        users = np.asarray(users, np.int64)
        unseen = self.unseen[users]
        if len(users) and unseen.min() < 1:
            raise DataError(f"NegativeSampler: user number {users[unseen.argmin()]} has seen all items, so there is "
                            f"none to draw; leave such users out.")
        r = rng.integers(0, self._mass[users, None], size=(len(users), count))
        behind = sparse.search_rows(self._keys, self._indptr, users, r)
        r += self._seen[behind] - self._seen[self._indptr[users, None]]
        return np.asarray(r if self._ends is None else np.searchsorted(self._ends, r, side="right"), np.int32)


def _whole(n_users: int, n_items: int, counts: np.ndarray | None, alpha: float) -> np.ndarray:
    """Weights as integers of at least 1, so small that the sum fits into int64 once for each user."""
    if alpha == 0:
        return np.ones(n_items, np.int64)
    if counts is None or len(counts) != n_items:
        raise DataError(f"NegativeSampler: alpha={alpha} needs counts, the popularity of each of the {n_items} items.")
    shares = np.maximum(counts, 1.0) ** alpha
    scale = min(_RESOLUTION, 2**62 // (n_users + 1)) - n_items
    return np.asarray(np.maximum(np.rint(shares * (scale / shares.sum())), 1), np.int64)


def apart(rows: CSR, share: np.ndarray, rng: np.random.Generator, moments: np.ndarray | None = None
          ) -> tuple[CSR, CSR]:
    """Cut each row in two: about a share of its entries, in random order, and at least one that is left.

    Parameters
    ----------
    rows : CSR, shape (B, n_items)
    share : ndarray, shape (B,)
        From 0 to 1.
    rng : numpy.random.Generator
    moments : array, shape (rows.nnz,), optional
        Entries of a row stay in the order of these, and only equal ones are in random order.

    Returns
    -------
    CSR, CSR
        Of the shape of `rows`; the second has at least one entry of each row that has any.

    Examples
    --------
    >>> rows = CSR.from_pairs([0, 0, 0, 0, 2], [5, 6, 7, 8, 0], None, (3, 9))
    >>> taken, left = apart(rows, np.array([0.5, 0.5, 0.9]), np.random.default_rng(0))
    >>> taken.counts, left.counts
    (array([2, 0, 0]), array([2, 0, 1]))
    """
    keys = (rows.row_of_entry,) if moments is None else (moments, rows.row_of_entry)
    order = np.lexsort((rng.random(rows.nnz), *keys))
    cut = np.clip((rows.counts * share).astype(np.int64), 0, np.maximum(rows.counts - 1, 0))
    mixed = CSR(rows.indptr, rows.indices[order], None if rows.data is None else rows.data[order], rows.shape)
    taken = np.arange(rows.nnz) - np.repeat(rows.indptr[:-1], rows.counts) < np.repeat(cut, rows.counts)
    return mixed.where(taken), mixed.where(~taken)
