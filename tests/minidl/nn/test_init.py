"""Initialisation: bounds and deviations as documented, in place, repeatable."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minidl import ShapeError, nn
from minidl.nn import init

OUT, IN, KERNEL = 60, 40, 9
FAN_IN, FAN_OUT = IN * KERNEL, OUT * KERNEL
XAVIER = math.sqrt(2 / (FAN_IN + FAN_OUT))
CASES = [  # fill, mean, standard deviation, greatest magnitude
    (lambda w, g: init.uniform_(w, -1, 3, generator=g), 1, 4 / math.sqrt(12), 3),
    (lambda w, g: init.normal_(w, 2, 0.5, generator=g), 2, 0.5, None),
    (lambda w, g: init.xavier_uniform_(w, 2.0, generator=g), 0, 2 * XAVIER, 2 * XAVIER * math.sqrt(3)),
    (lambda w, g: init.xavier_normal_(w, generator=g), 0, XAVIER, None),
    (lambda w, g: init.kaiming_uniform_(w, nonlinearity="relu", generator=g), 0, math.sqrt(2 / FAN_IN),
     math.sqrt(6 / FAN_IN)),
    (lambda w, g: init.kaiming_uniform_(w, a=math.sqrt(5), generator=g), 0, math.sqrt(1 / 3 / FAN_IN),
     math.sqrt(1 / FAN_IN)),
    (lambda w, g: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh", generator=g), 0,
     5 / 3 / math.sqrt(FAN_OUT), None),
]


@pytest.mark.parametrize(("fill", "mean", "deviation", "bound"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_have_the_documented_distribution(fill: Any, mean: float, deviation: float, bound: float | None,
                                                dtype: Any) -> None:
    w = nn.Parameter(np.empty((OUT, IN, 3, 3), dtype))
    data = w.data
    assert fill(w, np.random.default_rng(0)) is w
    assert w.data is data
    assert data.dtype == dtype
    assert abs(data.mean() - mean) < 6 * deviation / math.sqrt(data.size)
    assert abs(data.std() / deviation - 1) < 0.02
    if bound is not None:
        assert 0.99 * bound < np.abs(data).max() <= bound * (1 + 1e-6)
    before = data.copy()
    fill(w, np.random.default_rng(0))
    assert np.array_equal(before, data)


def test_constants() -> None:
    w = nn.Parameter([1.0, 2.0])
    assert init.constant_(w, 3).data.tolist() == [3, 3]
    assert init.zeros_(w).data.tolist() == [0, 0]
    assert init.ones_(w).data.tolist() == [1, 1]


@pytest.mark.parametrize(("name", "param", "gain"), [
    ("linear", None, 1), ("sigmoid", None, 1), ("conv2d", None, 1), ("tanh", None, 5 / 3), ("relu", None, 2**0.5),
    ("leaky_relu", None, (2 / 1.0001) ** 0.5), ("leaky_relu", 1.0, 1), ("selu", None, 0.75)])
def test_gains(name: str, param: float | None, gain: float) -> None:
    assert init.calculate_gain(name, param) == pytest.approx(gain)


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"shape \(3,\) has no fan"):
        init.xavier_normal_(nn.Parameter(np.ones(3)))
    with pytest.raises(ValueError, match="nonlinearity='step'"):
        init.calculate_gain("step")
    with pytest.raises(ValueError, match="mode='fan'"):
        init.kaiming_normal_(nn.Parameter(np.ones((3, 3))), mode="fan")
