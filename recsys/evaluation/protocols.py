"""Named protocols: how data is prepared and divided, what is measured, and a card that says so.

A number means something only beside its protocol; each one avoids traps that move it.

>>> print(find("last-one-full"))
last-one-full
  Each user's last event is the test, the one before the validation (in the history at test time). ...
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minidl import runtime
from recsys.checks import PROGRESS, flag, number, one_of, optional, require, whole
from recsys.data import given, splits
from recsys.data.cleaning import warn_of_nothing
from recsys.data.described import described
from recsys.data.given import Data
from recsys.data.interactions import Interactions
from recsys.data.parts import Parts, Split
from recsys.data.sessions import split_sessions
from recsys.errors import DataError, ParameterError, UnsupportedError
from recsys.evaluation.evaluator import Evaluation, asked_for, describe, evaluate
from recsys.evaluation.ranking import part_of
from recsys.progress import Progress, task

__all__ = ["PROTOCOLS", "Protocol", "Result", "find", "fresh", "prepared", "run"]

_CHECKS = {"seed": optional(whole(0)), "part": one_of("test", "valid"), "values": flag(), "refit": flag(),
           "valid_users": optional(whole(1)), "progress": PROGRESS}
_BY_TYPE = {"bool": flag(), "int": whole(0), "int | None": optional(whole(0)), "float": number(),
            "float | None": optional(number())}  # of a protocol's options



@dataclass(frozen=True)
class Protocol:
    """One way to measure models.

    Attributes
    ----------
    name : str
    summary : str
        What is done, in sentences.
    task : {"ranking", "ratings"}
    metrics : tuple of str
        The default ones; `{k}` stands for the cut-off asked for.
    divide : callable
        `divide(data, seed, **options) -> list of Split`, preparation included; its keyword arguments are
        the protocol's options.
    settings : mapping
        Further arguments of `evaluate`.
    implicit : bool
        Values are dropped after the preparation, so that all models learn from the events alone; those that
        predict ratings, and could not learn without, keep them.
    """

    name: str
    summary: str
    task: str
    metrics: tuple[str, ...]
    divide: Callable[..., list[Split]] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)
    implicit: bool = True

    def __str__(self) -> str:
        return f"{self.name}\n{textwrap.indent(textwrap.fill(self.summary, 110), '  ')}"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a model reached over the folds of a protocol.

    Attributes
    ----------
    evaluations : list of Evaluation
        One a fold.
    metrics : dict of str to float
        Means over the folds.
    errors : dict of str to float
        Standard errors: over folds, or over users when there is one fold.
    card : dict
        The first fold's, with the protocol.
    seconds, fit_seconds : float
        Of evaluating, and of fitting, all folds, without compiling.
    model : str
    """

    evaluations: list[Evaluation]
    metrics: dict[str, float]
    errors: dict[str, float]
    card: dict[str, Any]
    seconds: float
    fit_seconds: float
    model: str

    def __repr__(self) -> str:
        found = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Result({self.model}: {found}; {self.card['protocol']})"

    def __str__(self) -> str:
        return describe(self.model, self.metrics, self.errors, self.card)


