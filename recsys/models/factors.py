"""Models whose score is a product of a user's and an item's vector."""

from __future__ import annotations

import numpy as np

from minidl import runtime
from recsys import kernels
from recsys.data.csr import CSR
from recsys.epochs import History, curves_of_state, curves_to_state
from recsys.models.base import Recommender
from recsys.models.sparse import expect

__all__ = ["FactorModel", "MappedFactorModel", "draw"]


class FactorModel(Recommender):
    """Score = `user_factors[u] . item_factors[i] + item_bias[i]`.

    A subclass fills the three in `_fit`, and writes `_fold_vectors(history)`: CSR (B, n_items) -> (B, f).

    Attributes
    ----------
    user_factors : ndarray, float32, shape (n_users, f)
    item_factors : ndarray, float32, shape (n_items, f)
    item_bias : ndarray, float32, shape (n_items,)
    history_ : dict of list of float
        Learning curves, an entry per epoch.
    """

    user_factors: np.ndarray
    item_factors: np.ndarray
    item_bias: np.ndarray
    history_: History

    def _fold_vectors(self, history: CSR) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define _fold_vectors.")

    def _scores(self, vectors: np.ndarray) -> np.ndarray:
        scores: np.ndarray = runtime.matmul(vectors, self.item_factors.T)  # (B, f) -> (B, n_items)
        if self.item_bias.any():  # ALS has none, and this would be a pass over all scores
            scores += self.item_bias
        return scores

    def _score(self, users: np.ndarray) -> np.ndarray:
        return self._scores(self.user_factors[users])

    def _fold(self, history: CSR) -> np.ndarray:
        return self._scores(self._fold_vectors(history))

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        dots = np.einsum("nf,nf->n", self.user_factors[users], self.item_factors[items])
        return np.asarray(dots + self.item_bias[items])

    def _item_vectors(self) -> np.ndarray:
        return self.item_factors

    def _user_vectors(self) -> np.ndarray:
        return self.user_factors

    def _state(self) -> dict[str, np.ndarray]:
        return {"user_factors": self.user_factors, "item_factors": self.item_factors,
                "item_bias": self.item_bias} | curves_to_state(self.history_)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.item_factors = expect(state, "item_factors", (len(self.items), None), np.float32)
        width = self.item_factors.shape[1]
        self.user_factors = expect(state, "user_factors", (len(self.users), width), np.float32)
        self.item_bias = expect(state, "item_bias", (len(self.items),), np.float32)
        self.history_ = curves_of_state(state)


class MappedFactorModel(FactorModel):
    """A factor model that maps a new user's items linearly to a vector, as it does for its own users.

    A subclass calls `_learn_map(history)` at the end of `_fit`.

    Attributes
    ----------
    fold_map : ndarray, float32, shape (f + 1, f)
        Takes the mean vector of a user's items, and a constant 1, to the user's vector.
    """

    fold_map: np.ndarray

    def _learn_map(self, history: CSR) -> None:
        """Least squares with a slight ridge over the trained users, weighted alike."""
        known = history.counts > 0
        means = self._means(history)[known].astype(np.float64)
        gram = runtime.matmul(means.T, means)
        gram[np.diag_indices(len(gram))] += 1e-3 * np.trace(gram) / len(gram)
        self.fold_map = np.linalg.solve(gram, runtime.matmul(means.T, self.user_factors[known])).astype(np.float32)

    def _fold_vectors(self, history: CSR) -> np.ndarray:
        return np.asarray(self._means(history.unique()) @ self.fold_map)

    def _means(self, history: CSR) -> np.ndarray:
        """Mean vector of each history's items, and a constant 1: (B, n_items) -> (B, f + 1)."""
        weights = np.repeat(1 / np.maximum(history.counts, 1), history.counts).astype(np.float32)
        sums = kernels.neighbours.sum_dense_rows(history.indptr, history.indices, weights, self.item_factors)
        return np.hstack([sums, np.ones((len(sums), 1), np.float32)])

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | {"fold_map": self.fold_map}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        width = self.item_factors.shape[1]
        self.fold_map = expect(state, "fold_map", (width + 1, width))


def draw(rng: np.random.Generator, rows: int, factors: int, std: float) -> np.ndarray:
    """Initial factors, normal with standard deviation `std`: float32 (rows, factors)."""
    return np.float32(std) * rng.standard_normal((rows, factors), np.float32)
