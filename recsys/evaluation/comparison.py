"""Is one model better than another, or are these users only kind to it?

Models are compared on the same users: intervals by resampling users (paired bootstrap), p-values by
swapping the two models' results user by user at random (paired permutation test), corrected for the
number of models (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.checks import Check, number, one_of, optional, require, whole
from recsys.data.described import described
from recsys.errors import DataError, ParameterError
from recsys.evaluation.evaluator import Evaluation, is_names
from recsys.evaluation.metrics import LOWER_IS_BETTER, RATINGS, parse
from recsys.evaluation.protocols import Result

__all__ = ["OverSeeds", "Row", "Table", "compare", "holm", "over_seeds"]

_SAME = ("protocol", "data", "fingerprint", "split", "seed", "part", "candidates", "seen items", "sizes")
_CHECKS = {
    "metrics": optional(Check(is_names, "a list of names, such as ['recall@10']")), "samples": whole(1),
    "permutations": whole(1), "seed": whole(0),
    "level": Check(lambda value: number().accepts(value) and 0 < value < 1, "a number between 0 and 1")}
_CELLS = 4_000_000  # random numbers held at once


@dataclass(frozen=True)
class Row:
    """One model's result in one metric, and how it differs from the baseline's.

    Attributes
    ----------
    model, metric : str
    value, low, high : float
        The metric and its bootstrap interval; NaN limits where there is no value per user.
    difference, difference_low, difference_high : float
        Value minus the baseline's, and its paired interval.
    p, p_holm : float
        Of the permutation test, alone and corrected; NaN for the baseline itself.
    baseline : str
    """

    model: str
    metric: str
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    p_holm: float
    baseline: str

    def cell(self, alpha: float) -> str:
        """`0.1283 [0.1190, 0.1381] *`; the star is a difference that chance does not explain."""
        limits = "" if np.isnan(self.low) else f" [{self.low:.4f}, {self.high:.4f}]"
        return f"{self.value:.4f}{limits}{' *' if self.p_holm < alpha else ''}"


@dataclass(frozen=True)
class Table:
    """Models, best first by the first metric, with intervals and tests.

    Attributes
    ----------
    entries : list of Row
        Model by model, metric by metric.
    caption : str
    alpha : float
    """

    entries: list[Row]
    caption: str
    alpha: float

    @property
    def columns(self) -> list[str]:
        """"model", then the metrics."""
        return ["model", *dict.fromkeys(entry.metric for entry in self.entries)]

    @property
    def rows(self) -> list[list[str]]:
        """The cells as text, a list a model."""
        models = dict.fromkeys(entry.model for entry in self.entries)
        return [[model, *(each.cell(self.alpha) for each in self.entries if each.model == model)] for model in models]

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each model and metric; None where there is no number."""
        return [{name: None if isinstance(value, float) and np.isnan(value) else value
                 for name, value in vars(entry).items()} for entry in self.entries]

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
                         for line in lines)
        return f"{text}\n{self.caption}"


@dataclass(frozen=True)
class OverSeeds:
    """One metric over several seeds, of a model or of how far it is ahead of another.

    Attributes
    ----------
    metric : str
    value, low, high : float
        The mean over the seeds and its bootstrap interval, over users and seeds.
    by_seed : tuple of float
        In the order given.
    """

    metric: str
    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.4f} [{self.low:.4f}, {self.high:.4f}] over {len(self.by_seed)} seeds"