def find(name: str | Protocol) -> Protocol:
    """The protocol of that name, or the one that is given.

    Raises
    ------
    ParameterError
        There is none; the message lists the names.
    """
    if isinstance(name, Protocol):
        return name
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ParameterError(f"protocols: there is no protocol {name!r}; the names are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def run(model: Any, data: Data | Parts, protocol: str | Protocol, *, k: int = 10, metrics: Sequence[str] | None = None,
        seed: int | None = None, part: str = "test", values: bool = False, refit: bool = False,
        valid_users: int | None = None, progress: Progress | None = None, **options: Any) -> Result:
    """Fit and measure a model under a protocol.

    Parameters
    ----------
    model : Recommender or callable
        A model, of which a fresh copy with the same parameters is fitted for each fold (the one given is
        not touched), or a function without arguments that makes one.
    data : Interactions
        For `predefined` and `predefined-ratings`: a Split, or a tuple `(train, test)` or `(train, test, valid)`.
        For `sessions-next` also `(train, test)`.
    protocol : str or Protocol
        A name in `PROTOCOLS`.
    k : int
        Cut-off of the metrics.
    metrics : sequence of str, optional
        Instead of the protocol's.
    seed : int, optional
        Of the split; each protocol has its own by default.
    part : {"test", "valid"}
        Measure on the validation part while choosing parameters: never on the test part.
    values : bool
        Keep values for all models, such as play counts for ALS.
    refit : bool
        Before the test, fit again on training and validation rows together, for as many epochs as were best.
    valid_users : int, optional
        Validate on so many random users only, which takes less time; the card says so.
    progress : object with start, advance and stop, optional
    **options
        The protocol's: such as `min_value=3`, `folds=5`, `min_events=3`, `n_test=400`.

    Returns
    -------
    Result
    """
    require("protocols", _CHECKS, locals())
    protocol = find(protocol)
    asked = metrics or tuple(name.format(k=k) for name in protocol.metrics)
    asked_for(asked, protocol.task, k)  # a slip is told before hours of fitting, not after
    if refit and part == "valid":
        raise ParameterError("protocols: refit=True learns from the validation rows, so they cannot be measured; leave "
                             "one of refit=True and part='valid' out.")
    folds = _divide(protocol, prepared(protocol, data), seed, options)
    for fold in folds:
        part_of(fold, part)
        if refit:
            fold.known()
    evaluations, fit_seconds = [], 0.0
    with task(progress, len(folds), f"{protocol.name}, folds") as bar:
        for fold in folds:
            made = fresh(model)
            _check_task(protocol, made)
            if protocol.implicit and not (values or made.can.ratings):
                fold = _without_values(fold)
            shown = fold if valid_users is None or fold.valid is None else fold.sample_valid(valid_users)
            watch = runtime.Stopwatch()
            made.fit(fold.train, shown.valid, valid_history=fold.valid_history, progress=progress)
            if refit:
                made, fold = _refitted(fresh(model), getattr(made, "curves_", {}).get("valid"), fold, progress)
            fit_seconds += watch.seconds
            fold = shown if part == "valid" else replace(fold, card={**shown.card, **fold.card})
            evaluations.append(evaluate(made, fold, k=k, metrics=asked, part=part, task=protocol.task,
                                        progress=progress, **protocol.settings))
            bar.advance()
    return _summary(protocol, evaluations, fit_seconds, options)


def fresh(model: Any) -> Any:
    """A model that has not been fitted, from a model or a function without arguments that makes one."""
    own = not isinstance(model, type) and callable(getattr(model, "clone", None))
    made = model.clone() if own else model() if callable(model) else model
    if not hasattr(made, "fit") or made is model:
        raise ParameterError(f"protocols: the model is {described(made)}; pass a model, such as EASE(), or a "
                             f"function that makes one.")
    return made


def _check_task(protocol: Protocol, model: Any) -> None:
    if protocol.task == "ratings" and not model.can.ratings:
        raise UnsupportedError(f"protocol {protocol.name} measures predicted ratings, and {type(model).__name__} "
                               f"predicts none; use a protocol that ranks, such as 'last-one-full'.")


def prepared(protocol: Protocol, data: Any) -> Any:
    """The data of `run` as Interactions, or for protocols that take parts, a tuple of them or a Split."""
    prepare = given.parts if protocol.divide in (_predefined, _sessions) else given.interactions
    return prepare(f"protocol {protocol.name}", data)


def _divide(protocol: Protocol, data: Any, seed: int | None, options: Mapping[str, Any]) -> list[Split]:
    known = inspect.signature(protocol.divide).parameters
    unknown = set(options) - set(known)
    if unknown:
        names = ", ".join(name for name in known if name not in ("data", "seed")) or "none"
        raise ParameterError(f"protocol {protocol.name} has no option {', '.join(sorted(unknown))}; "
                             f"its options are: {names}.")
    for name, value in options.items():
        if check := _BY_TYPE.get(str(known[name].annotation)):
            check.require(f"protocol {protocol.name}", name, value)
    return protocol.divide(data, **({} if seed is None or "seed" not in known else {"seed": seed}), **options)


def _refitted(model: Any, by_epoch: list[float] | None, fold: Split, progress: Progress | None) -> tuple[Any, Split]:
    """A fresh model once it has learned from all but the test, for as many epochs as were best before."""
    if by_epoch:
        model.set_params(epochs=int(np.argmax(by_epoch)) + 1)
    card = {**fold.card, "refit": "on training and validation rows"}
    return model.fit(fold.known(), progress=progress), replace(fold, card=card)


def _without_values(split: Split) -> Split:
    warn_of_nothing(split.train)
    parts = {name: getattr(split, name) for name in ("train", "valid", "test", "valid_history", "test_history",
                                                    "whole")}
    dropped = {name: part.binarise() for name, part in parts.items() if part is not None}
    return replace(split, card={**split.card, "values": "dropped"}, **dropped)


