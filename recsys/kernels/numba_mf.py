"""Stochastic gradient descent for rating matrices, in Numba; described at the NumPy reference."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["epoch"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


def epoch(order, indptr, indices, values, mean, bu, bi, P, Q, Y, sums_indptr, sums_indices, sums_weights, lr, reg,
          lr_bias, reg_bias):
    z, drift = np.zeros((2, P.shape[1]), P.dtype)
    return _epoch(order, indptr, indices, values, mean, bu, bi, P, Q, Y, sums_indptr, sums_indices, sums_weights, lr,
                  reg, lr_bias, reg_bias, z, drift)


@njit(cache=True, nogil=True, fastmath=_FAST)
def _epoch(order, indptr, indices, values, mean, bu, bi, P, Q, Y, sums_indptr, sums_indices, sums_weights, lr, reg,
           lr_bias, reg_bias, z, drift):
    factors = P.shape[1]
    real = P.dtype.type  # every number in the loops has the factors' precision
    mean, step_size, step_bias = real(mean), real(lr), real(lr_bias)
    keep, keep_bias = real(1 - lr * reg), real(1 - lr_bias * reg_bias)
    total = 0.0
    for at in range(len(order)):
        u = order[at]
        start, stop = indptr[u], indptr[u + 1]
        if start == stop:
            continue
        p = P[u]
        begin, end = sums_indptr[u], sums_indptr[u + 1]
        implicit, square = end > begin, real(0)
        for k in range(factors):
            z[k] = drift[k] = 0
        if implicit:
            for n in range(begin, end):
                y, weight = Y[sums_indices[n]], real(sums_weights[n])
                square += weight * weight
                for k in range(factors):
                    z[k] += weight * y[k]
        scale = real(1)
        for n in range(start, stop):
            i = indices[n]
            q = Q[i]
            dot = real(0)
            for k in range(factors):
                dot += q[k] * (p[k] + z[k])
            error = real(values[n]) - (mean + bu[u] + bi[i] + dot)
            total += error * error
            bu[u] = keep_bias * bu[u] + step_bias * error
            bi[i] = keep_bias * bi[i] + step_bias * error
            step = step_size * error
            if implicit:
                step_z = step * square
                for k in range(factors):
                    old = q[k]
                    q[k] = keep * old + step * (p[k] + z[k])
                    p[k] = keep * p[k] + step * old
                    z[k] = keep * z[k] + step_z * old
                    drift[k] = keep * drift[k] + step * old
                scale *= keep
            else:
                for k in range(factors):
                    old = q[k]
                    q[k] = keep * old + step * p[k]
                    p[k] = keep * p[k] + step * old
        if implicit:
            for n in range(begin, end):
                y, weight = Y[sums_indices[n]], real(sums_weights[n])
                for k in range(factors):
                    y[k] = scale * y[k] + weight * drift[k]
    return total
