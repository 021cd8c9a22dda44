"""Intervals for those who peek: they hold at all times at once, so an experiment may be looked at whenever one likes.

The unit is the person: people are assigned, and what one person does is of one piece. Values lie in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from recsys.checks import Check, whole
from recsys.errors import DataError

__all__ = ["BURN_IN", "Interval", "Moments", "betting_sequence", "confidence_sequence", "difference_sequence"]

BURN_IN = 100  # people, of each variant, before an interval says anything
TIGHTEST = 5000  # people at which it is tightest; before, it is wide, which is what protects small samples
LEVEL = Check(lambda value: isinstance(value, float) and 0 < value < 1, "a number between 0 and 1")
_BLOCK = 1024  # people whose bets are computed at a time
_MOST = 0.5  # share of the capital, at most, that a bet may lose


class Interval(NamedTuple):
    """Lower and upper limit: numbers, or arrays of one shape."""

    low: Any
    high: Any


class Moments(NamedTuple):
    """What an interval needs to know of the values of n people: their sum, the sum of their squares, and n.

    Numbers, or arrays of one shape, one entry a sample.
    """

    total: Any
    squares: Any
    n: Any

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Of values (n,) in [0, 1].

        >>> Moments.of([0, 1, 0.5])
        Moments(total=1.5, squares=1.25, n=3)
        """
        given = _values(values)
        return cls(float(given.sum()), float(given @ given), len(given))

    @property
    def mean(self) -> Any:
        """Sum over n; NaN of nobody."""
        with np.errstate(invalid="ignore"):
            return np.divide(self.total, self.n)

    @property
    def worth(self) -> Any:
        """How many values of only 0 and 1 would make the mean as precise: `mean (1 - mean) / (squared error)`.

        Of the values and one 0 and one 1 more: of a hundred people without a click, the error is not 0.
        """
        n = np.asarray(self.n, float) + 2
        mean = (self.total + 1) / n
        return mean * (1 - mean) * (n - 1) / (np.asarray(self.squares + 1) / n - mean**2)


def confidence_sequence(total: Any, squares: Any, n: Any, alpha: float = 0.05) -> Interval:
    """An interval for a mean that holds at all n at once, n from `BURN_IN` on.

    The means m in [0, 1] with `(mean - m)^2 <= (1 + 1 / t) (2 log(1 / alpha) + log(1 + t)) m (1 - m) / worth`, where
    `t = n rho^2` and `m (1 - m) / worth` is the squared error that the estimate would have, were m the mean. With
    `rho^2 = (-2 log alpha + log(1 - 2 log alpha)) / 5000` it is tightest at 5,000 people, 1.5 times as wide as an
    interval that may be looked at once; at 100 people 3.4 times, at a million 1.9 times.

    Parameters
    ----------
    total, squares, n : float or array
        As in `Moments`: `confidence_sequence(*Moments.of(values))`. One value a person; in [0, 1].
    alpha : float
        Probability, at most, that the interval ever leaves out the mean.

    Returns
    -------
    Interval
        Below `BURN_IN` people it is [0, 1].

    Raises
    ------
    ParameterError
        alpha is not between 0 and 1.
    DataError
        There are no such values: n is negative, or sums do not belong to values in [0, 1].

    Notes
    -----
    Asymptotic: it holds as n grows, whatever the distribution. Watched after every person up to the 20,000th, it left
    out means of .002, .01, .05, .2 and .5 in 2.9 to 4.3 % of 1,000 simulations of each. `betting_sequence` holds
    without any such proviso, but wants the values one by one.

    References
    ----------
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence
    sequences, The Annals of Statistics 2024 (arXiv 2021): the Gaussian mixture and its rho, after Robbins, Statistical
    methods related to the law of the iterated logarithm, 1970. Wilson, Probable inference, JASA 1927: the error at m
    instead of at the estimate, which is what holds where few have clicked.

    Examples
    --------
    >>> low, high = confidence_sequence(total=300, squares=300, n=3000)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.084 to 0.118
    """
    LEVEL.require("confidence_sequence", "alpha", alpha)
    moments = Moments(total, squares, n)
    _require_moments("confidence_sequence", moments)
    low, high = _limits(moments, np.asarray(n, float), alpha)
    known = np.asarray(n) >= BURN_IN
    return Interval(np.where(known, low, 0.0)[()], np.where(known, high, 1.0)[()])


