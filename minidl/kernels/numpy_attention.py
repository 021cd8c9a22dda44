"""NumPy references of the attention kernels."""

from __future__ import annotations

import numpy as np

__all__ = ["attention", "attention_gradient"]


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: np.ndarray, keep: np.ndarray, causal: bool,
              scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Scaled dot-product attention of G independent groups: softmax(q k' scale + bias) v.

    Parameters
    ----------
    q : float array, shape (G, T, D)
        All arrays have one dtype.
    k : float array, shape (G, S, D)
    v : float array, shape (G, S, E)
    bias : float array, shape (B, T, S)
        Added to the scores; -inf forbids. Each of the B serves G / B groups in a row; B = 0 adds nothing.
    keep : float array, shape (G, T, S) or (0, T, S)
        Factors of the probabilities (dropout); none when empty.
    causal : bool
        Position t sees those up to t only.
    scale : float

    Returns
    -------
    out : float array, shape (G, T, E)
    p : float array, shape (G, T, S)
        Probabilities, before `keep`; zeros in a row that may see nothing.
    """
    scores = np.matmul(q, k.swapaxes(1, 2))
    scores *= q.dtype.type(scale)
    if len(bias):
        scores += np.repeat(bias, len(q) // len(bias), axis=0)
    if causal:
        scores[:, np.tri(*scores.shape[1:]) == 0] = -np.inf
    peak = scores.max(axis=2, keepdims=True, initial=-np.inf)
    scores -= np.where(peak == -np.inf, 0, peak)
    p = np.exp(scores, out=scores)
    total = p.sum(axis=2, keepdims=True)
    p /= np.where(total == 0, 1, total)
    return np.matmul(p * keep if len(keep) else p, v), p


def attention_gradient(g: np.ndarray, q: np.ndarray, k: np.ndarray, v: np.ndarray, p: np.ndarray, keep: np.ndarray,
                       causal: bool, scale: float, gq: np.ndarray, gk: np.ndarray, gv: np.ndarray) -> np.ndarray:
    """Gradient of `attention` with respect to the scores plus bias (G, T, S), for the upstream g (G, T, E).

    Those with respect to q, k and v are written to `gq`, `gk` and `gv`; `p` is what `attention` returned.
    """
    gp = np.matmul(g, v.swapaxes(1, 2))
    if len(keep):
        gp *= keep
    gs: np.ndarray = p * (gp - (gp * p).sum(axis=2, keepdims=True))
    scaled = gs * q.dtype.type(scale)
    np.matmul(scaled, k, out=gq)
    np.matmul(scaled.swapaxes(1, 2), q, out=gk)
    np.matmul((p * keep if len(keep) else p).swapaxes(1, 2), g, out=gv)
    return gs
