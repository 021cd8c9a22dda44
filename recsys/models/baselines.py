"""Baselines: popularity, the same list for everyone; and of ratings, how generous the user is, how good the item."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.estimator import Can, Context, Fitted, Learned, Recommender
from recsys.estimator.arrays import expect
from recsys.estimator.parameters import Check, above, at_least, one_of, optional, whole
from recsys.estimator.scorers.biases import shrunk
from recsys.estimator.scorers.constant import Constant

__all__ = ["Bias", "Biases", "Popular", "fit_biases", "variance_ratio"]


class Popular(Recommender):
    """Items by their number of events, or by their mean value.

    `count(i) = sum over events of i of w`, with `w = 2 ** (-age / half_life)` if there is a half-life
    (age before the latest event), else 1. `mean(i) = (sum w value + prior m) / (sum w + prior)`, where
    m is the mean over all events: few events stay near the mean. `partial_fit` adds to the sums: it gives what `fit` of
    all events gives, up to rounding (a relative 1e-6), and costs what is new.

    Parameters
    ----------
    by : {"count", "mean"}
    half_life : float, optional
        In the unit of the times (seconds, as a rule). Needs data with times.
    prior : float
        Events of mean value that every item is given; for `by="mean"`.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 2, 3, 3], ["tea", "tea", "tea", "jam"])
    >>> Popular().fit(data).recommend(1, k=5).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, cold_user=True, partial_fit=True)
    checks: ClassVar[dict[str, Check]] = {"by": one_of("count", "mean"), "half_life": optional(above(0)),
                                          "prior": at_least(0)}

    by: str
    half_life: float | None
    prior: float

    def __init__(self, *, by: str = "count", half_life: float | None = None, prior: float = 10.0) -> None:
        self.store_parameters(locals())

    @property
    def keeps_events(self) -> bool:
        """Whose they are, to forget people; with a half-life that takes their times as well, which are not kept."""
        return self.half_life is None

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Sums of the events' weights and weighted values."""
        latest = 0 if data.time is None else int(data.time.max())
        return self._summed(data, np.zeros((2, data.n_items)), latest)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """The sums, aged, and those of the new events."""
        settings, arrays = fitted.learned.memory
        before, latest = expect(arrays, "sums", (2, None), np.float64), int(settings["latest"])
        sums = np.zeros((2, data.n_items))
        sums[:, :before.shape[1]] = before
        if self.half_life is not None and data.time is not None:
            earlier, latest = latest, max(latest, int(data.time.max()))
            sums *= 2.0 ** (-(latest - earlier) / self.half_life)
        return self._summed(data, sums, latest)

    def _summed(self, data: Interactions, sums: np.ndarray, latest: int) -> Learned:
        weight = np.ones(len(data))
        if self.half_life is not None:
            if data.time is None:
                raise DataError("Popular: half_life needs data with times; give times, or set half_life=None.")
            weight = 2.0 ** (-(latest - data.time) / self.half_life)
        value = weight if data.value is None else weight * data.value
        sums += [np.bincount(data.item, w, data.n_items) for w in (weight, value)]  # (2, n_items)
        weights, values = sums
        scores = weights.astype(np.float32)
        if self.by == "mean":
            mean = values.sum() / weights.sum()
            total = weights + self.prior
            scores = np.divide(values + self.prior * mean, total, out=np.full(len(total), mean),
                               where=total > 0).astype(np.float32)
        return Learned(Constant(self.can, scores), memory=({"latest": latest}, {"sums": sums}))


