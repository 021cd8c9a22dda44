"""Rows of the op table: more elementary functions, and rounding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import between, binary, unary
from minidl.testing.spec import Convention, Op

__all__ = ["OPS"]


def _arctan2(y: Any, x: Any) -> Any:
    """By the arctangent of a quotient, and half a turn on the left."""
    left = np.where(np.real(x) < 0, np.where(np.real(y) < 0, -math.pi, math.pi), 0.0)
    return np.arctan(np.true_divide(y, x)) + left


def _logaddexp(x: Any, y: Any) -> Any:
    return np.log(np.exp(x) + np.exp(y))


def _stepped(function: Any) -> Any:
    """A function of the real part whose derivative is 0."""
    return lambda x, **kwargs: function(x.real, **kwargs) + 0 * x


_WHOLE = [-2, -1, 0, 1, 2]
_HALVES = [-1.5, -0.5, 0.5, 1.5]
_SIDES = between(0.3, 2, mirrored=True)

OPS = [
    Op("exp2", ops.exp2, lambda x: np.exp(x * math.log(2)), unary(), order=3),
    Op("log2", ops.log2, lambda x: np.log(x) / math.log(2), unary(0.3, 3), order=3),
    Op("log10", ops.log10, lambda x: np.log(x) / math.log(10), unary(0.3, 3), order=3),
    Op("reciprocal", ops.reciprocal, lambda x: 1 / x, unary(values=between(0.4, 2, mirrored=True)), order=3),
    Op("arcsinh", ops.arcsinh, np.arcsinh, unary(), order=3),
    Op("arccosh", ops.arccosh, lambda x: np.log(x + np.sqrt(x - 1) * np.sqrt(x + 1)), unary(1.4, 3), order=3),
    Op("arctanh", ops.arctanh, np.arctanh, unary(-0.7, 0.7), order=3),

    Op("hypot", ops.hypot, lambda x, y: np.sqrt(np.multiply(x, x) + np.multiply(y, y)),
       binary(left=_SIDES, right=_SIDES), order=3,
       conventions=(Convention("0 at the origin", (np.array([0.0, 3.0]), np.array([0.0, 4.0])),
                               np.array([0.0, 0.6])),)),
    Op("arctan2", ops.arctan2, _arctan2, binary(left=_SIDES, right=_SIDES), order=3, onnx=None,
       conventions=(Convention("0 at the origin", (np.array([0.0, 0.0]), np.array([0.0, 2.0])),
                               np.array([0.0, 0.5])),)),
    Op("logaddexp", ops.logaddexp, _logaddexp, binary(), order=3,
       conventions=(Convention("0 where both are -inf",
                               (np.array([-np.inf, -np.inf, 1.0]), np.array([-np.inf, 0, 1.0])),
                               np.array([0.0, 0.0, 0.5])),)),

    Op("floor", ops.floor, _stepped(np.floor), unary(away_from=_WHOLE),
       conventions=(Convention("0 everywhere, at the jumps too", (np.array([-1.0, 0.5]),), np.zeros(2)),)),
    Op("ceil", ops.ceil, _stepped(np.ceil), unary(away_from=_WHOLE),
       conventions=(Convention("0 everywhere, at the jumps too", (np.array([-1.0, 0.5]),), np.zeros(2)),)),
    Op("round", ops.round, _stepped(np.round), unary(away_from=_HALVES),
       conventions=(Convention("0 everywhere, at the jumps too", (np.array([-1.0, 0.5]),), np.zeros(2)),)),
    Op("round[decimals]", ops.round, _stepped(np.round),
       unary(away_from=[i / 20 for i in range(-39, 40, 2)], margin=0.01, decimals=st.just(1))),
]
