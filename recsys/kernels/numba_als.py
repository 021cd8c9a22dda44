"""Conjugate gradients for weighted least squares on sparse rows, in Numba; described at the NumPy twin."""

from __future__ import annotations

from numba import njit, prange

__all__ = ["residual", "step"]

_FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}
_BLOCKS = 64  # rows are dealt to blocks from long to short, so that any number of threads is evenly loaded

_SOLVED = 1e-20  # a squared residual with which nothing is left to do, and division is not safe any more


@njit(cache=True, nogil=True, fastmath=_FAST)
def _add_products(indices, extra, start, stop, Y, p, target, sign, out):
    """Add `sum_n (target (1 + extra_n) + sign extra_n Y_n . p) Y_n` to `out`, with target 0 or 1.

    Returns `target sum_n (1 + extra_n) Y_n . p`. Four items at a time share the loads of `p` and `out`.
    """
    factors = p.shape[0]
    zero, one = p.dtype.type(0), p.dtype.type(1)
    reached = zero
    n = start
    while n + 4 <= stop:
        a, b, c, d = Y[indices[n]], Y[indices[n + 1]], Y[indices[n + 2]], Y[indices[n + 3]]
        s, t, v, w = zero, zero, zero, zero
        for k in range(factors):
            s += a[k] * p[k]
            t += b[k] * p[k]
            v += c[k] * p[k]
            w += d[k] * p[k]
        e, f, g, h = extra[n], extra[n + 1], extra[n + 2], extra[n + 3]
        reached += (one + e) * s + (one + f) * t + (one + g) * v + (one + h) * w
        s = target * (one + e) + sign * e * s
        t = target * (one + f) + sign * f * t
        v = target * (one + g) + sign * g * v
        w = target * (one + h) + sign * h * w
        for k in range(factors):
            out[k] += s * a[k] + t * b[k] + v * c[k] + w * d[k]
        n += 4
    while n < stop:
        a, e = Y[indices[n]], extra[n]
        s = zero
        for k in range(factors):
            s += a[k] * p[k]
        reached += (one + e) * s
        s = target * (one + e) + sign * e * s
        for k in range(factors):
            out[k] += s * a[k]
        n += 1
    return target * reached


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def residual(order, indptr, indices, extra, ridge, Y, X, R, gain):
    factors = X.shape[1]
    one = X.dtype.type(1)
    for block in prange(_BLOCKS):
        for at in range(block, len(order), _BLOCKS):
            u = order[at]
            x, r = X[u], R[u]
            for k in range(factors):
                r[k] = -r[k] - ridge[u] * x[k]
            reached = _add_products(indices, extra, indptr[u], indptr[u + 1], Y, x, one, -one, r)
            for k in range(factors):
                reached += x[k] * r[k]
            gain[u] = reached


@njit(cache=True, nogil=True, parallel=True, fastmath=_FAST)
def step(order, indptr, indices, extra, ridge, Y, X, R, P, AP):
    factors = X.shape[1]
    zero, one = X.dtype.type(0), X.dtype.type(1)
    for block in prange(_BLOCKS):
        for at in range(block, len(order), _BLOCKS):
            u = order[at]
            x, r, p, a = X[u], R[u], P[u], AP[u]
            _add_products(indices, extra, indptr[u], indptr[u + 1], Y, p, zero, one, a)
            old, curvature = zero, zero
            for k in range(factors):
                a[k] += ridge[u] * p[k]
                old += r[k] * r[k]
                curvature += p[k] * a[k]
            if curvature <= 0 or old < _SOLVED:
                continue
            size, new = old / curvature, zero
            for k in range(factors):
                x[k] += size * p[k]
                r[k] -= size * a[k]
                new += r[k] * r[k]
            ratio = new / old
            for k in range(factors):
                p[k] = r[k] + ratio * p[k]
