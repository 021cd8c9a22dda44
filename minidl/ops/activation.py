"""Activations, with the names, keywords and defaults of `torch.nn.functional`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import kernels
from minidl.engine import keeps, record
from minidl.errors import explained
from minidl.names import either_name
from minidl.ops.elementwise import where
from minidl.ops.functions import erf, erfc_tail, exp
from minidl.ops.loss_parts import floating
from minidl.ops.precision import in_single, widened
from minidl.ops.reduce import log_sum
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "relu", "selu", "sigmoid", "silu", "softmax", "softplus"]

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


# ------------------------------------------------------------------------------------- piecewise linear

def relu(x: Operand) -> Any:
    """max(x, 0). Derivative: g where x > 0, else 0 (so 0 at 0)."""
    return record(_relu, _relu_rule, x)


def _relu(x: Any) -> Any:
    x = as_array(x)
    return kernels.dense.relu(x.reshape(-1)).reshape(x.shape) if kernels.takes(x) else np.maximum(x, 0)


@keeps("output")
def _relu_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (_gate(g, out.data if isinstance(out, Tensor) else out),)


def _gate(g: Any, out: np.ndarray) -> Any:
    """`g` where `out > 0`, else 0: linear in g."""
    return record(_gated, _gate_rule, g, gate=out)


def _gated(g: Any, gate: np.ndarray) -> Any:
    if not (kernels.takes(g, gate) and g.dtype == gate.dtype):
        return where(gate > 0, g, 0.0)
    return kernels.dense.relu_gradient(g.reshape(-1), gate.reshape(-1)).reshape(g.shape)


@keeps()
def _gate_rule(g: Any, out: Any, inputs: Any, needs: Any, gate: np.ndarray) -> Any:
    return (_gate(g, gate),)


def leaky_relu(x: Operand, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope x. Derivative: g or negative_slope g (the latter at 0)."""
    return record(_leaky_relu, _leaky_relu_rule, x, negative_slope=negative_slope)


def _leaky_relu(x: Any, negative_slope: float) -> Any:
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)


@keeps("inputs")
def _leaky_relu_rule(g: Any, out: Any, inputs: Any, needs: Any, negative_slope: float) -> Any:
    return (where(inputs[0] > 0, g, negative_slope * g),)


# -------------------------------------------------------------------------------- sigmoid and relatives

def sigmoid(x: Operand) -> Any:
    """1 / (1 + e^-x). Derivative: g s (1 - s). Both to full relative precision in both tails."""
    return record(_sigmoid, _sigmoid_rule, x)


def _sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):  # e^-x = inf gives the right 0
        return 1 / (1 + np.exp(np.negative(x)))


@keeps("inputs", "output")
def _sigmoid_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * _sigmoid_slope(inputs[0], out),)


def _sigmoid_slope(x: Any, s: Any) -> Any:
    """s (1 - s) for s = sigmoid(x). Derivative: g s (1 - s) (1 - 2 s)."""
    return record(_bell, _bell_rule, x, s=s.data if isinstance(s, Tensor) else s)


def _bell(x: Any, s: np.ndarray) -> Any:
    out = np.asarray(s * (1 - s))
    tail = np.flatnonzero(s > 0.98)  # where 1 - s cancels
    if tail.size:
        out.flat[tail] = s.flat[tail] * _sigmoid(-np.asarray(x).flat[tail])
    return out


@keeps("inputs", "output")
def _bell_rule(g: Any, out: Any, inputs: Any, needs: Any, s: np.ndarray) -> Any:
    return (g * (out * (1 - 2 * sigmoid(inputs[0]))),)


def softplus(x: Operand, beta: float = 1.0, threshold: float = math.inf) -> Any:
    """log(1 + e^(beta x)) / beta, a smooth ReLU. Derivative: g sigmoid(beta x).

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    beta : float
        Sharpness.
    threshold : float
        Where beta x is larger the function is x itself. PyTorch's default of 20 leaves a jump of 2e-9; here the
        function is smooth, and stable, without.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.softplus([-1000.0, 0.0, 1000.0]).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+03])
    """
    return record(_softplus, _softplus_rule, x, beta=beta, threshold=threshold)


def _softplus(x: Any, beta: float, threshold: float) -> Any:
    x = as_array(x)
    z = beta * x
    out = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
    return out if threshold == math.inf else np.where(z > threshold, x, out)


@keeps("inputs")
def _softplus_rule(g: Any, out: Any, inputs: Any, needs: Any, beta: float, threshold: float) -> Any:
    z = beta * inputs[0]
    slope = g * sigmoid(z)
    return (slope if threshold == math.inf else where(z > threshold, g, slope),)


def silu(x: Operand) -> Any:
    """x sigmoid(x), also called swish. Derivative: g s (1 + x (1 - s))."""
    return record(_silu, _silu_rule, x)


def _silu(x: Any) -> Any:
    return x * _sigmoid(x)


