"""Baselines of ratings: the mean, how generous the user is, how good the item."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR

__all__ = ["fold_user_bias", "known_biases", "plus_biases", "shrunk"]


def fold_user_bias(history: CSR, mean: float, item_bias: np.ndarray, reg_user: float) -> np.ndarray:
    """The bias of each history's user, items held fixed: float64 (B,)."""
    residual = history.weights - mean - item_bias[history.indices]
    return shrunk(np.bincount(history.row_of_entry, residual, history.shape[0]), history.counts, reg_user)


def plus_biases(mean: float | np.ndarray, user_bias: np.ndarray, item_bias: np.ndarray) -> np.ndarray:
    """Baselines of all items for some users: (B,), (n_items,) -> float32 (B, n_items)."""
    return np.asarray(mean + user_bias[:, None] + item_bias, np.float32)


def known_biases(mean: float, user_bias: np.ndarray, item_bias: np.ndarray, users: np.ndarray,
                 items: np.ndarray) -> np.ndarray:
    """Mean plus whatever bias is known; -1 is unknown: float32 (n,)."""
    user = np.where(users >= 0, user_bias[np.maximum(users, 0)], 0.0)
    item = np.where(items >= 0, item_bias[np.maximum(items, 0)], 0.0)
    return np.asarray(mean + user + item, np.float32)


def shrunk(sums: np.ndarray, counts: np.ndarray, reg: float) -> np.ndarray:
    """Means that are drawn to 0 as by `reg` further values of 0."""
    return np.asarray(sums / np.maximum(counts + reg, 1e-12))
