"""Rows of the op table: recurrent layers. A row with `states` is output and final states, the others the fused op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.kernels.numpy_recurrent import LSTM
from minidl.ops.recurrent import gru, lstm, lstm_states, rnn
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays

__all__ = ["OPS"]

# ------------------------------------------------------------------------ references: one sample, one step at a time


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _relu(a: Any) -> Any:
    return np.where(a.real > 0, a, 0)


def _plain_step(f: Callable[[Any], Any]) -> Any:
    def step(w: Any, u: Any, b: Any, d: Any, x: Any, h: Any, c: Any) -> Any:
        return f(w @ x + b + u @ h + d), c

    return step


def _gru_step(w: Any, u: Any, b: Any, d: Any, x: Any, h: Any, c: Any) -> Any:
    n = len(h)
    r = _sigmoid(w[:n] @ x + b[:n] + u[:n] @ h + d[:n])
    z = _sigmoid(w[n:2 * n] @ x + b[n:2 * n] + u[n:2 * n] @ h + d[n:2 * n])
    candidate = np.tanh(w[2 * n:] @ x + b[2 * n:] + r * (u[2 * n:] @ h + d[2 * n:]))
    return (1 - z) * candidate + z * h, c


def _lstm_step(w: Any, u: Any, b: Any, d: Any, x: Any, h: Any, c: Any) -> Any:
    n = len(h)
    i, f, g, o = ((w @ x + b + u @ h + d)[k * n:(k + 1) * n] for k in range(4))
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _sequence(step: Any, x: Any, w: Any, u: Any, b: Any = None, d: Any = None, h0: Any = None, c0: Any = None, *,
              lengths: Any = None, reverse: bool = False) -> tuple[Any, Any, Any]:
    """Output (T, B, H), final states (B, H)."""
    steps, samples, n = len(x), x.shape[1], u.shape[1]
    dtype = np.result_type(*(a for a in (x, w, u, b, d, h0, c0) if a is not None))
    out = np.zeros((steps, samples, n), dtype)
    final = np.zeros((2, samples, n), dtype)
    none = np.zeros(len(w))
    for k in range(samples):
        h, c = (np.zeros(n) if s is None else s[k] for s in (h0, c0))
        length = steps if lengths is None else int(lengths[k])
        for t in range(length)[::-1 if reverse else 1]:
            h, c = step(w, u, none if b is None else b, none if d is None else d, x[t, k], h, c)
            out[t, k] = h
        final[0, k], final[1, k] = h, c
    return out, final[0], final[1]


def _output(step: Any) -> Any:
    return lambda *args, **kwargs: _sequence(step, *args, **kwargs)[0]


def _with_states(step: Any, count: int) -> Any:
    def reference(*args: Any, **kwargs: Any) -> Any:
        out, *final = _sequence(step, *args, **kwargs)
        return np.concatenate([out, *(s[None] for s in final[:count])])

    return reference


# ------------------------------------------------------------------------------------------------------- cases

@st.composite
def _calls(draw: Any, gates: int, states: int = 1, biases: bool = True, lengths: bool = False,
           reach: float = 1.5) -> Case:
    """x (T, B, I), weights, biases, initial states; sizes of 1 and no steps, samples or features too.

    `reach` bounds the values: a tanh without gates keeps h alone, and 1 - h^2 has no float32 digits left at its ends.
    """
    steps, samples, features, n = (draw(st.integers(low, high)) for low, high in ((0, 3), (0, 3), (0, 2), (1, 2)))
    shapes = [(steps, samples, features), (gates * n, features), (gates * n, n), *[(gates * n,)] * (2 * biases),
              *[(samples, n)] * (states if biases else 0)]
    args = tuple(draw(arrays(shape, -reach, reach)) for shape in shapes)
    return Case(args, _options(draw, steps, samples, lengths), tuple(range(len(args))))


@st.composite
def _positive_or_negative(draw: Any, lengths: bool = False) -> Case:
    """Calls of a relu network far from the kink: the biases outweigh the rest, whatever the steps."""
    steps, samples, n = draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(st.integers(1, 2))
    bias = draw(arrays((n,), 2, 3)) * np.array([1, -1])[:n]
    args = (draw(arrays((steps, samples, 2), -0.4, 0.4)), draw(arrays((n, 2), -0.4, 0.4)),
            draw(arrays((n, n), -0.15, 0.15)), bias, draw(arrays((n,), -0.4, 0.4)),
            draw(arrays((samples, n), -0.4, 0.4)))
    return Case(args, _options(draw, steps, samples, lengths), tuple(range(6)))


def _options(draw: Any, steps: int, samples: int, lengths: bool) -> dict[str, Any]:
    options = {"reverse": draw(st.booleans())}
    if lengths:
        found = draw(st.lists(st.integers(0, steps), min_size=samples, max_size=samples))
        options["lengths"] = np.array(found, np.int64)
    return options


# ---------------------------------------------------------------------------------------------------- functions

def _outputs_of(op: Any, **fixed: Any) -> Any:
    return lambda *args, **kwargs: op(*args, **kwargs, **fixed)[0]


def _states_of(op: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        output, final = op(*args, **kwargs)
        return ops.concatenate([output, *(s[None] for s in (final if isinstance(final, tuple) else (final,)))])

    return function


def _lstm_states(x: Any, w: Any, u: Any, b: Any = None, d: Any = None, h0: Any = None, c0: Any = None,
                 lengths: Any = None, reverse: bool = False) -> Any:
    """The fused op itself: the output, then the final cell state."""
    return lstm_states(x, w, u, b, d, h0, c0, kind=LSTM, lengths=lengths, reverse=reverse)


def _lstm_reference(*args: Any, **kwargs: Any) -> Any:
    out, _, c = _sequence(_lstm_step, *args, **kwargs)
    return np.concatenate([out, c[None]])


_tanh_step, _relu_step = _plain_step(np.tanh), _plain_step(_relu)

OPS = [
    Op("rnn", _outputs_of(rnn), _output(_tanh_step), _calls(1, reach=0.4), order=3),
    Op("rnn[no bias]", _outputs_of(rnn), _output(_tanh_step), _calls(1, reach=0.4, biases=False)),
    Op("rnn[lengths]", _outputs_of(rnn), _output(_tanh_step), _calls(1, reach=0.4, lengths=True), order=3),
    Op("rnn[states]", _states_of(rnn), _with_states(_tanh_step, 1), _calls(1, reach=0.4, lengths=True)),
    Op("rnn[relu]", _outputs_of(rnn, nonlinearity="relu"), _output(_relu_step), _positive_or_negative(),
       conventions=(Convention("relu'(0) = 0", (np.zeros((1, 2, 1)), np.ones((1, 1)), np.ones((1, 1))),
                               np.zeros((1, 2, 1))),)),
    Op("rnn[relu, lengths]", _outputs_of(rnn, nonlinearity="relu"), _output(_relu_step),
       _positive_or_negative(lengths=True)),

    Op("gru", _outputs_of(gru), _output(_gru_step), _calls(3), order=3),
    Op("gru[no bias]", _outputs_of(gru), _output(_gru_step), _calls(3, biases=False)),
    Op("gru[lengths]", _outputs_of(gru), _output(_gru_step), _calls(3, lengths=True), order=3),
    Op("gru[states]", _states_of(gru), _with_states(_gru_step, 1), _calls(3, lengths=True)),

    Op("lstm", _lstm_states, _lstm_reference, _calls(4, 2), order=3),
    Op("lstm[no bias]", _lstm_states, _lstm_reference, _calls(4, 2, biases=False)),
    Op("lstm[lengths]", _lstm_states, _lstm_reference, _calls(4, 2, lengths=True), order=3),
    Op("lstm[states]", _states_of(lstm), _with_states(_lstm_step, 2), _calls(4, 2, lengths=True)),
]