def compare(evaluations: Mapping[str, Evaluation | Result] | Sequence[Evaluation | Result], *,
            metrics: Sequence[str] | None = None, baseline: str | None = None, level: float = 0.95,
            samples: int = 2000, permutations: int = 4999, seed: int = 0) -> Table:
    """Compare models that were measured under one protocol.

    Parameters
    ----------
    evaluations : mapping of name to Evaluation or Result, or a sequence of them
        On the same users; a sequence takes the models' reprs for names.
    metrics : sequence of str, optional
        By default those that all have.
    baseline : str, optional
        The model to test against; by default, metric by metric, the best one. (The best of many is
        lucky: state a baseline beforehand where the test must be strict.)
    level : float
        Of the intervals; stars stand at `1 - level`.
    samples, permutations : int
        Bootstrap samples, random sign flips.
    seed : int
        The same seed gives the same table.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        The evaluations differ in users or in protocol, and cannot be compared.
    """
    _check_given(evaluations)
    named = dict(evaluations) if isinstance(evaluations, Mapping) else {each.model: each for each in evaluations}
    if not named or len(named) < len(evaluations):
        raise ParameterError("compare: give at least one evaluation, and different names to all; pass a mapping.")
    require("compare", {**_CHECKS, "baseline": optional(one_of(*named))}, locals())
    _require_same_protocol(named)
    first = next(iter(named.values()))
    common = [name for name in first.metrics if all(name in each.metrics for each in named.values())]
    asked = [str(parse(name)) for name in metrics] if metrics else common
    lacking = [name for name in asked if name not in common]
    if lacking:
        raise ParameterError(f"compare: {', '.join(lacking)} was not measured of all; metrics may be of "
                             f"{', '.join(common)}.")
    values = np.array([[each.metrics[metric] for each in named.values()] for metric in asked])
    bases = [list(named).index(baseline) if baseline else int(np.argmin(_badness(metric, row)))
             for metric, row in zip(asked, values, strict=True)]
    tested = [metric for metric in asked if all(metric in each.per_user for each in _folds(first))]
    drawn, p = _resample(tested, [bases[asked.index(metric)] for metric in tested], named, samples, permutations, seed)
    found = {metric: _rows(metric, list(named), row, base, drawn.get(metric), p.get(metric), level)
             for metric, row, base in zip(asked, values, bases, strict=True)}
    order = np.argsort(_badness(asked[0], values[0]), kind="stable")
    entries = [found[metric][model] for model in order for metric in asked]
    caption = (f"Intervals: {level:.0%}, paired bootstrap over users ({samples:,} samples). * differs from "
               f"{baseline or 'the best'}: permutation test ({permutations:,} flips), Holm-corrected "
               f"p < {1 - level:.2g}.")
    return Table(entries, caption, 1 - level)


def over_seeds(ours: Sequence[Evaluation | Result], theirs: Sequence[Evaluation | Result] | None = None, *,
               metric: str | None = None, level: float = 0.95, samples: int = 2000, seed: int = 0) -> OverSeeds:
    """A metric over several seeds, or how far a model is ahead of another in it, seed by seed and user by user.

    Parameters
    ----------
    ours : sequence of Evaluation or Result
        One a seed, be it the model's, the division's, or a control's.
    theirs : sequence of Evaluation or Result, optional
        The other model's with the same seeds in the same order; the difference is ours minus theirs.
    metric : str, optional
        One with a value per user; by default the first.
    level, samples, seed
        Of the interval: users and seeds are drawn with replacement, each by themselves (the pigeonhole bootstrap,
        Owen 2007), so that it covers other users and other seeds. Of two or three seeds that is little to draw from.

    Returns
    -------
    OverSeeds

    Raises
    ------
    DataError
        The two of a seed were measured differently.

    Examples
    --------
    >>> from recsys import datasets, models
    >>> from recsys.evaluation import run
    >>> data, _ = datasets.simulate(60, 40, 900, seed=1)
    >>> found = [[run(model, data, "ratio-811-full", seed=seed) for seed in (0, 1)]
    ...          for model in (models.EASE(), models.Popular())]
    >>> len(over_seeds(*found, metric="ndcg@10").by_seed)
    2
    """
    for given in (ours, theirs) if theirs is not None else (ours,):
        _check_given(given)
    if theirs is not None and len(theirs) != len(ours):
        raise ParameterError(f"over_seeds: give as many of theirs as of ours, {len(ours)}, not {len(theirs)}, one a "
                             f"seed.")
    pairs = list(zip(ours, ours if theirs is None else theirs, strict=True))
    for pair in pairs:
        _require_same_protocol(dict(zip(("ours", "theirs"), pair, strict=True)))
    if not pairs:
        raise ParameterError("over_seeds: give one evaluation or more, one a seed.")
    metric = next(iter(pairs[0][0].metrics)) if metric is None else str(parse(metric))
    if not all(metric in fold.per_user for pair in pairs for each in pair for fold in _folds(each)):
        raise ParameterError(f"over_seeds: {metric} was not measured of all, or has no value per user.")
    power, lower = RATINGS.get(parse(metric).name, 1), 50 * (1 - level)
    sides = [list(ours)] if theirs is None else [list(ours), list(theirs)]
    users = np.unique(np.concatenate([fold.users for each in ours for fold in _folds(each)]))
    sums = [np.array([_by_user(each, metric, power, users) for each in side]) for side in sides]  # (seeds, 2, U)
    values = [(side[:, 0].sum(1) / side[:, 1].sum(1)) ** (1 / power) for side in sums]
    by_seed = values[0] - (values[1] if theirs is not None else 0)
    drawn = _drawn_over_seeds(sums, 1 / power, samples, seed)
    low, high = np.nanpercentile(drawn[0] - (drawn[1] if theirs is not None else 0), (lower, 100 - lower))
    return OverSeeds(metric, float(by_seed.mean()), float(low), float(high), tuple(by_seed.tolist()))


