"""Rows of the op table: more activations."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.cases import cases, unary
from minidl.testing.spec import Case, Convention, Op
from minidl.testing.strategies import arrays, axes, axis, shapes

__all__ = ["OPS"]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _limited(x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    return np.where(x.real < low, low, np.where(x.real > high, high, x))


def _softshrink(x: Any, lambd: float) -> Any:
    return np.where(x.real > lambd, x - lambd, np.where(x.real < -lambd, x + lambd, 0))


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x.real > 0, x, alpha * (np.exp(x / alpha) - 1))


def _softmin(x: Any, axis: Any = -1) -> Any:
    e = np.exp(-x)
    return e / np.sum(e, axis=axis, keepdims=True)


def _glu(x: Any, axis: int = -1) -> Any:
    a, b = np.split(x, 2, axis)
    return a * _sigmoid(b)


@st.composite
def _gated(draw: Any) -> Case:
    """An axis of even length."""
    shape = draw(shapes(min_dims=1, max_side=3))
    along = draw(axis(len(shape)))
    doubled = tuple(2 * n if i == along % len(shape) else n for i, n in enumerate(shape))
    return Case((draw(arrays(doubled)),), {"axis": along})


@st.composite
def _slopes(draw: Any, one: bool) -> Case:
    x = draw(arrays(shapes(min_dims=0 if one else 2), away_from=[0]))
    return Case((x, draw(arrays((1,) if one else x.shape[1:2], 0.1, 0.9))), wrt=(0, 1))


def _prelu(x: Any, weight: Any) -> Any:
    slopes = weight[0] if weight.size == 1 else np.reshape(weight, (-1,) + (1,) * max(x.ndim - 2, 0))
    return np.where(x.real > 0, x, slopes * x)


def _threshold(x: Any, threshold: float, value: float) -> Any:
    return np.where(x.real > threshold, x, value)


def _at(*points: float) -> tuple[np.ndarray]:
    return (np.array(points),)


OPS = [
    Op("hardtanh", ops.hardtanh, _limited, unary(away_from=[-1, 1]),
       conventions=(Convention("0 at both ends", _at(-1.0, 0.5, 1.0), np.array([0.0, 1.0, 0.0])),)),
    Op("hardtanh[bounds]", ops.hardtanh, lambda x, min_val, max_val: _limited(x, min_val, max_val),
       unary(away_from=[-0.5, 1.5], min_val=-0.5, max_val=1.5)),
    Op("relu6", ops.relu6, lambda x: _limited(x, 0, 6), unary(-2, 8, away_from=[0, 6]),
       conventions=(Convention("0 at 0 and 6", _at(0.0, 3.0, 6.0), np.array([0.0, 1.0, 0.0])),)),
    Op("hardsigmoid", ops.hardsigmoid, lambda x: _limited(x / 6 + 0.5, 0, 1), unary(-5, 5, away_from=[-3, 3]),
       conventions=(Convention("0 at -3 and 3", _at(-3.0, 3.0), np.zeros(2)),)),
    Op("hardswish", ops.hardswish, lambda x: x * _limited(x / 6 + 0.5, 0, 1), unary(-5, 5, away_from=[-3, 3]),
       conventions=(Convention("0 at -3, 1 at 3", _at(-3.0, 3.0), np.array([0.0, 1.0])),)),
    Op("hardshrink", ops.hardshrink, lambda x, lambd=0.5: np.where(np.abs(x.real) > lambd, x, 0),
       unary(away_from=[-0.5, 0.5], lambd=0.5),
       conventions=(Convention("0 at both ends", _at(-1.0, -0.5, 0.0, 0.5), np.array([1.0, 0.0, 0.0, 0.0])),)),
    Op("softshrink", ops.softshrink, _softshrink, unary(away_from=[-0.5, 0.5], lambd=0.5),
       conventions=(Convention("0 at both ends", _at(-1.0, -0.5, 0.0, 0.5), np.array([1.0, 0.0, 0.0, 0.0])),)),
    Op("threshold", ops.threshold, _threshold,
       unary(away_from=[0.5], threshold=0.5, value=-3.0),
       conventions=(Convention("0 at the threshold", _at(0.5, 1.0), np.array([0.0, 1.0]),
                               {"threshold": 0.5, "value": 2.0}),)),
    Op("prelu", ops.prelu, _prelu, _slopes(True),
       conventions=(Convention("the slope at 0", (np.array([0.0, 1.0]), np.array([0.25])), np.array([0.25, 1.0])),)),
    Op("prelu[channels]", ops.prelu, _prelu, _slopes(False)),
    Op("celu", ops.celu, _celu, unary(away_from=[0], alpha=st.sampled_from([1.0, 0.5, 2.0])), order=3,
       conventions=(Convention("1 at 0 for every alpha", _at(0.0), np.ones(1), {"alpha": 0.5}),)),
    Op("mish", ops.mish, lambda x: x * np.tanh(np.log(1 + np.exp(x))), unary(-4, 4), order=3),
    Op("softsign", ops.softsign, lambda x: x / (1 + np.where(x.real < 0, -x, x)), unary(away_from=[0]), order=3,
       conventions=(Convention("1 at 0", _at(0.0), np.ones(1)),)),
    Op("tanhshrink", ops.tanhshrink, lambda x: x - np.tanh(x), unary(), order=3),
    Op("logsigmoid", ops.logsigmoid, lambda x: -np.log(1 + np.exp(-x)), unary(), order=3),
    Op("softmin", ops.softmin, _softmin, cases(arrays(shapes(min_dims=1)), axis=lambda x: axes(x.ndim)), order=3),
    Op("glu", ops.glu, _glu, _gated(), order=3),
]
