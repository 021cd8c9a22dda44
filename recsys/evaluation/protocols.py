"""Named protocols: how data is prepared and divided, what is measured, and a card that says so.

A number means something only beside its protocol; each one avoids traps that move it.

>>> print(find("last-one-full"))
last-one-full
  Each user's last event is the test, the one before the validation (in the history at test time). ...
"""

from __future__ import annotations

import inspect
import os
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import runtime
from recsys.checks import PROGRESS, Check, flag, number, one_of, optional, require, whole
from recsys.data import given
from recsys.data.cleaning import warn_of_nothing
from recsys.data.described import described
from recsys.data.given import Data
from recsys.data.interactions import Interactions
from recsys.data.parts import Parts, Split
from recsys.errors import LeakWarning, ParameterError, UnsupportedError
from recsys.evaluation import dividing
from recsys.evaluation.evaluator import Evaluation, asked_for, describe, evaluate
from recsys.evaluation.leaks import shared_pairs
from recsys.evaluation.ranking import part_of
from recsys.files import checksum
from recsys.progress import Progress, task

__all__ = ["PROTOCOLS", "Protocol", "Result", "Trained", "ask", "divided", "find", "fresh", "needs_parts", "prepared",
           "run", "takes_parts", "train", "without_values"]

_FILES = Check(lambda value: not isinstance(value, str) and isinstance(value, Sequence) and all(
    isinstance(path, str | os.PathLike) and Path(path).is_file() for path in value), "a list of paths of files")
_CHECKS = {"seed": optional(whole(0)), "part": one_of("test", "valid"), "values": flag(), "refit": flag(),
           "valid_users": optional(whole(1)), "files": _FILES, "progress": PROGRESS}
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
        valid_users: int | None = None, files: Sequence[str | os.PathLike[str]] = (),
        progress: Progress | None = None, **options: Any) -> Result:
    """Fit and measure a model under a protocol.

    Parameters
    ----------
    model : Recommender or callable
        A model, of which a fresh copy with the same parameters is fitted for each fold (the one given is
        not touched), or a function without arguments that makes one.
    data : Interactions
        For protocols of parts, such as `predefined`: a Split, or a tuple `(train, test)` or `(train, test, valid)`.
        For `sessions-next` also such a tuple.
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
    files : sequence of path
        The files that the data was read from: the card names them with the beginnings of their SHA-256.
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
    if refit and protocol.settings.get("exclude_seen") == "train":
        raise ParameterError(f"protocol {protocol.name} ranks the validation items in the test, which refit=True would "
                             f"learn from; leave refit=True out, or take predefined.")
    folds = divided(protocol, prepared(protocol, data), seed, options)
    for fold in folds:
        part_of(fold, part)
        if refit:
            fold.known()
        if shared := _shared(protocol, fold, part):
            warnings.warn(f"protocol {protocol.name}: {shared}", LeakWarning, stacklevel=2)
    evaluations, fit_seconds = [], 0.0
    with task(progress, len(folds), f"{protocol.name}, folds") as bar:
        for fold in folds:
            trained = train(model, fold, protocol, values=values, refit=refit, valid_users=valid_users,
                            progress=progress)
            fit_seconds += trained.seconds
            evaluations.append(ask(trained.model, trained.asked(part), protocol, asked, k=k, part=part,
                                   progress=progress))
            bar.advance()
    return _summary(protocol, evaluations, fit_seconds, options, files)


class Trained(NamedTuple):
    """A model that has learned from a fold, and what it is then asked of each part."""

    model: Any
    valid: Split
    test: Split
    seconds: float

    def asked(self, part: str) -> Split:
        """The parts to measure one of."""
        return self.valid if part == "valid" else self.test


def train(model: Any, fold: Split, protocol: Protocol, *, values: bool = False, refit: bool = False,
          valid_users: int | None = None, callbacks: Sequence[Callable[..., Any]] = (),
          progress: Progress | None = None) -> Trained:
    """A fresh model that has learned from a fold, prepared as the protocol says; the arguments are those of `run`.

    `callbacks` are those of `Recommender.fit`, of networks alone.
    """
    made = fresh(model)
    _check_task(protocol, made)
    if protocol.implicit and not (values or made.can.ratings):
        fold = without_values(fold)
    shown = fold if valid_users is None or fold.valid is None else fold.sample_valid(valid_users)
    watch = runtime.Stopwatch()
    more = {"callbacks": callbacks} if callbacks else {}
    made, how, learned = _fitted(model, made, fold, shown.valid, refit, progress, more)
    card = {**shown.card, **how}
    return Trained(made, replace(shown, card=card), replace(learned, card=card), watch.seconds)


def ask(model: Any, split: Split, protocol: Protocol, metrics: Sequence[str], *, k: int = 10, part: str = "test",
        progress: Progress | None = None) -> Evaluation:
    """What a model that `train` has made reaches, as the protocol measures."""
    return evaluate(model, split, k=k, metrics=metrics, part=part, task=protocol.task, progress=progress,
                    **protocol.settings)


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
    prepare = given.parts if takes_parts(protocol) else given.interactions
    return prepare(f"protocol {protocol.name}", data)


def takes_parts(protocol: Protocol) -> bool:
    """Whether parts may be given apart; protocols of parts alone, such as predefined, take nothing else."""
    return needs_parts(protocol) or protocol.divide is dividing.sessions


def needs_parts(protocol: Protocol) -> bool:
    """Whether parts have to be given apart, as somebody else has made them."""
    return protocol.divide is dividing.predefined


def _shared(protocol: Protocol, fold: Split, part: str) -> str:
    """What to say of pairs that are in two parts which somebody else has made, and should be in one."""
    apart = needs_parts(protocol) and protocol.settings.get("exclude_seen", True)
    return shared_pairs(fold, part, protocol.task) if apart else ""


def divided(protocol: Protocol, data: Any, seed: int | None, options: Mapping[str, Any]) -> list[Split]:
    """The folds of data as `prepared` gives it, with the protocol's options, checked; its own seed if there is none."""
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