def _by_user(found: Evaluation | Result, metric: str, power: int, users: np.ndarray) -> np.ndarray:
    """Of each user `sum w x^p` and `sum w` over the folds: (2, U)."""
    folds = _folds(found)
    place = np.searchsorted(users, np.concatenate([fold.users for fold in folds]))
    weights = np.concatenate([fold.weights for fold in folds])
    values = np.concatenate([fold.per_user[metric] for fold in folds])
    return np.array([np.bincount(place, weighted, len(users)) for weighted in (weights * values**power, weights)])


def _drawn_over_seeds(sums: Sequence[np.ndarray], power: float, samples: int, seed: int) -> np.ndarray:
    """Means over seeds and users that are drawn with replacement, the same for all sides: (sides, samples).

    NaN where none of the users drawn was measured with a seed, which takes users that differ by seed and are very few.
    """
    seeds, _, users = sums[0].shape
    generator, parts = np.random.default_rng((seed, 2)), []
    for size in _parts(samples, users):
        times = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size) / seeds
        counts = generator.multinomial(users, np.full(users, 1 / users), size).astype(np.float64)
        with np.errstate(invalid="ignore"):
            parts.append([(times * ((counts @ side[:, 0].T) / (counts @ side[:, 1].T)) ** power).sum(1)
                          for side in sums])
    return np.concatenate(parts, axis=1)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction: the i-th smallest of m is multiplied by `m - i + 1`, and they never descend.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    corrected = np.empty(len(p))
    corrected[order] = stepped
    return corrected


