"""What noise is worth: the epsilon of a mechanism, and the noise for an epsilon.

The mechanism adds Gaussian noise, of `noise` times the most that one unit (an example, or all examples of a person) may
change a sum, and may do so `steps` times, each with the units drawn anew, each with probability `rate` (Poisson
sampling). Two data sets are neighbours if one has one unit more.

Source: Mironov 2017, "Renyi differential privacy", proposition 7; Mironov, Talwar, Zhang 2019, "Renyi differential
privacy of the sampled Gaussian mechanism", section 3.3; Balle et al. 2020, "Hypothesis testing interpretations and
Renyi differential privacy", theorem 21 (the conversion); Balle, Wang 2018, "Improving the Gaussian mechanism for
differential privacy", theorem 8 (`gaussian_delta`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["ORDERS", "epsilon", "epsilon_of_rdp", "gaussian_delta", "gaussian_epsilon", "noise_for", "rdp"]

ORDERS: tuple[float, ...] = (*(k / 10 for k in range(11, 110)), *(float(k) for k in range(12, 64)))
"""Renyi orders that are looked at: 1.1 to 10.9, 12 to 63."""

_POINTS, _WIDTH = 12, 12  # of a quadrature: points a standard deviation, and standard deviations at each end
_TOLERANCE = 1e-7  # relative, of what is found by bisection


def rdp(noise: float, *, rate: float = 1.0, steps: int = 1, orders: Sequence[float] = ORDERS) -> np.ndarray:
    """Renyi divergence of the sampled Gaussian mechanism, of each order.

    `order / (2 noise^2)` a step without sampling. With it, for a whole order a,
    `1 / (a - 1) log sum_i C(a, i) (1 - rate)^(a - i) rate^i exp((i^2 - i) / (2 noise^2))`, and for others the integral
    that this sum is, by quadrature.

    Parameters
    ----------
    noise : float
        Standard deviation, divided by what one unit may change at most.
    rate : float
        Probability with which a unit takes part in a step, above 0, up to 1.
    steps : int
    orders : sequence of float
        Above 1.

    Returns
    -------
    ndarray, float64, shape (len(orders),)
        Infinite without noise.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> rdp(2.5, rate=0.01, steps=50, orders=[1.5, 5]).round(9)
    array([0.00065007, 0.00218076])
    """
    _check(noise=noise, rate=rate, steps=steps)
    if any(order <= 1 for order in orders):
        raise ValueError(f"rdp: orders={list(orders)} have to be above 1")
    if noise == 0:
        return np.full(len(orders), math.inf)
    if rate == 1:
        return steps * np.asarray(orders, np.float64) / (2 * noise**2)
    a = np.asarray(orders, np.float64)
    whole = a == np.floor(a)
    moments = np.empty(len(a))
    moments[whole] = [_whole(rate, noise, order) for order in a[whole]]
    moments[~whole] = _broken(rate, noise, a[~whole])
    return steps * moments / (a - 1)


def epsilon_of_rdp(divergences: np.ndarray, delta: float, orders: Sequence[float] = ORDERS) -> float:
    """`divergence - (log delta + log a) / (a - 1) + log((a - 1) / a)`, the least over the orders a, and not negative.

    Parameters
    ----------
    divergences : ndarray, shape (len(orders),)
        Those of mechanisms that are run one after the other add up.
    delta : float
    orders : sequence of float

    Examples
    --------
    >>> float(epsilon_of_rdp(rdp(1.5, rate=0.04, steps=2250), 1e-5).round(6))
    7.329111
    """
    _check(delta=delta)
    a = np.asarray(orders, np.float64)
    found = divergences - (math.log(delta) + np.log(a)) / (a - 1) + np.log((a - 1) / a)
    return np.maximum(np.min(found), 0.0)


def gaussian_delta(noise: float, epsilon: float) -> float:
    """The least delta of a Gaussian mechanism without sampling: `F(1/2s - es) - e^e F(-1/2s - es)`, F the normal
    distribution, e the epsilon and s the noise.

    k steps with noise s are one with `s / sqrt(k)`.

    Examples
    --------
    >>> round(gaussian_delta(1.0, 1.0), 6)
    0.126937
    """
    _check(noise=noise, epsilon=epsilon)
    if noise == 0:
        return 1.0
    half, far = 0.5 / noise, epsilon * noise
    return max(_normal(half - far) - math.exp(epsilon + _log_normal(-half - far)), 0.0)


def gaussian_epsilon(noise: float, delta: float) -> float:
    """The least epsilon of a Gaussian mechanism without sampling, from `gaussian_delta`; infinite without noise."""
    _check(noise=noise, delta=delta)
    if noise == 0:
        return math.inf
    return _least(lambda epsilon: gaussian_delta(noise, epsilon) <= delta)


def epsilon(noise: float, delta: float, *, rate: float = 1.0, steps: int = 1) -> float:
    """The epsilon of a mechanism: exact without sampling, by Renyi divergences with it.

    Parameters
    ----------
    noise : float
        Standard deviation, divided by what one unit may change at most.
    delta : float
        From 0 to 1, both excluded; below 1 / (number of units), or it allows that one of them is published.
    rate : float
    steps : int

    Returns
    -------
    float
        Infinite without noise.

    Examples
    --------
    >>> round(epsilon(1.5, 1e-5, rate=0.04, steps=2250), 6), round(epsilon(4.0, 1e-6), 4)
    (7.329111, 1.0607)
    """
    _check(noise=noise, delta=delta, rate=rate, steps=steps)
    if rate == 1 or noise == 0:
        return gaussian_epsilon(noise / math.sqrt(steps), delta)
    return float(epsilon_of_rdp(rdp(noise, rate=rate, steps=steps), delta))


def noise_for(wanted: float, delta: float, *, rate: float = 1.0, steps: int = 1) -> float:
    """The least noise with which `epsilon` is at most as wanted.

    Parameters
    ----------
    wanted : float
        An epsilon, above 0.
    delta, rate, steps
        As of `epsilon`.

    Raises
    ------
    ValueError
        No noise is enough: the orders looked at cannot show an epsilon that small.

    Examples
    --------
    >>> round(noise_for(8.0, 1e-5, rate=0.04, steps=2250), 3)
    1.416
    """
    if not 0 < wanted < math.inf:
        raise ValueError(f"noise_for: epsilon={wanted} has to be above 0 and finite")
    found = _least(lambda noise: noise > 0 and epsilon(noise, delta, rate=rate, steps=steps) <= wanted)
    if math.isinf(found):
        raise ValueError(f"noise_for: no noise gives epsilon={wanted} with delta={delta}; ask for a larger one")
    return found


# ----------------------------------------------------------------------------------------------- machinery

def _check(**given: float) -> None:
    bounds: dict[str, tuple[Callable[[float], bool], str]] = {
        "noise": (lambda x: 0 <= x < math.inf, "0 or more, and finite"),
        "epsilon": (lambda x: 0 <= x < math.inf, "0 or more, and finite"),
        "delta": (lambda x: 0 < x < 1, "between 0 and 1"),
        "rate": (lambda x: 0 < x <= 1, "above 0 and at most 1: it is the probability that a unit takes part in a step"),
        "steps": (lambda x: x >= 1 and x == int(x), "a whole number of 1 or more")}
    for name, value in given.items():
        fits, says = bounds[name]
        if not fits(value):
            raise ValueError(f"privacy: {name}={value} has to be {says}")


def _least(enough: Callable[[float], bool]) -> float:
    """The least number, of 0 and more, that is enough, to seven digits; infinite if a million is not."""
    high = 1.0
    while not enough(high):
        high *= 2
        if high > 2**20:
            return math.inf
    low = 0.0
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _whole(q: float, noise: float, order: float) -> float:
    """Logarithm of the moment of a whole order."""
    i = np.arange(int(order) + 1)
    log_binomial = np.concatenate([[0.0], np.cumsum(np.log(order - i[:-1]) - np.log(i[:-1] + 1))])
    terms = log_binomial + (order - i) * math.log1p(-q) + i * math.log(q) + (i * i - i) / (2 * noise**2)
    return float(np.logaddexp.reduce(terms))


def _broken(q: float, noise: float, orders: np.ndarray) -> np.ndarray:
    """Logarithms of the moments of orders that are not whole, `E[(1 - q + q e^((2 x - 1) / (2 noise^2)))^a]` over
    normal x of mean 0: by the trapezoidal rule, whose error for such a function falls exponentially with the step.
    """
    step = noise * min(noise, 1.0) / _POINTS
    x = np.arange(-_WIDTH * noise, orders.max(initial=1.0) + _WIDTH * noise, step)
    ratio = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * noise**2))
    density = -x * x / (2 * noise**2) + math.log(step / (noise * math.sqrt(2 * math.pi)))
    return np.array([np.logaddexp.reduce(a * ratio + density) for a in orders])


def _normal(x: float) -> float:
    """The distribution function of a normal variable."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _log_normal(x: float) -> float:
    """Its logarithm, which does not vanish far below 0."""
    if x > -30:
        return math.log(_normal(x))
    inverse = 1 / (x * x)
    series = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse * (1 - 7 * inverse)))
    return -x * x / 2 - math.log(-x) - 0.5 * math.log(2 * math.pi) + math.log(series)
