"""Elementary functions of one argument, with NumPy's names; integers become floating point as in NumPy.

Outside the domain the value is NumPy's (NaN or an infinity with a warning), and so is the derivative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.engine import keeps, record
from minidl.tensors import Tensor, as_array
from minidl.typing import Operand

__all__ = ["arccos", "arcsin", "arctan", "cos", "cosh", "erf", "exp", "expm1", "log", "log1p", "rsqrt", "sin", "sinh",
           "sqrt", "square", "tan", "tanh"]


# ------------------------------------------------------------------------------ exponential and roots

def exp(x: Operand | float) -> Any:
    """e^x. Derivative: g e^x."""
    return record(np.exp, _exp_rule, x)


@keeps("output")
def _exp_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * out,)


def expm1(x: Operand | float) -> Any:
    """e^x - 1, exact near 0. Derivative: g e^x."""
    return record(np.expm1, _expm1_rule, x)


@keeps("inputs")
def _expm1_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * exp(inputs[0]),)


def log(x: Operand | float) -> Any:
    """Natural logarithm. Derivative: g / x."""
    return record(np.log, _log_rule, x)


@keeps("inputs")
def _log_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g / inputs[0],)


def log1p(x: Operand | float) -> Any:
    """log(1 + x), exact near 0. Derivative: g / (1 + x)."""
    return record(np.log1p, _log1p_rule, x)


@keeps("inputs")
def _log1p_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g / (inputs[0] + 1),)


def sqrt(x: Operand | float) -> Any:
    """Square root. Derivative: g / (2 sqrt x), infinite at 0."""
    return record(np.sqrt, _sqrt_rule, x)


@keeps("output")
def _sqrt_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (0.5 * g / out,)


def rsqrt(x: Operand | float) -> Any:
    """1 / sqrt(x). Derivative: -g x^(-3/2) / 2."""
    return record(_rsqrt, _rsqrt_rule, x)


def _rsqrt(x: Any) -> Any:
    return 1 / np.sqrt(x)


@keeps("output")
def _rsqrt_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (-0.5 * g * out * out * out,)


def square(x: Operand | float) -> Any:
    """x^2. Derivative: 2 g x."""
    return record(np.square, _square_rule, x)


@keeps("inputs")
def _square_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (2 * g * inputs[0],)


# --------------------------------------------------------------------------------------- trigonometry

def sin(x: Operand | float) -> Any:
    """Sine. Derivative: g cos x."""
    return record(np.sin, _sin_rule, x)


@keeps("inputs")
def _sin_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * cos(inputs[0]),)


def cos(x: Operand | float) -> Any:
    """Cosine. Derivative: -g sin x."""
    return record(np.cos, _cos_rule, x)


@keeps("inputs")
def _cos_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (-g * sin(inputs[0]),)


def tan(x: Operand | float) -> Any:
    """Tangent. Derivative: g (1 + tan^2 x)."""
    return record(np.tan, _tan_rule, x)


@keeps("output")
def _tan_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * (out * out + 1),)


def arcsin(x: Operand | float) -> Any:
    """Inverse sine. Derivative: g / sqrt(1 - x^2), infinite at -1 and 1."""
    return record(np.arcsin, _arcsin_rule, x)


@keeps("inputs")
def _arcsin_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g / sqrt((1 - x) * (1 + x)),)  # the product does not cancel near 1


def arccos(x: Operand | float) -> Any:
    """Inverse cosine. Derivative: -g / sqrt(1 - x^2), infinite at -1 and 1."""
    return record(np.arccos, _arccos_rule, x)


@keeps("inputs")
def _arccos_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (-g / sqrt((1 - x) * (1 + x)),)


def arctan(x: Operand | float) -> Any:
    """Inverse tangent. Derivative: g / (1 + x^2)."""
    return record(np.arctan, _arctan_rule, x)


@keeps("inputs")
def _arctan_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g / (x * x + 1),)


def sinh(x: Operand | float) -> Any:
    """Hyperbolic sine. Derivative: g cosh x."""
    return record(np.sinh, _sinh_rule, x)


@keeps("inputs")
def _sinh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * cosh(inputs[0]),)


def cosh(x: Operand | float) -> Any:
    """Hyperbolic cosine. Derivative: g sinh x."""
    return record(np.cosh, _cosh_rule, x)


@keeps("inputs")
def _cosh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * sinh(inputs[0]),)


def tanh(x: Operand | float) -> Any:
    """Hyperbolic tangent. Derivative: g (1 - tanh^2 x), to full relative precision in both tails."""
    return record(np.tanh, _tanh_rule, x)


@keeps("inputs", "output")
def _tanh_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    return (g * _tanh_slope(inputs[0], out),)


def _tanh_slope(x: Any, t: Any) -> Any:
    """1 - t^2 for t = tanh(x). Derivative: -2 g t (1 - t^2)."""
    return record(_sech2, _sech2_rule, x, t=t.data if isinstance(t, Tensor) else t)


def _sech2(x: Any, t: np.ndarray) -> Any:
    out = np.asarray(1 - t * t)
    tail = np.flatnonzero(out < 0.02)  # where it cancels
    if tail.size:
        e = np.exp(-2 * np.abs(np.asarray(x).flat[tail]))
        out.flat[tail] = 4 * e / (1 + e) ** 2
    return out


@keeps("inputs", "output")
def _sech2_rule(g: Any, out: Any, inputs: Any, needs: Any, t: np.ndarray) -> Any:
    return (g * (-2 * tanh(inputs[0]) * out),)


# ------------------------------------------------------------------------------------- error function

# W. J. Cody (1969), "Rational Chebyshev approximations for the error function", Math. Comp. 23, 631-637; highest
# power first. erf(x) = x P(x^2) / Q(x^2) for |x| <= 0.46875, and 1 - e^(-x^2) P(x) / Q(x) for x from there to 6.
_NEAR = ((1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
          3.20937758913846947e3),
         (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3))
_FAR = ((2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
         2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
         1.23033935479799725e3),
        (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
         3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3))
# 1 - erf(x) = e^(-x^2) / x (1 / sqrt(pi) + P(1 / x^2) / (x^2 Q(1 / x^2))) from 4 on.
_FARTHEST = ((-1.63153871373020978e-2, -3.05326634961232344e-1, -3.60344899949804439e-1, -1.25781726111229246e-1,
              -1.60837851487422766e-2, -6.58749161529837803e-4),
             (1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
              2.33520497626869185e-3))
# For float32, x P(x^2) / Q(x^2) on |x| <= 3.92, where erf rounds to 1: a fit of relative error 1.9e-8.
_SINGLE = ((2.0501039856907753e-6, 2.848821227117073e-4, 3.7655638304787964e-3, 5.274855559757382e-2,
            1.904051465210511e-1, 1.1283791461525132),
           (3.809185956137903e-5, 1.1625238646353526e-3, 1.4969107664748583e-2, 1.1410857293762072e-1,
            5.020749086009973e-1, 1.0))


def erf(x: Operand | float) -> Any:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x. Derivative: 2 g e^(-x^2) / sqrt(pi).

    Relative error below 1e-15 in float64, below 5e-7 in float32.
    """
    return record(_erf, _erf_rule, x)