def _resample(metrics: Sequence[str], bases: Sequence[int], named: Mapping[str, Evaluation | Result], samples: int,
              permutations: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each metric the bootstrap values (models, samples) and the p-values (models,)."""
    if not metrics:
        return {}, {}
    powers = np.array([RATINGS.get(parse(metric).name, 1) for metric in metrics])
    folds = [_folds(each) for each in named.values()]
    _, place = np.unique(np.concatenate([fold.users for fold in folds[0]]), return_inverse=True)
    weights = np.concatenate([fold.weights for fold in folds[0]])
    sums = np.array([[np.bincount(place, weights * np.concatenate([f.per_user[metric] for f in model]) ** power)
                      for model in folds] for metric, power in zip(metrics, powers, strict=True)])
    sizes = sums.shape[:2]  # (metrics, models, U): of each user, sum w x^p over the folds
    flat = sums.reshape(-1, sums.shape[2])
    drawn = np.concatenate(list(_bootstrap(flat, np.bincount(place, weights), samples, seed)), axis=1)
    drawn = drawn.reshape(*sizes, samples) ** (1 / powers[:, None, None])
    against = sums[np.arange(len(metrics)), bases]
    p = _sign_flips((sums - against[:, None]).reshape(flat.shape), permutations, seed).reshape(sizes)
    p[np.arange(len(metrics)), bases] = np.nan
    return dict(zip(metrics, drawn, strict=True)), dict(zip(metrics, p, strict=True))


def _rows(metric: str, names: Sequence[str], values: np.ndarray, base: int, drawn: np.ndarray | None,
          p: np.ndarray | None, level: float) -> list[Row]:
    """One row a model, in one metric."""
    none = np.full(len(names), np.nan)
    limits = 50 * (1 - level), 50 * (1 + level)
    low, high = (none, none) if drawn is None else np.percentile(drawn, limits, axis=1)
    low_d, high_d = (none, none) if drawn is None else np.percentile(drawn - drawn[base], limits, axis=1)
    p = none if p is None else p
    corrected = none.copy()
    corrected[~np.isnan(p)] = holm(p[~np.isnan(p)])
    return [Row(names[i], metric, float(values[i]), float(low[i]), float(high[i]), float(values[i] - values[base]),
                float(low_d[i]), float(high_d[i]), float(p[i]), float(corrected[i]), names[base])
            for i in range(len(names))]


def _bootstrap(sums: np.ndarray, weights: np.ndarray, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Ratios of the sums (m, U) over users drawn with replacement, the same for all: (m, part of the samples)."""
    users = len(weights)
    generator = np.random.default_rng((seed, 0))
    for size in _parts(samples, users):
        drawn = generator.integers(0, users, (size, users)) + np.arange(size)[:, None] * users
        counts = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users).astype(np.float64)
        yield (sums @ counts.T) / (weights @ counts.T)


def _sign_flips(differences: np.ndarray, permutations: int, seed: int) -> np.ndarray:
    """P-values (m,) of `|sum d|`, d (m, U), when each user's two results may be swapped.

    Under a swap the metric's difference is an odd, increasing function of the sum, whatever its power.
    """
    reached = np.abs(differences.sum(1)) * (1 - 1e-12)
    beyond = np.zeros(len(differences))
    generator = np.random.default_rng((seed, 1))
    for size in _parts(permutations, differences.shape[1]):
        signs = 2.0 * generator.integers(0, 2, (size, differences.shape[1]), np.int8) - 1
        beyond += (np.abs(differences @ signs.T) >= reached[:, None]).sum(1)
    return (1 + beyond) / (1 + permutations)


def _parts(total: int, users: int) -> Iterator[int]:
    size = max(_CELLS // max(users, 1), 1)
    for start in range(0, total, size):
        yield min(size, total - start)


def _badness(metric: str, value: Any) -> Any:
    return value if parse(metric).name in LOWER_IS_BETTER else -value


def _check_given(evaluations: Any) -> None:
    """Raise, in a sentence, for what holds no evaluations."""
    held = evaluations.values() if isinstance(evaluations, Mapping) else evaluations
    sized = isinstance(held, Collection) and not isinstance(held, str)
    strange = [evaluations] if not sized else [each for each in held if not isinstance(each, (Evaluation, Result))]
    if strange:
        raise ParameterError(f"compare: got {described(strange[0])} where an Evaluation or Result belongs; pass what "
                             f"evaluate or protocols.run returned, such as {{'EASE': protocols.run(EASE(), data, "
                             f"'last-one-full')}}.")


def _require_same_protocol(named: Mapping[str, Evaluation | Result]) -> None:
    (name, first), *others = named.items()
    for other, found in others:
        differ = [key for key in _SAME if first.card.get(key) != found.card.get(key)]
        if differ:
            key = differ[0]
            raise DataError(f"compare: {name} and {other} were measured differently, {key} is {first.card.get(key)!r} "
                            f"and {found.card.get(key)!r}; compare models under one protocol.")
        if not all(np.array_equal(a.users, b.users) for a, b in zip(_folds(first), _folds(found), strict=True)):
            raise DataError(f"compare: {name} and {other} were measured on different users.")


def _folds(found: Evaluation | Result) -> list[Evaluation]:
    return found.evaluations if isinstance(found, Result) else [found]
