"""Recurrent layers over whole sequences: each layer and direction is one op.

The first axis is time. Samples of a batch may have different `lengths`: what lies beyond them is not read, the output
there is zero, the final state is that of a sample's last step, and the reverse direction starts there. A sample of
length 0 keeps its initial state.

A row of gates has the columns of `minidl.kernels.numpy_recurrent`. The GRU's state weights are rolled to start with
those of the candidate, whose part is kept apart from the input's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import runtime
from minidl.engine import fused
from minidl.errors import ShapeError, explained
from minidl.kernels import Kernels
from minidl.kernels.numpy_recurrent import GRU, LSTM, RELU, TANH
from minidl.ops.activation import relu, sigmoid
from minidl.ops.elementwise import where
from minidl.ops.functions import tanh
from minidl.ops.index import as_indices
from minidl.ops.linalg import linear
from minidl.ops.loss_parts import floating
from minidl.ops.shape import concatenate, split
from minidl.typing import Operand

__all__ = ["gru", "lstm", "rnn"]

_kernels = Kernels("minidl.kernels", "recurrent")
_GATES = {TANH: 1, RELU: 1, GRU: 3, LSTM: 4}


@explained
def rnn(x: Operand, weight_ih: Operand, weight_hh: Operand, bias_ih: Operand | None = None,
        bias_hh: Operand | None = None, h0: Operand | None = None, lengths: Any = None, nonlinearity: str = "tanh",
        reverse: bool = False) -> tuple[Any, Any]:
    """Elman network: h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh).

    Derivative: back through time. relu'(0) = 0.

    In float32 the tanh here and in `gru` and `lstm`, and so the sigmoid, which is (1 + tanh(x / 2)) / 2, errs by 2.6e-7
    at most: near 0 to 4 units in the last place, and from 8.3 on it is 1, while a gate near 0 has that absolute error.

    Source: Elman 1990, "Finding structure in time".

    Parameters
    ----------
    x : array, shape (T, B, I)
    weight_ih : array, shape (H, I)
    weight_hh : array, shape (H, H)
    bias_ih, bias_hh : array, shape (H,), optional
    h0 : array, shape (B, H), optional
        Initial state; zero by default.
    lengths : int array, shape (B,), optional
        Steps of each sample, from 0 to T in any order; by default T.
    nonlinearity : {"tanh", "relu"}
    reverse : bool
        From the last step to the first.

    Returns
    -------
    output : array, shape (T, B, H)
        The state after each step.
    h_n : array, shape (B, H)
        The final state.

    Raises
    ------
    ShapeError, ValueError
        For shapes that do not fit, and lengths out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> output, final = ops.rnn(np.ones((3, 1, 1)), np.ones((1, 1)), np.ones((1, 1)), nonlinearity="relu")
    >>> output.ravel(), final
    (array([1., 2., 3.]), array([[3.]]))
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"rnn: nonlinearity={nonlinearity!r} is unknown; use 'tanh' or 'relu'")
    kind = TANH if nonlinearity == "tanh" else RELU
    args, lengths = _checked("rnn", kind, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, None, lengths)
    output = _rnn(*args, kind=kind, lengths=lengths, reverse=bool(reverse))
    return output, _final(output, args[5], lengths, reverse)


@explained
def gru(x: Operand, weight_ih: Operand, weight_hh: Operand, bias_ih: Operand | None = None,
        bias_hh: Operand | None = None, h0: Operand | None = None, lengths: Any = None,
        reverse: bool = False) -> tuple[Any, Any]:
    """Gated recurrent unit, with i = W_ih x_t + b_ih and s = W_hh h_(t-1) + b_hh cut into three gates.

    r = sigmoid(i_r + s_r), z = sigmoid(i_z + s_z), n = tanh(i_n + r s_n), h_t = (1 - z) n + z h_(t-1).
    Derivative: back through time.

    Source: Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder"; the candidate as in cuDNN
    and PyTorch, where r multiplies the product and its bias.

    Parameters
    ----------
    x : array, shape (T, B, I)
    weight_ih : array, shape (3 H, I)
        Rows of r, z, n.
    weight_hh : array, shape (3 H, H)
    bias_ih, bias_hh : array, shape (3 H,), optional
    h0, lengths, reverse
        As in `rnn`.

    Returns
    -------
    output : array, shape (T, B, H)
    h_n : array, shape (B, H)

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> output, final = ops.gru(np.ones((3, 2, 4)), np.zeros((15, 4)), np.zeros((15, 5)), h0=np.ones((2, 5)))
    >>> output.shape, final[0, 0].item()
    ((3, 2, 5), 0.125)
    """
    args, lengths = _checked("gru", GRU, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, None, lengths)
    output = _gru(*args, kind=GRU, lengths=lengths, reverse=bool(reverse))
    return output, _final(output, args[5], lengths, reverse)


