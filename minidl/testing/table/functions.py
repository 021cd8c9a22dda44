"""Rows of the op table: elementary functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import ops
from minidl.testing.cases import unary
from minidl.testing.spec import Op

__all__ = ["OPS", "erf_series"]


def erf_series(x: Any) -> Any:
    """2/sqrt(pi) x e^(-x^2) sum_n (2 x^2)^n / (2n + 1)!!, all of one sign (DLMF 7.6.2); |x| up to 2."""
    term = total = np.ones_like(x)
    for n in range(1, 100):
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return 2 / math.sqrt(math.pi) * x * np.exp(-x * x) * total


def _erf_tail(x: Any) -> Any:
    """1 - e^(-x^2) / sqrt(pi) / (x + (1/2) / (x + (2/2) / (x + ...))) for x above 0 (DLMF 7.9.1); precise from 2 on,
    where the series loses digits of the derivative.
    """
    below = x
    for n in range(200, 0, -1):
        below = x + n / 2 / below
    return 1 - np.exp(-x * x) / math.sqrt(math.pi) / below


def erf(x: Any) -> Any:
    """By the series near 0, by the continued fraction beyond."""
    far = np.where(x.real < 0, -x, x)
    tail = _erf_tail(np.where(far.real < 1.8, 1.8, far))
    return np.where(far.real < 1.8, erf_series(np.where(far.real < 1.8, x, 0)), np.where(x.real < 0, -tail, tail))


OPS = [
    Op("exp", ops.exp, np.exp, unary(), order=3),
    Op("expm1", ops.expm1, lambda x: 2 * np.sinh(x / 2) * np.exp(x / 2), unary(), order=3),
    Op("log", ops.log, np.log, unary(0.3, 3), order=3),
    Op("log1p", ops.log1p, lambda x: 2 * np.arctanh(x / (2 + x)), unary(-0.7, 3), order=3),
    Op("sqrt", ops.sqrt, np.sqrt, unary(0.3, 3), order=3),
    Op("rsqrt", ops.rsqrt, lambda x: np.exp(-0.5 * np.log(x)), unary(0.4, 3), order=3),
    Op("square", ops.square, lambda x: x * x, unary(), order=3),
    Op("sin", ops.sin, np.sin, unary(), order=3),
    Op("cos", ops.cos, np.cos, unary(), order=3),
    Op("tan", ops.tan, lambda x: np.sin(x) / np.cos(x), unary(-1, 1), order=3),
    Op("arcsin", ops.arcsin, np.arcsin, unary(-0.8, 0.8), order=3),
    Op("arccos", ops.arccos, np.arccos, unary(-0.8, 0.8), order=3),
    Op("arctan", ops.arctan, np.arctan, unary(), order=3),
    Op("sinh", ops.sinh, np.sinh, unary(), order=3),
    Op("cosh", ops.cosh, np.cosh, unary(), order=3),
    Op("tanh", ops.tanh, np.tanh, unary(), order=3),
    Op("erf", ops.erf, erf_series, unary(), order=3),
    Op("erf[tails]", ops.erf, erf, unary(-4, 4), order=3),
]
