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


def truncated(a: float, b: float) -> tuple[float, float]:
    """Mean and standard deviation of a standard normal in [a, b], by sums over a fine grid."""
    x = np.linspace(a, b, 100_001)
    p = np.exp((a * a - x * x) / 2)
    mean = (x * p).sum() / p.sum()
    return float(mean), math.sqrt(float(((x - mean) ** 2 * p).sum() / p.sum()))


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
    (lambda w, g: init.trunc_normal_(w, std=0.5, a=-1, b=1, generator=g), 0, 0.5 * truncated(-2, 2)[1], 1),
    (lambda w, g: init.trunc_normal_(w, 1.0, 0.1, 1.0, math.inf, g), 1 + 0.1 * truncated(0, 9)[0],
     0.1 * truncated(0, 9)[1], None),
    (lambda w, g: init.trunc_normal_(w, a=6, b=7, generator=g), truncated(6, 7)[0], truncated(6, 7)[1], None),
    (lambda w, g: init.trunc_normal_(w, a=-math.inf, b=math.inf, generator=g), 0, 1, None),
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


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (0.3, 0.31), (5.0, 6.0), (-300.0, -299.0)])
def test_truncated_draws_stay_within_their_bounds(a: float, b: float) -> None:
    w = init.trunc_normal_(nn.Parameter(np.empty(3000, np.float32)), a=a, b=b, generator=np.random.default_rng(0))
    assert np.float32(a) <= w.data.min() < w.data.max() <= np.float32(b)
    with pytest.raises(ValueError, match="trunc_normal_: "):
        init.trunc_normal_(w, a=b, b=a)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (4, 2, 3), (2, 0)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = init.orthogonal_(nn.Parameter(np.empty(shape, np.float64)), 2.0, np.random.default_rng(0))
    m = w.data.reshape(shape[0], -1)
    product = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    with pytest.raises(ShapeError, match="orthogonal_"):
        init.orthogonal_(nn.Parameter([1.0]))


def test_orthogonal_matrices_are_as_likely_one_way_as_the_other() -> None:
    rng = np.random.default_rng(0)
    signs = [np.sign(init.orthogonal_(nn.Parameter(np.empty((2, 2))), generator=rng).data) for _ in range(400)]
    assert np.abs(np.mean(signs, axis=0)).max() < 0.2


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
