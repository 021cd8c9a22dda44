"""Rows of the op table: activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases, unary
from minidl.testing.spec import Convention, Op
from minidl.testing.strategies import arrays, axes, shapes
from minidl.testing.table.functions import erf_series

__all__ = ["OPS"]


def _leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    return np.where(x.real > 0, x, negative_slope * x)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x.real > 0, x, alpha * (np.exp(x) - 1))


def _selu(x: Any) -> Any:
    return 1.05070098735548049342 * _elu(x, 1.67326324235437728482)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any, beta: float = 1.0, threshold: float = math.inf) -> Any:
    return np.where(beta * x.real > threshold, x, np.log(1 + np.exp(beta * x)) / beta)


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return 0.5 * x * (1 + erf_series(x / math.sqrt(2)))
    return x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x * x * x))


def _softmax(x: Any, axis: Any = -1) -> Any:
    e = np.exp(x - np.max(x.real, initial=0.0))
    return e / np.sum(e, axis=axis, keepdims=True)


def _log_softmax(x: Any, axis: Any = -1) -> Any:
    return np.log(_softmax(x, axis))


def _axis_cases() -> Any:
    return cases(arrays(shapes(min_dims=1)), axis=lambda x: axes(x.ndim))


OPS = [
    Op("relu", ops.relu, lambda x: np.where(x.real > 0, x, 0), unary(away_from=[0]),
       conventions=(Convention("0 at 0", (np.array([-2.0, 0.0, 2.0]),), np.array([0.0, 0.0, 1.0])),)),
    Op("leaky_relu", ops.leaky_relu, _leaky_relu, unary(away_from=[0], negative_slope=st.sampled_from([0.01, 0.3])),
       conventions=(Convention("the negative slope at 0", (np.array([-2.0, 0.0, 2.0]),),
                               np.array([0.01, 0.01, 1.0])),)),
    Op("elu", ops.elu, _elu, unary(away_from=[0], alpha=st.sampled_from([1.0, 0.5, 2.0])), order=3,
       conventions=(Convention("alpha at 0", (np.array([0.0, 2.0]),), np.array([0.5, 1.0]), {"alpha": 0.5}),)),
    Op("selu", ops.selu, _selu, unary(away_from=[0]), order=3),
    Op("sigmoid", ops.sigmoid, _sigmoid, unary(), order=3),
    Op("sigmoid[tail]", ops.sigmoid, _sigmoid, unary(-30, 3), order=3),
    Op("silu", ops.silu, lambda x: x * _sigmoid(x), unary(-4, 4), order=3),
    Op("softplus", ops.softplus, _softplus, unary(beta=st.sampled_from([1.0, 3, 0.5])), order=3),
    Op("softplus[threshold]", ops.softplus, _softplus, unary(away_from=[1], threshold=1.0)),
    Op("gelu", ops.gelu, _gelu, unary(-3, 3), order=3),
    Op("gelu[tanh]", ops.gelu, _gelu, unary(-3, 3, approximate="tanh"), order=3),
    Op("softmax", ops.softmax, _softmax, _axis_cases(), order=3),
    Op("log_softmax", ops.log_softmax, _log_softmax, _axis_cases(), order=3),
]
