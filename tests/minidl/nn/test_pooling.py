"""Pooling layers are the functions of `minidl.ops` with PyTorch's arguments; flattening."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.nn import pooling
from minidl.ops import pool
from minidl.testing.strategies import shapes

PLANES = np.random.default_rng(0).normal(size=(2, 3, 7, 6))
LINES = PLANES[..., 0]

CASES = [
    (pooling.MaxPool1d(3, 2, 1), LINES, lambda: pool.max_pool1d(LINES, 3, 2, 1),
     "MaxPool1d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)"),
    (pooling.MaxPool2d(2), PLANES, lambda: pool.max_pool2d(PLANES, 2),
     "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"),
    (pooling.MaxPool2d((3, 2), 2, (1, 0), (2, 1), ceil_mode=True), PLANES,
     lambda: pool.max_pool2d(PLANES, (3, 2), 2, (1, 0), (2, 1), True),
     "MaxPool2d(kernel_size=(3, 2), stride=2, padding=(1, 0), dilation=(2, 1), ceil_mode=True)"),
    (pooling.AvgPool1d(3, 2, 1, True, False), LINES, lambda: pool.avg_pool1d(LINES, 3, 2, 1, True, False),
     "AvgPool1d(kernel_size=3, stride=2, padding=1)"),
    (pooling.AvgPool2d(3, 2, 1, True, False), PLANES, lambda: pool.avg_pool2d(PLANES, 3, 2, 1, True, False),
     "AvgPool2d(kernel_size=3, stride=2, padding=1)"),
    (pooling.AvgPool2d(2, divisor_override=3), PLANES, lambda: pool.avg_pool2d(PLANES, 2, divisor_override=3),
     "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
    (pooling.AdaptiveAvgPool1d(2), LINES, lambda: pool.adaptive_avg_pool1d(LINES, 2),
     "AdaptiveAvgPool1d(output_size=2)"),
    (pooling.AdaptiveAvgPool2d((3, None)), PLANES, lambda: pool.adaptive_avg_pool2d(PLANES, (3, None)),
     "AdaptiveAvgPool2d(output_size=(3, None))"),
    (pooling.AdaptiveMaxPool1d(2), LINES, lambda: pool.adaptive_max_pool1d(LINES, 2),
     "AdaptiveMaxPool1d(output_size=2)"),
    (pooling.AdaptiveMaxPool2d(1), PLANES, lambda: pool.adaptive_max_pool2d(PLANES, 1),
     "AdaptiveMaxPool2d(output_size=1)"),
]


@pytest.mark.parametrize(("layer", "x", "wanted", "shown"), CASES, ids=[case[3] for case in CASES])
def test_a_layer_is_its_function(layer: Any, x: Any, wanted: Any, shown: str) -> None:
    assert repr(layer) == shown
    expected = wanted()
    assert np.array_equal(layer(x), expected)
    out = layer(minidl.tensor(x, requires_grad=True))
    assert isinstance(out, minidl.Tensor)
    assert np.array_equal(out.data, expected)
    assert not list(layer.parameters())
    assert not layer.state_dict()


@pytest.mark.parametrize(("layer", "wanted"), [
    (pooling.MaxPool1d(2, return_indices=True), lambda: pool.max_pool1d(LINES, 2, return_indices=True)),
    (pooling.AdaptiveMaxPool1d(2, return_indices=True),
     lambda: pool.adaptive_max_pool1d(LINES, 2, return_indices=True))])
def test_layers_return_indices(layer: Any, wanted: Any) -> None:
    out, places = layer(LINES)
    expected, at = wanted()
    assert np.array_equal(out, expected)
    assert np.array_equal(places, at)


@pytest.mark.parametrize(("layer", "names"), [
    ("MaxPool1d", "kernel_size stride padding dilation return_indices ceil_mode"),
    ("MaxPool2d", "kernel_size stride padding dilation return_indices ceil_mode"),
    ("AvgPool1d", "kernel_size stride padding ceil_mode count_include_pad"),
    ("AvgPool2d", "kernel_size stride padding ceil_mode count_include_pad divisor_override"),
    ("AdaptiveAvgPool1d", "output_size"), ("AdaptiveAvgPool2d", "output_size"),
    ("AdaptiveMaxPool1d", "output_size return_indices"), ("AdaptiveMaxPool2d", "output_size return_indices"),
    ("Flatten", "start_dim end_dim")])
def test_arguments_are_those_of_torch_in_their_order(layer: str, names: str) -> None:
    assert list(inspect.signature(getattr(pooling, layer)).parameters) == names.split()


# ------------------------------------------------------------------------------------------ flattening

@given(shapes(min_dims=1, max_dims=4), st.data())
def test_flatten_joins_the_axes_from_first_to_last(shape: Any, data: Any) -> None:
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(float)
    wanted = x.reshape(shape[:start] + (int(np.prod(shape[start:end + 1])),) + shape[end + 1:])
    for back in (0, len(shape)):
        out = pooling.Flatten(start - back, end - back)(x)
        assert out.shape == wanted.shape
        assert np.array_equal(out, wanted)
    leaf = minidl.tensor(x, requires_grad=True)
    pooling.Flatten(start, end)(leaf).sum().backward()
    assert leaf.grad.shape == shape


def test_flatten_by_default_keeps_the_batch() -> None:
    assert pooling.Flatten()(np.ones((2, 3, 4))).shape == (2, 12)
    assert pooling.Flatten()(np.ones((0, 3, 4))).shape == (0, 12)
    assert pooling.Flatten(0)(np.array(3.0)).shape == (1,)
    assert repr(pooling.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"


@pytest.mark.parametrize(("dims", "shape", "error", "says"), [
    ((1, -1), (3,), IndexError, r"start_dim=1 or end_dim=-1 is out of range for x of shape \(3,\)"),
    ((0, 3), (2, 2), IndexError, "end_dim=3 is out of range"),
    ((2, 1), (2, 2, 2), ValueError, "start_dim=2 comes after end_dim=1")])
def test_flatten_refuses_axes_that_are_not_there(dims: Any, shape: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        pooling.Flatten(*dims)(np.ones(shape))
