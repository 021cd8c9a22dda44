"""Linear recurrences over whole sequences as one op: h_t = a h_(t-1) + x_t, number by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import fused
from minidl.errors import ShapeError, explained
from minidl.kernels import Kernels, takes
from minidl.ops.loss_parts import floating
from minidl.ops.shape import concatenate
from minidl.typing import Operand

__all__ = ["linear_scan"]

_kernels = Kernels("minidl.kernels", "scan")


@explained
def linear_scan(x: Operand, decay: Operand, h0: Operand | None = None) -> Any:
    """All states h_t = a h_(t-1) + x_t of complex numbers, each with its own factor a.

    A complex number is a pair of real ones: of the last axis, of length 2 N, the first half holds N real parts and the
    second their imaginary parts. Derivative: the same recurrence backwards with the conjugate factors,
    d_t = g_t + conj(a) d_(t+1), which is that of x_t; of a the sum of conj(h_(t-1)) d_t, of h_0 conj(a) d_1.

    Source: Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences", section 3.

    Parameters
    ----------
    x : Tensor or array, shape (..., T, 2 N)
    decay : Tensor or array, shape (2 N,)
        The factors a; absolute values above 1 let the states grow.
    h0 : Tensor or array, shape (..., 2 N), optional
        The states before the first step; zero by default.

    Returns
    -------
    Tensor or array, shape (..., T, 2 N)
        The last step's are the final states, from which another call goes on.

    Raises
    ------
    ShapeError
        For shapes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.linear_scan(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), np.array([0.0, 0.5]))  # 1, i / 2, -1 / 4
    array([[ 1.  ,  0.  ],
           [ 0.  ,  0.5 ],
           [-0.25,  0.  ]])
    """
    x, decay = floating(x), floating(decay)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ShapeError(f"linear_scan: x has shape {x.shape}; it has to be (..., steps, 2 N), real parts and then "
                         "imaginary ones")
    if decay.shape != x.shape[-1:]:
        raise ShapeError(f"linear_scan: decay has shape {decay.shape}; {x.shape[-1:]} goes with x of shape {x.shape}")
    if h0 is None:
        return _linear_scan(x, decay, None)
    h0, wanted = floating(h0), (*x.shape[:-2], x.shape[-1])
    if h0.shape != wanted:
        raise ShapeError(f"linear_scan: h0 has shape {h0.shape}; {wanted} goes with x of shape {x.shape}")
    return _linear_scan(x, decay, h0)


def _forward(x: np.ndarray, decay: np.ndarray, h0: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    dtype = np.result_type(*(a for a in (x, decay, h0) if a is not None))
    flat = _plain(x.reshape((math.prod(x.shape[:-2]), *x.shape[-2:])), dtype)  # (S, T, 2 N)
    out = np.empty_like(flat)
    _kernels.forward(flat, _plain(decay, dtype), _plain(_start(x, h0), dtype), out)
    return out.reshape(x.shape).astype(dtype, copy=False), out


def _backward(g: np.ndarray, out: np.ndarray, inputs: Any, needs: Any) -> list[Any]:
    x, decay, h0 = inputs
    before = _plain(_start(x, h0), out.dtype)
    grad, start = np.empty_like(out), np.empty_like(before)
    total = _kernels.backward(_plain(g.reshape(out.shape), out.dtype), _plain(decay, out.dtype), before, out, grad,
                              start)
    return [found.reshape(a.shape).astype(a.dtype, copy=False) if need else None
            for found, a, need in zip((grad, total, start), inputs, needs, strict=True)]


def _start(x: np.ndarray, h0: np.ndarray | None) -> np.ndarray:
    """The states before the first step: (S, 2 N)."""
    shape = math.prod(x.shape[:-2]), x.shape[-1]
    return np.zeros(shape, x.dtype) if h0 is None else h0.reshape(shape)


def _plain(a: np.ndarray, dtype: Any) -> np.ndarray:
    """As kernels are compiled for: of float32 or float64, in C order, aligned, writeable."""
    dtype = np.dtype(np.float32 if np.dtype(dtype).itemsize <= 4 else np.float64)
    return a if a.dtype == dtype and takes(a) else np.array(a, dtype, order="C")


def _reference(x: Any, decay: Any, h0: Any) -> Any:
    n = decay.shape[0] // 2
    re, im = decay[:n], decay[n:]
    h = np.zeros((*x.shape[:-2], 2 * n), x.dtype) if h0 is None else h0
    states = [x[..., :0, :] * decay + h[..., None, :]]  # without steps too, of every input
    for t in range(x.shape[-2]):
        h_re, h_im = h[..., :n], h[..., n:]
        h = x[..., t, :] + concatenate([re * h_re - im * h_im, re * h_im + im * h_re], axis=-1)
        states.append(h[..., None, :])
    return concatenate(states, axis=-2)


_linear_scan = fused(_forward, _backward, _reference, name="linear_scan")
