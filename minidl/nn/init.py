"""Where parameters start from, with the names and bounds of `torch.nn.init`; and the generator they come from.

Every function fills a Tensor in place and returns it. `generator` is a `numpy.random.Generator`; without one the
generator of `manual_seed` is used.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from minidl.errors import ShapeError
from minidl.tensors import Tensor, raw
from minidl.versions import wrote

__all__ = ["calculate_gain", "constant_", "default_generator", "kaiming_normal_", "kaiming_uniform_", "manual_seed",
           "normal_", "ones_", "orthogonal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_",
           "zeros_"]

_T = TypeVar("_T", bound=Tensor)
_default: np.random.Generator | None = None


def manual_seed(seed: int) -> np.random.Generator:
    """Start the default generator anew: the same seed gives the same parameters and dropout masks.

    Layers take a `generator` of their own, which is the better way when several things are random.

    Examples
    --------
    >>> from minidl import nn
    >>> _ = nn.manual_seed(0)
    >>> first = nn.Linear(2, 2).weight.data
    >>> _ = nn.manual_seed(0)
    >>> bool((nn.Linear(2, 2).weight.data == first).all())
    True
    """
    global _default
    _default = np.random.default_rng(seed)
    return _default


def default_generator() -> np.random.Generator:
    """The generator of `manual_seed`; of the system's entropy if that was never called."""
    global _default
    if _default is None:
        _default = np.random.default_rng()
    return _default


def _fill(tensor: _T, values: Any) -> _T:
    tensor.data[...] = raw(values, "init: the values")
    wrote(tensor)
    return tensor


def _dtype(tensor: Tensor) -> Any:
    return np.float32 if tensor.dtype == np.float32 else np.float64


def uniform_(tensor: _T, a: float = 0.0, b: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """Uniform in [a, b)."""
    return _fill(tensor, a + (b - a) * (generator or default_generator()).random(tensor.shape, _dtype(tensor)))


def normal_(tensor: _T, mean: float = 0.0, std: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """Normal with the given mean and standard deviation."""
    draws = (generator or default_generator()).standard_normal(tensor.shape, _dtype(tensor))
    return _fill(tensor, mean + std * draws)


def trunc_normal_(tensor: _T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: np.random.Generator | None = None) -> _T:
    """Normal with the given mean and standard deviation, but only values in [a, b]: others are drawn again.

    Uniform draws are kept with a probability in the ratio of the density to its largest in the interval, of which only
    the part is looked at where that ratio is above e^-40: so it works far out in a tail, and without bounds.
    """
    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: std={std} has to be positive and a={a} less than b={b}")
    low, high = (a - mean) / std, (b - mean) / std
    top = min(max(low, 0.0), high)  # where the density is largest
    reach = 40 / max(abs(top), 4.0)
    low, high = max(low, top - reach), min(high, top + reach)
    rng = generator or default_generator()
    values = np.empty(tensor.size)
    left = np.arange(tensor.size)
    while left.size:
        drawn = low + (high - low) * rng.random(left.size)
        kept = rng.random(left.size) < np.exp((top - drawn) * (top + drawn) / 2)
        values[left[kept]] = drawn[kept]
        left = left[~kept]
    return _fill(tensor, np.clip(mean + std * values, a, b).reshape(tensor.shape))


def orthogonal_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """A random matrix (out, in * kernel) whose rows, or columns if there are fewer, are orthogonal and of length gain.

    Source: Saxe, McClelland and Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks".
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: a Tensor of shape {tensor.shape} has no rows; it has to be (out, in, ...)")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = (generator or default_generator()).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q *= np.where(np.diag(r) < 0, -1, 1)  # so that all of them are equally likely
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def constant_(tensor: _T, val: float) -> _T:
    """One value everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: _T) -> _T:
    """Zeros."""
    return _fill(tensor, 0)


def ones_(tensor: _T) -> _T:
    """Ones."""
    return _fill(tensor, 1)


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of one unit; weights are (out, in, *kernel)."""
    if tensor.ndim < 2:
        raise ShapeError(f"init: a Tensor of shape {tensor.shape} has no fan; weights have shape (out, in, ...)")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of a layer with this nonlinearity.

    Parameters
    ----------
    nonlinearity : {"linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "conv1d", "conv2d", "conv3d"}
    param : float, optional
        Slope of "leaky_relu"; 0.01 by default.

    Returns
    -------
    float
    """
    gains = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
             "relu": math.sqrt(2), "selu": 3 / 4,
             "leaky_relu": math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))}
    if nonlinearity not in gains:
        raise ValueError(f"calculate_gain: nonlinearity={nonlinearity!r} is unknown; there are {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)). Source: Glorot and Bengio 2010, equation 16."""
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: _T, gain: float = 1.0, generator: np.random.Generator | None = None) -> _T:
    """Normal with standard deviation gain sqrt(2 / (fan_in + fan_out)). Source: Glorot and Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))), generator)


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: mode={mode!r} is unknown; use 'fan_in' or 'fan_out'")
    return calculate_gain(nonlinearity, a) / math.sqrt(_fans(tensor)[mode == "fan_out"])


def kaiming_uniform_(tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: np.random.Generator | None = None) -> _T:
    """Uniform in +-gain sqrt(3 / fan). Source: He et al. 2015, "Delving deep into rectifiers", equations 10 and 14."""
    bound = math.sqrt(3) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: _T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: np.random.Generator | None = None) -> _T:
    """Normal with standard deviation gain / sqrt(fan). Source: He et al. 2015, equations 10 and 14."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)
