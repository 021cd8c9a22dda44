"""Activations as modules; the formulas stand at the functions of `minidl.ops`."""

from __future__ import annotations

import math
from typing import Any

from minidl.nn import functional
from minidl.nn.module import Module

__all__ = ["ELU", "GELU", "LeakyReLU", "LogSoftmax", "ReLU", "SELU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh"]


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

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Any shape -> the same shape."""
        return functional.log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The axis."""
        return f"axis={self.axis}"
