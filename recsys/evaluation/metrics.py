"""Metrics: of rankings with ties at their exact expectation, of the lists themselves, and of ratings.

A target's place is known only up to its ties: `greater` candidates stand above it and `equal` ones,
itself included, share its score. The metrics below are expectations over every order of the ties,
in closed form (McSherry and Najork, "Computing information retrieval performance measures efficiently
in the presence of tied scores", ECIR 2008): a constant scorer gets chance level, exactly.

Symbols: a user has `n` targets and `R` of them stand in groups above; a tied group of `e` candidates
begins behind `g` others and holds `r` targets; `[P]` is 1 if P holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recsys.checks import Check
from recsys.data.cleaning import gini
from recsys.data.mixes import divergence
from recsys.errors import ParameterError

if TYPE_CHECKING:
    from recsys.data.csr import CSR

__all__ = ["LISTS", "LOWER_IS_BETTER", "RANKING", "RATINGS", "Lists", "Metric", "Ranks", "parse"]

LOWER_IS_BETTER = frozenset({"rmse", "mae", "gini", "miscalibration"})
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_ALIASES = {"hr": "hit", "hit_rate": "hit", "ild": "diversity", "rprecision": "r_precision"}
_WHOLE = frozenset({"mrr", "map", "auc", "r_precision"})  # defined on the whole ranking; the others need a cut-off
_NEVER_CUT = frozenset({"auc", "r_precision", "rmse", "mae"})


@dataclass(frozen=True)
class Metric:
    """A metric's name and its cut-off; `str` gives back `"ndcg@10"`."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"


