"""`audit`: whom a model serves badly, what it shows and hides, and whom it gives away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from recsys.audit import findings, groups
from recsys.audit.drift import Drift, drift
from recsys.audit.groups import Grouping
from recsys.audit.inference import Membership, membership
from recsys.audit.items import ItemGroups, grouped_items, labels_of
from recsys.audit.quality import Difference, Measure, compare_groups, intervals
from recsys.audit.shown import Shown, controls, part_or_none, pool_of, shown
from recsys.checks import PROGRESS, Check, between, one_of, require, whole
from recsys.console import plain
from recsys.data.described import described
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.errors import DataError, ParameterError, UnsupportedError
from recsys.estimator.stating import Statement, statement
from recsys.evaluation.evaluator import asked_for, is_names
from recsys.evaluation.leaks import seen_in_training
from recsys.evaluation.ranking import require_ids_of
from recsys.progress import Progress

__all__ = ["Audit", "ItemShare", "Row", "audit"]

_NAMES = Check(is_names, "a list of names, such as ['gender', 'age']")
_CHECKS = {"k": whole(1), "by": _NAMES, "items_by": _NAMES, "metrics": _NAMES, "part": one_of("test", "valid"),
           "smallest": whole(2), "people": whole(10), "samples": whole(100), "permutations": whole(100),
           "level": Check(lambda value: between(0, 1).accepts(value) and 0 < value < 1, "a number between 0 and 1"),
           "seed": whole(0), "progress": PROGRESS}
_DEFAULT = ("ndcg", "recall")


@dataclass(frozen=True)
class Row:
    """The model, or a control, in one measure over all people; NaN limits where it has no value per person."""

    who: str
    measure: str
    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True)
class ItemShare:
    """What a group of items has of what there is; shares are from 0 to 1, and NaN where there is nothing to share.

    Attributes
    ----------
    grouping, group : str
    catalogue : float
        Of the items that may be shown.
    histories, recent, lists, popular, random : float
        Of what people had, of what was held out, of what the model shows them, and of what the two controls do; people
        each count once.
    low, high : float
        Of `lists`, over people.
    found : float
        Of the group's held-out items, the share that is found among the first k.
    """

    grouping: str
    group: str
    catalogue: float
    histories: float
    recent: float
    lists: float
    low: float
    high: float
    popular: float
    random: float
    found: float


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Attributes
    ----------
    model : str
    card : dict of str to JSON values
        What was measured, on whom, how.
    rows : list of Row
        The model beside popular and random items, over all people.
    differences : list of Difference
        Groups of people beside the rest.
    by_chance : int
        So many differences the test shows for people shuffled between the groups.
    items : list of ItemShare
    drifts : list of Drift
    membership : Membership or None
    statement : Statement
    notes : list of str
        What was merged, left out, or cannot be audited.
    level : float
    """

    model: str
    card: dict[str, Any]
    rows: list[Row]
    differences: list[Difference]
    by_chance: int
    items: list[ItemShare]
    drifts: list[Drift]
    membership: Membership | None
    statement: Statement
    notes: list[str] = field(default_factory=list)
    level: float = 0.95

    @property
    def stands_out(self) -> list[str]:
        """What was found, in sentences, the largest differences first."""
        return findings.found(self)

    @property
    def unsaid(self) -> list[str]:
        """What this audit cannot say."""
        return findings.limits(self)

    def to_record(self) -> dict[str, Any]:
        """Everything, as JSON can hold it; what is no number is None."""
        found = {"model": self.model, "card": self.card, "stands_out": self.stands_out, "unsaid": self.unsaid,
                "measures": [asdict(each) for each in self.rows],
                "groups": [asdict(each) | {"verdict": each.verdict(1 - self.level)} for each in self.differences],
                "differences_by_chance": self.by_chance, "items": [asdict(each) for each in self.items],
                "drift": [asdict(each) for each in self.drifts],
                "membership": None if self.membership is None else self.membership.to_record(),
                "statement": self.statement.to_record(), "notes": self.notes, "level": self.level}
        return dict(plain(found))

    def value(self, measure: str, who: str = "model") -> float:
        """The model's, or a control's, value over all people; NaN if it was not measured."""
        return next((row.value for row in self.rows if row.who == who and row.measure == measure), float("nan"))

    def html(self) -> str:
        """The page as text (extra `plot`)."""
        from recsys.audit.page import page

        return page(self)

    def write(self, path: Any) -> None:
        """Write the page, wholly or not at all."""
        from recsys.files import replacing

        text = self.html()
        with replacing(path) as file:
            file.write(text.encode())


