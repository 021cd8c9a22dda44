"""Baseline of ratings: how generous the user is, how good the item."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.models.base import Can, Recommender
from recsys.models.parameters import Check, at_least, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import expect

__all__ = ["Bias", "fit_biases", "fold_user_bias", "known_biases", "plus_biases", "require_values"]


class Bias(LearnsAgain):
    """Rating = mean + bias of the user + bias of the item.

    The biases minimise `sum (r - m - b_u - b_i)**2 + reg_user sum b_u**2 + reg_item sum b_i**2` by
    alternating least squares: each is a sum of residuals over (reg + number of ratings). A user or item
    without ratings has bias 0. The ratings are kept, and `partial_fit` gives what `fit` of all gives, at its cost.

    Parameters
    ----------
    epochs : int
    reg_user, reg_item : float

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.1.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2], ["tea", "jam", "tea", "jam"], [5, 3, 4, 2])
    >>> round(Bias(reg_user=0, reg_item=0).fit(data).predict(2, "tea"), 2)
    4.0
    """

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, cold_user=True, partial_fit=True)
    checks: ClassVar[dict[str, Check]] = {"epochs": whole(1), "reg_user": at_least(0), "reg_item": at_least(0)}

    epochs: int
    reg_user: float
    reg_item: float

    def __init__(self, *, epochs: int = 10, reg_user: float = 15.0, reg_item: float = 10.0) -> None:
        self._store(locals())

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self.user_bias, self.item_bias = fit_biases(
            data.csr, self.mean_value, self.epochs, self.reg_user, self.reg_item)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return plus_biases(self.mean_value, self.user_bias[users], self.item_bias)

    def _fold(self, history: CSR) -> np.ndarray:
        require_values(self, history.data)
        bias = fold_user_bias(history, self.mean_value, self.item_bias, self.reg_user)
        return plus_biases(self.mean_value, bias, self.item_bias)

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self.mean_value, self.user_bias, self.item_bias, users, items)

    def _predict_unknown(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self.mean_value, self.user_bias, self.item_bias, users, items)

    def _state(self) -> dict[str, np.ndarray]:
        return {"user_bias": self.user_bias, "item_bias": self.item_bias}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.user_bias = expect(state, "user_bias", (len(self.users),), np.float64)
        self.item_bias = expect(state, "item_bias", (len(self.items),), np.float64)


def require_values(model: Recommender, values: np.ndarray | None) -> np.ndarray:
    """The values of a history, or ParameterError: a model of ratings can do nothing without them."""
    if values is None:
        raise ParameterError(f"{type(model).__name__} predicts ratings; give the history's ratings as values=.")
    return values


def fit_biases(ratings: CSR, mean: float, epochs: int, reg_user: float,
               reg_item: float) -> tuple[np.ndarray, np.ndarray]:
    """Biases of users and items by alternating least squares.

    Returns
    -------
    user_bias, item_bias : ndarray of float64, shapes (n_users,) and (n_items,)
    """
    (n_users, n_items), user, item = ratings.shape, ratings.row_of_entry, ratings.indices
    rating = ratings.weights.astype(np.float64) - mean
    of_items = np.bincount(item, minlength=n_items)
    user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
    for _ in range(epochs):
        item_bias = _shrunk(np.bincount(item, rating - user_bias[user], n_items), of_items, reg_item)
        user_bias = _shrunk(np.bincount(user, rating - item_bias[item], n_users), ratings.counts, reg_user)
    return user_bias, item_bias


def fold_user_bias(history: CSR, mean: float, item_bias: np.ndarray, reg_user: float) -> np.ndarray:
    """The bias of each history's user, items held fixed: float64 (B,)."""
    residual = history.weights - mean - item_bias[history.indices]
    return _shrunk(np.bincount(history.row_of_entry, residual, history.shape[0]), history.counts, reg_user)


def plus_biases(mean: float | np.ndarray, user_bias: np.ndarray, item_bias: np.ndarray) -> np.ndarray:
    """Baselines of all items for some users: (B,), (n_items,) -> float32 (B, n_items)."""
    return np.asarray(mean + user_bias[:, None] + item_bias, np.float32)


def known_biases(mean: float, user_bias: np.ndarray, item_bias: np.ndarray, users: np.ndarray,
                 items: np.ndarray) -> np.ndarray:
    """Mean plus whatever bias is known; -1 is unknown: float32 (n,)."""
    user = np.where(users >= 0, user_bias[np.maximum(users, 0)], 0.0)
    item = np.where(items >= 0, item_bias[np.maximum(items, 0)], 0.0)
    return np.asarray(mean + user + item, np.float32)


def _shrunk(sums: np.ndarray, counts: np.ndarray, reg: float) -> np.ndarray:
    return np.asarray(sums / np.maximum(counts + reg, 1e-12))