def _fitted(model: Any, made: Any, fold: Split, valid: Interactions | None, refit: bool, progress: Progress | None,
            more: Mapping[str, Any]) -> tuple[Any, dict[str, str], Split]:
    """A fresh model, `made`, once it has learned; what the card says of that; the fold with what it has learned from.

    To learn again from all but the test, it takes another fresh one, for as many epochs as were best before.
    """
    by_epoch = None
    if not refit or "epochs" in (made.get_params() if hasattr(made, "get_params") else ()):
        made.fit(fold.train, valid, valid_history=fold.valid_history, progress=progress, **more)
        by_epoch = getattr(made, "curves_", {}).get("valid")
    if refit:
        made, fold = fresh(model), replace(fold, train=fold.known(), valid=None)  # ranked is what was learned from
        if by_epoch:
            made.set_params(epochs=int(np.argmax(by_epoch)) + 1)
        made.fit(fold.train, progress=progress)
    return made, {"epochs chosen on": "the validation part" if by_epoch else "nothing, as the model says",
                  "refit": "on training and validation rows" if refit else "no"}, fold


def without_values(split: Split) -> Split:
    """The split of events alone, as the models of most protocols learn from it."""
    warn_of_nothing(split.train)
    parts = {name: getattr(split, name) for name in ("train", "valid", "test", "valid_history", "test_history",
                                                    "whole")}
    dropped = {name: part.binarise() for name, part in parts.items() if part is not None}
    return replace(split, card={**split.card, "values": "dropped"}, **dropped)


def _summary(protocol: Protocol, evaluations: list[Evaluation], fit_seconds: float, options: Mapping[str, Any],
             files: Sequence[str | os.PathLike[str]]) -> Result:
    first, folds = evaluations[0], len(evaluations)
    metrics = {name: float(np.mean([each.metrics[name] for each in evaluations])) for name in first.metrics}
    errors, over = dict(first.errors), "users"
    if folds > 1:
        over = "folds"
        errors = {name: float(np.std([each.metrics[name] for each in evaluations], ddof=1) / np.sqrt(folds))
                  for name in first.metrics}
    named = protocol.name + "".join(f", {name}={value}" for name, value in options.items())
    read = {"files": ", ".join(f"{Path(path).name} sha256:{checksum(path)}" for path in files)} if files else {}
    cuts = dict.fromkeys(name.partition("@")[2] for name in metrics if "@" in name)
    card = {"protocol": named, **read, **first.card, **({"cut-offs": ", ".join(cuts)} if cuts else {}),
            "folds": folds, "standard errors": f"over {over}"}
    return Result(evaluations, metrics, errors, card, sum(each.seconds for each in evaluations), fit_seconds,
                  first.model)


_RANKING = ("recall@{k}", "ndcg@{k}", "hit@{k}", "precision@{k}", "mrr@{k}")
_LAST = ("hit@{k}", "ndcg@{k}", "mrr")

