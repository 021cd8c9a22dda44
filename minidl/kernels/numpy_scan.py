"""NumPy references of the kernels of linear recurrences: complex numbers are two halves of a row, real, imaginary."""

from __future__ import annotations

import numpy as np

__all__ = ["backward", "forward"]


def forward(x: np.ndarray, decay: np.ndarray, h0: np.ndarray, out: np.ndarray) -> None:
    """All states `h_t = a h_(t-1) + x_t`.

    Parameters
    ----------
    x : float array, shape (S, T, 2 N)
        Of S samples and T steps: the real parts of N numbers, then the imaginary ones.
    decay : float array, shape (2 N,)
        The factors a.
    h0 : float array, shape (S, 2 N)
        The states before the first step.
    out : float array, shape (S, T, 2 N)
        Written.
    """
    h = h0
    for t in range(x.shape[1]):
        h = out[:, t] = x[:, t] + _product(decay, h)


def backward(g: np.ndarray, decay: np.ndarray, h0: np.ndarray, out: np.ndarray, grad: np.ndarray, start: np.ndarray
             ) -> np.ndarray:
    """Gradients of what `forward` was given: `d_t = g_t + conj(a) d_(t+1)`, and of a the sum of `conj(h_(t-1)) d_t`.

    Parameters
    ----------
    g : float array, shape (S, T, 2 N)
        Upstream gradient of `out`.
    decay, h0, out
        After `forward`.
    grad : float array, shape (S, T, 2 N)
        Written: of `x`.
    start : float array, shape (S, 2 N)
        Written: of `h0`.

    Returns
    -------
    float array, shape (2 N,)
        Of `decay`.
    """
    back = _conjugate(decay)
    start[...] = 0
    total = np.zeros_like(decay)
    for t in range(g.shape[1])[::-1]:
        d = grad[:, t] = g[:, t] + start
        total += _product(_conjugate(out[:, t - 1] if t else h0), d).sum(axis=0)
        start[...] = _product(back, d)
    return total


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (re, im), (other_re, other_im) = _parts(a), _parts(b)
    return np.concatenate([re * other_re - im * other_im, re * other_im + im * other_re], axis=-1)


def _conjugate(a: np.ndarray) -> np.ndarray:
    re, im = _parts(a)
    return np.concatenate([re, -im], axis=-1)


def _parts(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = a.shape[-1] // 2
    return a[..., :n], a[..., n:]