@explained
def lstm(x: Operand, weight_ih: Operand, weight_hh: Operand, bias_ih: Operand | None = None,
         bias_hh: Operand | None = None, h0: Operand | None = None, c0: Operand | None = None, lengths: Any = None,
         reverse: bool = False) -> tuple[Any, tuple[Any, Any]]:
    """Long short-term memory, with a = W_ih x_t + b_ih + W_hh h_(t-1) + b_hh cut into four gates.

    i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g), o = sigmoid(a_o), c_t = f c_(t-1) + i g, h_t = o tanh(c_t).
    Derivative: back through time.

    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory"; the forget gate of Gers et al. 2000.

    Parameters
    ----------
    x : array, shape (T, B, I)
    weight_ih : array, shape (4 H, I)
        Rows of i, f, g, o.
    weight_hh : array, shape (4 H, H)
    bias_ih, bias_hh : array, shape (4 H,), optional
    h0, c0 : array, shape (B, H), optional
        Initial states; zero by default.
    lengths, reverse
        As in `rnn`.

    Returns
    -------
    output : array, shape (T, B, H)
    (h_n, c_n) : arrays, shape (B, H)
        The final states.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> output, (h, c) = ops.lstm(np.ones((3, 2, 4)), np.zeros((20, 4)), np.zeros((20, 5)), c0=np.ones((2, 5)))
    >>> output.shape, c[0, 0].item()
    ((3, 2, 5), 0.125)
    """
    args, lengths = _checked("lstm", LSTM, x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, lengths)
    states = lstm_states(*args, kind=LSTM, lengths=lengths, reverse=bool(reverse))  # (T + 1, B, H): the last is c_n
    output = states[:-1]
    return output, (_final(output, args[5], lengths, reverse), states[-1])


def _final(output: Any, h0: Any, lengths: np.ndarray | None, reverse: bool) -> Any:
    """The state after each sample's last step: (T, B, H) -> (B, H)."""
    steps, samples = output.shape[:2]
    if steps == 0:
        empty = output.sum(axis=0)
        return empty if h0 is None else empty + h0
    if lengths is None:
        return output[0 if reverse else -1]
    last = output[0] if reverse else output[np.maximum(lengths - 1, 0), np.arange(samples)]
    return last if h0 is None else where((lengths > 0)[:, None], last, h0)  # without steps, the output is zero


# -------------------------------------------------------------------------------------------- arguments

def _checked(name: str, kind: int, x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, h0: Any, c0: Any,
             lengths: Any) -> tuple[list[Any], np.ndarray | None]:
    """All arrays in floating point and of shapes that fit, and the lengths in range."""
    args = [None if a is None else floating(a) for a in (x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0)]
    x, weight_hh = args[0], args[2]
    if x.ndim != 3:
        raise ShapeError(f"{name}: x has shape {x.shape}; it has to be (steps, samples, features)")
    if weight_hh.ndim != 2:
        raise ShapeError(f"{name}: weight_hh has shape {weight_hh.shape}; it has to be (gates * hidden, hidden)")
    steps, samples, features = x.shape
    size = weight_hh.shape[1]
    rows = _GATES[kind] * size
    shapes = {"weight_ih": (rows, features), "weight_hh": (rows, size), "bias_ih": (rows,), "bias_hh": (rows,),
              "h0": (samples, size), "c0": (samples, size)}
    for (argument, shape), a in zip(shapes.items(), args[1:], strict=True):
        if a is not None and a.shape != shape:
            raise ShapeError(f"{name}: {argument} has shape {a.shape}; {shape} goes with x of shape {x.shape} and a "
                             f"hidden size of {size}")
    if lengths is None:
        return args, None
    found = _checked_lengths(name, lengths, steps, samples)
    real = np.arange(steps)[:, None] < found  # (T, B)
    return [where(real[:, :, None], x, 0), *args[1:]], found  # beyond, there may be anything


