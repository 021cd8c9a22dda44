"""Measure a fitted model on a split, and say exactly what was measured."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minidl import runtime
from recsys.checks import PROGRESS, Check, flag, number, one_of, optional, require, whole
from recsys.data.cleaning import warn_of_nothing
from recsys.data.described import described
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.errors import DataError, DataWarning, LeakWarning, ParameterError, UnsupportedError
from recsys.evaluation.leaks import seen_in_training
from recsys.evaluation.metrics import RATINGS, Metric, parse, rating_errors
from recsys.evaluation.ranking import Pool, measure, part_of, require_ids_of
from recsys.progress import Progress, task

__all__ = ["Evaluation", "evaluate"]

DEFAULT_METRICS = {"ranking": ("recall", "ndcg", "hit", "precision", "mrr"), "ratings": ("rmse", "mae")}
_SEEN = Check(lambda value: flag().accepts(value) or (isinstance(value, str) and value == "train"),
              "True, False or 'train'")
_CHECKS = {"k": whole(1), "part": one_of("test", "valid"), "task": one_of("ranking", "ratings"),
           "candidates": one_of("train", "all", "new"), "exclude_seen": _SEEN, "negatives": optional(whole(1)),
           "seed": whole(0), "clip": flag(), "unseen": optional(number()), "block": optional(whole(1)),
           "progress": PROGRESS}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a model reached, and under which protocol.

    Attributes
    ----------
    metrics : mapping of str to float
        In the order asked for, by names such as `"ndcg@10"`.
    errors : mapping of str to float
        Standard errors over users, for the metrics that have a value per user.
    per_user : mapping of str to ndarray, shape (U,)
        For a rating metric, each user's own; `weights` then holds the numbers of ratings, and the
        metric is the weighted (for rmse, quadratic) mean.
    users : ndarray, shape (U,)
        External ids of the users with events to predict.
    weights : ndarray, shape (U,)
    card : mapping
        The split's card, candidates, treatment of seen items and ties, sizes.
    seconds : float
        Time of scoring and measuring, without compiling.
    model : str
        The model's repr.
    """

    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    per_user: Mapping[str, np.ndarray]
    users: np.ndarray
    weights: np.ndarray
    card: Mapping[str, Any]
    seconds: float
    model: str = field(default="model")

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Evaluation({found}; {len(self.users):,} users)"

    def __str__(self) -> str:
        return describe(self.model, self.metrics, self.errors, self.card)

    def by_group(self, groups: Mapping[Any, str]) -> dict[str, dict[str, float]]:
        """The metrics within groups of users: does the model serve some of them worse?

        Parameters
        ----------
        groups : mapping of user id to name of the group
            Users that it lacks are left out; `recsys.evaluation.by_history` makes one.

        Returns
        -------
        dict of str to dict of str to float
            For each group that has some its `users` (their number) and the metrics that have a value per user, in the
            order of the mapping.
        """
        Check(lambda value: isinstance(value, Mapping), "a mapping of user id to name of the group, such as a dict"
              ).require("by_group", "groups", groups)
        named = np.array([groups.get(user, "") for user in self.users.tolist()])
        found = {}
        for name in dict.fromkeys(groups.values()):
            inside = named == name
            if not inside.any():
                continue
            found[name] = {"users": float(inside.sum())} | {
                metric: mean(values[inside], self.weights[inside], RATINGS.get(metric, 1))
                for metric, values in self.per_user.items()}
        return found


def describe(model: str, metrics: Mapping[str, float], errors: Mapping[str, float], card: Mapping[str, Any]) -> str:
    """Metrics with their standard errors, then the card: no number without its protocol."""
    width = max(map(len, [*metrics, *card]), default=0)
    lines = [f"{name:<{width}}  {value:.4f}" + (f" ± {errors[name]:.4f}" if name in errors else "")
             for name, value in metrics.items()]
    return "\n".join([model, *lines, *(f"{name:<{width}}  {value}" for name, value in card.items())])