PROTOCOLS: dict[str, Protocol] = {each.name: each for each in (
    Protocol("ratings-5fold",
             "Rows shuffled and cut into 5 folds (Surprise's, seed 0); RMSE and MAE over ratings, mean of the folds; "
             "predictions clipped to the scale; unknown users and items get what the model can say.",
             "ratings", ("rmse", "mae"), dividing.kfold, implicit=False),
    Protocol("ratings-90-10",
             "A random tenth of the rows tests, a tenth of the rest validates; five times, with seeds 0 to 4; "
             "unseen users or items are predicted as 3, as for AutoRec. Not comparable with 5 folds: there is "
             "more to train on.",
             "ratings", ("rmse", "mae"), dividing.ninety_ten, {"unseen": 3.0}, implicit=False),
    Protocol("ratio-811-full",
             "First event of each pair (of min_value or more, if given); of each user's events a random tenth "
             "tests and a tenth validates; all items with training events are ranked but the user's training "
             "items. Recall divides by all test items.",
             "ranking", _RANKING, dividing.ratio),
    Protocol("last-one-full",
             "Each user's last event is the test, the one before the validation (in the history at test time). First "
             "event of each pair, stable order by time, users with 3 events or more; all items with training "
             "events are ranked but those of the history. Equal times stay in row order: shuffle_ties=True "
             "shows what a result owes to that.",
             "ranking", _LAST, dividing.last),
    Protocol("next-basket",
             "Each user's last basket, all events of one time, is the test, the one before the validation (in the "
             "history at test time). First event of each pair, users with 3 such baskets or more; all items with "
             "training events are ranked but those of the history. The order of lines inside the test's basket does "
             "not matter, unlike in last-one-full; shuffle_ties=True forgets it in training, too.",
             "ranking", _RANKING, dividing.basket),
    Protocol("last-one-repeats",
             "As last-one-full where people come back to the same items (songs, groceries, pages): all events count, "
             "repeated ones too, and all items with training events are ranked, those of the history among them.",
             "ranking", _LAST, dividing.last_repeats, {"exclude_seen": False}),
    Protocol("next-basket-repeats",
             "As next-basket where people buy again: all rows count, and all items with training events are ranked, "
             "those that the user has had among them.",
             "ranking", _RANKING, dividing.basket_repeats, {"exclude_seen": False}),
    Protocol("strong-generalisation",
             "Users that training never sees (a tenth to validate, a tenth to test, seed 98765, or n_valid and "
             "n_test), with 5 events or more; four fifths of their events are shown and folded in, the rest are "
             "targets (Mult-VAE). Recall divides by min(k, targets).",
             "ranking", ("recall_min@20", "recall_min@50", "ndcg@100"), dividing.new_users),
    Protocol("new-items",
             "Items that training never sees: a random tenth of the items tests, a tenth validates. First event of "
             "each pair (of min_value or more, if given). A part's items are ranked among themselves, so a model that "
             "knows nothing of their content is at chance level.",
             "ranking", ("auc", "ndcg@{k}", "recall@{k}"), dividing.new_items, {"candidates": "new"}),
    Protocol("global-time",
             "One moment for all: events before it train (the latest tenth of them validates), events from it on "
             "test. First event of each pair; nothing of the future is ever used.",
             "ranking", _RANKING, dividing.moment),
    Protocol("sessions-next",
             "Users are sessions. The latest tenth tests, the tenth before validates, or sessions given apart do; "
             "after every click of a session but the last, the next one is the target. All items with training events "
             "are ranked, those of the session too: repeated clicks are often the target.",
             "ranking", ("recall@{k}", "mrr@{k}"), dividing.sessions, {"exclude_seen": False}),
    Protocol("predefined",
             "Parts that somebody else has made, as they are, with their values; all items with training events are "
             "ranked but the user's training and validation items. With refit, the published protocol of sets that are "
             "divided into train and test alone: choose on a validation part, then learn from both.",
             "ranking", _RANKING, dividing.predefined, implicit=False),
    Protocol("predefined-train",
             "As predefined, learned from the training part alone, and the user's validation items are ranked in the "
             "test, as in the code of LightGCN and what came of it.",
             "ranking", _RANKING, dividing.predefined, {"exclude_seen": "train"}, implicit=False),
    Protocol("predefined-repeats",
             "As predefined where people come back to the same items: all items with training events are ranked, those "
             "that the user has had among them.",
             "ranking", _RANKING, dividing.predefined, {"exclude_seen": False}, implicit=False),
    Protocol("predefined-ratings", "Parts that somebody else has made, as they are: RMSE and MAE of the test part's "
             "ratings, clipped to the scale.",
             "ratings", ("rmse", "mae"), dividing.predefined, implicit=False),
    Protocol("ncf-99",
             "SAMPLED: each user's last event is ranked among 99 random items the user has never had (a fixed "
             "sample by seed). Numbers are several times those of full ranking, and order models differently.",
             "ranking", _LAST, dividing.ncf, {"negatives": 99}),
)}
