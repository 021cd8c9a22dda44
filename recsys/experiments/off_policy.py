"""What another model's lists would have brought, from lists that were shown with known propensities."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from recsys.errors import DataError, ParameterError
from recsys.experiments.readout import ShownList
from recsys.experiments.sequences import LEVEL

__all__ = ["Estimate", "Logged", "OffPolicy", "ShownByChance", "estimate_policy"]

_FOLDS = 5  # of people, for the reward model
_PRIOR = 10.0  # positive events, as many as expected, that every item starts with in the reward model
_ONE = 1 + 1e-9  # sums of probabilities are rounded
_SUSPICIOUS = 5.0  # standard errors that a mean which must be 1 may be off


class ShownByChance(ShownList, Protocol):
    """A list as the log keeps it, with the probability of each item at its place."""

    @property
    def propensities(self) -> Sequence[float]:
        """One an item; see `explore`."""


@dataclass(frozen=True, eq=False)
class Logged:
    """Lists that were shown, and what came of them.

    Parameters
    ----------
    people : int array, shape (n,)
        Whose list it was, by any numbering.
    items : int array, shape (n, k)
        The number of the item at each place; negative where a list is shorter.
    propensities : float array, shape (n, k)
        The probability with which that item stood at that place, in (0, 1]; see `explore`.
    rewards : float array, shape (n, k)
        What came of the item at that place, 0 or more: mostly 1 or 0.
    ids : dict of id to int
        The numbers of the items, where they have ids.

    Raises
    ------
    DataError
        Shapes differ, a propensity is missing, 0 or above 1, or a reward is missing or negative.
    """

    people: np.ndarray
    items: np.ndarray
    propensities: np.ndarray
    rewards: np.ndarray
    ids: dict[Hashable, int] | None = None

    def __post_init__(self) -> None:
        given = {"items": np.asarray(self.items), "propensities": np.asarray(self.propensities, np.float64),
                 "rewards": np.asarray(self.rewards, np.float64)}
        shape = given["items"].shape
        people = np.asarray(self.people)
        if len(shape) != 2 or any(each.shape != shape for each in given.values()) or people.shape != shape[:1]:
            raise DataError(f"Logged: items, propensities and rewards must have one shape (n, k) and people (n,); they "
                            f"have {', '.join(str(each.shape) for each in given.values())} and {people.shape}.")
        if not len(people):
            raise DataError("Logged: there are no lists; log some with --events and epsilon above 0 first.")
        there = given["items"] >= 0
        chances = given["propensities"] = np.where(there, given["propensities"], 1)
        rewards = given["rewards"] = np.where(there, given["rewards"], 0)
        _require_cells("propensities", chances, (chances > 0) & (chances <= _ONE), "in (0, 1]")
        _require_cells("rewards", rewards, (rewards >= 0) & (rewards < np.inf), "finite and 0 or more")
        for name, array in (*given.items(), ("people", np.unique(people, return_inverse=True)[1])):
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, shown: Iterable[ShownByChance], positives: Iterable[tuple[Hashable, Hashable]]) -> Logged:
        """From rows of the log and (request id, item) of positive events, one reward of 1 an item of a list.

        Raises
        ------
        DataError
            A list has not one propensity an item, two lists have one request id, or there is no list.
        """
        rows: dict[Hashable, ShownByChance] = {}
        for row in shown:
            if row.request_id in rows:
                raise DataError(f"Logged: two lists have the request id {row.request_id!r}; give each list once.")
            if len(row.propensities) != len(row.items):
                raise DataError(f"Logged: list {row.request_id!r} has {len(row.items)} items, but propensities for "
                                f"{len(row.propensities)}; estimates need one an item.")
            rows[row.request_id] = row
        shape = len(rows), max((len(row.items) for row in rows.values()), default=0)
        items, propensities, rewards = np.full(shape, -1), np.ones(shape), np.zeros(shape)
        ids: dict[Hashable, int] = {}
        people: dict[Hashable, int] = {}
        owners = []
        for place, (name, row) in enumerate(rows.items()):
            owner = ("list", name) if row.user is None else ("user", row.user)
            owners.append(people.setdefault(owner, len(people)))
            items[place, :len(row.items)] = [ids.setdefault(item, len(ids)) for item in row.items]
            propensities[place, :len(row.items)] = row.propensities
        places = dict(zip(rows, range(len(rows)), strict=True))
        for name, item in positives:
            if name in places and item in ids:
                rewards[places[name], items[places[name]] == ids[item]] = 1
        return cls(np.array(owners, np.int64), items, propensities, rewards, ids)

    def numbers(self, lists: Sequence[Sequence[Hashable]]) -> np.ndarray:
        """Lists of ids as numbers, (n, k) as `items`; longer ones are cut, and what was never shown gets a new number.

        Raises
        ------
        ParameterError
            There is not one list for each that was shown.
        """
        if len(lists) != len(self.items):
            raise ParameterError(f"Logged: give one list for each of the {len(self.items)} shown, not {len(lists)}.")
        ids = self.ids or {}
        numbers = np.full(self.items.shape, -1)
        for row, wanted in zip(numbers, lists, strict=True):
            cut = wanted[:len(row)]
            row[:len(cut)] = [ids.get(item, len(ids)) for item in cut]
        return numbers


@dataclass(frozen=True)
class Estimate:
    """What a list of the target would have brought.

    Attributes
    ----------
    value, error : float
        Reward a list, and its standard error with people as clusters.
    low, high : float
        The interval; infinite where the log has no reward, or only one person.
    """

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class OffPolicy:
    """Three estimates of one target, and how far to trust them.

    Attributes
    ----------
    ips, snips, dr : Estimate
    lists, people : int
        In the log.
    matches : int
        (item, place) pairs that the target and a list have in common: all that is known of the target.
    effective : float
        Kish's effective sample size, `(sum w)^2 / sum w^2` of the pairs' weights.
    max_weight : float
        One over the smallest propensity of a pair in common.
    unsupported : float
        Share of the target's pairs of which the log can tell nothing. They count as 0 in `ips`, as the others in
        `snips`, and are the reward model's guess in `dr`.
    exact : bool
        Whether `unsupported` was counted from `reachable`, or estimated: `1 - mean w`, which is 0 on average where all
        pairs can be shown, if it is above 0 by more than 5 of its errors.
    """

    ips: Estimate
    snips: Estimate
    dr: Estimate
    lists: int
    people: int
    matches: int
    effective: float
    max_weight: float
    unsupported: float
    exact: bool

    @property
    def note(self) -> str:
        """What stands against the estimates; empty if nothing does."""
        if not self.unsupported:
            return ""
        about = "" if self.exact else "about "
        why = "could never have been shown" if self.exact else "could not be shown, or were not by chance"
        return (f"no support for {about}{self.unsupported:.1%} of the target's items at their places: they {why}, so "
                f"nothing is known of them")


def estimate_policy(logged: Logged, target: ArrayLike, *, reachable: ArrayLike | None = None,
                    alpha: float = 0.05) -> OffPolicy:
    """Estimate the reward a list of a model that was never shown, from lists that another one showed.

    With `w_ij = [target_ij = item_ij] / propensity_ij`, list i and place j: an item at a place is taken to bring the
    same whatever stands around it (the item-position click model).

    - IPS: `1/n sum_ij w_ij r_ij`; unbiased.
    - SNIPS: `k sum_ij w_ij r_ij / sum_ij w_ij`, k the mean length of the target's lists; slightly biased, steadier.
    - DR: `1/n sum_ij (q_ij + w_ij (r_ij - q_ij))`, `q_ij` a reward model's guess for the target's item: unbiased for
      any model, and the better the model, the smaller its error. Ours is `a_j b_item`: the mean reward of the place
      times what the item brings against the others at its places, shrunken to 1, learned from four fifths of the
      people for the remaining fifth.

    Parameters
    ----------
    logged : Logged
    target : int array, shape (n, k)
        What the target would have shown instead of each list; negative where its list is shorter.
    reachable : float array, shape (n, k), optional
        The probability with which the log's policy would have shown the target's item at its place, 0 where it could
        not. Without it the share without support is estimated.
    alpha : float
        Probability, about, that an interval leaves out its truth.

    Returns
    -------
    OffPolicy

    Raises
    ------
    DataError
        Nothing in the log bears on the target; or the weights sum to more than they can, so the propensities are wrong.
    ParameterError
        Shapes differ, or an argument is out of its range.

    Notes
    -----
    An interval holds `value +- z error`, the error between people as it was seen, and all m with
    `(value - m)^2 <= z^2 m J`: the value as a sum of rare jumps of the mean size J, `J = sum w^2 q / (n sum w q)` for
    rewards of 0 and 1. Where few pairs with large weights have had a reward, the first is far too narrow, because the
    jumps that did not happen leave no trace in it; the second knows them from the weights of all pairs in common,
    and errs on the wide side. They are made for one look, and know nothing of pairs without support.

    References
    ----------
    Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay and Wen, Offline evaluation of ranking policies with click models,
    KDD 2018 (item-position IPS); Swaminathan and Joachims, The self-normalized estimator for counterfactual learning,
    NIPS 2015 (SNIPS); Dudik, Langford and Li, Doubly robust policy evaluation and learning, ICML 2011 (DR); Wilson,
    Probable inference, JASA 1927 (errors at m instead of at the estimate, here of a compound Poisson sum).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = np.stack([rng.permutation(4)[:2] for _ in range(4000)])  # 2 of 4 items, uniformly
    >>> clicks = rng.random((4000, 2)) < 0.1 * (1 + shown)
    >>> logged = Logged(np.arange(4000), shown, np.full((4000, 2), 1 / 4), clicks)
    >>> found = estimate_policy(logged, np.tile([3, 2], (4000, 1)))  # its truth is 0.4 + 0.3
    >>> print(f"{found.dr.value:.2f}, from {found.dr.low:.2f} to {found.dr.high:.2f}; {found.matches} matches")
    0.68, from 0.64 to 0.72; 2008 matches
    """
    LEVEL.require("estimate_policy", "alpha", alpha)
    wanted = np.asarray(target)
    if wanted.shape != logged.items.shape:
        raise ParameterError(f"estimate_policy: target must have the shape of the log's lists, {logged.items.shape}, "
                             f"not {wanted.shape}.")
    there = wanted >= 0
    weights = np.where(there & (wanted == logged.items), 1 / logged.propensities, 0.0)
    if not weights.any():
        raise DataError("estimate_policy: no list shows any of the target's items at its place, so the log has no "
                        "support for it at all; explore more, or from a larger pool.")
    unsupported = _unsupported(logged, there, weights, reachable)
    guess = np.where(there, _guess(logged, wanted), 0)
    return OffPolicy(
        **_estimates(logged, there, weights, guess, alpha), lists=len(wanted), people=int(logged.people.max()) + 1,
        matches=int(np.count_nonzero(weights)), effective=float(weights.sum() ** 2 / (weights**2).sum()),
        max_weight=float(weights.max()), unsupported=unsupported, exact=reachable is not None)


def _estimates(logged: Logged, there: np.ndarray, weights: np.ndarray, guess: np.ndarray,
               alpha: float) -> dict[str, Estimate]:
    """IPS, SNIPS and DR: of each the value, every list's part of its error, what that is divided by, and the jump."""
    rewards, lists = logged.rewards, len(weights)
    weighed, robust = (weights * rewards).sum(1), (guess + weights * (rewards - guess)).sum(1)
    length = there.sum() / lists
    share = weights.sum() / length  # the lists that the weights stand for
    ratio = weighed.sum() / share
    square = guess * (rewards**2).sum() / (rewards.sum() or 1)  # of a reward, as the model guesses it
    spread = np.maximum(square - guess**2, 0)
    parts = {"ips": (weighed.mean(), weighed - weighed.mean(), lists, square),
             "snips": (ratio, weighed - ratio / length * weights.sum(1), share, spread),
             "dr": (robust.mean(), robust - robust.mean(), lists, spread)}
    due = (weights * guess).sum()
    return {name: _estimate(float(value), part / of, float((weights**2 * moment).sum() / due / of) if due else np.inf,
                            logged.people, alpha) for name, (value, part, of, moment) in parts.items()}


