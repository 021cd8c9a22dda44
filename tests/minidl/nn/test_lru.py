"""The linear recurrent unit: the formula in complex numbers, its initial values, one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import nn


def looped(layer: nn.LRU, x: np.ndarray) -> np.ndarray:
    """The paper's formula, step after step."""
    n = layer.hidden_size
    nu, theta, gamma, weight_in, bias_in, weight_out, bias_out = (
        p.data for p in (layer.nu, layer.theta, layer.gamma, layer.weight_in, layer.bias_in, layer.weight_out,
                         layer.bias_out))
    factors = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    b, c = weight_in[:n] + 1j * weight_in[n:], weight_out[:, :n] - 1j * weight_out[:, n:]
    h, outputs = np.zeros(n, complex), []
    for step in x:
        h = factors * h + np.exp(gamma) * (b @ step + bias_in[:n] + 1j * bias_in[n:])
        outputs.append((c @ h).real + bias_out)
    return np.array(outputs).reshape(x.shape)


@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 5), st.integers(1, 9))
def test_outputs_are_those_of_the_formula(seed: int, steps: int, inputs: int, states: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, steps, inputs))
    for dtype, within in ((np.float64, 1e-11), (np.float32, 1e-5)):
        layer = nn.LRU(inputs, states, dtype=dtype, generator=np.random.default_rng(seed))
        y, _ = layer(x.astype(dtype))
        assert y.dtype == dtype
        expected = np.stack([looped(layer.to(np.float64), sample.astype(dtype)) for sample in x])
        np.testing.assert_allclose(y.data, expected, atol=within * max(1, np.abs(expected).max()))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_one_step_at_a_time_is_all_at_once(seed: int, steps: int) -> None:
    layer = nn.LRU(4, 6, generator=np.random.default_rng(seed))
    x = np.random.default_rng(seed).normal(size=(3, steps, 4)).astype(np.float32)
    whole, final = layer(x)
    state = None
    for t in range(steps):
        y, state = layer(x[:, t:t + 1], state)
        np.testing.assert_allclose(y.data[:, 0], whole.data[:, t], atol=1e-5)
    np.testing.assert_allclose(state.data, final.data, atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.99), (0.8, 0.99), (0.5, 0.5), (0.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_factors_start_on_the_ring(low: float, high: float, dtype: type) -> None:
    layer = nn.LRU(3, 400, r_min=low, r_max=high, dtype=dtype, generator=np.random.default_rng(0))
    factors = layer.factors().data
    radius = np.hypot(factors[:400], factors[400:])
    assert radius.min() >= low - 1e-6
    assert radius.max() <= high + 1e-6
    np.testing.assert_allclose(np.exp(layer.gamma.data), np.sqrt(1 - radius**2), rtol=1e-3)
    if low < high:  # evenly over the ring's area
        assert np.quantile(radius**2, 0.5) == pytest.approx((low**2 + high**2) / 2, abs=0.06)
        assert abs((factors[:400] / radius).mean()) < 0.1
    assert all(np.isfinite(p.data).all() for p in layer.parameters())


def test_initial_values_follow_the_seed() -> None:
    first, second, third = (nn.LRU(30, 100, generator=np.random.default_rng(seed)) for seed in (1, 1, 2))
    for p, q, r in zip(first.parameters(), second.parameters(), third.parameters(), strict=True):
        assert np.array_equal(p.data, q.data)
        assert not np.array_equal(p.data, r.data)


def test_without_steps_the_state_stays() -> None:
    layer = nn.LRU(2, 3)
    state = np.arange(6, dtype=np.float32)
    y, after = layer(np.zeros((0, 2), np.float32), state)
    assert y.shape == (0, 2)
    np.testing.assert_array_equal(after.data, state)
    assert not layer(np.zeros((0, 2), np.float32))[1].data.any()


def test_it_learns_to_remember() -> None:
    rng = np.random.default_rng(0)
    layer = nn.LRU(1, 8, generator=rng)
    optimizer = minidl.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(300):
        x = rng.normal(size=(32, 12, 1)).astype(np.float32)
        loss = nn.functional.mse_loss(layer(x)[0][:, 3:], x[:, :-3])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.data) < 0.1  # what came three steps ago; without a memory it is 1


@pytest.mark.parametrize("radii", [{"r_min": -0.1}, {"r_max": 1.0}, {"r_min": 0.9, "r_max": 0.5}])
def test_radii_are_checked(radii: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="r_min"):
        nn.LRU(2, 3, **radii)


def test_what_it_says() -> None:
    assert repr(nn.LRU(2, 3)) == "LRU(2, 3)"
    assert repr(nn.LRU(2, 3, r_min=0.5)) == "LRU(2, 3, r_min=0.5)"
