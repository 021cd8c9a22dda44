"""Conjugate gradients for weighted least squares on sparse rows, in Numba; described at the NumPy reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.kernels.ahead import njit
from minidl.kernels.launch import spread
from recsys.kernels.numpy_als import TINY

__all__ = ["TINY", "fold", "residual", "step"]

_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz", "afn"}}
_BLOCKS = 64  # rows are dealt to blocks from long to short, so that any number of threads is evenly loaded

_LARGE = 20_000  # entries; with fewer, other threads are not worth waking
_SYSTEMS = 8  # normal equations that are worth waking other threads
_VECTORS = 16  # that are added to normal equations at a time
_SOLVED = 1e-20  # a squared residual with which nothing is left to do, and division is not safe any more


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _factor(extra, dot, target, sign):
    """How many times an item's vector is added, given its product with `p`."""
    return target + target * extra + sign * extra * dot


@njit(cache=True, nogil=True, inline="always", **_FAST)
def _add_products(indices, extra, start, stop, Y, p, target, sign, out):
    """Add `sum_n (target (1 + extra_n) + sign extra_n Y_n . p) Y_n` to `out`, with target 0 or 1.

    Returns `target sum_n (1 + extra_n) Y_n . p`. Eight items at a time share the loads of `p` and `out`.
    """
    factors = p.shape[0]
    zero = p.dtype.type(0)
    reached = zero
    n = start
    while n + 8 <= stop:
        a, b, c, d = Y[indices[n]], Y[indices[n + 1]], Y[indices[n + 2]], Y[indices[n + 3]]
        e, f, g, h = Y[indices[n + 4]], Y[indices[n + 5]], Y[indices[n + 6]], Y[indices[n + 7]]
        q, r, s, t, u, v, w, x = zero, zero, zero, zero, zero, zero, zero, zero
        for k in range(factors):
            q += a[k] * p[k]
            r += b[k] * p[k]
            s += c[k] * p[k]
            t += d[k] * p[k]
            u += e[k] * p[k]
            v += f[k] * p[k]
            w += g[k] * p[k]
            x += h[k] * p[k]
        more = extra[n:n + 8]
        reached += (q + more[0] * q + r + more[1] * r + s + more[2] * s + t + more[3] * t
                    + u + more[4] * u + v + more[5] * v + w + more[6] * w + x + more[7] * x)
        q, r = _factor(more[0], q, target, sign), _factor(more[1], r, target, sign)
        s, t = _factor(more[2], s, target, sign), _factor(more[3], t, target, sign)
        u, v = _factor(more[4], u, target, sign), _factor(more[5], v, target, sign)
        w, x = _factor(more[6], w, target, sign), _factor(more[7], x, target, sign)
        for k in range(factors):
            out[k] += q * a[k] + r * b[k] + s * c[k] + t * d[k] + u * e[k] + v * f[k] + w * g[k] + x * h[k]
        n += 8
    while n < stop:
        a, s = Y[indices[n]], zero
        for k in range(factors):
            s += a[k] * p[k]
        reached += s + extra[n] * s
        s = _factor(extra[n], s, target, sign)
        for k in range(factors):
            out[k] += s * a[k]
        n += 1
    return target * reached


def residual(order, indptr, indices, extra, ridge, Y, X, R, gain):
    spread(_sweep, _BLOCKS, len(indices) > _LARGE, True, X.dtype.type(1), X.dtype.type(-1), order, indptr, indices,
           extra, ridge, Y, X, R, R, R, gain)


def step(order, indptr, indices, extra, ridge, Y, X, R, P, AP):
    spread(_sweep, _BLOCKS, len(indices) > _LARGE, False, X.dtype.type(0), X.dtype.type(1), order, indptr, indices,
           extra, ridge, Y, X, R, P, AP, ridge)


@njit(cache=True, nogil=True, **_FAST)
def _sweep(first, last, begins, target, sign, order, indptr, indices, extra, ridge, Y, X, R, P, AP, gain):
    """Residuals if it `begins`, else a step: in one function, as what takes long to compile is the same in both."""
    factors = X.shape[1]
    zero = X.dtype.type(0)
    for block in range(first, last):
        for at in range(block, len(order), _BLOCKS):
            u = order[at]
            x, r = X[u], R[u]
            p, a = (x, r) if begins else (P[u], AP[u])
            if begins:
                for k in range(factors):
                    r[k] = -r[k] - ridge[u] * x[k]
            reached = _add_products(indices, extra, indptr[u], indptr[u + 1], Y, p, target, sign, a)
            if begins:
                for k in range(factors):
                    reached += x[k] * r[k]
                gain[u] = reached
                continue
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


def fold(gram, indptr, indices, extra, ridge, Y, X):
    f = len(gram)

    def some(first, last):
        _fold(first, last, gram, indptr, indices, extra, ridge, Y, X, np.empty((f, f)), *np.empty((2, f)),
              np.empty((_VECTORS, f)))

    spread(some, len(X), len(X) > _SYSTEMS)


@njit(cache=True, nogil=True)
def _fold(first, last, gram, indptr, indices, extra, ridge, Y, X, A, b, smallest, vectors):
    f = len(gram)
    for u in range(first, last):
        begin, end = indptr[u], indptr[u + 1]
        if begin == end:
            for i in range(f):
                X[u, i] = 0
            continue
        for i in range(f):  # written out: to assign an array takes Numba two seconds to compile
            b[i] = 0
            for j in range(f):
                A[i, j] = gram[i, j]
        for at in range(begin, end, len(vectors)):
            count = min(len(vectors), end - at)
            for n in range(count):
                confidence = 1 + extra[at + n]
                for i in range(f):
                    vectors[n, i] = Y[indices[at + n], i]
                    b[i] += confidence * vectors[n, i]
            for i in range(f):
                for n in range(count):
                    _add(A[i], extra[at + n] * vectors[n, i], vectors[n], i)
        for i in range(f):
            A[i, i] += ridge[u]
        _cholesky_solve(A, b, smallest)
        for i in range(f):
            X[u, i] = b[i]


@njit(cache=True, nogil=True, inline="always")
def _add(out, factor, vector, start):
    for j in range(start, len(out)):
        out[j] += factor * vector[j]


@njit(cache=True, nogil=True, inline="always")
def _cholesky_solve(A, b, smallest):
    """`A x = b` with `A = U'U`, by the upper triangle; rows are subtracted from rows, which needs no order of a sum."""
    f = len(b)
    for i in range(f):
        smallest[i] = TINY * A[i, i]
    for i in range(f):
        if not A[i, i] > smallest[i]:
            b[i] = 0
            for j in range(i, f):
                A[i, j] = 0
            continue
        root = math.sqrt(A[i, i])
        for j in range(i, f):
            A[i, j] /= root
        b[i] /= root
        for k in range(i + 1, f):
            _add(A[k], -A[i, k], A[i], k)
            b[k] -= b[i] * A[i, k]
    for i in range(f - 1, -1, -1):
        if A[i, i] == 0:
            continue
        rest = b[i]
        for j in range(i + 1, f):
            rest -= A[i, j] * b[j]
        b[i] = rest / A[i, i]
