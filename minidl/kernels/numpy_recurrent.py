"""NumPy references of the kernels of recurrent layers.

A layer of G gates (1, 3 or 4) and H units keeps, of each step and sample, a row of S numbers: G H, but 4 H for the
GRU. First come the columns to which the previous state contributes (G H of them), last those to which the input does.

======  ==============================================================================================
kind    columns of a row, H each
======  ==============================================================================================
TANH    a; h' = tanh(a)
RELU    a; h' = max(a, 0)
GRU     the state's part m of the candidate, reset gate r, update gate z, candidate n = tanh(i + r m);
        h' = n + z (h - n)
LSTM    input gate i, forget gate f, candidate g, output gate o; c' = f c + i g, h' = o tanh(c')
======  ==============================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.runtime import matmul

__all__ = ["GRU", "LSTM", "RELU", "TANH", "backward", "forward"]

TANH, RELU, GRU, LSTM = 0, 1, 2, 3


def forward(kind: int, gates: np.ndarray, bias: np.ndarray, weight: np.ndarray, lengths: np.ndarray, reverse: bool,
            h: np.ndarray, c: np.ndarray, out: np.ndarray, cells: np.ndarray) -> None:
    """All steps of a layer in one direction.

    Parameters
    ----------
    kind : int
        TANH, RELU, GRU or LSTM.
    gates : float array, shape (T, B, S)
        In: products of inputs and weights, in the last G H columns. Out: the gates, where there are steps.
    bias : float array, shape (S,)
        Sum of the biases of each column.
    weight : float array, shape (H, G H)
        From the state to the first G H columns.
    lengths : int64 array, shape (B,)
        Steps of each sample, from 0 to T.
    reverse : bool
        From each sample's last step to its first.
    h, c : float array, shape (B, H)
        In: initial states. Out: final ones. Only the LSTM has `c`.
    out : float array, shape (T, B, H)
        Written: states, zero where a sample has no step.
    cells : float array, shape (T, B, H)
        Written by the LSTM: cell states, where there are steps.
    """
    size, columns = weight.shape
    start = size if kind == GRU else 0
    product = np.empty((len(h), columns), gates.dtype)
    for t in range(len(gates))[::-1 if reverse else 1]:
        row = gates[t]
        row[:, start:] += bias[start:]
        row[:, :start] = bias[:start]
        row[:, :columns] += matmul(h, weight, out=product)
        active = (t < lengths)[:, None]
        new = _step(kind, row, h, c)
        h[...] = np.where(active, new[0], h)
        out[t] = np.where(active, h, 0)
        if kind == LSTM:
            cells[t] = c[...] = np.where(active, new[1], c)


def backward(kind: int, g: np.ndarray, gates: np.ndarray, weight: np.ndarray, lengths: np.ndarray, reverse: bool,
             out: np.ndarray, cells: np.ndarray, h0: np.ndarray, c0: np.ndarray, dh: np.ndarray, dc: np.ndarray,
             grad: np.ndarray) -> np.ndarray:
    """Gradients of the rows of `forward`, before the gates' functions; and their sum.

    Parameters
    ----------
    kind, gates, weight, lengths, reverse, out, cells
        After `forward`.
    g : float array, shape (T, B, H)
        Upstream gradient of `out`.
    h0, c0 : float array, shape (B, H)
        Initial states.
    dh, dc : float array, shape (B, H)
        In: upstream gradients of the final states. Out: gradients of the initial ones.
    grad : float array, shape (T, B, S)
        Written: zero where a sample has no step. Columns of the GRU: of m, and of the sums in r, z and n.

    Returns
    -------
    float array, shape (S,)
        Sum of `grad` over steps and samples.
    """
    columns = weight.shape[1]
    for t in range(len(gates))[::1 if reverse else -1]:
        before = t + 1 if reverse else t - 1
        inside = (before < lengths)[:, None] & (0 <= before < len(gates))
        h = np.where(inside, out[before % len(out)], h0)
        c = np.where(inside, cells[before % len(out)], c0) if kind == LSTM else c0
        active = (t < lengths)[:, None]
        rows, dh_new, dc_new = _step_back(kind, gates[t], out[t], h, c, dh + g[t], dc)
        grad[t] = np.where(active, rows, 0)
        dh[...] = np.where(active, dh_new, dh)
        dc[...] = np.where(active, dc_new, dc)
        dh += matmul(grad[t][:, :columns], weight.T)
    return np.asarray(grad.sum(axis=(0, 1)))


def _sigmoid(x: np.ndarray) -> None:
    x *= 0.5
    np.tanh(x, out=x)
    x *= 0.5
    x += 0.5


def _step(kind: int, row: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next states; `row` becomes the gates."""
    n = h.shape[1]
    if kind == TANH:
        return np.tanh(row), c
    if kind == RELU:
        return np.maximum(row, 0), c
    if kind == GRU:
        _sigmoid(row[:, n:3 * n])
        m, r, z, candidate = _columns(row, n)
        candidate += r * m
        np.tanh(candidate, out=candidate)
        return candidate + z * (h - candidate), c
    _sigmoid(row[:, :2 * n])
    _sigmoid(row[:, 3 * n:])
    i, f, g, o = _columns(row, n)
    np.tanh(g, out=g)
    new = f * c + i * g
    return o * np.tanh(new), new


def _step_back(kind: int, gates: np.ndarray, out: np.ndarray, h: np.ndarray, c: np.ndarray, dh: np.ndarray,
               dc: np.ndarray) -> tuple[Any, Any, Any]:
    """Gradients of the row, and of the previous states without what comes through the row."""
    n = dh.shape[1]
    if kind == TANH:
        return dh * (1 - out * out), 0, dc
    if kind == RELU:
        return np.where(out > 0, dh, 0), 0, dc
    if kind == GRU:
        m, r, z, candidate = _columns(gates, n)
        d = dh * (1 - z) * (1 - candidate * candidate)
        dz = dh * (h - candidate) * z * (1 - z)
        return np.concatenate([d * r, d * m * r * (1 - r), dz, d], axis=1), dh * z, dc
    i, f, g, o = _columns(gates, n)
    squashed = np.tanh(f * c + i * g)
    dc = dc + dh * o * (1 - squashed * squashed)
    row = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g),
                          dh * squashed * o * (1 - o)], axis=1)
    return row, 0, dc * f


def _columns(row: np.ndarray, n: int) -> list[np.ndarray]:
    """Views of n columns each."""
    return [row[:, k:k + n] for k in range(0, row.shape[1], n)] if n else [row] * 4
