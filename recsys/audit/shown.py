"""What people are shown by a model, and by the two that it stands beside: popular items for all, and random ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recsys.audit.items import ItemGroups, long_tail
from recsys.audit.quality import Measure
from recsys.data.cleaning import gini
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.mixes import divergence
from recsys.data.parts import Split
from recsys.estimator.capabilities import Can
from recsys.evaluation.metrics import LOWER_IS_BETTER, RANKING, Lists, Ranks, parse
from recsys.evaluation.ranking import Pool, lists_of, ranked

__all__ = ["Shown", "controls", "part_or_none", "pool_of", "shown"]


@dataclass(frozen=True, eq=False)
class Shown:
    """The lists of some people, and where their held-out items stand.

    Attributes
    ----------
    name : str
    k : int
    pool : Pool
    lists : Lists
    ranks : Ranks or None
        None where nothing was held out.
    """

    name: str
    k: int
    pool: Pool
    lists: Lists
    ranks: Ranks | None

    @property
    def history(self) -> CSR:
        """What the people had before, (U, n_items)."""
        held = self.lists.history
        return CSR.empty((len(self.pool.users), len(self.pool.allowed))) if held is None else held

    @cached_property
    def tail(self) -> np.ndarray:
        """Which items are of the long tail."""
        return long_tail(self.lists.counts)

    def accuracy(self, metrics: tuple[str, ...]) -> list[Measure]:
        """The metrics of each person, as means over people."""
        if self.ranks is None:
            return []
        ones = np.ones(len(self.pool.users))
        found = []
        for text in metrics:
            metric = parse(text, self.k)
            found.append(Measure(str(metric), RANKING[metric.name](self.ranks, metric.k), ones,
                                 good=-1 if metric.name in LOWER_IS_BETTER else 1))
        return found

    def popularity_lift(self) -> Measure:
        """How much more popular the lists are than the histories, people each counting once: a ratio less 1.

        Of a group it is `(GAP_lists - GAP_histories) / GAP_histories`, GAP being the mean over the group's people of
        the mean number of events of their items (Abdollahpouri et al., The unfairness of popularity bias, 2019).
        """
        counts, history = self.lists.counts, self.history
        had = history.counts
        sums = np.bincount(history.row_of_entry, counts[history.indices], len(had))
        told = (had > 0) & (self.lists.items[:, :self.k] >= 0).any(1)
        return Measure(f"popularity lift@{self.k}", np.where(told, self.lists.mean(counts, self.k), 0.0),
                       np.where(told, sums / np.maximum(had, 1), 0.0), less=1.0, good=0)

    def tail_share(self) -> Measure:
        """The share of a list that is of the long tail: APLT."""
        return Measure(f"long tail@{self.k}", self.lists.mean(self.tail.astype(np.float64), self.k),
                       np.ones(len(self.pool.users)), good=0)

    def miscalibration(self, labels: ItemGroups) -> Measure:
        """Steck's divergence of the list's labels from the history's, over the people who have both."""
        own, listed = labels.of_rows(self.history), labels.of_lists(self.lists.items[:, :self.k])
        both = (own.sum(1) > 0) & (listed.sum(1) > 0)
        return Measure(f"miscalibration@{self.k}", np.where(both, divergence(own, listed), 0.0),
                       both.astype(np.float64), good=-1)

    def exposure(self) -> dict[str, float]:
        """How the places in lists are shared out among the candidates."""
        places = self.lists.exposure(self.k)
        return {"coverage": float((places > 0).mean()) if len(places) else 0.0, "gini": gini(places),
                "mean popularity": float(self.lists.mean(self.lists.counts, self.k).mean())}

    def found(self, groups: ItemGroups) -> np.ndarray:
        """Of the held-out items of each group, the share that is among the first k: (G,); NaN where there are none."""
        if self.ranks is None:
            return np.full(len(groups.names), np.nan)
        ranks = self.ranks
        inside = np.clip(self.k - ranks.greater, 0, ranks.equal) / np.maximum(ranks.equal, 1)
        mix = groups.mix[self.pool.relevant.rows(self.pool.users).indices]
        totals = mix.sum(0)
        return np.where(totals > 0, inside @ mix / np.where(totals > 0, totals, 1), np.nan)


def shown(model: Any, name: str, pool: Pool, k: int, progress: Any = None) -> Shown:
    """The lists of a model, or of a control, for the people of a pool."""
    ranks, items = ranked(model, pool, k, k, progress=progress)
    return Shown(name, k, pool, lists_of(pool, items), ranks)


def pool_of(split: Split, part: str, candidates: str = "train", exclude_seen: bool | str = True) -> Pool:
    """Who is asked for the events of a part, or, if it has none, everybody who has a history."""
    if len(part_or_none(split, part)):
        return Pool.of(split, part, candidates, exclude_seen, None, 0)
    train, history = split.train, split.test_history
    visible = (train if history is None else history).csr.unique()
    trained = np.bincount(train.item, minlength=train.n_items) > 0
    allowed, what = (np.ones_like(trained), "all known") if candidates == "all" else (
        trained, "those with training events")
    return Pool(train, np.flatnonzero(visible.counts).astype(np.int32), CSR.empty(visible.shape), allowed,
                visible if exclude_seen else CSR.empty(visible.shape), None if history is None else history.csr, None,
                0, f"{int(allowed.sum()):,} items, {what}",
                "excluded" if exclude_seen else "not excluded")


def part_or_none(split: Split, part: str) -> Interactions:
    """The events of a part; without rows if there are none."""
    events = split.test if part == "test" else split.valid
    return split.train.take(np.zeros(0, np.int64)) if events is None else events


class _Same:
    """One order of items for all."""

    can = Can(cold_user=True)

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)

    def score_block(self, users: np.ndarray, history: CSR | None = None) -> np.ndarray:
        return np.tile(self.scores, (len(users), 1))


class _Random:
    """An order of items for each person by chance."""

    can = Can(cold_user=True)

    def __init__(self, n_items: int, seed: int) -> None:
        self.n_items, self.seed = n_items, seed

    def score_block(self, users: np.ndarray, history: CSR | None = None) -> np.ndarray:
        return np.stack([np.random.default_rng((self.seed, 6, int(user))).random(self.n_items, np.float32)
                         for user in users])


def controls(counts: np.ndarray, seed: int) -> Mapping[str, Any]:
    """What any model stands beside: the most popular items for all, and items by chance."""
    return {"popular": _Same(counts), "random": _Random(len(counts), seed)}