def audit(model: Any, data: Split | Interactions, *, k: int = 10, by: Sequence[str] = (), items_by: Sequence[str] = (),
          metrics: Sequence[str] = _DEFAULT, part: str = "test", strangers: Interactions | None = None,
          candidates: str = "train", exclude_seen: bool | str = True, smallest: int = 20, people: int = 1000,
          level: float = 0.95, samples: int = 2000, permutations: int = 4999, seed: int = 0,
          progress: Progress | None = None) -> Audit:
    """Look a fitted model over: quality by group, exposure, calibration, drift, membership, with their controls.

    What is known of people, such as gender or age, is used only if `by` names it.

    Parameters
    ----------
    model : Recommender
        Fitted on the split's training part, or on the data.
    data : Split or Interactions
        With events held out (a split, whose `part` is asked for), or without: then there is nothing to measure quality
        by, and all else is audited.
    k : int
        The length of the lists.
    by : sequence of str
        Attributes of users to group them by, beside activity and taste.
    items_by : sequence of str
        Attributes of items to group them by, beside popularity, genres and age.
    metrics : sequence of str
        Of quality, with a value per person, such as "ndcg" and "recall@20".
    part : {"test", "valid"}
    strangers : Interactions, optional
        People who were not in the training data, for membership inference; by default those of the split's parts who
        have no training event, if there are enough.
    candidates, exclude_seen
        As of `recsys.evaluation.evaluate`.
    smallest : int
        Groups of fewer people are merged with others.
    people : int
        How many members and strangers are asked at most.
    level : float
        Of intervals and tests.
    samples, permutations, seed : int
        Of the bootstrap and of the tests.
    progress : object with start, advance and stop, optional

    Returns
    -------
    Audit

    Raises
    ------
    ParameterError, DataError, NotFittedError

    Examples
    --------
    >>> from recsys import datasets, splits, models
    >>> from recsys.audit import audit
    >>> data, _ = datasets.simulate(80, 40, 1600, seed=1)
    >>> split = splits.split_random(data.binarise())
    >>> found = audit(models.EASE().fit(split.train), split, k=5, samples=200, permutations=200)
    >>> sorted({each.grouping for each in found.differences}), found.value("gini@5") > 0
    (['activity', 'taste'], True)
    """
    require("audit", _CHECKS, locals())
    split = _split(data)
    model = model.require_fitted("audit") if hasattr(model, "require_fitted") else model
    require_ids_of(model, split.train)
    asked = tuple(str(metric) for metric in asked_for(list(metrics), "ranking", k))
    pool = pool_of(split, part, candidates, exclude_seen)
    counts = np.bincount(split.train.csr.unique().indices, minlength=split.train.n_items)
    item_groups, labels = grouped_items(split.train, counts, items_by), labels_of(split.train)
    groupings = _groupings(split, pool.users, pool, counts, by, smallest)
    ours = shown(model, "model", pool, k, progress)
    beside = [shown(each, name, pool, k) for name, each in controls(counts, seed).items()]
    measures = _measures(ours, asked, labels)
    differences, by_chance = compare_groups(measures, groupings, _held(pool), level=level, samples=samples,
                                            permutations=permutations, seed=seed)
    rows = [row for each in (ours, *beside) for row in _rows(each, asked, labels, level, samples, seed)]
    recent = part_or_none(split, part)
    held = None if not len(recent) else recent.csr.unique().rows(pool.users)
    shares = [share for each in item_groups for share in _shares(each, ours, beside, held, level, samples, seed)]
    drifts = [one for each in item_groups for one in _drifts(each, ours, beside, held, level, samples, seed)]
    inferred, why = _membership(model, split, strangers, people, samples, level, seed)
    notes = [each.note for each in groupings if each.note]
    notes += [f"{each.name}: all people are in one group of those of at least {smallest}, so there is nothing to "
              f"compare." for each in groupings if len(each.names) < 2]
    return Audit(repr(model), _card(model, split, part, pool, len(recent), k, smallest, level), rows, differences,
                 by_chance, shares, drifts, inferred, statement(model), [*notes, *why], level)


def _split(data: Any) -> Split:
    if isinstance(data, Split):
        return data
    if not isinstance(data, Interactions):
        raise ParameterError(f"audit: the data is {described(data)}; pass a split, such as recsys.split_random(data), "
                             f"or Interactions.")
    return Split(data, None, data.take(np.zeros(0, np.int64)), {})


def _groupings(split: Split, users: np.ndarray, pool: Any, counts: np.ndarray, by: Sequence[str], smallest: int
               ) -> list[Grouping]:
    visible = (split.train.csr if pool.history is None else pool.history).rows(users)
    found = [groups.by_attribute(split.train.user_features, name, users, smallest) for name in dict.fromkeys(by)]
    return [*found, groups.by_activity(visible, smallest), groups.by_taste(visible, counts, smallest)]


def _held(pool: Any) -> np.ndarray:
    """People by how much was held out of them, in up to five bands."""
    targets = pool.relevant.counts[pool.users]
    return np.asarray(np.searchsorted(np.unique(np.quantile(targets, (0.2, 0.4, 0.6, 0.8))), targets, side="left"))