def _checked_lengths(name: str, lengths: Any, steps: int, samples: int) -> np.ndarray:
    found = as_indices(name, "lengths", lengths)
    if found.shape != (samples,):
        raise ShapeError(f"{name}: lengths have shape {found.shape}; one for each of the {samples} samples is needed")
    if found.size and not 0 <= found.min() <= found.max() <= steps:
        raise ValueError(f"{name}: lengths go from {found.min()} to {found.max()}, with {steps} steps they have to be "
                         f"from 0 to {steps}")
    return np.array(found, np.int64)  # own: what is recorded must not change


# ---------------------------------------------------------------------------------- forward and backward

def _forward(x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, h0: Any, c0: Any, *, kind: int,
             lengths: np.ndarray | None, reverse: bool) -> tuple[np.ndarray, Any]:
    given = [x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0]
    dtype = np.result_type(*(a for a in given if a is not None))
    x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0 = _plain(given)
    steps, samples, _ = x.shape
    rows, size = weight_hh.shape
    width = 4 * size if kind == GRU else rows
    gates = np.empty((steps, samples, width), x.dtype)
    runtime.matmul(_flat(x), weight_ih.T, out=_flat(gates)[:, width - rows:])
    bias = np.zeros(width, x.dtype)
    if bias_ih is not None:
        bias[width - rows:] += bias_ih
    if bias_hh is not None:
        bias[:rows] += _rolled(bias_hh, size, kind)
    out = np.empty((steps + (kind == LSTM), samples, size), x.dtype)
    h = _initial(h0, samples, size, x.dtype).copy()
    c = out[-1] if kind == LSTM else np.empty((samples, 0), x.dtype)
    if kind == LSTM:
        c[...] = 0 if c0 is None else c0
    cells = np.empty((steps if kind == LSTM else 0, samples, size), x.dtype)
    if samples:
        _kernels.forward(kind, gates, bias, _by_columns(weight_hh, size, kind), _lengths(lengths, steps, samples),
                         reverse, h, c, out[:steps], cells)
    return out.astype(dtype, copy=False), (gates, out, cells)


def _backward(g: np.ndarray, saved: Any, inputs: Any, needs: Any, *, kind: int, lengths: np.ndarray | None,
              reverse: bool) -> list[Any]:
    x, weight_ih, weight_hh, _, _, h0, c0 = _plain(inputs)
    gates, out, cells = saved
    (steps, samples, width), (rows, size) = gates.shape, weight_hh.shape
    g = _plain([g], gates.dtype)[0]
    dh = np.zeros((samples, size), x.dtype)
    dc = g[steps].copy() if kind == LSTM else np.empty((samples, 0), x.dtype)
    grad = np.empty_like(gates)
    total = np.zeros(width, x.dtype)
    start = _initial(h0, samples, size, x.dtype)
    if samples:
        total = _kernels.backward(
            kind, g[:steps], gates, _by_columns(weight_hh, size, kind),
            _lengths(lengths, steps, samples), reverse, out[:steps], cells, start,
            _initial(c0, samples, size, x.dtype) if kind == LSTM else dc, dh, dc, grad)
    inner, outer = _flat(grad)[:, width - rows:], _flat(grad)[:, :rows]  # of the products with inputs and with states
    found = [runtime.matmul(inner, weight_ih).reshape(x.shape) if needs[0] else None,
             runtime.matmul(inner.T, _flat(x)) if needs[1] else None,
             _rolled(_state_weights(outer, out[:steps], start, lengths, reverse), -size, kind) if needs[2] else None,
             total[width - rows:] if needs[3] else None,
             _rolled(total[:rows], -size, kind).copy() if needs[4] else None,
             dh if needs[5] else None, dc if needs[6] else None]
    return [None if a is None else a.astype(x.dtype, copy=False) for a, x in zip(found, inputs, strict=True)]


