"""NumPy references of the loss kernels."""

from __future__ import annotations

import numpy as np

__all__ = ["BCE", "BPR", "CHUNK", "MSE", "exp_sums", "pair_gradient", "pair_sum", "soft_gradient", "soft_sums",
           "softmax_gradient"]

MSE, BCE, BPR = 0, 1, 2
"""Losses of a pair of arrays: squared error; cross-entropy of a logit and a probability; of a positive and a
negative score."""

CHUNK = 8192
"""Elements that are summed in their own dtype; the sums of chunks are added in order, in float64."""


def exp_sums(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the largest logit, and the sum of e^(logit - largest) less that one's 1, which would hide the rest.

    Shapes (N, C) -> (N,), (N,), C > 0.
    """
    peak = logits.max(axis=1, initial=-np.inf)
    below = logits - peak[:, None]
    rest = np.where(below == 0, 0, np.exp(below)).sum(axis=1)
    return peak, rest + (np.count_nonzero(below == 0, axis=1) - 1).astype(logits.dtype)


def softmax_gradient(scale: np.ndarray, logits: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                     classes: np.ndarray, ends: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Rows of probabilities times a scale, less what classes have got: `scale[i] softmax[i] - sum drop[k] one-hot`.

    Where a row has one class only, that one's value is computed from the others, as -sum scale p: the difference
    scale (p - 1) would lose the digits of a p near 1.

    Parameters
    ----------
    scale : float array, shape (N,)
    logits : float array, shape (N, C)
        C > 0.
    peak, rest : float arrays, shape (N,)
        Of `exp_sums`.
    classes : int64 array, shape (n,)
        In range. A row of which the first class is -1 is 0.
    ends : int64 array, shape (N + 1,)
        Row i has the classes from `ends[i]` to `ends[i + 1]`.
    drop : float array, shape (n,)
        Sums to `scale` in each row that has one class only, once or several times.

    Returns
    -------
    float array, shape (N, C)
    """
    out = np.exp(logits - peak[:, None])
    out *= (scale / (1 + rest))[:, None]
    owner = np.repeat(np.arange(len(logits)), np.diff(ends))
    np.subtract.at(out, (owner, classes), drop)
    alone = np.diff(ends) > 0
    first = np.zeros(len(logits), np.int64)
    first[alone] = classes[ends[:-1][alone]]
    alone[owner[classes != first[owner]]] = False  # another class too
    rows = np.flatnonzero(alone)
    out[rows, first[rows]] = 0
    out[rows, first[rows]] = -out.sum(axis=1)[rows]
    out[rows[first[rows] < 0]] = 0
    return out


def soft_sums(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each row what the cross-entropy with a dense target is made of; shapes (N, C), (N, C) -> four times (N,).

    Returns
    -------
    peak, rest : float arrays
        As `exp_sums`.
    mass : float array
        Sum of the target.
    gap : float array
        Sum of `target * (peak - logit)`, where the target is not 0. The cross-entropy is `gap + mass log(1 + rest)`.
    """
    peak, rest = exp_sums(logits)
    below = np.where(target != 0, peak[:, None] - logits, 0)
    return peak, rest, target.sum(axis=1), (target * below).sum(axis=1)


def soft_gradient(g: np.ndarray, logits: np.ndarray, target: np.ndarray, peak: np.ndarray, rest: np.ndarray,
                  mass: np.ndarray) -> np.ndarray:
    """Gradient of the cross-entropy with a dense target: `g (mass softmax - target)`; the arrays of `soft_sums`."""
    out = np.exp(logits - peak[:, None])
    out *= (mass / (1 + rest))[:, None]
    out -= target
    out *= g[:, None]
    return out


def pair_sum(kind: int, a: np.ndarray, b: np.ndarray) -> float:
    """Sum of a loss over two flat arrays, of one dtype.

    `MSE`: (a - b)^2. `BCE`: log(1 + e^a) - a b. `BPR`: log(1 + e^(b - a)).
    """
    if kind == MSE:
        losses = np.square(a - b)
    elif kind == BCE:
        size = np.abs(a)
        losses = size * np.where(a > 0, 1 - b, b) + np.log1p(np.exp(-size))
    else:
        d = b - a
        losses = np.maximum(d, 0) + np.log1p(np.exp(-np.abs(d)))
    return float(losses.sum(dtype=np.float64))


def pair_gradient(kind: int, g: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Gradient of `g * pair_sum(kind, a, b)` with respect to `a`; `g` is a scalar of the arrays' dtype."""
    if kind == MSE:
        out = a - b
        out *= 2 * g
    elif kind == BCE:
        out = g * ((1 - b) * _sigmoid(a) - b * _sigmoid(-a))
    else:
        out = _sigmoid(b - a)
        out *= -g
    return out


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