def difference_sequence(first: Moments, second: Moments, alpha: float = 0.05) -> Interval:
    """An interval for `mean(second) - mean(first)`, of different people, that holds at all times at once.

    With `[l, u]` the limits of each mean as in `confidence_sequence`, the lower limit is
    `d - sqrt((m_second - l_second)^2 + (u_first - m_first)^2)`, and the upper one mirrors it. Both take for n in t the
    harmonic `4 / (1 / n_first + 1 / n_second)`: all people where there are equally many, fewer where one has few.

    Parameters
    ----------
    first, second : Moments
        Of people who were assigned by chance, by shares that do not change meanwhile.
    alpha : float
        Probability, at most, that the interval ever leaves out the difference.

    Returns
    -------
    Interval
        [-1, 1] until both have `BURN_IN` people.

    Raises
    ------
    ParameterError
        alpha is not between 0 and 1.
    DataError
        There are no such values: n is negative, or sums do not belong to values in [0, 1].

    Notes
    -----
    A person who comes back changes a value that has been counted. Where the value is the person's *rate*, this does
    little harm: an average of more visits is to one of fewer as the later to the earlier state of one random walk.
    (The person's *count* would not do.) `tests/recsys/experiments/test_sequences.py` peeks at 1,000 experiments
    without a difference for each of several rates and habits.

    References
    ----------
    As `confidence_sequence`; Johari, Koomen, Pekelis and Walsh, Peeking at A/B tests, KDD 2017, for two variants;
    Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 1998,
    method 10, for a difference from two of Wilson's intervals.

    Examples
    --------
    >>> low, high = difference_sequence(Moments(300, 300, 3000), Moments(420, 420, 3000))
    >>> print(f"{low:.3f} to {high:.3f}")
    0.015 to 0.066
    """
    LEVEL.require("difference_sequence", "alpha", alpha)
    for moments in (first, second):
        _require_moments("difference_sequence", moments)
    least = np.minimum(first.n, second.n)
    both = 4 / (1 / np.maximum(first.n, 1.0) + 1 / np.maximum(second.n, 1.0))
    low_1, high_1 = _limits(first, both, alpha)
    low_2, high_2 = _limits(second, both, alpha)
    difference = second.mean - first.mean
    low = difference - np.hypot(second.mean - low_2, high_1 - first.mean)
    high = difference + np.hypot(high_2 - second.mean, first.mean - low_1)
    known = least >= BURN_IN
    return Interval(np.where(known, np.maximum(low, -1), -1.0)[()], np.where(known, np.minimum(high, 1), 1.0)[()])