def _summary(protocol: Protocol, evaluations: list[Evaluation], fit_seconds: float, options: Mapping[str, Any]
             ) -> Result:
    first, folds = evaluations[0], len(evaluations)
    metrics = {name: float(np.mean([each.metrics[name] for each in evaluations])) for name in first.metrics}
    errors, over = dict(first.errors), "users"
    if folds > 1:
        over = "folds"
        errors = {name: float(np.std([each.metrics[name] for each in evaluations], ddof=1) / np.sqrt(folds))
                  for name in first.metrics}
    named = protocol.name + "".join(f", {name}={value}" for name, value in options.items())
    card = {"protocol": named, **first.card, "folds": folds, "standard errors": f"over {over}"}
    return Result(evaluations, metrics, errors, card, sum(each.seconds for each in evaluations), fit_seconds,
                  first.model)


def _events(data: Interactions, min_value: float | None) -> Interactions:
    """The first event of each pair among those of `min_value` or more."""
    kept = data if min_value is None else data.filter(min_value=min_value)
    return kept.clean(duplicates="first").compact()


def _folds(data: Interactions, seed: int = 0, folds: int = 5) -> list[Split]:
    return splits.split_kfold(data.clean(duplicates="last"), folds, seed)


def _ninety_ten(data: Interactions, seed: int = 0, folds: int = 5) -> list[Split]:
    whole(1).require("protocol ratings-90-10", "folds", folds)
    data = data.clean(duplicates="last")
    return [splits.split_random(data, valid=0.09, test=0.1, by="global", seed=seed + fold) for fold in range(folds)]


def _rows(data: Interactions, min_value: float | None) -> Interactions:
    """All rows of `min_value` or more, repeated pairs too."""
    return (data if min_value is None else data.filter(min_value=min_value)).compact()


def _last_repeats(data: Interactions, seed: int = 0, min_value: float | None = None, min_events: int = 3,
                  valid: bool = True, shuffle_ties: bool = False) -> list[Split]:
    return [splits.split_last(_rows(data, min_value), valid=valid, min_events=min_events, shuffle_ties=shuffle_ties,
                              seed=seed)]


def _basket_repeats(data: Interactions, seed: int = 0, min_value: float | None = None, min_baskets: int = 3
                    ) -> list[Split]:
    return [splits.split_last(_rows(data, min_value), min_events=min_baskets, baskets=True, seed=seed)]


def _ratio(data: Interactions, seed: int = 0, min_value: float | None = None) -> list[Split]:
    return [splits.split_random(_events(data, min_value), valid=0.1, test=0.1, by="user", seed=seed)]


def _last(data: Interactions, seed: int = 0, min_value: float | None = None,
          min_events: int = 3, valid: bool = True, shuffle_ties: bool = False) -> list[Split]:
    data = _events(data, min_value)
    return [splits.split_last(data, valid=valid, min_events=min_events, shuffle_ties=shuffle_ties, seed=seed)]


def _basket(data: Interactions, seed: int = 0, min_value: float | None = None, min_baskets: int = 3,
            shuffle_ties: bool = False) -> list[Split]:
    return [splits.split_last(_events(data, min_value), min_events=min_baskets, baskets=True,
                              shuffle_ties=shuffle_ties, seed=seed)]


def _ncf(data: Interactions, seed: int = 0, min_value: float | None = None, min_events: int = 2) -> list[Split]:
    return _last(data, seed, min_value, min_events=min_events, valid=False)


def _new_users(data: Interactions, seed: int = 98765, min_value: float | None = None,
               min_events: int = 5, n_valid: int | None = None, n_test: int | None = None,
               fold_in: float = 0.8) -> list[Split]:
    data = _events(data, min_value).k_core(users=min_events, items=0)
    tenth = data.n_users // 10
    return [splits.split_users(data, tenth if n_valid is None else n_valid, tenth if n_test is None else n_test,
                               fold_in, seed)]


def _new_items(data: Interactions, seed: int = 0, min_value: float | None = None, valid: float = 0.1,
               test: float = 0.1) -> list[Split]:
    return [splits.split_items(_events(data, min_value), valid, test, seed)]


def _moment(data: Interactions, min_value: float | None = None, cutoff: Any = None,
            fraction: float = 0.8, valid: float = 0.1) -> list[Split]:
    return [splits.split_time(_events(data, min_value), cutoff, fraction, valid)]


def _sessions(data: Any, test_share: float = 0.1, valid_share: float = 0.1) -> list[Split]:
    data, test = (data, None) if isinstance(data, Interactions) else data
    return [split_sessions(data, test, test_share=test_share, valid_share=valid_share)]


