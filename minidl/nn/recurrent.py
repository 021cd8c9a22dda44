"""Recurrent layers and cells, with the parameters, options and initialisation of `torch.nn`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.errors import ShapeError
from minidl.nn import functional, init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.recurrent import gru, lstm, rnn

__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"]


class _Gates(Module):
    """What layers and cells share: parameters of one or more maps to gates, uniform in +-1/sqrt(hidden_size)."""

    _gates: int
    _states: int
    hidden_size: int

    def _add(self, suffix: str, inputs: int, bias: bool, dtype: Any) -> None:
        rows = self._gates * self.hidden_size
        for name, shape in (("weight_ih", (rows, inputs)), ("weight_hh", (rows, self.hidden_size)),
                            ("bias_ih", (rows,)), ("bias_hh", (rows,))):
            wanted = bias or name.startswith("weight")
            setattr(self, name + suffix, Parameter(np.empty(shape, dtype)) if wanted else None)

    def _of(self, suffix: str) -> list[Any]:
        """The parameters, in the order of the ops."""
        return [getattr(self, name + suffix) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            init.uniform_(p, -bound, bound, generator)

    def _op(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def _run(self, x: Any, suffix: str, states: list[Any], **options: Any) -> tuple[Any, list[Any]]:
        """One direction of one layer: output (T, B, H), final states (B, H)."""
        output, final = self._op(x, *self._of(suffix), *states, **options)
        return output, list(final) if self._states > 1 else [final]


class _RNN(_Gates):
    _gates, _states = 1, 1
    nonlinearity: str

    def _op(self, *args: Any, **options: Any) -> Any:
        options["nonlinearity"] = self.nonlinearity
        return rnn(*args, **options)


class _GRU(_Gates):
    _gates, _states = 3, 1

    def _op(self, *args: Any, **options: Any) -> Any:
        return gru(*args, **options)


class _LSTM(_Gates):
    _gates, _states = 4, 2

    def _op(self, *args: Any, **options: Any) -> Any:
        return lstm(*args, **options)


def _split_state(owner: Module, given: Any, count: int) -> list[Any]:
    """States as a list of `count`, each None by default."""
    if given is None:
        return [None] * count
    if count == 1:
        return [given]
    if not isinstance(given, (tuple, list)) or len(given) != count:
        raise TypeError(f"{type(owner).__name__}: the initial state has to be a pair (h0, c0)")
    return list(given)


# ------------------------------------------------------------------------------------------------ cells

class _Cell(_Gates):
    """One step, for a batch (B, input_size) or a single sample (input_size,)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._add("", input_size, bias, dtype)
        self.reset_parameters(generator)

    def forward(self, x: Any, state: Any = None) -> Any:
        """(B, input_size) and states (B, hidden_size) -> states; or all without B."""
        if x.ndim not in (1, 2):
            raise ShapeError(f"{type(self).__name__}: x has shape {x.shape}; it has to be (samples, features) or "
                             "(features,)")
        single = x.ndim == 1
        states = _split_state(self, state, self._states)
        states = [None if s is None else s[None] for s in states] if single else states
        _, final = self._run(x[None, None] if single else x[None], "", states)
        final = [s[0] for s in final] if single else final
        return final[0] if len(final) == 1 else tuple(final)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_RNN, _Cell):
    """One step of `RNN`.

    Parameters
    ----------
    input_size, hidden_size : int
    bias : bool
    nonlinearity : {"tanh", "relu"}
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values: uniform in +-1/sqrt(hidden_size).

    Attributes
    ----------
    weight_ih : Parameter, shape (hidden_size, input_size)
    weight_hh : Parameter, shape (hidden_size, hidden_size)
    bias_ih, bias_hh : Parameter, shape (hidden_size,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.RNNCell(3, 2)(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 dtype: Any = np.float32, generator: np.random.Generator | None = None) -> None:
        self.nonlinearity = _known(self, nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype, generator)

    def extra_repr(self) -> str:
        """Sizes and function."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")


