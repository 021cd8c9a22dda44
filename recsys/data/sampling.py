"""Random items that a user has not met."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import DataError

__all__ = ["NegativeSampler"]


class NegativeSampler:
    """Draws uniformly from the items that a user has not seen; exact, without rejection.

    A user's r-th unseen item is `r + t`, where t counts the seen items `s_0 < s_1 < ...` with
    `s_t - t <= r`. One binary search finds it.

    Parameters
    ----------
    seen : CSR, shape (n_users, n_items)
        Sorted within a row, each pair once, such as `CSR.unique()` gives.

    Examples
    --------
    >>> seen = CSR.from_pairs([0, 0, 1], [0, 2, 1], None, (2, 4))
    >>> draws = NegativeSampler(seen).sample(np.array([0, 1]), 100, np.random.default_rng(0))
    >>> [np.unique(row).tolist() for row in draws]
    [[1, 3], [0, 2, 3]]
    """

    def __init__(self, seen: CSR) -> None:
        self.unseen = seen.shape[1] - seen.counts
        """How many items each user has not seen, int64, shape (n_users,)."""
        self._start = seen.indptr[:-1]
        self._stride = np.int64(seen.shape[1] + 1)
        rank = np.arange(seen.nnz) - np.repeat(self._start, seen.counts)
        self._keys = seen.row_of_entry * self._stride + seen.indices - rank  # ascending

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
        r = rng.integers(0, unseen[:, None], size=(len(users), count))
        before = np.searchsorted(self._keys, users[:, None] * self._stride + r, side="right")
        return np.asarray(r + before - self._start[users, None], np.int32)