def _predefined(data: Any) -> list[Split]:
    if isinstance(data, Split):
        return [data]
    if isinstance(data, Interactions) or len(data) not in (2, 3):
        raise DataError("protocols predefined and predefined-ratings: give a Split, or a tuple (train, test) or "
                        "(train, test, valid).")
    return [splits.split_predefined(*data)]


_RANKING = ("recall@{k}", "ndcg@{k}", "hit@{k}", "precision@{k}", "mrr@{k}")
_LAST = ("hit@{k}", "ndcg@{k}", "mrr")

PROTOCOLS: dict[str, Protocol] = {each.name: each for each in (
    Protocol("ratings-5fold",
             "Rows shuffled and cut into 5 folds (Surprise's, seed 0); RMSE and MAE over ratings, mean of the folds; "
             "predictions clipped to the scale; unknown users and items get what the model can say.",
             "ratings", ("rmse", "mae"), _folds, implicit=False),
    Protocol("ratings-90-10",
             "A random tenth of the rows tests, a tenth of the rest validates; five times, with seeds 0 to 4; "
             "unseen users or items are predicted as 3, as for AutoRec. Not comparable with 5 folds: there is "
             "more to train on.",
             "ratings", ("rmse", "mae"), _ninety_ten, {"unseen": 3.0}, implicit=False),
    Protocol("ratio-811-full",
             "First event of each pair (of min_value or more, if given); of each user's events a random tenth "
             "tests and a tenth validates; all items with training events are ranked but the user's training "
             "items. Recall divides by all test items.",
             "ranking", _RANKING, _ratio),
    Protocol("last-one-full",
             "Each user's last event is the test, the one before the validation (in the history at test time). First "
             "event of each pair, stable order by time, users with 3 events or more; all items with training "
             "events are ranked but those of the history. Equal times stay in row order: shuffle_ties=True "
             "shows what a result owes to that.",
             "ranking", _LAST, _last),
    Protocol("next-basket",
             "Each user's last basket, all events of one time, is the test, the one before the validation (in the "
             "history at test time). First event of each pair, users with 3 such baskets or more; all items with "
             "training events are ranked but those of the history. The order of lines inside the test's basket does "
             "not matter, unlike in last-one-full; shuffle_ties=True forgets it in training, too.",
             "ranking", _RANKING, _basket),
    Protocol("last-one-repeats",
             "As last-one-full where people come back to the same items (songs, groceries, pages): all events count, "
             "repeated ones too, and all items with training events are ranked, those of the history among them.",
             "ranking", _LAST, _last_repeats, {"exclude_seen": False}),
    Protocol("next-basket-repeats",
             "As next-basket where people buy again: all rows count, and all items with training events are ranked, "
             "those that the user has had among them.",
             "ranking", _RANKING, _basket_repeats, {"exclude_seen": False}),
    Protocol("strong-generalisation",
             "Users that training never sees (a tenth to validate, a tenth to test, seed 98765, or n_valid and "
             "n_test), with 5 events or more; four fifths of their events are shown and folded in, the rest are "
             "targets (Mult-VAE). Recall divides by min(k, targets).",
             "ranking", ("recall_min@20", "recall_min@50", "ndcg@100"), _new_users),
    Protocol("new-items",
             "Items that training never sees: a random tenth of the items tests, a tenth validates. First event of "
             "each pair (of min_value or more, if given). A part's items are ranked among themselves, so a model that "
             "knows nothing of their content is at chance level.",
             "ranking", ("auc", "ndcg@{k}", "recall@{k}"), _new_items, {"candidates": "new"}),
    Protocol("global-time",
             "One moment for all: events before it train (the latest tenth of them validates), events from it on "
             "test. First event of each pair; nothing of the future is ever used.",
             "ranking", _RANKING, _moment),
    Protocol("sessions-next",
             "Users are sessions. The latest tenth tests, or the sessions given apart, the tenth before validates; "
             "after every click of a session but the last, the next one is the target. All items with training events "
             "are ranked, those of the session too: repeated clicks are often the target.",
             "ranking", ("recall@{k}", "mrr@{k}"), _sessions, {"exclude_seen": False}),
    Protocol("predefined", "Parts that somebody else has made, as they are, with their values.",
             "ranking", _RANKING, _predefined, implicit=False),
    Protocol("predefined-ratings", "Parts that somebody else has made, as they are: RMSE and MAE of the test part's "
             "ratings, clipped to the scale.",
             "ratings", ("rmse", "mae"), _predefined, implicit=False),
    Protocol("ncf-99",
             "SAMPLED: each user's last event is ranked among 99 random items the user has never had (a fixed "
             "sample by seed). Numbers are several times those of full ranking, and order models differently.",
             "ranking", _LAST, _ncf, {"negatives": 99}),
)}