class GRUCell(_GRU, _Cell):
    """One step of `GRU`: `cell(x, h)` gives the next h.

    Parameters
    ----------
    input_size, hidden_size : int
    bias, dtype, generator
        As in `RNNCell`.

    Attributes
    ----------
    weight_ih : Parameter, shape (3 hidden_size, input_size)
        Rows of r, z, n.
    weight_hh : Parameter, shape (3 hidden_size, hidden_size)
    bias_ih, bias_hh : Parameter, shape (3 hidden_size,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.GRUCell(3, 2)(np.ones(3, np.float32), np.ones(2, np.float32)).shape
    (2,)
    """


class LSTMCell(_LSTM, _Cell):
    """One step of `LSTM`: `cell(x, (h, c))` gives the next (h, c).

    Parameters
    ----------
    input_size, hidden_size : int
    bias, dtype, generator
        As in `RNNCell`.

    Attributes
    ----------
    weight_ih : Parameter, shape (4 hidden_size, input_size)
        Rows of i, f, g, o.
    weight_hh : Parameter, shape (4 hidden_size, hidden_size)
    bias_ih, bias_hh : Parameter, shape (4 hidden_size,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> h, c = nn.LSTMCell(3, 2)(np.ones((5, 3), np.float32))
    >>> h.shape, c.shape
    ((5, 2), (5, 2))
    """


def _known(owner: Module, nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"{type(owner).__name__}: nonlinearity={nonlinearity!r} is unknown; use 'tanh' or 'relu'")
    return nonlinearity


# ----------------------------------------------------------------------------------------------- layers

class _Layers(_Gates):
    """Layers over sequences, in one direction or both."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, dtype: Any = np.float32,
                 generator: np.random.Generator | None = None) -> None:
        if num_layers < 1:
            raise ValueError(f"{type(self).__name__}: num_layers={num_layers}; at least one is needed")
        if not 0 <= dropout <= 1:
            raise ValueError(f"{type(self).__name__}: dropout={dropout} is not a probability")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.generator = generator
        self._directions = ("", "_reverse") if bidirectional else ("",)
        for k in range(num_layers):
            for direction in self._directions:
                inputs = hidden_size * len(self._directions) if k else input_size
                self._add(f"_l{k}{direction}", inputs, bias, dtype)
        self.reset_parameters(generator)

    def forward(self, x: Any, h0: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Through all steps of all layers.

        Parameters
        ----------
        x : array, shape (T, B, input_size)
            (B, T, input_size) with `batch_first`; (T, input_size) for a single sequence.
        h0 : array, shape (D num_layers, B, hidden_size), optional
            Initial states, D = 2 for both directions, layer by layer; without B for a single sequence. Of an LSTM a
            pair (h0, c0). Zero by default.
        lengths : int array, shape (B,), optional
            Steps of each sequence, from 0 to T and in any order; by default T. What lies beyond is not read and the
            output there is zero, as after PyTorch's `pad_packed_sequence(..., total_length=T)`.

        Returns
        -------
        output : array, shape (T, B, D hidden_size), laid out as x
        h_n : array, shape (D num_layers, B, hidden_size)
            States after the last step of each sequence, of an LSTM a pair (h_n, c_n). A sequence of length 0 keeps
            its initial state.
        """
        if x.ndim not in (2, 3):
            batch = "(samples, steps, features)" if self.batch_first else "(steps, samples, features)"
            raise ShapeError(f"{type(self).__name__}: x has shape {x.shape}; it has to be {batch} or (steps, features)")
        single = x.ndim == 2
        states = _split_state(self, h0, self._states)
        if single:
            x, states = x[:, None], [None if s is None else s[:, None] for s in states]
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        x, final = self._through(x, self._checked(states, x), lengths)
        if single:
            x, final = x[:, 0], [s[:, 0] for s in final]
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        return x, final[0] if self._states == 1 else tuple(final)

    def _checked(self, states: list[Any], x: Any) -> list[Any]:
        shape = (self.num_layers * len(self._directions), x.shape[1], self.hidden_size)
        for s in states:
            if s is not None and s.shape != shape:
                raise ShapeError(f"{type(self).__name__}: an initial state has shape {s.shape}; {shape} is needed, "
                                 "(layers * directions, samples, hidden_size)")
        return states

    def _through(self, x: Any, states: list[Any], lengths: Any) -> tuple[Any, list[Any]]:
        """Time first: (T, B, input_size) -> (T, B, D hidden_size), and the final states."""
        finals: list[list[Any]] = []
        for k in range(self.num_layers):
            if k:
                x = functional.dropout(x, self.dropout, self.training, self.generator)
            outputs = []
            for direction in self._directions:
                state = [None if s is None else s[len(finals)] for s in states]
                output, final = self._run(x, f"_l{k}{direction}", state, lengths=lengths, reverse=bool(direction))
                outputs.append(output)
                finals.append(final)
            x = outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)
        return x, [ops.stack(s) for s in zip(*finals, strict=True)]

    def extra_repr(self) -> str:
        """Sizes and options that are not the default."""
        options = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        chosen = [f", {name}={getattr(self, name)}" for name, usual in options.items() if getattr(self, name) != usual]
        return f"{self.input_size}, {self.hidden_size}{''.join(chosen)}"


