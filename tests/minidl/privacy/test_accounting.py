"""The accountant: published values, integrals by other means, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.privacy import ORDERS, epsilon, epsilon_of_rdp, gaussian_delta, gaussian_epsilon, noise_for, rdp


def test_epsilon_as_opacus_has_published_it() -> None:
    assert epsilon(1.5, 1e-5, rate=0.04, steps=2250) == pytest.approx(7.32911117143, rel=1e-9)
    whole = range(2, 64)
    found = epsilon_of_rdp(rdp(1.5, rate=0.04, steps=2250, orders=whole), 1e-5, whole)
    assert found == pytest.approx(7.32988, abs=5e-6)


def test_noise_as_opacus_has_published_it() -> None:  # found there to within 0.01 of epsilon
    assert noise_for(8.0, 1e-5, rate=0.04, steps=2250) == pytest.approx(1.416, abs=5e-4)
    assert noise_for(8.0, 1e-5, rate=0.04, steps=2000) == pytest.approx(1.3562, abs=1e-4)


def test_divergences_of_whole_orders_as_dp_accounting_has_published_them() -> None:
    found = rdp(2.5, rate=0.01, steps=50, orders=[5, 50, 100])
    np.testing.assert_allclose(found, [2.18075656e-3, 2.38460375e-2, 167.416308], rtol=5e-9)


def test_divergences_of_broken_orders_are_those_that_tensorflow_privacy_has_published() -> None:
    np.testing.assert_allclose(rdp(2.5, rate=0.01, steps=50, orders=[1.5, 2.5]), [6.5007e-4, 1.0854e-3], rtol=5e-5)


def series(q: float, noise: float, order: float, sign: bool) -> float:
    """The moment by the two series of Mironov, Talwar and Zhang, or from above by the magnitudes of their terms."""
    middle, total, binomial = noise**2 * math.log(1 / q - 1) + 0.5, 0.0, 1.0
    for i in range(60):
        j = order - i
        near = q**i * (1 - q)**j * math.exp((i * i - i) / (2 * noise**2)) * math.erfc(
            (i - middle) / (math.sqrt(2) * noise)) / 2
        far = (1 - q)**i * q**j * math.exp((j * j - j) / (2 * noise**2)) * math.erfc(
            (middle - j) / (math.sqrt(2) * noise)) / 2
        total += (binomial if sign else abs(binomial)) * (near + far)
        binomial *= j / (i + 1)
    return math.log(total) / (order - 1)


def test_what_dp_accounting_has_published_of_broken_orders_is_a_bound_by_magnitudes() -> None:
    published = [6.70579741e-4, 1.08548710e-3]
    bound = [50 * series(0.01, 2.5, order, sign=False) for order in (1.5, 2.5)]
    np.testing.assert_allclose(bound, published, rtol=5e-9)
    exact = [50 * series(0.01, 2.5, order, sign=True) for order in (1.5, 2.5)]
    np.testing.assert_allclose(rdp(2.5, rate=0.01, steps=50, orders=[1.5, 2.5]), exact, rtol=1e-7)


def test_without_sampling_the_conversion_gives_the_published_epsilon() -> None:
    assert epsilon_of_rdp(rdp(4.530877117), 1e-6) == pytest.approx(1.0000003, abs=5e-8)


RATES, NOISES = st.floats(0.001, 0.99), st.floats(0.3, 20)


@given(rate=RATES, noise=NOISES, order=st.integers(2, 40))
def test_orders_that_are_nearly_whole_agree_with_whole_ones(rate: float, noise: float, order: int) -> None:
    near, at = rdp(noise, rate=rate, orders=[order + 1e-9, order])
    assert near == pytest.approx(at, rel=1e-6, abs=1e-12)


@given(rate=RATES, noise=NOISES, steps=st.integers(1, 1000))
def test_sampling_and_noise_protect_and_steps_cost(rate: float, noise: float, steps: int) -> None:
    here = rdp(noise, rate=rate, steps=steps)
    slack = 1e-9 * here + 1e-12
    assert (here >= 0).all()
    assert (np.diff(here) >= -slack[1:]).all()  # larger with the order
    assert (here <= rdp(noise, steps=steps) + slack).all()
    assert (rdp(noise * 1.1, rate=rate, steps=steps) <= here + slack).all()
    assert (rdp(noise, rate=min(rate * 1.1, 1), steps=steps) >= here - slack).all()
    np.testing.assert_allclose(rdp(noise, rate=rate, steps=2 * steps), 2 * here)


@given(noise=NOISES, delta=st.floats(1e-9, 0.1))
def test_exact_epsilon_of_a_gaussian_is_below_that_by_renyi(noise: float, delta: float) -> None:
    exact = gaussian_epsilon(noise, delta)
    assert exact <= epsilon_of_rdp(rdp(noise), delta) * (1 + 1e-6) + 1e-9
    assert gaussian_delta(noise, exact) <= delta


@given(wanted=st.floats(0.2, 20), rate=st.sampled_from([1.0, 0.3, 0.01]), steps=st.integers(1, 300))
def test_noise_for_epsilon_is_enough_and_hardly_more(wanted: float, rate: float, steps: int) -> None:
    noise = noise_for(wanted, 1e-5, rate=rate, steps=steps)
    assert epsilon(noise, 1e-5, rate=rate, steps=steps) <= wanted
    assert epsilon(noise * 0.999, 1e-5, rate=rate, steps=steps) > wanted


def test_delta_of_a_gaussian_by_counting_outcomes() -> None:
    x = np.linspace(-40, 40, 800001)
    here, there = (np.exp(-(x - c) ** 2 / (2 * 1.7**2)) / (1.7 * math.sqrt(2 * math.pi)) for c in (1.0, 0.0))
    found = np.maximum(here - math.exp(0.8) * there, 0).sum() * (x[1] - x[0])
    assert gaussian_delta(1.7, 0.8) == pytest.approx(found, rel=1e-6)


def test_without_noise_nothing_is_private() -> None:
    assert epsilon(0.0, 1e-5) == epsilon(0.0, 1e-5, rate=0.1, steps=3) == gaussian_epsilon(0.0, 1e-5) == math.inf
    assert gaussian_delta(0.0, 3.0) == 1
    assert np.isinf(rdp(0.0)).all()
    assert len(ORDERS) == 151


@pytest.mark.parametrize(("call", "says"), [
    (lambda: epsilon(1.0, 1e-5, rate=1.5), "rate=1.5 has to be above 0 and at most 1"),
    (lambda: epsilon(1.0, 1e-5, rate=0.0), "rate=0.0"), (lambda: epsilon(1.0, 2.0), "delta=2.0"),
    (lambda: epsilon(-1.0, 1e-5), "noise=-1.0"), (lambda: rdp(1.0, steps=0), "steps=0"),
    (lambda: rdp(1.0, orders=[1.0]), "have to be above 1"), (lambda: gaussian_delta(1.0, -1.0), "epsilon=-1.0"),
    (lambda: noise_for(0.0, 1e-5), "epsilon=0.0 has to be above 0"),
    (lambda: noise_for(1e-4, 1e-9, rate=0.5, steps=10), "no noise gives epsilon=0.0001"),
])
def test_what_makes_no_sense_is_said(call, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()
