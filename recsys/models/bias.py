"""Baseline of ratings: how generous the user is, how good the item."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.models.base import Can, Recommender
from recsys.models.parameters import Check, at_least, optional, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import expect, numbers, restore_numbers

__all__ = ["Bias", "Biases", "fit_biases", "fold_user_bias", "known_biases", "plus_biases", "require_values",
           "variance_ratio"]


class Bias(LearnsAgain):
    """Rating = mean + bias of the user + bias of the item.

    The biases minimise `sum (r - m - b_u - b_i)**2 + reg_user sum b_u**2 + reg_item sum b_i**2` by
    alternating least squares: each is a sum of residuals over (reg + number of ratings). A user or item
    without ratings has bias 0. The ratings are kept, and `partial_fit` gives what `fit` of all gives, at its cost.

    The best reg is the variance of a rating around its user's, or item's, mean over the variance of these means: where
    people differ much and items little, `reg_user` is small and `reg_item` large. None estimates it from the data by
    the analysis of variance, in every epoch of what the other biases leave.

    Parameters
    ----------
    epochs : int
    reg_user, reg_item : float, optional
        In ratings; None takes them from the data.

    Attributes
    ----------
    reg_user_, reg_item_ : float
        What was taken.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.1. Searle, Casella, McCulloch, Variance Components, 1992,
    section 3.6 (unbalanced data).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2], ["tea", "jam", "tea", "jam"], [5, 3, 4, 2])
    >>> round(Bias(reg_user=0, reg_item=0).fit(data).predict(2, "tea"), 2)
    4.0
    """

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, cold_user=True, partial_fit=True)
    checks: ClassVar[dict[str, Check]] = {"epochs": whole(1), "reg_user": optional(at_least(0)),
                                          "reg_item": optional(at_least(0))}

    epochs: int
    reg_user: float | None
    reg_item: float | None

    def __init__(self, *, epochs: int = 10, reg_user: float | None = None, reg_item: float | None = None) -> None:
        self._store(locals())

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self.user_bias, self.item_bias, self.reg_user_, self.reg_item_ = fit_biases(
            data.csr, self.mean_value, self.epochs, self.reg_user, self.reg_item)

    def _score(self, users: np.ndarray) -> np.ndarray:
        return plus_biases(self.mean_value, self.user_bias[users], self.item_bias)

    def _fold(self, history: CSR) -> np.ndarray:
        require_values(self, history.data)
        bias = fold_user_bias(history, self.mean_value, self.item_bias, self.reg_user_)
        return plus_biases(self.mean_value, bias, self.item_bias)

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self.mean_value, self.user_bias, self.item_bias, users, items)

    def _predict_unknown(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self.mean_value, self.user_bias, self.item_bias, users, items)

    def _state(self) -> dict[str, np.ndarray]:
        return {"user_bias": self.user_bias, "item_bias": self.item_bias} | numbers(self, "reg_user_", "reg_item_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        restore_numbers(self, state, reg_user_=self.reg_user, reg_item_=self.reg_item)
        self.user_bias = expect(state, "user_bias", (len(self.users),), np.float64)
        self.item_bias = expect(state, "item_bias", (len(self.items),), np.float64)


def require_values(model: Recommender, values: np.ndarray | None) -> np.ndarray:
    """The values of a history, or ParameterError: a model of ratings can do nothing without them."""
    if values is None:
        raise ParameterError(f"{type(model).__name__} predicts ratings; give the history's ratings as values=.")
    return values


class Biases(NamedTuple):
    """Biases, and the regs that they were found with."""

    user: np.ndarray  # float64 (n_users,)
    item: np.ndarray  # float64 (n_items,)
    reg_user: float
    reg_item: float


def fit_biases(ratings: CSR, mean: float, epochs: int, reg_user: float | None, reg_item: float | None) -> Biases:
    """Biases of users and items by alternating least squares; a reg of None is estimated from the data."""
    (n_users, n_items), user, item = ratings.shape, ratings.row_of_entry, ratings.indices
    rating = ratings.weights.astype(np.float64) - mean
    of_items = np.bincount(item, minlength=n_items)
    user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
    for _ in range(epochs):
        rest = rating - user_bias[user]
        of_item = variance_ratio(rest, item, of_items) if reg_item is None else reg_item
        item_bias = _shrunk(np.bincount(item, rest, n_items), of_items, of_item)
        rest = rating - item_bias[item]
        of_user = variance_ratio(rest, user, ratings.counts) if reg_user is None else reg_user
        user_bias = _shrunk(np.bincount(user, rest, n_users), ratings.counts, of_user)
    return Biases(user_bias, item_bias, of_user, of_item)


def variance_ratio(values: np.ndarray, group: np.ndarray, counts: np.ndarray) -> float:
    """Variance within groups over the variance of the groups' means, by the analysis of variance (one way).

    At least 0, and at most the number of values, where the means differ no more than by chance. Where no group has two
    values, nothing tells the two apart, and they count as equal.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
    group : ndarray of int, shape (n,)
    counts : ndarray of int, shape (g,)
        Values of each group.

    Examples
    --------
    >>> variance_ratio(np.array([1.0, 3.0, 11.0, 13.0]), np.array([0, 0, 1, 1]), np.array([2, 2]))  # 2 / 49
    0.04081632653061224
    """
    n, some = len(values), counts > 0
    groups = int(some.sum())
    if n <= groups or groups < 2:
        return 1.0
    sums = np.bincount(group, values, len(counts))[some]
    explained = float(np.sum(sums ** 2 / counts[some]))
    within = max(float(np.sum(values ** 2)) - explained, 0.0) / (n - groups)
    spread = explained - float(values.sum()) ** 2 / n - (groups - 1) * within
    between = spread / (n - float(np.sum(counts.astype(np.float64) ** 2)) / n)
    return min(within / between, float(n)) if between > 0 else float(n)


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
