"""NumPy reference of the kernel for rating matrices."""

from __future__ import annotations

import numpy as np

__all__ = ["epoch"]


def epoch(order: np.ndarray, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, mean: float,
          bu: np.ndarray, bi: np.ndarray, P: np.ndarray, Q: np.ndarray, Y: np.ndarray,
          lr: float, reg: float, lr_bias: float, reg_bias: float) -> float:
    """One pass of SGD over all ratings, user by user; biases and factors change in place.

    The model is `mean + bu[u] + bi[i] + Q[i] . (P[u] + sum_j Y[j] / sqrt(n))`, the sum over the user's n
    items, and each rating moves all its parameters along the gradient of
    `error**2 / 2 + reg / 2 * squares`. A rating's step on `Y[j]` is the same affine map for every j of
    the user, `y -> (1 - lr * reg) * y + lr * error * Q[i] / sqrt(n)`. So the maps of a user's visit are composed
    (`scale`, `drift`) and applied once: exactly the steps of one rating after the other, in O(factors) each.

    Parameters
    ----------
    order : int array, shape (m,)
        Users in the order of their visits.
    indptr, indices, values : arrays, shapes (n_users + 1,), (nnz,), (nnz,)
        Ratings as CSR, in the order of the steps within a user; each pair once.
    mean : float
        Global mean.
    bu, bi : float arrays, shapes (n_users,), (n_items,)
        Biases.
    P, Q : float arrays, shapes (n_users, f), (n_items, f)
        Factors.
    Y : float array, shape (n_items, f) or (0, f)
        Implicit factors of SVD++; without rows the model is plain SVD.
    lr, reg, lr_bias, reg_bias : float
        Learning rate and L2 penalty of the factors and of the biases.

    Returns
    -------
    float
        Sum of the squared errors, each before its step.
    """
    implicit = len(Y) > 0
    keep, keep_bias = 1 - lr * reg, 1 - lr_bias * reg_bias
    total = 0.0
    for u in order:
        row = slice(indptr[u], indptr[u + 1])
        items = indices[row]
        if len(items) == 0:
            continue
        norm = len(items) ** -.5
        p = P[u]
        z = Y[items].sum(axis=0) * norm if implicit else np.zeros_like(p)
        scale, drift = 1.0, np.zeros_like(p)
        for i, value in zip(items, values[row], strict=True):
            q = Q[i].copy()
            error = float(value - (mean + bu[u] + bi[i] + q @ (p + z)))
            total += error * error
            bu[u] = keep_bias * bu[u] + lr_bias * error
            bi[i] = keep_bias * bi[i] + lr_bias * error
            Q[i] = keep * q + lr * error * (p + z)
            p[:] = keep * p + lr * error * q
            if implicit:
                z = keep * z + lr * error * q
                scale, drift = scale * keep, keep * drift + lr * error * norm * q
        if implicit:
            Y[items] = scale * Y[items] + drift
    return total
