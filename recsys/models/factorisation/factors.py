"""What models of factors share: where they start, and the linear map by which new users get a vector."""

from __future__ import annotations

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.estimator.scorers.folding import LinearMap, means_of

__all__ = ["draw", "learn_map"]


def draw(rng: np.random.Generator, rows: int, factors: int, std: float) -> np.ndarray:
    """Initial factors, normal with standard deviation `std`: float32 (rows, factors)."""
    return np.float32(std) * rng.standard_normal((rows, factors), np.float32)


def learn_map(history: CSR, user_factors: np.ndarray, item_factors: np.ndarray) -> LinearMap:
    """The map from histories to vectors that fits the trained users best, all weighted alike.

    Least squares with a slight ridge.

    Parameters
    ----------
    history : CSR, shape (n_users, n_items)
        Of the trained users, each pair once.
    user_factors, item_factors : ndarray of float32, shapes (n_users, f), (n_items, f)
    """
    known = history.counts > 0
    means = means_of(history, item_factors)[known].astype(np.float64)
    gram = runtime.matmul(means.T, means)
    gram[np.diag_indices(len(gram))] += 1e-3 * np.trace(gram) / len(gram)
    return LinearMap(np.linalg.solve(gram, runtime.matmul(means.T, user_factors[known])).astype(np.float32))
