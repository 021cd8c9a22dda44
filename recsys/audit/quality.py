"""Is a group of people served otherwise than the rest: differences, intervals, and a test that shuffles people."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.audit.groups import Grouping
from recsys.evaluation.comparison import holm

__all__ = ["Difference", "Measure", "compare_groups", "intervals"]

_CELLS = 4_000_000  # numbers held at once


@dataclass(frozen=True, eq=False)
class Measure:
    """What each person has of a quantity that is a ratio of sums: `(sum top / sum weight) ** (1 / power) - less`.

    Parameters
    ----------
    name : str
    top, weight : ndarray of float64, shape (U,)
        A mean over people has weights of 1; who has nothing to be measured by has two zeros.
    power : int
        2 for a root of a mean square.
    less : float
        What is taken off.
    good : int
        1 where more is better for people, -1 where less is, 0 where that is not for a number to say.
    """

    name: str
    top: np.ndarray
    weight: np.ndarray
    power: int = 1
    less: float = 0.0
    good: int = 1

    def of(self, top: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The quantity of sums over people; NaN where nobody has any."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((top / weight) ** (1 / self.power) - self.less)

    @property
    def value(self) -> float:
        """Of all people."""
        return float(self.of(self.top.sum(), self.weight.sum()))


@dataclass(frozen=True)
class Difference:
    """A group's value of a measure, and how far it is from that of all others.

    Attributes
    ----------
    grouping, group, measure : str
    people : int
    value, low, high : float
        Of the group, with its bootstrap interval over people.
    difference, difference_low, difference_high : float
        The group's value less that of the people of the other groups.
    p, p_holm : float
        How often people shuffled between the groups differ as much, alone and corrected for all tests of the table.
    alike, alike_low, alike_high : float
        The difference to people of the other groups of whom as much was held out, with its interval: many measures move
        with that, whoever the people are. NaN where fewer than half of the group have such people beside them.
    good : int
        As of `Measure`.
    """

    grouping: str
    group: str
    measure: str
    people: int
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_holm: float
    alike: float
    alike_low: float
    alike_high: float
    good: int

    def shown(self, alpha: float) -> bool:
        """Whether chance does not explain the difference."""
        return self.p_holm < alpha

    @property
    def most(self) -> float:
        """The largest difference, either way, that the interval does not exclude."""
        return max(abs(self.difference_low), abs(self.difference_high))

    def kind(self, alpha: float) -> str:
        """In a word, if a difference is shown: better or worse, or only higher or lower; else nothing."""
        if not self.shown(alpha):
            return ""
        words = {1: ("better", "worse"), -1: ("worse", "better"), 0: ("higher", "lower")}[self.good]
        return words[0] if self.difference > 0 else words[1]

    def verdict(self, alpha: float) -> str:
        """In words; never that groups are treated alike, only what the data does not exclude."""
        if math.isnan(self.difference):
            return "cannot be compared"
        kind = self.kind(alpha)
        return f"{kind} than the rest" if kind else (
            f"no difference shown; one of up to {self.most:.3g} is not excluded")


def compare_groups(measures: Sequence[Measure], groupings: Sequence[Grouping], strata: np.ndarray | None = None, *,
                   level: float = 0.95, samples: int = 2000, permutations: int = 4999, seed: int = 0
                   ) -> tuple[list[Difference], int]:
    """Each group beside all others, in each measure, and how many differences the test finds where there are none.

    Intervals are of people drawn with replacement (bootstrap), the same draws for a group and the rest. The test
    shuffles people between the groups (of the same sizes); p-values are corrected for all groups and measures
    (Holm 1979), and there are as many shuffles as that takes.

    Parameters
    ----------
    measures : sequence of Measure
        Of the same U people.
    groupings : sequence of Grouping
        Of fewer than two groups each is passed over.
    strata : ndarray of int, shape (U,), optional
        People who are alike, such as those of whom as much was held out, have the same number.
    level : float
        Of the intervals; differences are shown at `1 - level`.
    samples, permutations, seed : int

    Returns
    -------
    list of Difference
        Measure by measure, group by group.
    int
        The control: so many differences the same test shows when people are shuffled between the groups beforehand.

    Examples
    --------
    >>> values = np.r_[np.zeros(30), np.ones(30)]
    >>> one = Measure("ndcg@10", values, np.ones(60))
    >>> halves = Grouping("half", ("first", "second"), np.repeat([0, 1], 30))
    >>> found, by_chance = compare_groups([one], [halves], samples=200)
    >>> found[0].verdict(0.05), round(found[0].difference, 2), by_chance
    ('worse than the rest', -1.0, 0)
    """
    usable = [grouping for grouping in groupings if len(grouping.names) > 1]
    if not usable or not measures:
        return [], 0
    member = np.concatenate([grouping.member() for grouping in usable])  # (G, U)
    tests = len(member) * len(measures)
    permutations = max(permutations, math.ceil(2 * tests / (1 - level)))
    limits = 50 * (1 - level), 50 * (1 + level)
    columns = _columns(measures)
    within = _within(strata, columns.shape[1])  # (A, U)
    cells = (member[:, None] * within).reshape(-1, columns.shape[1])  # (G A, U)
    shape = len(member), len(within)
    here, apart, alike = _values(measures, columns @ cells.T, columns @ within.T, shape)
    both = np.concatenate([cells, within])
    drawn = [_values(measures, *sums, shape) for sums in _resampled(columns, both, len(cells), samples, seed)]
    drawn_here, drawn_apart, drawn_alike = (np.concatenate(each, axis=1) for each in zip(*drawn, strict=True))
    everybody = columns.sum(1)[:, None]
    shuffled = np.concatenate([_values(measures, sums, everybody, (len(member), 1))[1]
                               for sums in _shuffled(columns, member, permutations + 1, seed)], axis=1)
    p, control = _p(apart, shuffled[:, 1:]), _p(shuffled[:, 0], shuffled[:, 1:])
    first = np.concatenate([np.arange(len(each.names)) != (1 if len(each.names) == 2 else -1) for each in usable])
    corrected, chance = _corrected(p, first), _corrected(control, first)
    (low, high), (low_d, high_d), (low_a, high_a) = (_limits(each, limits) for each in (
        drawn_here, drawn_apart, drawn_alike))
    named = [(grouping.name, name, int(size)) for grouping in usable
             for name, size in zip(grouping.names, grouping.sizes, strict=True)]
    told = {"value": here, "low": low, "high": high, "difference": apart, "difference_low": low_d,
            "difference_high": high_d, "p": p, "p_holm": corrected, "alike": alike, "alike_low": low_a,
            "alike_high": high_a}
    found = [Difference(grouping, group, each.name, people, good=each.good,
                        **{name: float(of[m, g]) for name, of in told.items()})
             for m, each in enumerate(measures) for g, (grouping, group, people) in enumerate(named)]
    return found, int((chance < 1 - level)[:, first].sum())


def intervals(measures: Sequence[Measure], level: float = 0.95, samples: int = 2000, seed: int = 0) -> np.ndarray:
    """Bootstrap intervals over people, of the same draws, of each measure's value for all: (M, 2)."""
    columns = _columns(measures)
    everybody = np.ones((1, columns.shape[1]))
    parts = [np.stack([each.of(sums[2 * m, :, 0], sums[2 * m + 1, :, 0]) for m, each in enumerate(measures)])
             for sums, _ in _resampled(columns, everybody, 1, samples, seed)]
    return _limits(np.concatenate(parts, axis=1), (50 * (1 - level), 50 * (1 + level))).T