def parse(text: str, k: int | None = None) -> Metric:
    """The metric of a string such as `"ndcg@10"`, `"mrr"` or `"recall"`.

    Parameters
    ----------
    text : str
        A name, with or without `@` and a cut-off.
    k : int, optional
        The cut-off for names that need one and come without.

    Raises
    ------
    ParameterError
        For a name that there is not, or a cut-off that is not a positive integer.

    Examples
    --------
    >>> str(parse("hr@5")), str(parse("recall", k=20)), str(parse("mrr", k=20))
    ('hit@5', 'recall@20', 'mrr')
    """
    Check(lambda value: isinstance(value, str), "a string, such as 'recall@10'").require("metrics", "a name", text)
    name, at, cut = text.strip().lower().partition("@")
    name = _ALIASES.get(name, name)
    known = [*RANKING, *LISTS, *RATINGS]
    if name not in known:
        raise ParameterError(f"metrics: there is no metric {text!r}; the names are {', '.join(known)}.")
    if at and (name in _NEVER_CUT or not cut.isdecimal() or int(cut) < 1):
        raise ParameterError(f"metrics: {text!r} has a cut-off that {name} does not take; "
                             + (f"write {name!r}." if name in _NEVER_CUT else f"write '{name}@10', for example."))
    if at:
        return Metric(name, int(cut))
    if name in _WHOLE or name in _NEVER_CUT:
        return Metric(name)
    if k is None or k < 1:
        raise ParameterError(f"metrics: {name} needs a positive cut-off; write '{name}@10', for example.")
    return Metric(name, k)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where the targets of each user stand, by groups of tied targets.

    Parameters
    ----------
    greater, equal : ndarray of int, shape (m,)
        As `recsys.kernels.ranking.ranks` gives them; `equal` is 0 for a target that is no candidate: it
        counts among the user's targets and is never found.
    indptr : ndarray of int, shape (U + 1,)
        The targets of user `u` are `indptr[u]:indptr[u + 1]`; one at least.
    candidates : ndarray of int, shape (U,)
        How many candidates each user's ranking has (for `auc`).
    """

    greater: np.ndarray
    equal: np.ndarray
    indptr: np.ndarray
    candidates: np.ndarray

    def __post_init__(self) -> None:
        if np.any(self.targets < 1):
            raise ParameterError("Ranks: every user needs at least one target; leave out users without.")

    @cached_property
    def targets(self) -> Ints:
        """Targets of each user, `n`: (U,)."""
        return np.diff(self.indptr)

    @cached_property
    def groups(self) -> Groups:
        """The tied groups that hold targets, user by user, best first."""
        user = np.repeat(np.arange(len(self.targets)), self.targets)
        found = self.equal > 0
        user, greater, equal = user[found], self.greater[found].astype(np.int64), self.equal[found].astype(np.int64)
        order = np.argsort(user << 32 | greater)  # one key is sorted faster than two
        user, greater, equal = user[order], greater[order], equal[order]
        begins = np.flatnonzero(np.diff(user, prepend=-1) | np.diff(greater, prepend=-1))
        relevant = np.diff(np.append(begins, len(user)))
        user, greater, equal = user[begins], greater[begins], equal[begins]
        first = np.searchsorted(user, user)  # the user's first group
        above = np.cumsum(relevant) - relevant
        return Groups(user, greater, equal, relevant, above - above[first], len(self.targets))

    @cached_property
    def harmonic(self) -> Floats:
        """`H[p] = 1 + 1/2 + ... + 1/p`."""
        return _cumulate(1 / np.arange(1, self._deepest + 1))

    @cached_property
    def gains(self) -> Floats:
        """`C[p] = sum_{i <= p} 1 / log2(i + 1)`."""
        return _cumulate(1 / np.log2(np.arange(2, self._deepest + 2)))

    @property
    def _deepest(self) -> int:
        groups = self.groups
        return int(max((groups.greater + groups.equal).max(initial=1), self.targets.max(initial=1)))


@dataclass(frozen=True, eq=False)
class Groups:
    """Tied groups, (G,) each: whose, `g`, `e`, `r`, and `R`, the user's targets in better groups."""

    user: Ints
    greater: Ints
    equal: Ints
    relevant: Ints
    above: Ints
    users: int

    @property
    def share(self) -> Floats:
        """The chance that a place of the group holds a target: `r / e`."""
        return self.relevant / self.equal

    def places(self, k: int | Ints | None) -> Ints:
        """How many of the group's places lie within the first k."""
        return self.equal if k is None else np.clip(k - self.greater, 0, self.equal)

    def sums(self, cumulative: Floats, k: int | None) -> Floats:
        """Sums over the group's places within the first k of what `cumulative` adds up by place."""
        reached: Floats = cumulative[self.greater + self.places(k)]
        return reached - cumulative[self.greater]

    def total(self, values: np.ndarray) -> Floats:
        """Sums over each user's groups: (G,) -> (U,)."""
        return np.bincount(self.user, values, self.users).astype(np.float64, copy=False)  # of no groups: integers

    def best(self) -> Groups:
        """Only the best group of each user that has one."""
        first = self.above == 0
        return Groups(self.user[first], self.greater[first], self.equal[first], self.relevant[first],
                      self.above[first], self.users)


def hits(ranks: Ranks, k: int | Ints) -> Floats:
    """Expected number of targets among the first k: `sum r/e min(max(k - g, 0), e)` over the groups."""
    groups = ranks.groups
    depth = k[groups.user] if isinstance(k, np.ndarray) else k
    return groups.total(groups.share * groups.places(depth))


def hit_rate(ranks: Ranks, k: int) -> Floats:
    """Chance of a target among the first k: `1 - prod_{i < k - g} (e - r - i) / (e - i)` of the best group."""
    best = ranks.groups.best()
    places = best.places(k)
    miss = np.ones(len(places))
    for i in range(int(places.max(initial=0))):
        inside = places > i
        miss[inside] *= np.maximum(best.equal - best.relevant - i, 0)[inside] / (best.equal - i)[inside]
    return best.total(1 - miss)


def precision(ranks: Ranks, k: int) -> Floats:
    """Targets among the first k, divided by k."""
    return hits(ranks, k) / k


def recall(ranks: Ranks, k: int) -> Floats:
    """Targets among the first k, divided by all of the user's targets."""
    return hits(ranks, k) / ranks.targets


def recall_min(ranks: Ranks, k: int) -> Floats:
    """Targets among the first k, divided by `min(k, n)`, the most there can be (the Mult-VAE papers' recall)."""
    return hits(ranks, k) / np.minimum(k, ranks.targets)