@keeps("inputs")
def _erf_rule(g: Any, out: Any, inputs: Any, needs: Any) -> Any:
    x = inputs[0]
    return (g * (2 / math.sqrt(math.pi) * exp(-x * x)),)


def _erf(x: Any) -> Any:
    x = as_array(x)
    if x.dtype.kind == "f" and x.dtype.itemsize <= 4:
        bounded = np.clip(x.astype(np.float32, copy=False), -3.92, 3.92)
        return np.clip(bounded * _ratio(_SINGLE, bounded * bounded), -1, 1).astype(x.dtype, copy=False)
    size = np.minimum(np.abs(x), 6.0, dtype=np.float64)[...]
    near = size <= 0.46875
    far = ~near
    out = np.empty(size.shape)
    out[near] = size[near] * _ratio(_NEAR, size[near] ** 2)
    out[far] = 1 - np.exp(-size[far] ** 2) * _ratio(_FAR, size[far])
    return np.copysign(out, x)


def erfc_tail(x: np.ndarray) -> np.ndarray:
    """1 - erf(x) for x from 0.5 on, in float64, to a relative error of 1e-14 where it is a normal number."""
    x = np.minimum(x, 30.0, dtype=np.float64)
    inverse = 1 / (x * x)
    far = (1 / math.sqrt(math.pi) + inverse * _ratio(_FARTHEST, inverse)) / x
    coarse = np.trunc(16 * x) / 16  # has an exact square
    factor = np.exp(-coarse * coarse) * np.exp((coarse - x) * (coarse + x))
    out: np.ndarray = factor * np.where(x < 4, _ratio(_FAR, x), far)
    return out


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    top, bottom = (_horner(c, x) for c in coefficients)
    return top / bottom


def _horner(coefficients: tuple[float, ...], x: Any) -> Any:
    value = coefficients[0] * x
    for c in coefficients[1:-1]:
        value += c  # in place: these are large
        value *= x
    value += coefficients[-1]
    return value