class Bias(Recommender):
    """Rating = mean + bias of the user + bias of the item.

    The biases minimise `sum (r - m - b_u - b_i)**2 + reg_user sum b_u**2 + reg_item sum b_i**2` by
    alternating least squares: each is a sum of residuals over (reg + number of ratings). A user or item
    without ratings has bias 0. The ratings are kept, and `partial_fit` gives what `fit` of all gives, at its cost.

    The best reg is the variance of a rating around its user's, or item's, mean over the variance of these means: where
    people differ much and items little, `reg_user` is small and `reg_item` large. None estimates it from the data by
    the analysis of variance, in every epoch of what the other biases leave.

    Parameters
    ----------
    epochs : int
    reg_user, reg_item : float, optional
        In ratings; None takes them from the data.

    Attributes
    ----------
    reg_user_, reg_item_ : float
        What was taken.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.1. Searle, Casella, McCulloch, Variance Components, 1992,
    section 3.6 (unbalanced data).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2], ["tea", "jam", "tea", "jam"], [5, 3, 4, 2])
    >>> round(Bias(reg_user=0, reg_item=0).fit(data).predict(2, "tea"), 2)
    4.0
    """

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, cold_user=True, partial_fit=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {"epochs": whole(1), "reg_user": optional(at_least(0)),
                                          "reg_item": optional(at_least(0))}

    epochs: int
    reg_user: float | None
    reg_item: float | None

    def __init__(self, *, epochs: int = 10, reg_user: float | None = None, reg_item: float | None = None) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Biases of users and items."""
        mean = context.facts.mean_value
        biases = fit_biases(data.csr, mean, self.epochs, self.reg_user, self.reg_item)
        scorer = Constant(self.can, biases.item, biases.user, mean, biases.reg_user)
        return Learned(scorer, {"reg_user_": biases.reg_user, "reg_item_": biases.reg_item})


class Biases(NamedTuple):
    """Biases, and the regs that they were found with."""

    user: np.ndarray  # float64 (n_users,)
    item: np.ndarray  # float64 (n_items,)
    reg_user: float
    reg_item: float


def fit_biases(ratings: CSR, mean: float, epochs: int, reg_user: float | None, reg_item: float | None) -> Biases:
    """Biases of users and items by alternating least squares; a reg of None is estimated from the data."""
    (n_users, n_items), user, item = ratings.shape, ratings.row_of_entry, ratings.indices
    rating = ratings.weights.astype(np.float64) - mean
    of_items = np.bincount(item, minlength=n_items)
    user_bias, item_bias = np.zeros(n_users), np.zeros(n_items)
    for _ in range(epochs):
        rest = rating - user_bias[user]
        of_item = variance_ratio(rest, item, of_items) if reg_item is None else reg_item
        item_bias = shrunk(np.bincount(item, rest, n_items), of_items, of_item)
        rest = rating - item_bias[item]
        of_user = variance_ratio(rest, user, ratings.counts) if reg_user is None else reg_user
        user_bias = shrunk(np.bincount(user, rest, n_users), ratings.counts, of_user)
    return Biases(user_bias, item_bias, of_user, of_item)


def variance_ratio(values: np.ndarray, group: np.ndarray, counts: np.ndarray) -> float:
    """Variance within groups over the variance of the groups' means, by the analysis of variance (one way).

    At least 0, and at most the number of values, where the means differ no more than by chance. Where no group has two
    values, nothing tells the two apart, and they count as equal.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
    group : ndarray of int, shape (n,)
    counts : ndarray of int, shape (g,)
        Values of each group.

    Examples
    --------
    >>> variance_ratio(np.array([1.0, 3.0, 11.0, 13.0]), np.array([0, 0, 1, 1]), np.array([2, 2]))  # 2 / 49
    0.04081632653061224
    """
    n, some = len(values), counts > 0
    groups = int(some.sum())
    if n <= groups or groups < 2:
        return 1.0
    sums = np.bincount(group, values, len(counts))[some]
    explained = float(np.sum(sums ** 2 / counts[some]))
    within = max(float(np.sum(values ** 2)) - explained, 0.0) / (n - groups)
    spread = explained - float(values.sum()) ** 2 / n - (groups - 1) * within
    between = spread / (n - float(np.sum(counts.astype(np.float64) ** 2)) / n)
    return min(within / between, float(n)) if between > 0 else float(n)
