"""NumPy twins of the loss kernels."""

from __future__ import annotations

import numpy as np

__all__ = ["BCE", "BPR", "CHUNK", "MSE", "cross_entropy_gradient", "exp_sums", "pair_gradient", "pair_sum"]

MSE, BCE, BPR = 0, 1, 2
"""Losses of a pair of arrays: squared error; cross-entropy of a logit and a probability; of a positive and a
negative score."""

CHUNK = 8192
"""Elements that are summed in their own dtype; the sums of chunks are added in order, in float64."""


def exp_sums(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the largest logit, and the sum of e^(logit - largest); shapes (N, C) -> (N,), (N,), C > 0."""
    peak = logits.max(axis=1, initial=-np.inf)
    return peak, np.exp(logits - peak[:, None]).sum(axis=1)


def cross_entropy_gradient(g: np.ndarray, logits: np.ndarray, target: np.ndarray, peak: np.ndarray,
                           total: np.ndarray) -> np.ndarray:
    """Gradient of softmax cross-entropy with respect to the logits: g (softmax - one-hot).

    Parameters
    ----------
    g : float array, shape (N,)
        Upstream gradient of each row's loss.
    logits : float array, shape (N, C)
        C > 0.
    target : int64 array, shape (N,)
        In range, or -1 for a row without loss.
    peak, total : float arrays, shape (N,)
        Of `exp_sums`.

    Returns
    -------
    float array, shape (N, C)
    """
    weight = np.where(target >= 0, g, 0)
    out = np.exp(logits - peak[:, None])
    out *= (weight / total)[:, None]
    at_target = np.arange(len(target)), target
    out[at_target] = 0
    out[at_target] = -out.sum(axis=1)  # g (p - 1), without the cancellation
    out[target < 0] = 0
    return out


def pair_sum(kind: int, a: np.ndarray, b: np.ndarray) -> float:
    """Sum of a loss over two flat arrays, of one dtype.

    `MSE`: (a - b)^2. `BCE`: log(1 + e^a) - a b. `BPR`: log(1 + e^(b - a)).
    """
    if kind == MSE:
        losses = np.square(a - b)
    elif kind == BCE:
        losses = np.maximum(a, 0) - a * b + np.log1p(np.exp(-np.abs(a)))
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
        out = _sigmoid(a)
        out -= b
        out *= g
    else:
        out = _sigmoid(b - a)
        out *= -g
    return out


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