class RNN(_RNN, _Layers):
    """Elman network, h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh); see `minidl.ops.rnn`.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers : int
        Each reads the output of the one before.
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        Input and output are (B, T, ...) instead of (T, B, ...); states are not.
    dropout : float
        Probability of the dropout after each layer but the last, in training.
    bidirectional : bool
        Every layer also reads from the last step to the first; its outputs stand side by side.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values, uniform in +-1/sqrt(hidden_size), and of the masks of dropout.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (hidden_size, input_size)
        In later layers (hidden_size, D hidden_size) with D directions; those of the reverse end with `_reverse`.
    weight_hh_l0 : Parameter, shape (hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0 : Parameter, shape (hidden_size,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> output, h = nn.RNN(3, 2, nonlinearity="relu")(np.ones((7, 5, 3), np.float32))
    >>> output.shape, h.shape
    ((7, 5, 2), (1, 5, 2))
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 dtype: Any = np.float32, generator: np.random.Generator | None = None) -> None:
        self.nonlinearity = _known(self, nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype,
                         generator)

    def extra_repr(self) -> str:
        """Sizes and options that are not the default."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity!r}")


class GRU(_GRU, _Layers):
    """Gated recurrent units; see `minidl.ops.gru`.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers, bias, batch_first, dropout, bidirectional, dtype, generator
        As in `RNN`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (3 hidden_size, input_size)
        Rows of r, z, n. In later layers (3 hidden_size, D hidden_size) with D directions; those of the reverse end
        with `_reverse`.
    weight_hh_l0 : Parameter, shape (3 hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0 : Parameter, shape (3 hidden_size,), or None

    Examples
    --------
    Two sequences, of 7 steps and of 4:

    >>> import numpy as np
    >>> from minidl import nn
    >>> layer = nn.GRU(3, 5, num_layers=2, batch_first=True, bidirectional=True)
    >>> output, h = layer(np.ones((2, 7, 3), np.float32), lengths=[7, 4])
    >>> output.shape, h.shape, bool((output.data[1, 4:] == 0).all())
    ((2, 7, 10), (4, 2, 5), True)
    """


class LSTM(_LSTM, _Layers):
    """Long short-term memory; see `minidl.ops.lstm`.

    Parameters
    ----------
    input_size, hidden_size : int
    num_layers, bias, batch_first, dropout, bidirectional, dtype, generator
        As in `RNN`.

    Attributes
    ----------
    weight_ih_l0 : Parameter, shape (4 hidden_size, input_size)
        Rows of i, f, g, o. In later layers (4 hidden_size, D hidden_size) with D directions; those of the reverse
        end with `_reverse`.
    weight_hh_l0 : Parameter, shape (4 hidden_size, hidden_size)
    bias_ih_l0, bias_hh_l0 : Parameter, shape (4 hidden_size,), or None

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> output, (h, c) = nn.LSTM(3, 5)(np.ones((7, 2, 3), np.float32))
    >>> output.shape, h.shape, c.shape
    ((7, 2, 5), (1, 2, 5), (1, 2, 5))
    """