def r_precision(ranks: Ranks, k: int | None = None) -> Floats:
    """Precision among the first n: as many places as the user has targets."""
    return hits(ranks, ranks.targets) / ranks.targets


def ndcg(ranks: Ranks, k: int) -> Floats:
    """Binary NDCG: `sum_p [p holds a target] / log2(p + 1)` to place k, over the same for the best order."""
    groups = ranks.groups
    return groups.total(groups.share * groups.sums(ranks.gains, k)) / ranks.gains[np.minimum(k, ranks.targets)]


def mrr(ranks: Ranks, k: int | None = None) -> Floats:
    """Reciprocal place of the first target (0 beyond k).

    With r targets among e tied places the first stands on the i-th with probability
    `C(e - i, r - 1) / C(e, r)`, which is r/e for i = 1 and then falls by `(e - i - r + 1) / (e - i)`.
    """
    best = ranks.groups.best()
    places = best.places(k)
    value = best.sums(ranks.harmonic, k) / best.equal
    several = np.flatnonzero((best.relevant > 1) & (places > 0))
    value[several] = [_first_of_several(*best_of) for best_of in zip(
        best.greater[several], best.equal[several], best.relevant[several], places[several], strict=True)]
    return best.total(value)


def _first_of_several(greater: int, equal: int, relevant: int, places: int) -> float:
    i = np.arange(1, min(places, equal - relevant + 1) + 1)
    falls = (equal - i - relevant + 1) / np.maximum(equal - i, 1)
    chance = relevant / equal * np.append(1.0, np.cumprod(falls[:-1]))
    return float((chance / (greater + i)).sum())


def average_precision(ranks: Ranks, k: int | None = None) -> Floats:
    """Mean over the targets of the precision at their places (0 beyond k), divided by `min(k, n)`.

    A tied group adds `r/e sum_i (R + 1 + (i - 1) (r - 1) / (e - 1)) / (g + i)` over its places i.
    """
    groups = ranks.groups
    span = groups.sums(ranks.harmonic, k)  # of 1 / (g + i)
    tied = (groups.relevant - 1) / np.maximum(groups.equal - 1, 1) * (groups.places(k) - (groups.greater + 1) * span)
    total = groups.total(groups.share * ((groups.above + 1) * span + tied))
    return total / (ranks.targets if k is None else np.minimum(k, ranks.targets))


def auc(ranks: Ranks, k: int | None = None) -> Floats:
    """Chance that a target stands above a candidate that is none, ties counting half; 0.5 if there is no such."""
    groups = ranks.groups
    others = ranks.candidates - groups.total(groups.relevant)
    beaten_by = groups.greater - groups.above + (groups.equal - groups.relevant) / 2
    won = groups.total(groups.relevant * (others[groups.user] - beaten_by)) / ranks.targets
    return np.where(others > 0, won / np.maximum(others, 1), 0.5)


RANKING: dict[str, Callable[[Ranks, Any], Floats]] = {
    "hit": hit_rate, "precision": precision, "recall": recall, "recall_min": recall_min, "ndcg": ndcg, "mrr": mrr,
    "map": average_precision, "auc": auc, "r_precision": r_precision,
}


@dataclass(frozen=True, eq=False)
class Lists:
    """The lists that users are shown, and what is known of the items.

    Parameters
    ----------
    items : ndarray of int32, shape (U, k)
        Best first, filled with -1. Ties are broken by the order of the items, as `recommend` does.
    counts : ndarray of int, shape (n_items,)
        Users who have each item in training.
    users : int
        Users with training events.
    allowed : ndarray of bool, shape (n_items,)
        The candidates.
    vectors : ndarray, shape (n_items, d), optional
        Descriptions of the items, such as genres; `diversity` and `miscalibration` need them.
    history : CSR, shape (U, n_items), optional
        What the users had before; `miscalibration` needs it.
    """

    items: NDArray[np.int32]
    counts: Ints
    users: int
    allowed: NDArray[np.bool_]
    vectors: np.ndarray | None = None
    history: CSR | None = None

    def mean(self, values: Ints | Floats, k: int) -> Floats:
        """Mean over each list's first k items of a value an item has: (U,); 0 for an empty list."""
        items = self.items[:, :k]
        total = np.where(items >= 0, values[items], 0.0).sum(1)
        return np.asarray(total / np.maximum((items >= 0).sum(1), 1), np.float64)

    def exposure(self, k: int) -> Ints:
        """How many lists each candidate is in: (number of candidates,)."""
        items = self.items[:, :k]
        return np.bincount(items[items >= 0], minlength=len(self.counts))[self.allowed]