@keeps("inputs")
def _silu_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    s = sigmoid(x)
    return (g * (s * (1 + x * (1 - s))),)


# ----------------------------------------------------------------------------------- exponential units

def elu(x: Operand, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (e^x - 1). Derivative: g, or g alpha e^x (so g alpha at 0)."""
    return record(_elu, _elu_rule, x, alpha=alpha)


def _elu(x: Any, alpha: float) -> Any:
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


@keeps("inputs")
def _elu_rule(g: Any, out: Any, inputs: Any, needs: Any, alpha: float) -> Any:
    x = inputs[0]
    return (where(x > 0, g, g * (alpha * exp(where(x > 0, 0.0, x)))),)


@explained
def selu(x: Operand) -> Any:
    """1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 through layers. Derivative: as `elu`, scaled.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks", equation 2.
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


def gelu(x: Operand, approximate: str = "none") -> Any:
    """x Phi(x) with the normal distribution function Phi. Derivative: g (Phi(x) + x phi(x)).

    Source: Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2.

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    approximate : {"none", "tanh"}
        `"tanh"`: x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 instead.

    Raises
    ------
    ValueError
        When `approximate` is neither.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.gelu([-1.0, 0.0, 1.0]).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    if approximate == "none":
        return record(_gelu, _gelu_rule, x)
    if approximate == "tanh":
        return record(_gelu_tanh, _gelu_tanh_rule, x)
    raise ValueError(f"gelu: approximate={approximate!r} is unknown; use 'none' or 'tanh'")


def _gelu(x: Any) -> Any:
    x = as_array(x)
    return x * _normal_cdf(x)


def _normal_cdf(x: Any) -> Any:
    """Phi(x), to full relative precision in both tails. Derivative: g phi(x)."""
    return record(_phi, _phi_rule, x)


def _phi(x: Any) -> np.ndarray:
    x = np.asarray(x)
    out = np.asarray(0.5 + 0.5 * erf(x * math.sqrt(0.5)))
    tail = np.flatnonzero(x < -2)  # where it cancels
    if tail.size:
        out.flat[tail] = 0.5 * erfc_tail(x.flat[tail] * -math.sqrt(0.5))
    return out


@keeps("inputs")
def _phi_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * _density(inputs[0]),)


def _density(x: Any) -> Any:
    return exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


@keeps("inputs")
def _gelu_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g * (_normal_cdf(x) + x * _density(x)),)


def _gelu_tanh(x: Any) -> Any:
    x = as_array(x)
    return x * sigmoid(_twice_inner(x))  # (1 + tanh(u)) / 2 = sigmoid(2 u), which is precise in the tail


def _twice_inner(x: Any) -> Any:
    return math.sqrt(8 / math.pi) * x * (1 + 0.044715 * x * x)


@keeps("inputs")
def _gelu_tanh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    s = sigmoid(_twice_inner(x))
    slope = math.sqrt(8 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return (g * (s + x * s * (1 - s) * slope),)


# ------------------------------------------------------------------------------------------- softmax

@either_name
def softmax(x: Operand, axis: Any = -1) -> Any:
    """e^x over its sum along `axis`. Derivative: p (g - sum(g p)).

    Parameters
    ----------
    x : Tensor or array
        Logits. An entry of -inf gets probability 0.
    axis : int, tuple of int or None
        Axes that sum to 1; None for all.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.softmax(np.log([[1.0, 3.0]]))
    array([[0.25, 0.75]])
    """
    return record(_softmax, _softmax_rule, x, axis=axis)


@in_single
def _softmax(x: Any, axis: Any) -> Any:
    e = np.exp(_below_zero(x, axis))
    return e / e.sum(axis=axis, keepdims=True)


def _below_zero(x: Any, axis: Any) -> Any:
    """`x` less its maximum along `axis`, in floating point."""
    x = floating(x)
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)


@keeps("output")
def _softmax_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Any) -> Any:
    out, g = widened(out), widened(g)
    return (out * (g - (g * out).sum(axis=axis, keepdims=True)),)


@either_name
def log_softmax(x: Operand, axis: Any = -1) -> Any:
    """log(softmax(x)) without the loss of precision. Derivative: g - p sum(g).

    Parameters
    ----------
    x : Tensor or array
        Logits.
    axis : int, tuple of int or None
        Axes over which the probabilities sum to 1; None for all.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.log_softmax([0.0, -1000.0])
    array([    0., -1000.])
    """
    return record(_log_softmax, _log_softmax_rule, x, axis=axis)


@in_single
def _log_softmax(x: Any, axis: Any) -> Any:
    z = _below_zero(x, axis)
    return z - log_sum(z, axis)


@keeps("output")
def _log_softmax_rule(g: Any, out: Any, inputs: Any, needs: Any, axis: Any) -> Any:
    out, g = widened(out), widened(g)
    return (g - exp(out) * g.sum(axis=axis, keepdims=True),)
