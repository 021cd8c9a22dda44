"""NumPy references of the normalisation kernels."""

from __future__ import annotations

import numpy as np

__all__ = ["channel_norm", "channel_norm_gradient", "row_norm", "row_norm_gradient"]


def row_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float,
             centred: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise each row: `(x - mean) * scale * weight + bias` with `scale = 1 / sqrt(mean((x - mean)^2) + eps)`.

    Parameters
    ----------
    x : float array, shape (N, D)
        All arrays have one dtype.
    weight, bias : float arrays, shape (D,)
    eps : float
    centred : bool
        Otherwise the mean counts as 0 (RMS norm).

    Returns
    -------
    out : float array, shape (N, D)
    mean, scale : float arrays, shape (N,)
    """
    mean = _average(x, (1,)) if centred else np.zeros(len(x), x.dtype)
    rest = x - mean[:, None]
    scale = 1 / np.sqrt(_average(np.square(rest), (1,)) + x.dtype.type(eps))
    rest *= scale[:, None]
    rest *= weight
    rest += bias
    return rest, mean, scale


def row_norm_gradient(g: np.ndarray, x: np.ndarray, weight: np.ndarray, mean: np.ndarray, scale: np.ndarray,
                      centred: bool, gx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `row_norm` with respect to weight (D,) and bias (D,), for the upstream g (N, D).

    That with respect to x is written to `gx` (N, D).
    """
    normal = (x - mean[:, None]) * scale[:, None]
    inner = g * weight
    np.subtract(inner, normal * _average(inner * normal, (1,))[:, None], out=gx)
    if centred:
        gx -= _average(inner, (1,))[:, None]
    gx *= scale[:, None]
    return (g * normal).sum(axis=0), g.sum(axis=0)


def channel_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float, mean: np.ndarray, var: np.ndarray,
                 training: bool) -> np.ndarray:
    """Normalise each channel: `(x - mean) / sqrt(var + eps) * weight + bias`.

    Parameters
    ----------
    x : float array, shape (N, C, L)
        N and L positive. All arrays have one dtype.
    weight, bias : float arrays, shape (C,)
    eps : float
    mean, var : float arrays, shape (C,)
        Read; in training written: mean and (biased) variance of x over N and L.
    training : bool

    Returns
    -------
    float array, shape (N, C, L)
    """
    if training:
        mean[:] = _average(x, (0, 2))
        var[:] = _average(np.square(x - mean[:, None]), (0, 2))
    out = x - mean[:, None]
    out *= (weight / np.sqrt(var + x.dtype.type(eps)))[:, None]
    out += bias[:, None]
    return out


def channel_norm_gradient(g: np.ndarray, x: np.ndarray, weight: np.ndarray, eps: float, mean: np.ndarray,
                          var: np.ndarray, training: bool, gx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `channel_norm` with respect to weight (C,) and bias (C,), for the upstream g (N, C, L).

    That with respect to x is written to `gx` (N, C, L). In training the mean and the variance are functions of x,
    otherwise constants.
    """
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    normal = (x - mean[:, None]) * scale[:, None]
    gw, gb = (g * normal).sum(axis=(0, 2)), g.sum(axis=(0, 2))
    np.copyto(gx, g)
    if training:
        count = x.dtype.type(x.shape[0] * x.shape[2])
        gx -= (gb / count)[:, None] + normal * (gw / count)[:, None]
    gx *= (weight * scale)[:, None]
    return gw, gb


def _average(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean over axes in the dtype of `x`, summed in float64."""
    found: np.ndarray = x.mean(axis=axes, dtype=np.float64).astype(x.dtype)
    return found