def _unsupported(logged: Logged, there: np.ndarray, weights: np.ndarray, reachable: ArrayLike | None) -> float:
    """The target's share of pairs without support; and whether the weights can be: their mean is the share with it."""
    mean, total = weights.sum() / there.sum(), there.sum()
    parts = np.bincount(logged.people, (weights - mean * there).sum(1))
    error = float(np.sqrt((parts**2).sum()) / total)
    if mean > 1 + _SUSPICIOUS * error:
        raise DataError(f"estimate_policy: the weights of the target's items have the mean {mean:.3g} +- {error:.2g}, "
                        f"which cannot be above 1; the propensities in the log are too small, so no estimate is right.")
    if reachable is None:
        return float(1 - mean) if mean < 1 - _SUSPICIOUS * error else 0.0
    chances = np.asarray(reachable, np.float64)
    if chances.shape != there.shape:
        raise ParameterError(f"estimate_policy: reachable must have the shape of the target, {there.shape}, not "
                             f"{chances.shape}.")
    _require_cells("reachable", chances, ~there | ((chances >= 0) & (chances <= _ONE)), "in [0, 1]")
    _require_cells("reachable", chances, (chances > 0) | (weights == 0), "above 0 where the log shows the pair")
    return float((chances[there] == 0).mean())


