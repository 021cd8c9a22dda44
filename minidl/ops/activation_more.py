"""More activations, with the names, keywords and defaults of `torch.nn.functional`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from minidl.engine import keeps, record
from minidl.errors import ShapeError, explained
from minidl.ops.activation import sigmoid, softmax, softplus
from minidl.ops.elementwise import abs, where
from minidl.ops.functions import exp, tanh
from minidl.ops.shape import split
from minidl.tensors import Tensor, as_array, raw
from minidl.typing import Operand

__all__ = ["celu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "logsigmoid", "mish", "prelu", "relu6",
           "softmin", "softshrink", "softsign", "tanhshrink", "threshold"]


def _ready(x: Any) -> Any:
    return x if isinstance(x, Tensor) else as_array(x)


# ------------------------------------------------------------------------------------- piecewise linear

@explained
def hardtanh(x: Operand, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val]. Derivative: g strictly inside, else 0 (so 0 at both ends).

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    min_val, max_val : float
        In this order.

    Raises
    ------
    ValueError
        When `min_val` is not less than `max_val`.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.hardtanh([-3.0, 0.5, 3.0])
    array([-1. ,  0.5,  1. ])
    """
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val={min_val} has to be less than max_val={max_val}")
    return record(_hardtanh, _hardtanh_rule, x, low=min_val, high=max_val)


def _hardtanh(x: Any, low: float, high: float) -> Any:
    return np.clip(as_array(x), low, high)


@keeps("inputs")
def _hardtanh_rule(g: Any, out: Any, inputs: Any, needs: Any, low: float, high: float) -> Any:
    x = inputs[0]
    return (where((x > low) & (x < high), g, 0.0),)


@explained
def relu6(x: Operand) -> Any:
    """min(max(x, 0), 6). Derivative: g strictly inside, else 0."""
    return hardtanh(x, 0.0, 6.0)


@explained
def hardsigmoid(x: Operand) -> Any:
    """(x + 3) / 6 limited to [0, 1]: a sigmoid in three lines. Derivative: g / 6 for -3 < x < 3, else 0."""
    return hardtanh((_ready(x) + 3) / 6, 0.0, 1.0)


@explained
def hardswish(x: Operand) -> Any:
    """x hardsigmoid(x). Derivative: 0 up to -3, g from 3 on, g (x / 3 + 1/2) between.

    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.
    """
    x = _ready(x)
    return x * hardsigmoid(x)


@explained
def threshold(x: Operand, threshold: float, value: float) -> Any:
    """x where x > threshold, else value. Derivative: g where x > threshold, else 0 (so 0 at the threshold).

    Examples
    --------
    >>> from minidl import ops
    >>> ops.threshold([0.05, 0.5], 0.1, 20.0)
    array([20. ,  0.5])
    """
    x = _ready(x)
    kept = ~((x.data if isinstance(x, Tensor) else x) <= threshold)  # NaN stays
    return where(kept, x, value)