def coverage(lists: Lists, k: int) -> float:
    """Share of the candidates that are in somebody's first k."""
    return float((lists.exposure(k) > 0).mean()) if lists.allowed.any() else 0.0


def exposure_gini(lists: Lists, k: int) -> float:
    """Gini index of the candidates' numbers of lists: 0 if all are shown equally often."""
    return gini(lists.exposure(k))


def popularity(lists: Lists, k: int) -> Floats:
    """Mean number of users who have the items of a list in training."""
    return lists.mean(lists.counts, k)


def novelty(lists: Lists, k: int) -> Floats:
    """Mean self-information of a list: `-log2(users who have the item / users)`, of one user at least."""
    return lists.mean(-np.log2(np.maximum(lists.counts, 1) / max(lists.users, 1)), k)


def diversity(lists: Lists, k: int) -> Floats:
    """Mean over the pairs of a list of `1 - cosine` of their vectors; 0 for lists of fewer than two items."""
    if lists.vectors is None:
        raise ParameterError("metrics: diversity needs vectors of the items; pass vectors=, or data with genres.")
    lengths = np.sqrt((lists.vectors.astype(np.float64) ** 2).sum(1, keepdims=True))
    unit = lists.vectors / np.where(lengths > 0, lengths, 1)
    unit = np.append(unit, np.zeros((1, unit.shape[1])), axis=0)  # -1, no item, adds nothing
    items = lists.items[:, :k]
    total = np.zeros((len(items), unit.shape[1]))
    for place in range(items.shape[1]):
        total += unit[items[:, place]]
    likeness = (total**2).sum(1) - (unit**2).sum(1)[items].sum(1)  # over ordered pairs of different places
    pairs = (items >= 0).sum(1) * ((items >= 0).sum(1) - 1)
    return np.where(pairs > 0, 1 - likeness / np.maximum(pairs, 1), 0.0)


def miscalibration(lists: Lists, k: int) -> Floats:
    """How far the mix of labels in a list is from that of the user's history, by `recsys.data.mixes.divergence`; 0 for
    users or lists without labels."""
    if lists.vectors is None or lists.history is None:
        raise ParameterError("metrics: miscalibration needs labels of the items; pass vectors=, or data with genres.")
    mix = np.abs(lists.vectors.astype(np.float64))
    totals = mix.sum(1, keepdims=True)
    mix = np.append(mix / np.where(totals > 0, totals, 1), np.zeros((1, mix.shape[1])), axis=0)  # -1 adds nothing
    shown = mix[lists.items[:, :k]].sum(1)
    rows = lists.history
    own = np.zeros_like(shown)
    np.add.at(own, rows.row_of_entry, mix[rows.indices])
    return divergence(own, shown)


LISTS: dict[str, Callable[[Lists, int], float | Floats]] = {
    "coverage": coverage, "gini": exposure_gini, "novelty": novelty, "popularity": popularity, "diversity": diversity,
    "miscalibration": miscalibration,
}

RATINGS: dict[str, int] = {"rmse": 2, "mae": 1}  # the power p of `(mean |prediction - rating|^p)^(1/p)`


def rating_errors(truth: np.ndarray, prediction: np.ndarray, power: int) -> Floats:
    """`|prediction - rating|^p` of each rating: (n,)."""
    error: Floats = np.abs(prediction.astype(np.float64) - truth)
    return error**power


def _cumulate(values: np.ndarray) -> Floats:
    return np.append(0.0, np.cumsum(values))
