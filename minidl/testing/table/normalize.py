"""Rows of the op table: normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.testing.spec import Case, Op
from minidl.testing.strategies import arrays, shapes

__all__ = ["OPS"]

_EPS = st.sampled_from([0.1, 0.7])  # differences need a curve that is not too sharp where the variance is 0


@st.composite
def _rows(draw: Any, weight: bool, bias: bool) -> Case:
    """x (..., *shape), weight and bias of that shape, or one of them, or neither."""
    full = draw(shapes(min_dims=1))
    axes = draw(st.integers(1, len(full)))
    if math.prod(full[-axes:]) == 1:  # of one element nothing is left but the rounding of oracles
        full = (*full[:-1], 2)
    x = draw(arrays(full))
    shape = x.shape[-axes:]
    affine = [draw(arrays(shape)) if wanted else None for wanted in (weight, bias)]
    normalized = shape[0] if len(shape) == 1 and draw(st.booleans()) else shape
    return Case((x, normalized, *affine), {"eps": draw(_EPS)}, (0, *(i + 2 for i in range(2) if affine[i] is not None)))


@st.composite
def _rms_rows(draw: Any) -> Case:
    case = draw(_rows(True, False))
    return Case(case.args[:3], case.kwargs, case.wrt)


def _normal(x: Any, normalized_shape: Any, centred: bool, eps: float) -> Any:
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
    rows = np.reshape(x, (-1, math.prod(shape))) if x.size else np.zeros((0, 1), x.dtype)
    mean = np.sum(rows, axis=1, keepdims=True) / rows.shape[1] * centred
    square = np.sum((rows - mean) ** 2, axis=1, keepdims=True) / rows.shape[1]
    return np.reshape((rows - mean) / np.sqrt(square + eps), x.shape)


def _layer_norm(x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    out = _normal(x, normalized_shape, True, eps)
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def _rms_norm(x: Any, normalized_shape: Any, weight: Any, eps: float) -> Any:
    return _normal(x, normalized_shape, False, eps) * weight


@st.composite
def _channels(draw: Any, training: bool, affine: bool = True) -> Case:
    """x (N, C) to (N, C, H, W); in training more than one value a channel, or none at all."""
    shape = draw(shapes(min_dims=2, max_dims=4, max_side=3))
    if training and shape[0] * math.prod(shape[2:]) == 1:
        shape = (2, *shape[1:])
    channels = shape[1:2]
    stats = (None, None) if training else (draw(arrays(channels)), draw(arrays(channels, 0.3, 2.0)))
    pair = (draw(arrays(channels)), draw(arrays(channels))) if affine else (None, None)
    return Case((draw(arrays(shape)), *stats, *pair, training), {"eps": draw(_EPS)}, (0, 3, 4) if affine else (0,))


def _batch_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool, eps: float) -> Any:
    """Channel by channel."""
    out = np.zeros(x.shape, np.result_type(x, *(a for a in (weight, bias) if a is not None)))
    for c in range(x.shape[1] if x.size else 0):
        values = x[:, c]
        m = np.sum(values) / values.size if training else mean[c]
        v = np.sum((values - m) ** 2) / values.size if training else var[c]
        normal = (values - m) / np.sqrt(v + eps)
        out[:, c] = normal if weight is None else normal * weight[c] + bias[c]
    return out


@st.composite
def _groups(draw: Any, affine: bool) -> Case:
    """x (N, C) to (N, C, H, W), in groups of more than one element."""
    groups, each = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    shape = draw(shapes(min_dims=2, max_dims=4, max_side=3))
    shape = (shape[0], groups * each, *shape[2:])
    if each * math.prod(shape[2:]) == 1:
        shape = (shape[0], 2 * groups, *shape[2:])
    pair = (draw(arrays(shape[1:2])), draw(arrays(shape[1:2]))) if affine else (None, None)
    return Case((draw(arrays(shape)), groups, *pair), {"eps": draw(_EPS)}, (0, 2, 3) if affine else (0,))


def _group_norm(x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """Group by group of each sample."""
    out = np.zeros(x.shape, np.result_type(x, *(a for a in (weight, bias) if a is not None)))
    each = x.shape[1] // groups
    for n in range(len(x) if x.size else 0):
        for first in range(0, x.shape[1], each):
            values = x[n, first:first + each]
            m = np.sum(values) / values.size
            out[n, first:first + each] = (values - m) / np.sqrt(np.sum((values - m) ** 2) / values.size + eps)
    along = (-1,) + (1,) * (x.ndim - 2)
    return out if weight is None else out * weight.reshape(along) + bias.reshape(along)


OPS = [
    Op("layer_norm", ops.layer_norm, _layer_norm, _rows(True, True), order=3, linear=(3,)),
    Op("layer_norm[weight]", ops.layer_norm, _layer_norm, _rows(True, False), order=3, linear=(2,)),
    Op("layer_norm[plain]", ops.layer_norm, _layer_norm, _rows(False, False), order=3),
    Op("rms_norm", ops.rms_norm, _rms_norm, _rms_rows(), order=3, linear=(2,)),
    Op("group_norm", ops.group_norm, _group_norm, _groups(True), order=3, linear=(3,)),
    Op("group_norm[plain]", ops.group_norm, _group_norm, _groups(False), order=3),
    Op("batch_norm", ops.batch_norm, _batch_norm, _channels(False), order=3, linear=(3, 4)),
    Op("batch_norm[training]", ops.batch_norm, _batch_norm, _channels(True), order=3, linear=(4,)),
    Op("batch_norm[training, plain]", ops.batch_norm, _batch_norm, _channels(True, affine=False), order=3),
]
