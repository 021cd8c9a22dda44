"""Numba kernels of the optimizers; described at their NumPy references.

A rule updates one stretch of one row in a single pass; a `_rest` function says when a row without a gradient moves no
more. The loops around them are written once, and compiled for each rule (`_around`). No fastmath: the passes wait for
memory anyway, and so the bits are those of the reference. `error_model="numpy"` lets divisions vectorise. A rule is a
function of its own, because the compiler does not vectorise its loop inside of another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from minidl.kernels.copies import copied
from minidl.kernels.launch import spread
from minidl.kernels.prefetch import AHEAD, prefetch_row

__all__ = ["adadelta", "adadelta_catch_up", "adam", "adam_catch_up", "adamax", "adamax_catch_up", "lion", "rmsprop",
           "rmsprop_catch_up", "sgd", "sgd_catch_up"]

PARALLEL_SIZE = 1 << 17  # elements from which a second thread pays
# Replayed steps between two looks at whether a row still moves. A step that changes no bit of it is followed by
# smaller ones, so that what remains is a product.
CHECK_EVERY = 16
START = np.int64(0)  # not the literal 0, for which Numba would compile a function once more
SHRINK, DECAY, LR, EPS, CALM, KEEP = 1, 2, 3, 4, 5, 6  # places of numbers that all rules have

_serial = njit(cache=True, nogil=True, error_model="numpy")


# ------------------------------------------------------------------------------------------ rules

@_serial
def _sgd(p, g, state, row, lo, s):
    sign, decay, lr, keep, take, of_gradient, of_buffer = s[0], s[2], s[3], s[6], s[7], s[8], s[9]
    if not len(state):
        for i in range(p.size):
            p[i] -= lr * (sign * g[i] + decay * p[i])
        return
    buffer = state[0, row, lo:lo + p.size]
    for i in range(p.size):
        gradient = sign * g[i] + decay * p[i]
        b = keep * buffer[i] + take * gradient
        buffer[i] = b
        p[i] -= lr * (of_gradient * gradient + of_buffer * b)


@_serial
def _rmsprop(p, g, state, row, lo, s):
    sign, decay, lr, eps, keep, take, momentum = s[0], s[2], s[3], s[4], s[6], s[9], s[10]
    centered = len(state) - 1 - (momentum > 0)
    square = state[0, row, lo:lo + p.size]
    buffer, average = state[min(1, len(state) - 1), row, lo:lo + p.size], state[-1, row, lo:lo + p.size]
    for i in range(p.size):
        gradient = sign * g[i] + decay * p[i]
        v = keep * square[i] + take * gradient * gradient
        square[i] = v
        if centered:
            mean = average[i] + take * (gradient - average[i])
            average[i] = mean
            v -= mean * mean
        move = gradient / (np.sqrt(v) + eps)
        if momentum > 0:
            move += momentum * buffer[i]
            buffer[i] = move
        p[i] -= lr * move


@_serial
def _adam(p, g, state, row, lo, s):
    sign, shrink, decay, lr, eps, beta2, w1, w2 = s[0], s[1], s[2], s[3], s[4], s[7], s[9], s[10]
    of_gradient, correction = s[11], s[12]
    greatest = len(state) > 2
    m, v = state[0, row, lo:lo + p.size], state[1, row, lo:lo + p.size]
    most = state[-1, row, lo:lo + p.size]
    for i in range(p.size):
        x = p[i] * shrink
        gradient = sign * g[i] + decay * x
        mean = m[i] + w1 * (gradient - m[i])
        square = v[i] * beta2 + w2 * gradient * gradient
        m[i] = mean
        v[i] = square
        if greatest:
            square = np.maximum(most[i], square)
            most[i] = square
        p[i] = x - (of_gradient * gradient + lr * mean) / (np.sqrt(square) / correction + eps)


@_serial
def _adamax(p, g, state, row, lo, s):
    sign, decay, lr, eps, beta2, w1 = s[0], s[2], s[3], s[4], s[7], s[8]
    m, u = state[0, row, lo:lo + p.size], state[1, row, lo:lo + p.size]
    for i in range(p.size):
        gradient = sign * g[i] + decay * p[i]
        mean = m[i] + w1 * (gradient - m[i])
        greatest = np.maximum(beta2 * u[i], np.abs(gradient) + eps)
        m[i] = mean
        u[i] = greatest
        p[i] -= lr * mean / greatest


@_serial
def _adadelta(p, g, state, row, lo, s):
    sign, decay, lr, eps, rho, take = s[0], s[2], s[3], s[4], s[6], s[8]
    square, moved = state[0, row, lo:lo + p.size], state[1, row, lo:lo + p.size]
    for i in range(p.size):
        gradient = sign * g[i] + decay * p[i]
        v = rho * square[i] + take * gradient * gradient
        move = np.sqrt(moved[i] + eps) / np.sqrt(v + eps) * gradient
        square[i] = v
        moved[i] = rho * moved[i] + take * move * move
        p[i] -= lr * move


@_serial
def _lion(p, g, state, row, lo, s):
    sign, shrink, decay, lr, beta2, beta1, w1, w2 = s[0], s[1], s[2], s[3], s[6], s[7], s[8], s[9]
    m = state[0, row, lo:lo + p.size]
    for i in range(p.size):
        x = p[i] * shrink
        gradient = sign * g[i] + decay * x
        p[i] = x - lr * np.sign(beta1 * m[i] + w1 * gradient)
        m[i] = beta2 * m[i] + w2 * gradient


# ------------------------------------------------------------------------------- rows that come to rest

@_serial
def _scale(p, state, row, lo, tail):
    for i in range(p.size):
        p[i] *= tail[SHRINK]
        for j in range(len(state)):
            state[j, row, lo + i] *= tail[KEEP + j]
    return True


@_serial
def _coasts(p, buffer, lr):
    moves = False
    for i in range(p.size):
        moves |= p[i] - lr * buffer[i] != p[i]
    return moves


@_serial
def _sgd_rest(p, state, row, lo, tail):
    coasts = len(state) > 0 and _coasts(p, state[0, row, lo:lo + p.size], tail[LR])
    return not coasts and _scale(p, state, row, lo, tail)


@_serial
def _rmsprop_rest(p, state, row, lo, tail):
    momentum = tail[10]
    coasts = momentum > 0 and _coasts(p, state[1, row, lo:lo + p.size], tail[LR])
    return not coasts and _scale(p, state, row, lo, tail)


@_serial
def _adam_rest(p, state, row, lo, tail):
    m, v = state[0, row, lo:lo + p.size], state[-1, row, lo:lo + p.size]
    lr, eps, correction = tail[LR], tail[EPS], tail[12]
    moves = False
    for i in range(p.size):
        moves |= p[i] - lr * m[i] / (np.sqrt(v[i]) / correction + eps) != p[i]
    return not moves and _scale(p, state, row, lo, tail)


@_serial
def _adamax_rest(p, state, row, lo, tail):
    m, u = state[0, row, lo:lo + p.size], state[1, row, lo:lo + p.size]
    moves = False
    for i in range(p.size):
        moves |= p[i] - tail[LR] * m[i] / np.maximum(u[i], tail[EPS]) != p[i]
    if moves:
        return False
    _scale(p, state, row, lo, tail)
    for i in range(p.size):
        u[i] = np.maximum(u[i], tail[EPS])
    return True


# Adadelta moves nothing that has no gradient.
_adadelta_rest = _scale


@_serial
def _tail(history, moments, tails):
    """For each step, the numbers of it and all later ones taken together: products, and bounds of what may move."""
    steps, count = history.shape
    for k in range(count):
        product = k == SHRINK or KEEP <= k < KEEP + moments
        if product or k == CALM:
            tails[steps, k] = 1
        elif k == EPS:
            tails[steps, k] = np.inf
        for t in range(steps - 1, -1, -1):
            later, now = tails[t + 1, k], history[t, k]
            if product:
                tails[t, k] = later * now
            elif k == CALM:
                tails[t, k] = later * now if history[t, DECAY] == 0 else 0
            elif k == EPS:
                tails[t, k] = min(later, now)
            else:
                tails[t, k] = max(later, now)


# --------------------------------------------------------------------------- what surrounds every rule

_rule: Any = None  # these names have values in the copies only, see `_around`
_rest: Any = None


def _update_code(first, last, p, indices, rows, state, s):
    """Elements `first` to `last` of the gradient rows, from the middle of one row perhaps to the middle of another."""
    width = rows.shape[1]
    k = first // max(width, 1)
    while first < last:
        ahead = k + AHEAD
        if ahead * width < last:
            prefetch_row(p, indices[ahead])
            for j in range(len(state)):
                prefetch_row(state[j], indices[ahead])
        row, lo, hi = indices[k], first - k * width, min(width, last - k * width)
        _rule(p[row, lo:hi], rows[k, lo:hi], state, row, lo, s)
        k += 1
        first = k * width


def _catch_up_code(first, last, p, indices, state, last_step, history, now, tails, none):
    begin = now - len(history)
    for k in range(first, last):
        row = indices[k]
        for t in range(last_step[row] - begin, len(history)):
            looks = (t - last_step[row] + begin) % CHECK_EVERY == 0 and tails[t, CALM] > 0
            if looks and _rest(p[row], state, row, START, tails[t]):
                break
            _rule(p[row], none, state, row, START, history[t])
        last_step[row] = now


def _around(name: str, rule: Any, rest: Any = None) -> tuple[Any, Any]:
    """`name` and `name_catch_up`: the loops above, compiled with a rule in its place, on all threads."""
    update_part = _serial(copied(_update_code, f"{name}_part", _rule=rule))
    catch_up_part = _serial(copied(_catch_up_code, f"{name}_catch_up_part", _rule=rule, _rest=rest))

    def update(p: np.ndarray, indices: np.ndarray, rows: np.ndarray, state: np.ndarray, s: np.ndarray) -> None:
        spread(update_part, rows.size, rows.size >= PARALLEL_SIZE, p, indices, rows, state, s)

    def catch_up(p: np.ndarray, indices: np.ndarray, state: np.ndarray, last: np.ndarray, history: np.ndarray, now: int
                 ) -> None:
        steps, count = history.shape
        tails = np.zeros((steps + 1, count), history.dtype)
        _tail(history, len(state), tails)
        spread(catch_up_part, len(indices), len(indices) * p.shape[1] >= PARALLEL_SIZE // 8, p, indices, state, last,
               history, now, tails, np.zeros(p.shape[1], p.dtype))

    return update, catch_up


sgd, sgd_catch_up = _around("sgd", _sgd, _sgd_rest)
rmsprop, rmsprop_catch_up = _around("rmsprop", _rmsprop, _rmsprop_rest)
adam, adam_catch_up = _around("adam", _adam, _adam_rest)
adamax, adamax_catch_up = _around("adamax", _adamax, _adamax_rest)
adadelta, adadelta_catch_up = _around("adadelta", _adadelta, _adadelta_rest)
lion, _ = _around("lion", _lion)
