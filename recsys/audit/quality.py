"""Is a group of people served otherwise than the rest: means, differences, intervals, and a test that shuffles people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recsys.audit.groups import Grouping
from recsys.evaluation.comparison import holm

__all__ = ["Difference", "Measure", "compare_groups", "interval"]

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
    good: int

    def shown(self, alpha: float) -> bool:
        """Whether chance does not explain the difference."""
        return self.p_holm < alpha

    def verdict(self, alpha: float) -> str:
        """In words; never that groups are treated alike, only what the data does not exclude."""
        if math.isnan(self.difference):
            return "cannot be compared"
        if self.shown(alpha):
            kind = {1: ("better", "worse"), -1: ("worse", "better"), 0: ("higher", "lower")}[self.good]
            return f"{kind[0] if self.difference > 0 else kind[1]} than the rest"
        most = max(abs(self.difference_low), abs(self.difference_high))
        return f"no difference shown; one of up to {most:.3g} is not excluded"


def compare_groups(measures: Sequence[Measure], groupings: Sequence[Grouping], *, level: float = 0.95,
                   samples: int = 2000, permutations: int = 4999, seed: int = 0) -> tuple[list[Difference], int]:
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
    columns = np.concatenate([np.stack([each.top, each.weight]) for each in measures])  # (2 M, U)
    here, apart = _values(measures, columns @ member.T, columns.sum(1))
    drawn = [_values(measures, *sums) for sums in _resampled(columns, member, samples, seed)]
    drawn_here, drawn_apart = (np.concatenate(each, axis=1) for each in zip(*drawn, strict=True))  # (M, S, G)
    shuffled = np.concatenate([_values(measures, sums, columns.sum(1))[1]
                               for sums in _shuffled(columns, member, permutations + 1, seed)], axis=1)
    p, control = _p(apart, shuffled[:, 1:]), _p(shuffled[:, 0], shuffled[:, 1:])
    corrected, chance = _corrected(p), _corrected(control)
    low, high = np.nanpercentile(drawn_here, limits, axis=1)
    low_d, high_d = np.nanpercentile(drawn_apart, limits, axis=1)
    named = [(grouping.name, name, int(size)) for grouping in usable
             for name, size in zip(grouping.names, grouping.sizes, strict=True)]
    found = [Difference(*named[g][:2], each.name, named[g][2], *(float(x[m, g]) for x in (
        here, low, high, apart, low_d, high_d, p, corrected)), each.good)
             for m, each in enumerate(measures) for g in range(len(member))]
    return found, int((chance < 1 - level).sum())


def interval(measure: Measure, level: float = 0.95, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """A bootstrap interval over people of a measure's value for all."""
    columns = np.stack([measure.top, measure.weight])
    drawn = np.concatenate([measure.of(whole[..., 0], whole[..., 1]) for _, whole in
                            _resampled(columns, np.zeros((0, columns.shape[1])), samples, seed)])
    low, high = np.nanpercentile(drawn, (50 * (1 - level), 50 * (1 + level)))
    return float(low), float(high)


def _values(measures: Sequence[Measure], groups: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The measures of groups, and their differences to the rest: sums (2 M, ..., G), (..., 2 M) -> twice (M, ..., G)."""
    own, apart = [], []
    for m, measure in enumerate(measures):
        top, weight = groups[2 * m], groups[2 * m + 1]
        rest = whole[..., 2 * m, None] - top, whole[..., 2 * m + 1, None] - weight
        own.append(measure.of(top, weight))
        apart.append(own[-1] - measure.of(*rest))
    return np.stack(own), np.stack(apart)


def _resampled(columns: np.ndarray, member: np.ndarray, samples: int, seed: int
               ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sums over people drawn with replacement, of groups (C, S, G) and of all (S, C), part by part."""
    people = columns.shape[1]
    generator = np.random.default_rng((seed, 0))
    for size in _parts(samples, people):
        drawn = generator.integers(0, people, (size, people)) + np.arange(size)[:, None] * people
        counts = np.bincount(drawn.ravel(), minlength=size * people).reshape(size, people).astype(np.float64)
        yield np.stack([counts @ (column * member).T for column in columns]), counts @ columns.T


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


def _corrected(p: np.ndarray) -> np.ndarray:
    found = np.full(p.shape, np.nan)
    found[~np.isnan(p)] = holm(p[~np.isnan(p)])
    return found


def _parts(total: int, people: int) -> Iterator[int]:
    size = max(_CELLS // max(people, 1), 1)
    for start in range(0, total, size):
        yield min(size, total - start)
