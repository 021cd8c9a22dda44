"""The linear recurrent unit: a recurrent layer without gates, whose steps need not wait for each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.nn import init
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.ops.scan import linear_scan

__all__ = ["LRU"]


class LRU(Module):
    """A linear recurrence of complex states, h_t = a h_(t-1) + exp(gamma) (B x_t + b), and y_t = Re(C h_t) + c.

    The factors a = exp(-exp(nu) + i exp(theta)), one for each state, have an absolute value below 1 whatever the
    parameters are. They start spread evenly over a ring in the complex plane, exp(gamma) with what keeps the states'
    variance at that of B x. Between the layers of a network belongs something that is not linear.

    Parameters
    ----------
    input_size : int
        Of inputs and outputs.
    hidden_size : int
        Complex numbers of a state.
    r_min, r_max : float
        Radii of the ring, from 0 to below 1.
    dtype : dtype
    generator : numpy.random.Generator, optional
        Of the initial values.

    Attributes
    ----------
    nu, theta, gamma : Parameter, shape (hidden_size,)
    weight_in : Parameter, shape (2 hidden_size, input_size)
        Real rows of B, then imaginary ones.
    bias_in : Parameter, shape (2 hidden_size,)
    weight_out : Parameter, shape (input_size, 2 hidden_size)
        Columns of Re C, then of -Im C.
    bias_out : Parameter, shape (input_size,)

    References
    ----------
    Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences, ICML 2023.

    Examples
    --------
    A whole sequence, and its last step from the state that the others leave, at a cost that does not depend on how many
    they are:

    >>> import numpy as np
    >>> from minidl import nn
    >>> layer, x = nn.LRU(3, 5), np.ones((2, 7, 3), np.float32)
    >>> outputs, state = layer(x)
    >>> outputs.shape, state.shape
    ((2, 7, 3), (2, 10))
    >>> last, _ = layer(x[:, 6:], layer(x[:, :6])[1])
    >>> bool(np.allclose(last.data[:, 0], outputs.data[:, 6], atol=1e-6))
    True
    """

    def __init__(self, input_size: int, hidden_size: int, *, r_min: float = 0.0, r_max: float = 0.99,
                 dtype: Any = np.float32, generator: np.random.Generator | None = None) -> None:
        if not 0 <= r_min <= r_max < 1:
            raise ValueError(f"LRU: r_min={r_min} and r_max={r_max} have to be 0 <= r_min <= r_max < 1")
        self.input_size, self.hidden_size, self.r_min, self.r_max = input_size, hidden_size, r_min, r_max
        self.nu, self.theta, self.gamma = (Parameter(np.empty(hidden_size, dtype)) for _ in range(3))
        self.weight_in = Parameter(np.empty((2 * hidden_size, input_size), dtype))
        self.bias_in = Parameter(np.empty(2 * hidden_size, dtype))
        self.weight_out = Parameter(np.empty((input_size, 2 * hidden_size), dtype))
        self.bias_out = Parameter(np.empty(input_size, dtype))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw the parameters anew: the factors' squared radii and angles evenly, the maps as those of `Linear`."""
        for p in (self.nu, self.theta):
            init.uniform_(p, 0, 1, generator)
        tiny = np.finfo(self.nu.dtype).tiny
        square = np.maximum(self.nu.data * (self.r_max**2 - self.r_min**2) + self.r_min**2, tiny)
        self.nu.data[...] = np.log(np.maximum(-0.5 * np.log(square), tiny))
        self.theta.data[...] = np.log(np.maximum(2 * math.pi * self.theta.data, tiny))
        self.gamma.data[...] = 0.5 * np.log1p(-square)
        for size, parts in ((self.input_size, (self.weight_in, self.bias_in)),
                            (2 * self.hidden_size, (self.weight_out, self.bias_out))):
            for p in parts:
                init.uniform_(p, -1 / math.sqrt(max(size, 1)), 1 / math.sqrt(max(size, 1)), generator)

    def factors(self) -> Any:
        """The factors a: (2 hidden_size,), real parts and then imaginary ones."""
        radius, angle = ops.exp(-ops.exp(self.nu)), ops.exp(self.theta)
        return ops.concatenate([radius * ops.cos(angle), radius * ops.sin(angle)])

    def forward(self, x: Any, h0: Any = None) -> tuple[Any, Any]:
        """Through all steps.

        Parameters
        ----------
        x : array, shape (..., T, input_size)
        h0 : array, shape (..., 2 hidden_size), optional
            The states before the first step, real parts and then imaginary ones; zero by default.

        Returns
        -------
        y : array, shape (..., T, input_size)
        h_n : array, shape (..., 2 hidden_size)
            The states after the last step.
        """
        scale = ops.exp(ops.concatenate([self.gamma, self.gamma]))
        states = linear_scan(ops.linear(x, self.weight_in * scale[:, None], self.bias_in * scale), self.factors(), h0)
        y = ops.linear(states, self.weight_out, self.bias_out)
        if x.shape[-2]:
            return y, states[..., -1, :]
        empty = states.sum(axis=-2)
        return y, empty if h0 is None else empty + h0

    def extra_repr(self) -> str:
        """Sizes and radii that are not the default."""
        usual = {"r_min": 0.0, "r_max": 0.99}
        chosen = [f", {name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return f"{self.input_size}, {self.hidden_size}{''.join(chosen)}"
