"""More elementary functions, of one argument and of two, with NumPy's names; and rounding, whose derivative is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.ops.activation import sigmoid
from minidl.ops.elementwise import subtract, where
from minidl.ops.functions import sqrt
from minidl.tensors import raw
from minidl.typing import Operand

__all__ = ["arccosh", "arcsinh", "arctan2", "arctanh", "ceil", "exp2", "floor", "hypot", "log10", "log2", "logaddexp",
           "reciprocal", "round"]


# -------------------------------------------------------------------------------- exponential and hyperbolic

def exp2(x: Operand | float) -> Any:
    """2^x. Derivative: g 2^x log 2."""
    return record(np.exp2, _exp2_rule, x)


@keeps("output")
def _exp2_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * (math.log(2) * out),)


def log2(x: Operand | float) -> Any:
    """Logarithm to base 2. Derivative: g / (x log 2)."""
    return record(np.log2, _log2_rule, x)


@keeps("inputs")
def _log2_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g / inputs[0] * (1 / math.log(2)),)


def log10(x: Operand | float) -> Any:
    """Logarithm to base 10. Derivative: g / (x log 10)."""
    return record(np.log10, _log10_rule, x)


@keeps("inputs")
def _log10_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g / inputs[0] * (1 / math.log(10)),)


def reciprocal(x: Operand | float) -> Any:
    """1 / x; of integers an integer, as in NumPy. Derivative: -g / x^2."""
    return record(np.reciprocal, _reciprocal_rule, x)


@keeps("output")
def _reciprocal_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (-g * out * out,)


def arcsinh(x: Operand | float) -> Any:
    """Inverse hyperbolic sine. Derivative: g / sqrt(x^2 + 1)."""
    return record(np.arcsinh, _arcsinh_rule, x)


@keeps("inputs")
def _arcsinh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g / hypot(inputs[0], 1.0),)  # whose square does not overflow


def arccosh(x: Operand | float) -> Any:
    """Inverse hyperbolic cosine. Derivative: g / sqrt(x^2 - 1), infinite at 1."""
    return record(np.arccosh, _arccosh_rule, x)


@keeps("inputs")
def _arccosh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g / (sqrt(x - 1) * sqrt(x + 1)),)  # the product neither cancels near 1 nor overflows


def arctanh(x: Operand | float) -> Any:
    """Inverse hyperbolic tangent. Derivative: g / (1 - x^2), infinite at -1 and 1."""
    return record(np.arctanh, _arctanh_rule, x)


@keeps("inputs")
def _arctanh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g / ((1 - x) * (1 + x)),)


# --------------------------------------------------------------------------------------- of two arguments

def hypot(x: Operand | float, y: Operand | float) -> Any:
    """sqrt(x^2 + y^2) without overflow, with broadcasting. Derivative: g x / hypot, g y / hypot, and 0 at the origin.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.hypot([3.0, 0.0], [4.0, 2.0])
    array([5., 2.])
    """
    return record(np.hypot, _hypot_rule, x, y)


@keeps("inputs", "output")
def _hypot_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = inputs
    length = out + (out == 0)
    return g * (x / length) if needs[0] else None, g * (y / length) if needs[1] else None


def arctan2(y: Operand | float, x: Operand | float) -> Any:
    """The angle of the point (x, y), from -pi to pi, with broadcasting.

    Derivative: g x / (x^2 + y^2) for y, -g y / (x^2 + y^2) for x, and 0 at the origin.

    Examples
    --------
    >>> import numpy as np
    >>> from minidl import ops
    >>> ops.arctan2(np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, -1.0])) / np.pi
    array([0. , 0.5, 1. ])
    """
    return record(np.arctan2, _arctan2_rule, y, x)


@keeps("inputs")
def _arctan2_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    y, x = inputs
    length = hypot(y, x)
    length = length + (length == 0)
    return g * (x / length / length) if needs[0] else None, -g * (y / length / length) if needs[1] else None


def logaddexp(x: Operand | float, y: Operand | float) -> Any:
    """log(e^x + e^y) without overflow, with broadcasting.

    Derivative: g sigmoid(x - y), g sigmoid(y - x), and 0 where both are -inf.
    """
    return record(np.logaddexp, _logaddexp_rule, x, y)


@keeps("inputs", "output")
def _logaddexp_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    empty = raw(out) == -np.inf
    with np.errstate(invalid="ignore"):  # -inf less -inf
        gap = where(empty, 0.0, subtract(*inputs))
    return (where(empty, 0.0, g * sigmoid(gap)) if needs[0] else None,
            where(empty, 0.0, g * sigmoid(-gap)) if needs[1] else None)


# ------------------------------------------------------------------------------------------------ rounding

def floor(x: Operand | float) -> Any:
    """The largest whole number that is not above x. Derivative: 0 everywhere, at the jumps too."""
    return record(np.floor, _floor_rule, x)


@keeps()
def _floor_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (where(False, g, 0.0),)


def ceil(x: Operand | float) -> Any:
    """The smallest whole number that is not below x. Derivative: 0 everywhere, at the jumps too."""
    return record(np.ceil, _ceil_rule, x)


@keeps()
def _ceil_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (where(False, g, 0.0),)


def round(x: Operand | float, decimals: int = 0) -> Any:
    """x to so many decimals, halves to the even digit. Derivative: 0 everywhere, at the jumps too."""
    return record(np.round, _round_rule, x, decimals=decimals)


@keeps()
def _round_rule(g: Any, out: Any, inputs: Any, needs: Any, decimals: int) -> Any:
    return (where(False, g, 0.0),)
