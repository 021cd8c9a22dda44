"""Scores that are the sum of a user's and an item's number: popularity, and the baseline of ratings."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.scorers.biases import fold_user_bias, known_biases, plus_biases

__all__ = ["Constant"]


class Constant(Scorer):
    """Score = mean + bias of the user + bias of the item: one order of items for all.

    Parameters
    ----------
    can : Can
    item_bias : ndarray, shape (n_items,)
        Float32, or float64 beside biases of users.
    user_bias : ndarray of float64, shape (n_users,), optional
        Without, a score is the item's number.
    mean : float
    reg_user : float, optional
        Shrinks the bias of a new user, found from the ratings of a history. Without, a history changes nothing.
    """

    plainly = "Items stand in one order for everybody, by how many people took them or how they rated them."

    of_users: ClassVar[tuple[str, ...]] = ("user_bias",)
    personalised = False

    def __init__(self, can: Can, item_bias: np.ndarray, user_bias: np.ndarray | None = None,
                 mean: float = 0.0, reg_user: float = 0.0) -> None:
        self.can, self.item_bias, self.user_bias = can, item_bias, user_bias
        self.n_items = len(item_bias)
        self.mean, self._reg_user, self.needs_values = mean, reg_user, user_bias is not None

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        if self.user_bias is None:
            return np.tile(self.item_bias, (len(users), 1))
        return plus_biases(self.mean, self.user_bias[users], self.item_bias)

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories, by the bias that their ratings show: (B, n_items)."""
        if self.user_bias is None:
            return np.tile(self.item_bias, (history.shape[0], 1))
        bias = fold_user_bias(history, self.mean, self.item_bias, self._reg_user)
        return plus_biases(self.mean, bias, self.item_bias)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs: (n,)."""
        if self.user_bias is None:
            return np.asarray(self.item_bias[items])
        return known_biases(self.mean, self.user_bias, self.item_bias, users, items)

    def cold_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray | None:
        """The mean plus whatever bias is known: (n,)."""
        return None if self.user_bias is None else self.pairs(users, items)

    def state(self) -> State:
        """Biases, and the numbers beside them."""
        users = {} if self.user_bias is None else {"user_bias": self.user_bias}
        return {"mean": self.mean, "reg_user": self._reg_user}, {"item_bias": self.item_bias} | users

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        n_users, n_items = len(facts.users), len(facts.items)
        user_bias = expect(arrays, "user_bias", (n_users,), np.float64) if "user_bias" in arrays else None
        item_bias = expect(arrays, "item_bias", (n_items,), np.float32 if user_bias is None else np.float64)
        return cls(settings["can"], item_bias, user_bias, settings["mean"], settings["reg_user"])
