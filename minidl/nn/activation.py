"""Activations as modules; the formulas stand at the functions of `minidl.ops`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.names import either_name
from minidl.nn import functional
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = ["CELU", "ELU", "GELU", "GLU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
           "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax", "Softmin", "Softplus",
           "Softsign", "Tanh", "Tanhshrink", "Threshold"]


class ReLU(Module):
    """`minidl.ops.relu`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.relu(x)


class LeakyReLU(Module):
    """`minidl.ops.leaky_relu`."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """`minidl.ops.elu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The factor."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """`minidl.ops.selu`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.selu(x)


class GELU(Module):
    """`minidl.ops.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """The approximation."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """`minidl.ops.silu`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.silu(x)


class Sigmoid(Module):
    """`minidl.ops.sigmoid`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.sigmoid(x)


class Tanh(Module):
    """`minidl.ops.tanh`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.tanh(x)


class Softplus(Module):
    """`minidl.ops.softplus`."""

    def __init__(self, beta: float = 1.0, threshold: float = math.inf) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Sharpness and threshold."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """`minidl.ops.softmax` along an axis."""

    @either_name
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """`minidl.ops.log_softmax` along an axis."""

    @either_name
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class Hardtanh(Module):
    """`minidl.ops.hardtanh`."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Module):
    """`minidl.ops.relu6`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.relu6(x)


class Hardsigmoid(Module):
    """`minidl.ops.hardsigmoid`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.hardsigmoid(x)


class Hardswish(Module):
    """`minidl.ops.hardswish`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.hardswish(x)


class Threshold(Module):
    """`minidl.ops.threshold`."""

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.value = threshold, value

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        """Where, and what is put below."""
        return f"threshold={self.threshold}, value={self.value}"


class CELU(Module):
    """`minidl.ops.celu`."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """The width."""
        return f"alpha={self.alpha}"


class Mish(Module):
    """`minidl.ops.mish`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.mish(x)


class Softsign(Module):
    """`minidl.ops.softsign`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.softsign(x)


class Tanhshrink(Module):
    """`minidl.ops.tanhshrink`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.tanhshrink(x)


class LogSigmoid(Module):
    """`minidl.ops.logsigmoid`."""

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.logsigmoid(x)


class Softmin(Module):
    """`minidl.ops.softmin` along an axis."""

    @either_name
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return ops.softmin(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class GLU(Module):
    """`minidl.ops.glu` along an axis."""

    @either_name
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """The axis becomes half as long."""
        return ops.glu(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"


class PReLU(Module):
    """`minidl.ops.prelu`, with a slope that is learned.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels (the second axis).
    init : float
        Where the slopes start from.
    dtype : dtype

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,)

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import nn
    >>> nn.PReLU()(np.array([-1.0, 1.0], np.float32)).data
    array([-0.25,  1.  ], dtype=float32)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = np.float32) -> None:
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, x: Any) -> Any:
        """(N, num_parameters, ...), or any shape with one slope -> the same shape."""
        return ops.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Number of slopes."""
        return f"num_parameters={self.num_parameters}"