def evaluate(model: Any, split: Split, *, k: int = 10, metrics: Sequence[str] | None = None, part: str = "test",
             task: str = "ranking", candidates: str = "train", exclude_seen: bool | str = True,
             negatives: int | None = None, seed: int = 0, vectors: np.ndarray | None = None, clip: bool = True,
             unseen: float | None = None, block: int | None = None, progress: Progress | None = None) -> Evaluation:
    """Rank all candidates for every user of the test part, or predict its ratings.

    Seen items are excluded: the history that the split lets the model see, and for the test part the user's
    validation events too, whether or not the model saw them (RecBole's rule). A test item that is no candidate
    counts among the user's targets and is never found. Equal scores get the expectation over all their orders.

    Parameters
    ----------
    model : Recommender
        Fitted on `split.train`.
    split : Split
    k : int
        The cut-off of metrics that need one and are given without.
    metrics : sequence of str, optional
        Ranking: hit, precision, recall (divided by the targets), recall_min (by `min(k, targets)`), ndcg,
        mrr, map, auc, r_precision; of the lists shown: coverage, gini, novelty, popularity, diversity;
        with `@` and a cut-off. Ratings: rmse, mae, averaged over ratings.
    part : {"test", "valid"}
    task : {"ranking", "ratings"}
    candidates : {"train", "all", "new"}
        Rank the items with a training event, all items of the id map, or the part's items without a training event.
    exclude_seen : bool or "train"
        False ranks seen items too; "train" ranks the user's validation items in the test, if the model has not learned
        from them (as LightGCN's code does).
    negatives : int, optional
        Rank the targets among so many sampled candidates only. Such numbers are not comparable with full
        ranking, and the card says so.
    seed : int
        Of the sample of negatives.
    vectors : ndarray, shape (n_items, d), optional
        For `diversity`; by default the genres of the data.
    clip : bool
        Ratings: clip predictions to the range of the training values (a `Recommender` does so itself).
    unseen : float, optional
        Ratings: predict this wherever the user or item has no training event; by default the model decides.
    block : int, optional
        Users scored at once.
    progress : object with start, advance and stop, optional

    Returns
    -------
    Evaluation

    Warns
    -----
    LeakWarning
        The model has learned from events of the part that the split does not show it.
    DataWarning
        Items are ranked, and events to be found have a value of 0 or less; or no target is among the
        items that are ranked, so that the metrics are 0 whatever the model does.

    Raises
    ------
    DataError
        The part is missing or empty, or the model was fitted on other ids.
    NotFittedError
    UnsupportedError
        The model predicts no ratings, or cannot answer users it was not trained on.

    Examples
    --------
    >>> from recsys.data import Interactions, splits
    >>> from recsys.models.baselines import Popular
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 2, 3, 3], ["a", "b", "c", "a", "b", "d", "c", "b"])
    >>> split = splits.split_last(data, valid=False)
    >>> evaluate(Popular().fit(split.train), split, metrics=["hit@1"]).card["unreachable targets"]
    1
    """
    require("evaluate", _CHECKS, locals())
    _check_given(model, split)
    watch = runtime.Stopwatch()
    asked = asked_for(metrics, task, k)
    model = model.require_fitted("evaluate") if hasattr(model, "require_fitted") else model
    require_ids_of(model, split.train)
    question = Question(split, asked, task, part, candidates, exclude_seen=exclude_seen, negatives=negatives, seed=seed,
                        vectors=vectors, clip=clip, unseen=unseen, block=block)
    found = question.ask(model, progress)
    question.warn(found.card)
    powers = {str(metric): RATINGS.get(metric.name, 1) for metric in asked}
    errors = {name: standard_error(value, found.weights, powers[name]) for name, value in found.per_user.items()}
    seen, leak = seen_in_training(model, split, part)
    if leak:
        warnings.warn(leak, LeakWarning, stacklevel=2)
    card = {**split.card, "part": part, **found.card, f"{part} pairs seen in training": seen}
    return Evaluation(found.values, errors, found.per_user, split.train.users.ids[found.users], found.weights, card,
                      watch.seconds, repr(model))


class Found(NamedTuple):
    """What a question found: the metrics, those of each user, the users (U,), their weights (U,), and what to say."""

    values: dict[str, float]
    per_user: dict[str, np.ndarray]
    users: np.ndarray
    weights: np.ndarray
    card: dict[str, Any]


class Question:
    """What is measured of models, worked out, and warned of, once for all of them, or for one that is learning.

    Parameters
    ----------
    split : Split
    asked : list of Metric
    task, part, candidates : str
    exclude_seen, negatives, seed, vectors, clip, unseen, block
        All as `evaluate` has them.
    """

    def __init__(self, split: Split, asked: list[Metric], task: str, part: str, candidates: str = "train", *,
                 exclude_seen: bool | str = True, negatives: int | None = None, seed: int = 0,
                 vectors: np.ndarray | None = None, clip: bool = True, unseen: float | None = None,
                 block: int | None = None) -> None:
        self.train, self.events, self.part, self.asked = split.train, part_of(split, part), part, asked
        self.pool = None if task == "ratings" else Pool.of(split, part, candidates, exclude_seen, negatives, seed)
        n = split.train.n_items
        if vectors is not None and not (isinstance(vectors, np.ndarray) and vectors.ndim == 2 and len(vectors) == n):
            raise ParameterError(f"evaluate: vectors must be an array of shape ({n}, d), a row for each item, not "
                                 f"{described(vectors)}.")
        self.vectors, self.clip, self.unseen, self.block = vectors, clip, unseen, block
        self._warned = False

    def ask(self, model: Any, progress: Progress | None = None) -> Found:
        """Measure a model."""
        if self.pool is None:
            found, users, weights, card = _ratings(model, self.train, self.events, self.asked, self.clip, self.unseen,
                                                   progress)
        else:
            found, card = measure(model, self.pool, self.asked, self.vectors, self.block, progress)
            users, weights = self.pool.users, np.ones(len(self.pool.users))
        values = {str(metric): mean(value, weights, RATINGS.get(metric.name, 1)) if np.ndim(value) else float(value)
                  for metric, value in ((metric, found[metric]) for metric in self.asked)}
        per_user = {str(metric): value for metric, value in found.items() if np.ndim(value)}
        return Found(values, per_user, users, weights, card)

    def warn(self, card: dict[str, Any]) -> None:
        """A warning, the first time, where there is nothing that a model could find, or should."""
        if self._warned or self.pool is None:
            return
        self._warned = True
        warn_of_nothing(self.events)
        if card["unreachable targets"] == card["targets"]:
            warnings.warn(f"evaluate: none of the {card['targets']:,} targets of the {self.part} part can be found: "
                          f"each is an item that its user has seen before, or that no training event has; leave such "
                          f"pairs out, or take a protocol for repeats, such as last-one-repeats.", DataWarning,
                          stacklevel=3)


