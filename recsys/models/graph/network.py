"""Vectors that users and items pass on to each other along the graph of their interactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.csr import CSR
from recsys.models.pairs.network import PairNetwork, embedding

__all__ = ["GraphNetwork", "Links"]


class Links:
    """A constant sparse matrix, and its transpose, as `ops.sparse_matmul` takes them.

    Parameters
    ----------
    matrix : CSR, shape (n, m)
    """

    def __init__(self, matrix: CSR) -> None:
        self._here, self._back = _parts(matrix), _parts(matrix.T)

    def __matmul__(self, x: Any) -> Any:
        """The product: (m, f) -> (n, f)."""
        return ops.sparse_matmul(x, *self._here, transposed=self._back)


def _parts(matrix: CSR) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return matrix.indices.astype(np.int64), matrix.indptr, matrix.weights


class GraphNetwork(PairNetwork):
    """Score = `u . i` of what tables of vectors become on the graph; see `recsys.models.graph.lightgcn.LightGCN`.

    Parameters
    ----------
    pairs : CSR, shape (n_users, n_items)
        The interactions, each once.
    factors, layers : int
    std : float
        Of the initial vectors.
    normalise : bool
    receiver_power, sender_power : float
    own : float
        Share of the tables' own vectors in what comes out.
    generator : numpy.random.Generator
    """

    def __init__(self, pairs: CSR, factors: int, layers: int, std: float, normalise: bool, receiver_power: float,
                 sender_power: float, own: float, generator: np.random.Generator) -> None:
        n_users, n_items = pairs.shape
        self.users = embedding(n_users, factors, std, generator)
        self.items = embedding(n_items, factors, std, generator)
        self.width = 1  # scores are one product of matrices
        self.layers, self.normalise, self.own = layers, normalise, own
        self.received, self.sent = (_powers(pairs, power) for power in (receiver_power, sender_power))
        self._to_users = Links(_weighted(pairs, self.received[0], self.sent[1]))
        self._to_items = Links(_weighted(pairs.T, self.received[1], self.sent[0]))
        self._held: tuple[Any, Any] | None = None

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None -> (B, K)."""
        of_users, of_items = self.propagated() if self._held is None else self._held
        p = ops.embedding(users, of_users)
        if items is None:
            return p @ of_items.T
        if items.ndim == 1:
            return p @ ops.embedding(items, of_items).T
        ends = np.arange(len(items) + 1) * items.shape[1]
        return ops.sampled_matmul(p, of_items, items.reshape(-1), ends).reshape(items.shape)

    def propagated(self) -> tuple[Any, Any]:
        """The vectors of users and items, out of all layers: Tensors (n_users, f) and (n_items, f)."""
        own = users, items = self.users.weight, self.items.weight
        sums: list[Any] = []
        for _ in range(self.layers):
            users, items = self._to_users @ self._passed(items), self._to_items @ self._passed(users)
            sums = [a + b for a, b in zip(sums, (users, items), strict=True)] if sums else [users, items]
        share = np.float32((1 - self.own) / self.layers)
        of_users, of_items = (np.float32(self.own) * a + share * b for a, b in zip(own, sums, strict=True))
        return of_users, of_items

    def _passed(self, x: Any) -> Any:
        return ops.normalize(x, axis=1) if self.normalise else x

    def passed_on(self) -> np.ndarray:
        """What items give to a user who has no vector yet, to be divided by a power of the user's items: (n_items, f).

        It is `(1 - own) / layers` times the sum over all layers of what an item passes on.
        """
        users, items = self.users.weight, self.items.weight
        total: Any = 0
        for _ in range(self.layers):
            given = self._passed(items)
            total = total + given
            users, items = self._to_users @ given, self._to_items @ self._passed(users)
        share = (1 - self.own) / self.layers
        return np.asarray(total.data * (share * self.sent[1][:, None]), np.float32)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While it lasts, vectors are propagated once for all scores: the tables must not change."""
        self._held = self.propagated()
        try:
            yield
        finally:
            self._held = None


def _powers(pairs: CSR, power: float) -> tuple[np.ndarray, np.ndarray]:
    """`degree ** -power` of users and of items; of those without interactions 0."""
    found = []
    for counts in (pairs.counts, pairs.T.counts):
        scale = np.zeros(len(counts), np.float32)
        scale[counts > 0] = counts[counts > 0] ** -float(power)
        found.append(scale)
    return found[0], found[1]


def _weighted(pairs: CSR, of_rows: np.ndarray, of_columns: np.ndarray) -> CSR:
    weights = of_rows[pairs.row_of_entry] * of_columns[pairs.indices]
    return CSR(pairs.indptr, pairs.indices, weights, pairs.shape)
