"""NumPy reference of the kernel for rating matrices."""

from __future__ import annotations

import numpy as np

__all__ = ["epoch"]


def epoch(order: np.ndarray, indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, mean: float,
          bu: np.ndarray, bi: np.ndarray, P: np.ndarray, Q: np.ndarray, Y: np.ndarray, sums_indptr: np.ndarray,
          sums_indices: np.ndarray, sums_weights: np.ndarray, lr: float, reg: float, lr_bias: float,
          reg_bias: float) -> float:
    """One pass of SGD over all ratings, user by user; biases and factors change in place.

    The model is `mean + bu[u] + bi[i] + Q[i] . (P[u] + sum_j c_uj Y[j])` with a sparse matrix of weights c, and each
    rating moves all its parameters along the gradient of `error**2 / 2 + reg / 2 * squares`. A rating's step on `Y[j]`
    is, but for the factor `c_uj`, the same affine map for every j of the user, `y -> (1 - lr * reg) * y + c_uj * lr *
    error * Q[i]`. So the maps of a user's visit are composed (`scale`, `drift`) and applied once: exactly the steps of
    one rating after the other, in O(factors) each.

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
    Y : float array, shape (m, f)
        Vectors whose sums are a part of users': of items in SVD++, of people besides in TrustSVD. Without rows the
        model is plain SVD.
    sums_indptr, sums_indices, sums_weights : arrays, shapes (n_users + 1,), (l,), (l,)
        The weights c as CSR, (n_users, m); each pair once.
    lr, reg, lr_bias, reg_bias : float
        Learning rate and L2 penalty of the factors and of the biases.

    Returns
    -------
    float
        Sum of the squared errors, each before its step.
    """
    keep, keep_bias = 1 - lr * reg, 1 - lr_bias * reg_bias
    total = 0.0
    for u in order:
        row, around = slice(indptr[u], indptr[u + 1]), slice(sums_indptr[u], sums_indptr[u + 1])
        items, others, weights = indices[row], sums_indices[around], sums_weights[around].astype(P.dtype)
        if len(items) == 0:
            continue
        p, square = P[u], weights @ weights
        z, scale, drift = weights @ Y[others], 1.0, np.zeros_like(p)
        for i, value in zip(items, values[row], strict=True):
            q = Q[i].copy()
            error = float(value - (mean + bu[u] + bi[i] + q @ (p + z)))
            total += error * error
            bu[u] = keep_bias * bu[u] + lr_bias * error
            bi[i] = keep_bias * bi[i] + lr_bias * error
            Q[i] = keep * q + lr * error * (p + z)
            p[:] = keep * p + lr * error * q
            z = keep * z + lr * error * square * q
            scale, drift = scale * keep, keep * drift + lr * error * q
        Y[others] = scale * Y[others] + weights[:, None] * drift
    return total