def _check_given(model: Any, split: Any) -> None:
    """Raise, in a sentence, for what is no fitted model or no split."""
    if isinstance(model, type) or not hasattr(model, "can"):
        raise ParameterError(f"evaluate: the model is {described(model)}; pass a fitted model, such as "
                             f"EASE().fit(split.train).")
    if not isinstance(split, Split):
        raise DataError(f"evaluate: the split is {described(split)}; divide the data with "
                        f"split = recsys.split_random(data), fit on split.train and pass the split, or use "
                        f"recsys.split_predefined(train, test) for parts of your own.")


def asked_for(metrics: Sequence[str] | None, task: str, k: int) -> list[Metric]:
    """The metrics that strings name, or the task's own.

    Raises
    ------
    ParameterError
        There is no such metric, or it does not go with the task.
    """
    whole(1).require("evaluate", "k", k)
    if not is_names(metrics or ()):
        raise ParameterError(f"evaluate: metrics must be a list of names, such as ['recall@10'], not {metrics!r}.")
    asked = [parse(text, k) for text in metrics or DEFAULT_METRICS[task]]
    wrong = [str(metric) for metric in asked if (metric.name in RATINGS) != (task == "ratings")]
    if wrong:
        raise ParameterError(f"evaluate: {', '.join(wrong)} cannot be measured with task={task!r}.")
    return asked


def is_names(metrics: Any) -> bool:
    """Whether it is a list of strings, or something like it."""
    return not isinstance(metrics, str) and isinstance(metrics, Collection) and all(
        isinstance(text, str) for text in metrics)


def mean(values: np.ndarray, weights: np.ndarray, power: int = 1) -> float:
    """`(sum w x^p / sum w)^(1/p)`."""
    return float(((weights * values**power).sum() / weights.sum()) ** (1 / power))


def standard_error(values: np.ndarray, weights: np.ndarray, power: int = 1) -> float:
    """Of `mean` when users are a sample: the ratio estimator's, through the root by the delta method."""
    users, centre = len(values), mean(values, weights, power)
    if users < 2:
        return float("nan")
    if power > 1 and centre == 0:  # no user differs
        return 0.0
    spread = weights * (values**power - centre**power)
    of_sum = np.sqrt((spread**2).sum() * users / (users - 1)) / weights.sum()
    return float(of_sum * centre ** (1 - power) / power)


def _ratings(model: Any, train: Interactions, data: Interactions, asked: list[Metric], clip: bool,
             unseen: float | None, progress: Progress | None
             ) -> tuple[dict[Metric, Any], np.ndarray, np.ndarray, dict[str, Any]]:
    """Each user's own metrics, the users, their numbers of ratings, and what the card says."""
    if not model.can.ratings:
        raise UnsupportedError(f"evaluate: {type(model).__name__} predicts no ratings; use task='ranking'.")
    if data.value is None or train.value is None:
        raise DataError("evaluate: task='ratings' needs interactions with values.")
    with task(progress, len(data), "predicting") as bar:
        prediction = model.predict(data.users.ids[data.user], data.items.ids[data.item], on_unknown="fallback")
        bar.advance(len(data))
    new = (np.bincount(train.user, minlength=train.n_users)[data.user] == 0) \
        | (np.bincount(train.item, minlength=train.n_items)[data.item] == 0)
    prediction = np.asarray(prediction, np.float64) if unseen is None else np.where(new, unseen, prediction)
    if clip:
        prediction = np.clip(prediction, train.value.min(), train.value.max())
    numbers = np.bincount(data.user, minlength=train.n_users)
    users = np.flatnonzero(numbers)
    found = {}
    for metric in asked:
        power = RATINGS[metric.name]
        sums = np.bincount(data.user, rating_errors(data.value, prediction, power), train.n_users)
        found[metric] = (sums[users] / numbers[users]) ** (1 / power)
    scale = f"clipped to {train.value.min():g}..{train.value.max():g}" if clip else "as the model gives them"
    return found, users, numbers[users].astype(np.float64), {
        "ratings": len(data), "users evaluated": len(users), "unseen user or item": int(new.sum()),
        "unseen are predicted": "by the model" if unseen is None else f"as {unseen:g}", "predictions": scale,
        "average": "over ratings"}