def _state_weights(grad: np.ndarray, out: np.ndarray, h0: np.ndarray, lengths: np.ndarray | None,
                   reverse: bool) -> np.ndarray:
    """Sum over all steps of gradient times state before: (T B, G H), (T, B, H) -> (G H, H)."""
    steps, samples, size = out.shape
    if steps == 0:
        return np.zeros((grad.shape[1], size), out.dtype)
    states, rest = _flat(out), (steps - 1) * samples
    later, earlier = (grad[:rest], states[samples:]) if reverse else (grad[samples:], states[:rest])
    total: np.ndarray = runtime.matmul(later.T, earlier)
    if h0.any():  # beyond a sample's length the output is zero, so its first step is still missing in reverse
        first = _lengths(lengths, steps, samples) - 1 if reverse else np.zeros(samples, np.int64)
        total += runtime.matmul(grad[np.maximum(first, 0) * samples + np.arange(samples)].T, h0)
    return total


def _plain(arrays: Any, dtype: Any = None) -> list[Any]:
    """As kernels are compiled for: C order, aligned, writeable, and of one dtype, by default float32 or float64."""
    if dtype is None:
        widest = np.result_type(*(a for a in arrays if a is not None))
        dtype = np.dtype(np.float32 if widest.itemsize <= 4 else np.float64)
    return [a if a is None or (a.dtype == dtype and a.flags.carray) else np.array(a, dtype, order="C") for a in arrays]


def _initial(state: np.ndarray | None, samples: int, size: int, dtype: Any) -> np.ndarray:
    return np.zeros((samples, size), dtype) if state is None else state


def _lengths(lengths: np.ndarray | None, steps: int, samples: int) -> np.ndarray:
    return np.full(samples, steps, np.int64) if lengths is None else lengths


def _rolled(a: Any, size: int, kind: int) -> Any:
    """Rows of the GRU's r, z, n in the order n, r, z (and back, for a negative size)."""
    return np.concatenate([a[-size:], a[:-size]]) if kind == GRU else a


def _by_columns(weight_hh: np.ndarray, size: int, kind: int) -> np.ndarray:
    """From the state to columns of a row of gates: (G H, H) -> (H, G H)."""
    return np.ascontiguousarray(_rolled(weight_hh, size, kind).T)


def _flat(x: np.ndarray) -> np.ndarray:
    """(T, B, n) -> (T B, n)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


# -------------------------------------------------------------------------- the same, written with primitives

def _reference(x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, h0: Any, c0: Any, *, kind: int,
               lengths: np.ndarray | None, reverse: bool) -> Any:
    steps, samples, features = x.shape
    size = weight_hh.shape[1]
    h, c = (np.zeros((samples, size), x.dtype) if state is None else state for state in (h0, c0))

    def step(x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        return _cell(kind, linear(x, weight_ih, bias_ih), linear(h, weight_hh, bias_hh), h, c)

    nothing = step(x.reshape((steps * samples, features))[:0], h[:0], c[:0])[0]  # without steps too, of every input
    outputs: list[Any] = [None] * steps
    for t in range(steps)[::-1 if reverse else 1]:
        new, cell = step(x[t], h, c)
        if lengths is not None:
            active = (t < lengths)[:, None]
            outputs[t] = where(active, new, 0)
            h, c = where(active, new, h), where(active, cell, c)
        else:
            outputs[t], h, c = new, new, cell
    if kind == LSTM:
        outputs.append(c)
    return concatenate([nothing.reshape((0, samples, size)), *(o[None] for o in outputs)])


def _cell(kind: int, a: Any, s: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The states after one step, of the input's part `a` and the state's part `s`."""
    if kind == TANH:
        return tanh(a + s), c
    if kind == RELU:
        return relu(a + s), c
    if kind == GRU:
        (a_r, a_z, a_n), (s_r, s_z, s_n) = split(a, 3, axis=1), split(s, 3, axis=1)
        z = sigmoid(a_z + s_z)
        candidate = tanh(a_n + sigmoid(a_r + s_r) * s_n)
        return candidate + z * (h - candidate), c
    i, f, g, o = split(a + s, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


_rnn, _gru, lstm_states = (fused(_forward, _backward, _reference, name=name) for name in ("rnn", "gru", "lstm"))