def _columns(measures: Sequence[Measure]) -> np.ndarray:
    return np.concatenate([np.stack([each.top, each.weight]) for each in measures])  # (2 M, U)


def _within(strata: np.ndarray | None, people: int) -> np.ndarray:
    """Who is in which stratum: float64 (A, U)."""
    if strata is None:
        return np.ones((1, people))
    return np.asarray(strata == np.unique(strata)[:, None], np.float64)


def _limits(drawn: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Percentiles along the second axis; NaN where nothing was drawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of slices without a number
        return np.asarray(np.nanpercentile(drawn, limits, axis=1))


def _values(measures: Sequence[Measure], cells: np.ndarray, whole: np.ndarray, shape: tuple[int, int]
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The measures of groups, their differences to the rest, and those to the rest of the same stratum.

    Parameters
    ----------
    cells, whole : ndarray, shapes (2 M, ..., G A), (2 M, ..., A)
        Sums over the people of each group in each stratum, and over all of each stratum.
    shape : (int, int)
        G and A.

    Returns
    -------
    tuple of ndarray, shape (M, ..., G) each
    """
    cells = cells.reshape(*cells.shape[:-1], *shape)
    own, apart, alike = [], [], []
    for m, measure in enumerate(measures):
        top, weight = cells[2 * m], cells[2 * m + 1]  # (..., G, A)
        rest = whole[2 * m][..., None, :] - top, whole[2 * m + 1][..., None, :] - weight
        own.append(measure.of(top.sum(-1), weight.sum(-1)))
        apart.append(own[-1] - measure.of(rest[0].sum(-1), rest[1].sum(-1)))
        beside = (weight > 0) & (rest[1] > 0)
        share = np.where(beside, weight, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(beside, measure.of(top, weight) - measure.of(*rest), 0.0)
            mean = (share * each).sum(-1) / share.sum(-1)
        enough = (shape[1] > 1) & (share.sum(-1) >= 0.5 * weight.sum(-1))
        alike.append(np.where(enough, mean, np.nan))
    return np.stack(own), np.stack(apart), np.stack(alike)


def _resampled(columns: np.ndarray, member: np.ndarray, first: int, samples: int, seed: int
               ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sums over people drawn with replacement of the first groups and of the others, (C, S, ..) each, part by part."""
    people = columns.shape[1]
    generator = np.random.default_rng((seed, 0))
    for size in _parts(samples, people):
        drawn = generator.integers(0, people, (size, people)) + np.arange(size)[:, None] * people
        counts = np.bincount(drawn.ravel(), minlength=size * people).reshape(size, people).astype(np.float64)
        sums = np.stack([counts @ (column * member).T for column in columns])
        yield sums[..., :first], sums[..., first:]


def _shuffled(columns: np.ndarray, member: np.ndarray, permutations: int, seed: int) -> Iterator[np.ndarray]:
    """Sums of groups, (C, P, G), when people are shuffled between them, part by part."""
    people = columns.shape[1]
    generator = np.random.default_rng((seed, 1))
    for size in _parts(permutations, people * len(columns)):
        order = generator.permuted(np.tile(np.arange(people), (size, 1)), axis=1)
        yield columns[:, order] @ member.T


def _p(observed: np.ndarray, shuffled: np.ndarray) -> np.ndarray:
    """How often shuffled differences (M, P, G) are as far from 0 as the observed ones (M, G)."""
    reached = np.abs(observed)[:, None] * (1 - 1e-12)
    beyond = (np.abs(shuffled) >= reached).sum(1)
    return np.where(np.isnan(observed), np.nan, (1 + beyond) / (1 + shuffled.shape[1]))


def _corrected(p: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Holm's, of tests (M, G); the second of two groups has no test of its own, as it is that of the first."""
    found = np.full(p.shape, np.nan)
    tests = ~np.isnan(p) & first
    found[tests] = holm(p[tests])
    seconds = np.flatnonzero(~first)
    found[:, seconds] = found[:, seconds - 1]
    return found


def _parts(total: int, people: int) -> Iterator[int]:
    size = max(_CELLS // max(people, 1), 1)
    for start in range(0, total, size):
        yield min(size, total - start)
