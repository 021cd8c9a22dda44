"""Rows of the op table: arithmetic and elementwise selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minidl import ops
from minidl.testing.cases import between, binary, cases, unary
from minidl.testing.spec import Convention, Op
from minidl.testing.strategies import arrays, broadcastable

__all__ = ["OPS"]


def _abs(x: Any) -> Any:
    return np.where(x.real < 0, -x, x)


def _sign(x: Any) -> Any:
    return np.sign(x.real) + 0 * x


def _maximum(x: Any, y: Any) -> Any:
    return np.where(np.real(x) > np.real(y), x, y)


def _minimum(x: Any, y: Any) -> Any:
    return np.where(np.real(x) < np.real(y), x, y)


def _clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    x = x if a_min is None else np.where(x.real < a_min, a_min, x)
    return x if a_max is None else np.where(x.real > a_max, a_max, x)


def _astype(x: Any, dtype: Any) -> Any:
    return x + 0


def _with_zeros(x: Any) -> Any:
    return np.where(np.abs(x) < 0.6, 0.0, x)


def _times(x: Any, y: Any) -> Any:
    """A whole power as a product, one factor after the other."""
    product = np.ones(np.broadcast_shapes(np.shape(x), np.shape(y)), x.dtype)
    for k in range(int(np.max(y, initial=0))):
        product = np.where(np.asarray(y) > k, product * x, product)
    return product


_WHOLE = hnp.arrays(st.sampled_from([np.float64, np.int8, np.uint8]), st.just((3,)),
                    elements=st.sampled_from([0, 1, 2]))
_POSITIVE = between(0.4, 2)
_NONZERO = between(0.4, 2, mirrored=True)
_SELECTION = broadcastable(3).flatmap(lambda shape: cases(hnp.arrays(bool, shape[0]), arrays(shape[1]),
                                                          arrays(shape[2])))

OPS = [
    Op("add", ops.add, np.add, binary(), order=3, linear=(0, 1)),
    Op("subtract", ops.subtract, np.subtract, binary(), order=3, linear=(0, 1)),
    Op("multiply", ops.multiply, np.multiply, binary(), order=3, linear=(0, 1)),
    Op("divide", ops.divide, np.divide, binary(right=_NONZERO), order=3, linear=(0,)),
    Op("negative", ops.negative, np.negative, unary(), order=3, linear=(0,)),

    Op("power", ops.power, lambda x, y: np.exp(y * np.log(x)), binary(left=_POSITIVE), order=3),
    Op("power[number]", ops.power, np.power, cases(_NONZERO(None), st.sampled_from([-2, -1, -1.0, 4, 3.0])), order=3),
    Op("power[root]", ops.power, np.power, cases(_POSITIVE(None), st.sampled_from([0.5, -0.5, 2.5, -1.5])), order=3),
    Op("power[polynomial]", ops.power, _times, cases(arrays().map(_with_zeros), st.sampled_from([0, 1, 2, 2.0])),
       order=3, conventions=(
           Convention("x^0 has gradient 0 at 0", (np.zeros(2), 0), np.zeros(2)),
           Convention("x^1 has gradient 1 at 0", (np.zeros(2), 1.0), np.ones(2)),
           Convention("x^2 has gradient 0 at 0", (np.zeros(2), 2), np.zeros(2)))),
    Op("power[whole]", ops.power, _times, cases(arrays((2, 3)).map(_with_zeros), _WHOLE, wrt=(0,)), order=3),

    Op("abs", ops.abs, _abs, unary(away_from=[0]),
       conventions=(Convention("0 at 0", (np.array([-2.0, 0.0, 2.0]),), np.array([-1.0, 0.0, 1.0])),)),
    Op("sign", ops.sign, _sign, unary(away_from=[0]),
       conventions=(Convention("0 everywhere, at the jump too", (np.array([-2.0, 0.0]),), np.zeros(2)),)),
    Op("maximum", ops.maximum, _maximum, binary(apart=0.25),
       conventions=(Convention("a tie is split evenly", (np.array([0.0, 1.0, 2.0]), 1.0), np.array([0, 0.5, 1])),)),
    Op("minimum", ops.minimum, _minimum, binary(apart=0.25),
       conventions=(Convention("a tie is split evenly", (np.array([0.0, 1.0, 2.0]), 1.0), np.array([1, 0.5, 0])),)),

    Op("clip", ops.clip, _clip, unary(away_from=[-1, 0.5], a_min=-1.0, a_max=0.5),
       conventions=(Convention("1 at the bounds, 0 beyond", (np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), -1.0, 1.0),
                               np.array([0.0, 1.0, 1.0, 1.0, 0.0])),)),
    Op("clip[one bound]", ops.clip, _clip, cases(arrays(away_from=[0.5]), a_max=0.5)),
    Op("clip[array bound]", ops.clip, _clip, cases(arrays((2, 1), away_from=[-1, 0, 1]), np.array([-1.0, 0.0]), 1.0,
                                                   wrt=(0,))),
    Op("clip[unbounded]", ops.clip, _clip, unary(), linear=(0,)),
    Op("where", ops.where, np.where, _SELECTION, order=3, linear=(1, 2)),
    Op("astype", ops.astype, _astype, unary(dtype=np.float64), linear=(0,), float32=False),
]