def _measures(each: Shown, metrics: tuple[str, ...], labels: ItemGroups | None) -> list[Measure]:
    found = [*each.accuracy(metrics), each.popularity_lift()]
    found += [] if labels is None else [each.miscalibration(labels)]
    return [measure for measure in found if measure.weight.any()]


def _rows(each: Shown, metrics: tuple[str, ...], labels: ItemGroups | None, level: float, samples: int, seed: int
          ) -> list[Row]:
    measured = [*_measures(each, metrics, labels), each.tail_share()]
    limits = intervals(measured, level, samples, seed)
    return [*(Row(each.name, one.name, one.value, float(low), float(high))
              for one, (low, high) in zip(measured, limits, strict=True)),
            *(Row(each.name, f"{name}@{each.k}", value) for name, value in each.exposure().items())]


def _shares(group: ItemGroups, ours: Shown, beside: list[Shown], held: Any, level: float, samples: int, seed: int
            ) -> list[ItemShare]:
    allowed = group.mix[ours.pool.allowed]
    catalogue = allowed.sum(0) / max(allowed.sum(), 1)
    lists = group.of_lists(ours.lists.items[:, :ours.k])
    others = [_mean(group.of_lists(each.lists.items[:, :each.k])) for each in beside]
    nothing = np.full(len(group.names), np.nan)
    columns = [catalogue, _mean(group.of_rows(ours.history)), nothing if held is None else _mean(group.of_rows(held))]
    found = ours.found(group)
    able = (lists.sum(1) > 0).astype(np.float64)
    measured = [Measure(name, lists[:, g], able) for g, name in enumerate(group.names)]
    limits = intervals(measured, level, samples, seed)
    told = {"catalogue": columns[0], "histories": columns[1], "recent": columns[2], "low": limits[:, 0],
            "high": limits[:, 1], "popular": others[0], "random": others[1], "found": found}
    return [ItemShare(group.name, one.name, lists=one.value, **{what: float(of[g]) for what, of in told.items()})
            for g, one in enumerate(measured)]


def _mean(mixes: np.ndarray) -> np.ndarray:
    """The mean over the people who have a mix."""
    told = mixes.sum(1) > 0
    return mixes[told].mean(0) if told.any() else np.full(mixes.shape[1], np.nan)


def _drifts(group: ItemGroups, ours: Shown, beside: list[Shown], held: Any, level: float, samples: int, seed: int
            ) -> list[Drift]:
    lists, histories = group.of_lists(ours.lists.items[:, :ours.k]), group.of_rows(ours.history)
    pairs = [("lists", "histories", lists, histories)]
    if held is not None:
        recent = group.of_rows(held)
        pairs += [("lists", "held-out events", lists, recent), ("held-out events", "histories", recent, histories)]
    pairs += [(f"{each.name} lists", "histories", group.of_lists(each.lists.items[:, :each.k]), histories)
              for each in beside]
    found = (drift(group.name, one, other, (a, b), level=level, samples=min(samples, 1000), seed=seed)
             for one, other, a, b in pairs)
    return [each for each in found if each is not None]


def _membership(model: Any, split: Split, strangers: Interactions | None, people: int, samples: int, level: float,
                seed: int) -> tuple[Membership | None, list[str]]:
    """What the attacks found, or why there were none."""
    if strangers is None:
        strangers = _held_out(split)
        if strangers is None:
            return None, ["membership: nobody is known who was not in the training data; give strangers, or a protocol "
                          "that holds people out, such as strong-generalisation."]
    try:
        return membership(model, split.train, strangers, people=people, samples=samples, level=level, seed=seed), []
    except (UnsupportedError, DataError) as error:
        return None, [str(error)]


def _held_out(split: Split) -> Interactions | None:
    """All that is known of the people without training events."""
    from recsys.data.parts import joined

    unknown = np.bincount(split.train.user, minlength=split.train.n_users) == 0
    found: Interactions | None = None
    for part in (split.test_history, split.test, split.valid_history, split.valid):
        theirs = None if part is None else part.take(unknown[part.user])
        if theirs is not None and len(theirs):
            found = theirs if found is None else joined(found, theirs, theirs.user)
    return found


def _card(model: Any, split: Split, part: str, pool: Any, held: int, k: int, smallest: int, level: float
          ) -> dict[str, Any]:
    train = split.train
    leaks = {}
    if held:
        seen, leak = seen_in_training(model, split, part)
        leaks = {f"{part} pairs seen in training": seen} | ({"warning": leak.replace("evaluate: ", "")} if leak else {})
    same = getattr(model, "fingerprint", None) == train.fingerprint()
    return {"data": train.name or "unnamed", "split": split.card.get("split", "none"),
            "events learned from": f"{len(train):,}" + ("" if same else " (the model was trained on other events than "
                                                                       "these)"),
            "people asked": len(pool.users), "held-out events": held, "k": k, "candidates": pool.candidates,
            "seen items": pool.excluded, "smallest group": smallest, "level": level, **leaks}
