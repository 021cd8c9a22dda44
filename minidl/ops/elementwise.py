"""Arithmetic and elementwise selection, with NumPy's names, keywords, broadcasting and promotion.

`sub`, `mul`, `div`, `pow` and `neg` are short names of `subtract`, `multiply`, `divide`, `power` and `negative`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.errors import GradientError
from minidl.ops.functions import log
from minidl.tensors import Tensor, as_array, raw
from minidl.typing import Operand

__all__ = ["abs", "add", "astype", "clip", "div", "divide", "maximum", "minimum", "mul", "multiply", "neg", "negative",
           "pow", "power", "sign", "sub", "subtract", "where"]


def add(x: Operand | float, y: Operand | float) -> Any:
    """Sum, with broadcasting. Derivative: g, g."""
    return record(np.add, _add_rule, x, y)


@keeps()
def _add_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return g, g


def subtract(x: Operand | float, y: Operand | float) -> Any:
    """Difference, with broadcasting. Derivative: g, -g."""
    return record(np.subtract, _subtract_rule, x, y)


@keeps()
def _subtract_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return g, -g if needs[1] else None


def multiply(x: Operand | float, y: Operand | float) -> Any:
    """Elementwise product, with broadcasting. Derivative: g y, g x."""
    return record(np.multiply, _multiply_rule, x, y)


@keeps("inputs")
def _multiply_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = inputs
    return g * y if needs[0] else None, g * x if needs[1] else None


def divide(x: Operand | float, y: Operand | float) -> Any:
    """Quotient, with broadcasting; of integers it is float64. Derivative: g / y, -g x / y^2."""
    return record(np.true_divide, _divide_rule, x, y)


@keeps("inputs", "output")
def _divide_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    gx = g / inputs[1]
    return gx if needs[0] else None, -gx * out if needs[1] else None


def negative(x: Operand | float) -> Any:
    """Negation. Derivative: -g."""
    return record(np.negative, _negative_rule, x)


@keeps()
def _negative_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (-g,)


# -------------------------------------------------------------------------------------------- power

def power(x: Operand | float, y: Operand | float) -> Any:
    """`x` to the power `y`, with broadcasting.

    Derivative: g y x^(y-1) and g x^y log x. It is finite wherever the power is a polynomial: at x = 0, for y = 0,
    1, 2, ..., it is 0, 1, 0, ..., and so are all higher orders. The second is 0 where x <= 0, as its limit at 0 is.

    Parameters
    ----------
    x, y : Tensor, array or number
        With a Python number as `y` the derivative is the simple one and nothing else is kept.

    Examples
    --------
    >>> import numpy as np, minidl
    >>> minidl.grad(lambda x: minidl.ops.power(x, 2).sum())(np.array([0.0, -3.0]))
    array([ 0., -6.])
    """
    if isinstance(y, (int, float)):
        return record(_to_number, _power_number_rule, x, y=y)
    return record(np.power, _power_rule, x, y)


def _to_number(x: Any, y: float) -> Any:
    return as_array(x) ** y  # the operator has short cuts for 2, 1/2 and -1 that np.power lacks


@keeps("inputs")
def _power_number_rule(g: Any, out: Any, inputs: Any, needs: Any, y: float) -> Any:
    if y == 0:
        return (_none_of(g),)
    if y == 1:
        return (g,)
    x = inputs[0]
    return (g * (y * (x if y == 2 else power(x, y - 1))),)


@keeps("inputs", "output")
def _power_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = inputs
    gx = None
    if needs[0]:
        y = y if isinstance(y, Tensor) else as_array(y).astype(out.dtype, copy=False)  # unsigned y has no y - 1
        constant = (raw(x) == 0) & (raw(y) == 0)
        gx = g * y * power(x, where(constant, 1, y - 1))  # y is 0 there: no 0 * 0^-1, at any order
    return gx, g * out * _log_or_zero(x) if needs[1] else None


def _log_or_zero(x: Any) -> Any:
    if isinstance(x, (int, float)):
        return math.log(x) if x > 0 else 0.0  # a Python number keeps float32 float32
    x = x if isinstance(x, Tensor) else as_array(x)
    return log(where(x > 0, x, 1))


# --------------------------------------------------------------------------------- sign and extremes

def abs(x: Operand | float) -> Any:
    """Absolute value. Derivative: g sign(x), which is 0 at 0."""
    return record(np.abs, _abs_rule, x)


@keeps("inputs")
def _abs_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * sign(inputs[0]),)


def sign(x: Operand | float) -> Any:
    """-1, 0 or 1. Derivative: 0 everywhere, at the jump too."""
    return record(np.sign, _sign_rule, x)


@keeps()
def _sign_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (_none_of(g),)


def maximum(x: Operand | float, y: Operand | float) -> Any:
    """The larger of two, with broadcasting; NaN wins. Derivative: g to the larger, half to each at a tie."""
    return record(np.maximum, _maximum_rule, x, y)


@keeps("inputs")
def _maximum_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = (as_array(raw(a)) for a in inputs)
    return _share(g, x > y, x == y) if needs[0] else None, _share(g, x < y, x == y) if needs[1] else None


def minimum(x: Operand | float, y: Operand | float) -> Any:
    """The smaller of two, with broadcasting; NaN wins. Derivative: g to the smaller, half to each at a tie."""
    return record(np.minimum, _minimum_rule, x, y)


@keeps("inputs")
def _minimum_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x, y = (as_array(raw(a)) for a in inputs)
    return _share(g, x < y, x == y) if needs[0] else None, _share(g, x > y, x == y) if needs[1] else None


def _share(g: Any, won: np.ndarray, tied: np.ndarray) -> Any:
    return where(won, g, where(tied, 0.5 * g, 0.0))


# ---------------------------------------------------------------------------------------- selection

def clip(x: Operand | float, a_min: Any = None, a_max: Any = None) -> Any:
    """Limit the values of `x` to `[a_min, a_max]`.

    Derivative: g inside and at the bounds, 0 outside. The bounds are constants: for a bound with a gradient
    use `maximum` and `minimum`.

    Parameters
    ----------
    x : Tensor or array
        Any shape.
    a_min, a_max : array_like or None
        Bounds that broadcast against `x`; None for no bound.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.clip([-2.0, 0.5, 3.0], 0.0, 1.0)
    array([0. , 0.5, 1. ])
    """
    return record(_clip, _clip_rule, x, a_min=_bound(a_min, "a_min"), a_max=_bound(a_max, "a_max"))


def _bound(value: Any, argument: str) -> Any:
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise GradientError(f"clip: {argument} is a constant but this Tensor requires a gradient; "
                                "use maximum(x, low) and minimum(x, high), or pass .detach()")
        return value.data
    return value


def _clip(x: Any, a_min: Any, a_max: Any) -> Any:
    return np.positive(x) if a_min is None and a_max is None else np.clip(x, a_min, a_max)


@keeps("inputs")
def _clip_rule(g: Any, out: Any, inputs: Any, needs: Any, a_min: Any, a_max: Any) -> Any:
    x = inputs[0]
    above = True if a_min is None else x >= as_array(a_min)
    below = True if a_max is None else x <= as_array(a_max)
    return (where(above & below, g, 0.0),)


def where(condition: Operand | float, x: Operand | float, y: Operand | float) -> Any:
    """`x` where the condition holds, else `y`, all broadcast. Derivative: g where it holds, g where it does not.

    What was not chosen gets exactly 0, so that an infinite `g` does no harm there.

    Examples
    --------
    >>> from minidl import ops
    >>> ops.where([True, False], [1.0, 2.0], 0.0)
    array([1., 0.])
    """
    return record(_where, _where_rule, x, y, condition=raw(condition, "where: condition"))


def _where(x: Any, y: Any, condition: Any) -> Any:
    if np.size(condition) < _LARGE:
        return np.where(condition, x, y)
    x, y = (a if isinstance(a, (int, float)) else as_array(a) for a in (x, y))
    dtype = np.result_type(x, y)
    if dtype not in _BITS:
        return np.where(condition, x, y)
    mask = -np.asarray(condition, bool).astype(_BITS[dtype])  # all bits or none
    if _is_zero(y):
        return (_bits(x, dtype) & mask).view(dtype)
    if _is_zero(x):
        return (_bits(y, dtype) & ~mask).view(dtype)
    chosen, other = _bits(x, dtype), _bits(y, dtype)
    return (other ^ ((chosen ^ other) & mask)).view(dtype)


# np.where branches at every element, and when the condition is irregular mispredicts: 20 times slower than bits.
_BITS: dict[Any, Any] = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
_LARGE = 1024


def _bits(x: Any, dtype: np.dtype[Any]) -> Any:
    return np.asarray(x, dtype).view(_BITS[dtype])


def _is_zero(x: Any) -> bool:
    return isinstance(x, (int, float)) and x == 0


@keeps()
def _where_rule(g: Any, out: Any, inputs: Any, needs: Any, condition: Any) -> Any:
    return where(condition, g, 0.0) if needs[0] else None, where(condition, 0.0, g) if needs[1] else None


def astype(x: Operand | float, dtype: Any) -> Any:
    """A copy in another dtype. Derivative: g in the dtype of `x`; none through an integer dtype."""
    return record(_astype, _astype_rule, x, dtype=dtype)


def _astype(x: Any, dtype: Any) -> Any:
    return as_array(x).astype(dtype)


@keeps()
def _astype_rule(g: Any, out: Any, inputs: Any, needs: Any, dtype: Any) -> Any:
    return (g.astype(inputs[0].dtype),)


def _none_of(g: Any) -> Any:
    """Zeros like `g`, whatever is in it."""
    return where(False, g, 0.0)


sub, mul, div, pow, neg = subtract, multiply, divide, power, negative