def hardshrink(x: Operand, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0. Derivative: g where |x| > lambd, else 0 (so 0 at both ends).

    Examples
    --------
    >>> from minidl import ops
    >>> ops.hardshrink([-1.0, 0.5, 2.0])
    array([-1.,  0.,  2.])
    """
    return record(_hardshrink, _hardshrink_rule, x, lambd=_not_negative("hardshrink", lambd))


def _hardshrink(x: Any, lambd: float) -> Any:
    x = as_array(x)
    return np.where(np.abs(x) <= lambd, 0, x)  # NaN stays


@keeps("inputs")
def _hardshrink_rule(g: Any, out: Any, inputs: Any, needs: Any, lambd: float) -> Any:
    return (where(abs(raw(inputs[0])) <= lambd, 0.0, g),)


def softshrink(x: Operand, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, 0 where |x| <= lambd. Derivative: g where |x| > lambd, else 0 (so 0 at both ends).

    Source: Donoho 1995, "De-noising by soft-thresholding", equation 3.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.softshrink([-1.0, 0.5, 2.0])
    array([-0.5,  0. ,  1.5])
    """
    return record(_softshrink, _softshrink_rule, x, lambd=_not_negative("softshrink", lambd))


def _softshrink(x: Any, lambd: float) -> Any:
    x = as_array(x)
    return x - np.clip(x, -lambd, lambd)


@keeps("inputs")
def _softshrink_rule(g: Any, out: Any, inputs: Any, needs: Any, lambd: float) -> Any:
    return (where(abs(raw(inputs[0])) <= lambd, 0.0, g),)


def _not_negative(op: str, lambd: float) -> float:
    if not lambd >= 0:
        raise ValueError(f"{op}: lambd={lambd} has to be 0 or more")
    return lambd


def prelu(x: Operand, weight: Operand) -> Any:
    """x where x > 0, else weight x, with a slope that is learned.

    Derivative: g, or g weight (the latter at 0); for a slope the sum of g x where x is not above 0.

    Source: He et al. 2015, "Delving deep into rectifiers", section 2.1.

    Parameters
    ----------
    x : Tensor or array, shape (N, C, ...)
        Any shape when there is one slope; in one dimension, all of one channel.
    weight : Tensor or array, shape (1,) or (C,)
        One slope, or one for each channel.

    Raises
    ------
    ShapeError
        When there are neither one nor C slopes.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.prelu(np.array([[-1.0, -1.0], [1.0, 1.0]]), np.array([0.1, 0.2]))
    array([[-0.1, -0.2],
           [ 1. ,  1. ]])
    """
    x, weight = _ready(x), _ready(weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(f"prelu: weight has shape {weight.shape}; x of shape {x.shape} needs one slope, shape (1,), "
                         f"or one for each of {channels} channels")
    slopes = weight.reshape(()) if weight.size == 1 else weight.reshape((-1,) + (1,) * (x.ndim - 2))
    return record(_prelu, _prelu_rule, x, slopes)


def _prelu(x: Any, slopes: Any) -> Any:
    return np.where(x > 0, x, slopes * x)


@keeps("inputs")
def _prelu_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, slopes = inputs
    positive = x > 0
    return (where(positive, g, g * slopes) if needs[0] else None,
            where(positive, 0.0, g * x) if needs[1] else None)


# ------------------------------------------------------------------------------------------------ smooth

def celu(x: Operand, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1). Derivative: g, or g e^(x / alpha): 1 at 0 for every alpha.

    Source: Barron 2017, "Continuously differentiable exponential linear units".

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    alpha : float
        Not 0.
    """
    if alpha == 0:
        raise ValueError("celu: alpha is 0; it divides")
    return record(_celu, _celu_rule, x, alpha=alpha)


def _celu(x: Any, alpha: float) -> Any:
    x = as_array(x)
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


@keeps("inputs")
def _celu_rule(g: Any, out: Any, inputs: Any, needs: Any, alpha: float) -> Any:
    x = inputs[0]
    return (where(x > 0, g, g * exp(where(x > 0, 0.0, x) / alpha)),)


def mish(x: Operand) -> Any:
    """x tanh(softplus(x)). Derivative: g (t + x (1 - t^2) sigmoid(x)) with t the tanh.

    Source: Misra 2020, "Mish: a self regularized non-monotonic activation function".
    """
    return record(_mish, _mish_rule, x)


def _mish(x: Any) -> Any:
    x = as_array(x)
    return x * tanh(softplus(x))


@keeps("inputs")
def _mish_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    t = tanh(softplus(x))
    return (g * (t + x * (1 - t * t) * sigmoid(x)),)


@explained
def softsign(x: Operand) -> Any:
    """x / (1 + |x|). Derivative: g / (1 + |x|)^2; its own derivative jumps at 0."""
    x = _ready(x)
    return x / (1 + abs(x))


def tanhshrink(x: Operand) -> Any:
    """x - tanh(x). Derivative: g tanh(x)^2."""
    return record(_tanhshrink, _tanhshrink_rule, x)


# Of x - tanh(x) = x (x^2 / 3 - 2 x^4 / 15 + ...), highest power first, for |x| <= 0.1, where the difference cancels.
_SHRINK = -929569 / 638512875, 21844 / 6081075, -1382 / 155925, 62 / 2835, -17 / 315, 2 / 15, -1 / 3


def _tanhshrink(x: Any) -> Any:
    x = as_array(x)
    near = np.clip(x, -0.1, 0.1)
    series = np.zeros_like(near)
    for c in _SHRINK:
        series = (series + c) * (near * near)
    return np.where(np.abs(x) <= 0.1, -near * series, x - np.tanh(x))


@keeps("inputs")
def _tanhshrink_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    t = tanh(inputs[0])
    return (g * (t * t),)  # not 1 less the derivative of tanh, which cancels near 0


@explained
def logsigmoid(x: Operand) -> Any:
    """log(1 / (1 + e^-x)), to full precision in both tails. Derivative: g sigmoid(-x)."""
    return -softplus(-_ready(x))


@explained
def softmin(x: Operand, axis: Any = -1) -> Any:
    """softmax(-x): e^-x over its sum along `axis`. Derivative: p (sum(g p) - g)."""
    return softmax(-_ready(x), axis)


@explained
def glu(x: Operand, axis: int = -1) -> Any:
    """a sigmoid(b) of the two halves a and b of x along an axis. Derivative: g s for a and g a s (1 - s) for b.

    Source: Dauphin et al. 2017, "Language modeling with gated convolutional networks", equation 1.

    Parameters
    ----------
    x : Tensor or array
        Of even length along the axis.
    axis : int

    Raises
    ------
    ShapeError
        When that length is odd.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.glu(np.array([3.0, 4.0, 0.0, 0.0]))
    array([1.5, 2. ])
    """
    x = _ready(x)
    length = x.shape[normalize_axis_index(axis, x.ndim, "glu")]
    if length % 2:
        raise ShapeError(f"glu: axis {axis} of shape {x.shape} is {length} long, which is odd; it is cut in halves")
    a, b = split(x, 2, axis)
    return a * sigmoid(b)
