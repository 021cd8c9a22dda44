"""Numba kernels of the optimizers; described at their NumPy twins.

Each inner function updates one stretch of memory in a single pass. No fastmath: the passes wait for
memory anyway, and so the bits are those of the twin. `error_model="numpy"` lets divisions vectorise.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from minidl.kernels.prefetch import AHEAD, prefetch_row

__all__ = ["adagrad", "adagrad_catch_up", "adagrad_rows", "adam", "adam_catch_up", "adam_rows", "sgd", "sgd_catch_up",
           "sgd_rows"]

PARALLEL_SIZE = 1 << 17  # elements from which a second thread pays
CHUNKS = 32
# Replayed steps between two looks at whether a row still moves. A step that changes no bit of it is followed by
# smaller ones, so that what remains is a product.
CHECK_EVERY = 16

_serial = njit(cache=True, nogil=True, error_model="numpy")
_parallel = njit(cache=True, nogil=True, error_model="numpy", parallel=True)


# -------------------------------------------------------------------------------------------- SGD

@_serial
def _sgd(p, g, s):
    lr, decay = s[0], s[1]
    for i in range(p.size):
        p[i] -= lr * (g[i] + decay * p[i])


@_serial
def _sgd_momentum(p, g, buffer, s):
    lr, decay, keep, take, of_gradient, of_buffer = s[0], s[1], s[2], s[3], s[4], s[5]
    for i in range(p.size):
        gradient = g[i] + decay * p[i]
        b = keep * buffer[i] + take * gradient
        buffer[i] = b
        p[i] -= lr * (of_gradient * gradient + of_buffer * b)


@_serial
def _sgd_span(p, g, state, s, lo, hi):
    if state.shape[0]:
        _sgd_momentum(p[lo:hi], g[lo:hi], state[0, lo:hi], s)
    else:
        _sgd(p[lo:hi], g[lo:hi], s)


@_parallel
def sgd(p, g, state, s):
    if p.size < PARALLEL_SIZE:
        _sgd_span(p, g, state, s, 0, p.size)
    else:
        for c in prange(CHUNKS):
            _sgd_span(p, g, state, s, c * p.size // CHUNKS, (c + 1) * p.size // CHUNKS)


@_serial
def _sgd_rows(p, indices, rows, state, s, lo, hi):
    for k in range(lo, hi):
        if k + AHEAD < hi:
            prefetch_row(p, indices[k + AHEAD])
            if state.shape[0]:
                prefetch_row(state[0], indices[k + AHEAD])
        i = indices[k]
        if state.shape[0]:
            _sgd_momentum(p[i], rows[k], state[0, i], s)
        else:
            _sgd(p[i], rows[k], s)


@_parallel
def sgd_rows(p, indices, rows, state, s):
    if rows.size < PARALLEL_SIZE:
        _sgd_rows(p, indices, rows, state, s, 0, len(indices))
    else:
        for c in prange(CHUNKS):
            _sgd_rows(p, indices, rows, state, s, c * len(indices) // CHUNKS, (c + 1) * len(indices) // CHUNKS)


@_serial
def _sgd_settled(p, buffer, size):
    moves = False
    for j in range(p.size):
        moves |= p[j] - size * buffer[j] != p[j]
    return not moves


@_serial
def _sgd_tail(history):
    """The greatest learning rate, -1 if a row may not come to rest; products of `keep` from each step to the end."""
    largest = history.dtype.type(0)
    tail = np.ones(len(history) + 1, history.dtype)
    for t in range(len(history) - 1, -1, -1):
        tail[t] = tail[t + 1] * history[t, 2]
        largest = max(largest, history[t, 0])
    if np.any(history[:, 1] != 0) or np.any(history[:, 2] >= 1):
        largest = -history.dtype.type(1)
    return largest, tail


@_serial
def _sgd_replay(p, state, i, history, start, largest, tail):
    none = np.zeros_like(p)
    for t in range(start, len(history)):
        if not state.shape[0]:
            _sgd(p, none, history[t])
        elif largest >= 0 and (t - start) % CHECK_EVERY == 0 and _sgd_settled(p, state[0, i], largest):
            state[0, i] *= tail[t]
            return
        else:
            _sgd_momentum(p, none, state[0, i], history[t])


@_parallel
def sgd_catch_up(p, indices, state, last, history, now):
    largest, tail = _sgd_tail(history)
    first = now - len(history)
    for k in prange(len(indices)):
        i = indices[k]
        _sgd_replay(p[i], state, i, history, last[i] - first, largest, tail)
        last[i] = now


# ---------------------------------------------------------------------------------------- Adagrad

@_serial
def _adagrad(p, g, total, s):
    lr, decay, eps = s[0], s[1], s[2]
    for i in range(p.size):
        gradient = g[i] + decay * p[i]
        t = total[i] + gradient * gradient
        total[i] = t
        p[i] -= lr * gradient / (np.sqrt(t) + eps)


@_parallel
def adagrad(p, g, state, s):
    total = state[0]
    if p.size < PARALLEL_SIZE:
        _adagrad(p, g, total, s)
    else:
        for c in prange(CHUNKS):
            lo, hi = c * p.size // CHUNKS, (c + 1) * p.size // CHUNKS
            _adagrad(p[lo:hi], g[lo:hi], total[lo:hi], s)


@_serial
def _adagrad_rows(p, indices, rows, total, s, lo, hi):
    for k in range(lo, hi):
        if k + AHEAD < hi:
            prefetch_row(p, indices[k + AHEAD])
            prefetch_row(total, indices[k + AHEAD])
        i = indices[k]
        _adagrad(p[i], rows[k], total[i], s)


@_parallel
def adagrad_rows(p, indices, rows, state, s):
    total = state[0]
    if rows.size < PARALLEL_SIZE:
        _adagrad_rows(p, indices, rows, total, s, 0, len(indices))
    else:
        for c in prange(CHUNKS):
            _adagrad_rows(p, indices, rows, total, s, c * len(indices) // CHUNKS, (c + 1) * len(indices) // CHUNKS)


@_serial
def _adagrad_replay(p, total, history, start):
    none = np.zeros_like(p)
    for t in range(start, len(history)):
        _adagrad(p, none, total, history[t])


@_parallel
def adagrad_catch_up(p, indices, state, last, history, now):
    first = now - len(history)
    for k in prange(len(indices)):
        i = indices[k]
        _adagrad_replay(p[i], state[0, i], history, last[i] - first)
        last[i] = now


# ------------------------------------------------------------------------------------------- Adam

@_serial
def _adam(p, g, m, v, s):
    lr, shrink, decay, w1, beta2, w2, correction, eps = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
    for i in range(p.size):
        x = p[i] * shrink
        gradient = g[i] + decay * x
        mean = m[i] + w1 * (gradient - m[i])
        square = v[i] * beta2 + w2 * gradient * gradient
        m[i] = mean
        v[i] = square
        p[i] = x - lr * mean / (np.sqrt(square) / correction + eps)


@_parallel
def adam(p, g, state, s):
    m, v = state[0], state[1]
    if p.size < PARALLEL_SIZE:
        _adam(p, g, m, v, s)
    else:
        for c in prange(CHUNKS):
            lo, hi = c * p.size // CHUNKS, (c + 1) * p.size // CHUNKS
            _adam(p[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi], s)


@_serial
def _adam_rows(p, indices, rows, m, v, s, lo, hi):
    for k in range(lo, hi):
        if k + AHEAD < hi:
            prefetch_row(p, indices[k + AHEAD])
            prefetch_row(m, indices[k + AHEAD])
            prefetch_row(v, indices[k + AHEAD])
        i = indices[k]
        _adam(p[i], rows[k], m[i], v[i], s)


@_parallel
def adam_rows(p, indices, rows, state, s):
    m, v = state[0], state[1]
    if rows.size < PARALLEL_SIZE:
        _adam_rows(p, indices, rows, m, v, s, 0, len(indices))
    else:
        for c in prange(CHUNKS):
            _adam_rows(p, indices, rows, m, v, s, c * len(indices) // CHUNKS, (c + 1) * len(indices) // CHUNKS)


@_serial
def _adam_settled(p, m, v, size, s):
    correction, eps = s[6], s[7]
    moves = False
    for j in range(p.size):
        moves |= p[j] - size * m[j] / (np.sqrt(v[j]) / correction + eps) != p[j]
    return not moves


@_serial
def _adam_tail(history):
    """The greatest step size, -1 if a row may not come to rest; products from each step to the end for p, m and v."""
    one = history.dtype.type(1)
    largest = history.dtype.type(0)
    tail = np.ones((len(history) + 1, 3), history.dtype)
    rests = True
    for t in range(len(history) - 1, -1, -1):
        beta1, beta2 = one - history[t, 3], history[t, 4]
        tail[t, 0] = tail[t + 1, 0] * history[t, 1]
        tail[t, 1] = tail[t + 1, 1] * beta1
        tail[t, 2] = tail[t + 1, 2] * beta2
        largest = max(largest, history[t, 0])
        rests &= history[t, 2] == 0 and beta1 * beta1 < beta2
    return largest if rests else -one, tail


@_serial
def _adam_replay(p, m, v, history, start, largest, tail):
    none = np.zeros_like(p)
    for t in range(start, len(history)):
        if largest >= 0 and (t - start) % CHECK_EVERY == 0 and _adam_settled(p, m, v, largest, history[t]):
            p *= tail[t, 0]
            m *= tail[t, 1]
            v *= tail[t, 2]
            return
        _adam(p, none, m, v, history[t])


@_parallel
def adam_catch_up(p, indices, state, last, history, now):
    largest, tail = _adam_tail(history)
    first = now - len(history)
    for k in prange(len(indices)):
        i = indices[k]
        _adam_replay(p[i], state[0, i], state[1, i], history, last[i] - first, largest, tail)
        last[i] = now
