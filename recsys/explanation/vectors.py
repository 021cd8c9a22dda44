"""How the vectors of users follow from histories, in networks of pairs that answer nobody but users of the training."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np

from minidl import nn, no_grad
from recsys.data.csr import CSR
from recsys.estimator.scorers.networks import PairNetwork, pairs_at_once

__all__ = ["HistoryMap", "replaced"]

_RIDGE = 1e-3  # of the mean diagonal


class HistoryMap:
    """The linear map from the mean vector of a history's items, and a constant 1, that fits users' vectors best.

    One for each table of the network. What a user's own vector has beside the map stays when the history changes.

    Parameters
    ----------
    scorer : PairNetwork
    tables : sequence of (Embedding, Embedding)
        Of users and of items.
    maps : sequence of ndarray, shapes (f + 1, f)
    rest : sequence of ndarray, shapes (f,)
        What a user's vectors have beside the maps.
    explained : float
        The share of the variance of users' vectors that the maps explain.
    """

    def __init__(self, scorer: PairNetwork, tables: Any, maps: Any, rest: Any, explained: float) -> None:
        self.scorer, self.tables, self.maps, self.rest, self.explained = scorer, tables, maps, rest, explained

    @classmethod
    def of(cls, scorer: PairNetwork, seen: CSR, user: int) -> HistoryMap | None:
        """Of the users of the training and what they have seen; None for a network without tables of vectors."""
        if not hasattr(scorer.network, "tables"):
            return None
        known, history = seen.counts > 0, seen.rows(np.array([user]))
        tables, maps, rest, left, all_of = list(scorer.network.tables()), [], [], 0.0, 0.0
        for users, items in tables:
            means = _means(seen, items.weight.data)
            wanted = users.weight.data.astype(np.float64)
            gram = means[known].T @ means[known]
            gram[np.diag_indices(len(gram))] += _RIDGE * np.trace(gram) / len(gram)
            made = np.linalg.solve(gram, means[known].T @ wanted[known])
            left += float(np.square(wanted[known] - means[known] @ made).sum())
            all_of += float(np.square(wanted[known] - wanted[known].mean(axis=0)).sum())
            maps.append(made)
            rest.append(wanted[user] - (_means(history, items.weight.data) @ made)[0])
        return cls(scorer, tables, maps, rest, 1 - left / all_of if all_of else 0.0)

    def vectors(self, shares: Any, indices: np.ndarray, which: int) -> Any:
        """The user's vector of a table by shares of the history's items, (B, n) -> (B, f); shares may be a Tensor."""
        made = self.maps[which].astype(np.float32)
        rows = self.tables[which][1].weight.data[indices] @ made[:-1]
        return shares @ rows + (self.rest[which] + made[-1]).astype(np.float32)

    def scores(self, keep: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Scores of all items for parts of the history: bool (B, n) -> float32 (B, n_items)."""
        shares = (keep / np.maximum(keep.sum(axis=1, keepdims=True), 1)).astype(np.float32)
        network = self.with_users([self.vectors(shares, indices, i) for i in range(len(self.tables))])
        n, out = self.scorer.n_items, np.empty((len(keep), self.scorer.n_items), np.float32)
        step = max(1, pairs_at_once(self.scorer.network))
        with no_grad():
            for row in range(len(keep)):
                for start in range(0, n, step):
                    items = np.arange(start, min(start + step, n))
                    out[row, items] = network(np.array([row]), items).data[0]
        return out + self.scorer.offset

    def with_users(self, vectors: Any) -> Any:
        """The network with other vectors of users, one (B, f) a table."""
        return replaced(self.scorer.network, {id(users): {"weight": table} for (users, _), table in
                                              zip(self.tables, vectors, strict=True)})


def replaced(module: Any, new: Mapping[int, Mapping[str, Any]]) -> Any:
    """A copy of a module in which some parts, by `id`, have other attributes; all else is shared, and unchanged."""
    made = copy(module)
    for name, value in vars(module).items():
        if isinstance(value, nn.Module):
            vars(made)[name] = replaced(value, new)
    vars(made).update(new.get(id(module), {}))
    return made


def _means(history: CSR, vectors: np.ndarray) -> np.ndarray:
    """Mean vector of each history's items, and a constant 1: float64 (B, f + 1)."""
    rows = history.unique()
    sums = rows.times(vectors) / np.maximum(rows.counts, 1)[:, None]
    return np.hstack([sums, np.ones((len(sums), 1))]).astype(np.float64)
