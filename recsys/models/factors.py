"""Models whose score is a product of a user's and an item's vector."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR
from recsys.models.base import Recommender
from recsys.models.sparse import expect

__all__ = ["FactorModel", "draw", "fold_map", "mean_vectors"]


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
    history_: dict[str, list[float]]

    def _fold_vectors(self, history: CSR) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define _fold_vectors.")

    def _scores(self, vectors: np.ndarray) -> np.ndarray:
        scores: np.ndarray = vectors @ self.item_factors.T  # (B, f) -> (B, n_items)
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
        curves = {f"history.{name}": np.array(values) for name, values in self.history_.items()}
        return {"user_factors": self.user_factors, "item_factors": self.item_factors,
                "item_bias": self.item_bias} | curves

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.item_factors = expect(state, "item_factors", (len(self.items), None), np.float32)
        width = self.item_factors.shape[1]
        self.user_factors = expect(state, "user_factors", (len(self.users), width), np.float32)
        self.item_bias = expect(state, "item_bias", (len(self.items),), np.float32)
        self.history_ = {name.removeprefix("history."): values.tolist()
                         for name, values in state.items() if name.startswith("history.")}


def draw(rng: np.random.Generator, rows: int, factors: int, std: float) -> np.ndarray:
    """Initial factors, normal with standard deviation `std`: float32 (rows, factors)."""
    return np.float32(std) * rng.standard_normal((rows, factors), np.float32)


def mean_vectors(history: CSR, vectors: np.ndarray) -> np.ndarray:
    """Mean vector of each history's items, and a constant 1: (B, n_items), (n_items, f) -> (B, f + 1)."""
    out = np.ones((history.shape[0], vectors.shape[1] + 1), np.float32)
    for row in range(history.shape[0]):
        items = history.row(row)[0]
        out[row, :-1] = vectors[items].mean(axis=0) if len(items) else 0
    return out


def fold_map(history: CSR, item_factors: np.ndarray, user_factors: np.ndarray) -> np.ndarray:
    """The linear map from the mean vector of a user's items to the user's vector, learned on the trained users.

    Least squares with a slight ridge, users weighted alike; it answers for users who were not there.

    Returns
    -------
    ndarray, float32, shape (f + 1, f)
        To be multiplied by `mean_vectors`.
    """
    known = history.counts > 0
    means = mean_vectors(history, item_factors)[known].astype(np.float64)
    gram = means.T @ means
    gram[np.diag_indices(len(gram))] += 1e-3 * np.trace(gram) / len(gram)
    return np.linalg.solve(gram, means.T @ user_factors[known]).astype(np.float32)