def betting_sequence(values: ArrayLike, alpha: float = 0.05, *, grid: int = 1000) -> Interval:
    """An interval for the mean of values in [0, 1] that holds at all times at once, from the first person on, exactly.

    Somebody bets against each possible mean m; each bet is fair if m is the mean, so a capital that ever grows
    `1 / alpha`-fold has probability alpha at most, and rules m out. Capitals: `K+(m) = prod_i (1 + l_i (x_i - m))` and
    `K-(m) = prod_i (1 - l_i (x_i - m))`, half of the money on each; `l_i = sqrt(2 log(2 / alpha) / (v i log(1 + i)))`
    from the variance v of the values before the i-th, cut so that no bet loses more than half.

    Parameters
    ----------
    values : array-like, shape (n,)
        One value a person, in the order in which people came; a value must be final when the next person's is there.
    alpha : float
        Probability, at most, that the interval ever leaves out the mean.
    grid : int
        Means that are tried, evenly from 0 to 1; the limits are rounded outwards.

    Returns
    -------
    Interval
        [0, 1] of nobody.

    Raises
    ------
    ParameterError
        alpha is not between 0 and 1, or grid is no integer >= 1.
    DataError
        A value is not in [0, 1].

    References
    ----------
    Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, Journal of the Royal Statistical
    Society B 2024: the hedged capital and its predictable plug-in bets.

    Examples
    --------
    >>> low, high = betting_sequence([1.0, 0.0] * 50)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.349 to 0.663
    """
    LEVEL.require("betting_sequence", "alpha", alpha)
    whole(1).require("betting_sequence", "grid", grid)
    x = _values(values)
    count = np.arange(1, len(x) + 1)
    center = (0.5 + np.cumsum(x)) / (count + 1)
    spread = (0.25 + np.cumsum((x - center) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]])[:len(x)]
    bets = np.sqrt(2 * math.log(2 / alpha) / (before * count * np.log1p(count)))
    means = np.arange(grid + 1) / grid
    with np.errstate(divide="ignore"):
        most_up, most_down = _MOST / means, _MOST / (1 - means)
    up, down, best = np.zeros((3, grid + 1))  # logarithms of the capitals, and the highest so far
    for begin in range(0, len(x), _BLOCK):
        part = slice(begin, begin + _BLOCK)
        off, bet = x[part, None] - means, bets[part, None]
        ups = up + np.cumsum(np.log1p(np.minimum(bet, most_up) * off), axis=0)
        downs = down + np.cumsum(np.log1p(-np.minimum(bet, most_down) * off), axis=0)
        best = np.maximum(best, np.maximum(ups, downs).max(0))
        up, down = ups[-1], downs[-1]
    possible = np.flatnonzero(best < math.log(2 / alpha))
    if not len(possible):  # between two of the means that were tried
        nearest = float(np.clip(center[-1], 0, 1))
        return Interval(math.floor(nearest * grid) / grid, math.ceil(nearest * grid) / grid)
    return Interval(float(means[max(possible[0] - 1, 0)]), float(means[min(possible[-1] + 1, grid)]))


def _limits(moments: Moments, n: Any, alpha: float) -> tuple[Any, Any]:
    """The means m with `(mean - m)^2 <= (1 + 1 / t) (2 log(1 / alpha) + log(1 + t)) m (1 - m) / worth`."""
    doubled = -2 * math.log(alpha)
    t = np.maximum(n, 1.0) * (doubled + math.log(doubled + 1)) / TIGHTEST
    mean = np.where(np.asarray(moments.n) > 0, moments.mean, 0.5)
    c = (1 + 1 / t) * (doubled + np.log1p(t)) / moments.worth
    center, reach = mean + c / 2, np.sqrt(c * mean * (1 - mean) + c**2 / 4)
    return np.maximum((center - reach) / (1 + c), 0), np.minimum((center + reach) / (1 + c), 1)  # but for rounding


def _values(values: ArrayLike) -> np.ndarray:
    given = np.asarray(values, np.float64).ravel()
    strange = np.flatnonzero(~((given >= 0) & (given <= 1)))
    if len(strange):
        raise DataError(f"experiments: values must lie in [0, 1], but the {strange[0] + 1}. is {given[strange[0]]:g}.")
    return given


def _require_moments(who: str, moments: Moments) -> None:
    total, squares, n = (np.asarray(each, float) for each in moments)
    slack = 1e-9 * (1 + np.abs(n))
    fine = (n >= 0) & (total >= -slack) & (total <= n + slack) & (squares >= -slack) & (squares <= total + slack)
    fine &= total**2 <= (squares + slack) * np.maximum(n, 1) + slack
    if not np.all(fine):
        raise DataError(f"{who}: sums {moments.total!r} and of squares {moments.squares!r} do not belong to "
                        f"{moments.n!r} values in [0, 1].")