def _guess(logged: Logged, target: np.ndarray) -> np.ndarray:
    """What each item of the target brings at its place, (n, k), by people who are not the list's own."""
    fold = np.random.default_rng(0).permutation(int(logged.people.max()) + 1)[logged.people] % _FOLDS
    n_items = int(max(logged.items.max(), target.max())) + 1
    there = logged.items >= 0
    guess = np.zeros(target.shape)
    for mine in range(_FOLDS):
        others = fold != mine
        shown, rewards = there[others], np.where(there[others], logged.rewards[others], 0)
        place = (rewards.sum(0) + rewards.sum() / max(shown.sum(), 1)) / (shown.sum(0) + 1)
        expected = np.where(shown, place, 0)
        numbers = logged.items[others][shown]
        got, due = (np.bincount(numbers, each[shown], n_items) for each in (rewards, expected))
        effect = (got + _PRIOR) / (due + _PRIOR)
        guess[~others] = place * effect[target[~others]]
    return guess


def _estimate(value: float, parts: np.ndarray, jump: float, people: np.ndarray, alpha: float) -> Estimate:
    """An estimate, by its error: `parts`, (n,), that sum to it, of one piece in one person, and the mean `jump`."""
    squares = np.bincount(people, parts) ** 2
    if len(squares) < 2 or jump == np.inf:
        return Estimate(value, float("nan"), float("-inf"), float("inf"))
    error = float(np.sqrt(squares.sum() * len(squares) / (len(squares) - 1)))
    z = NormalDist().inv_cdf(1 - alpha / 2)
    c = z**2 * jump
    rare = float(np.sqrt(max(c * value, 0) + c**2 / 4))
    low, high = value + c / 2 - rare, value + c / 2 + rare
    return Estimate(value, error, min(low, value - z * error), max(high, value + z * error))


def _require_cells(what: str, values: np.ndarray, fine: np.ndarray, may: str) -> None:
    wrong = np.argwhere(~fine)
    if len(wrong):
        row, place = wrong[0]
        raise DataError(f"estimate_policy: {what} must be {may}, but list {row} has {values[row, place]:g} at place "
                        f"{place} ({len(wrong)} such in all).")
