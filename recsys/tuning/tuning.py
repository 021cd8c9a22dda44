"""`tune`: the best hyper-parameters of models, by the validation part alone, scored anew on people not chosen on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np

from recsys.checks import PROGRESS, Check, above, flag, optional, require, whole
from recsys.configuration import written
from recsys.data.parts import Split
from recsys.errors import DataError, UnsupportedError
from recsys.evaluation import protocols
from recsys.evaluation.comparison import Row, compare
from recsys.evaluation.evaluator import Evaluation, asked_for
from recsys.evaluation.metrics import LOWER_IS_BETTER
from recsys.executor import Died, executor
from recsys.progress import Progress, task
from recsys.tuning.study import Study, open_storage
from recsys.tuning.trials import Job, Shared, Trial, anew, attempt, halves, valid_of, without_test

__all__ = ["Finalist", "Tuned", "tune"]

_MODELS = Check(lambda value: isinstance(value, Mapping) and len(value) > 0, "a mapping of names to models, such as "
                "{'EASE': EASE()}")
_CHECKS = {"models": _MODELS, "minutes": optional(above(0)), "trials": optional(whole(1)), "jobs": whole(1),
           "seed": whole(0), "train_users": optional(whole(2)), "valid_users": optional(whole(2)),
           "values": flag(), "k": whole(1), "split_seed": optional(whole(0)), "progress": PROGRESS}
_MINUTES = 10.0


@dataclass(frozen=True)
class Finalist:
    """A setting that was scored again on people whom no setting was chosen by.

    Attributes
    ----------
    model : str
    parameters : dict
        Of a network, with the best number of epochs.
    default : bool
        Whether it is the setting that the search began with.
    chosen : float
        The metric by which it was chosen.
    anew : recsys.evaluation.comparison.Row
        The metric on the other people, with its interval, and how it differs there from the model's setting to begin
        with.
    seconds : float
        Of fitting.
    """

    model: str
    parameters: dict[str, Any]
    default: bool
    chosen: float
    anew: Row
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """What a search has found.

    Attributes
    ----------
    metric : str
    card : dict
        On what, and how, it was chosen.
    trials : dict of str to list of Trial
        All, by model, in the order of the search.
    spaces : dict of str to dict of str to str
        What was searched, in words.
    finalists : list of Finalist
        Best first by the people on whom no setting was chosen; of equals, what the search began with.
    """

    metric: str
    card: dict[str, Any]
    trials: dict[str, list[Trial]]
    spaces: dict[str, dict[str, Any]] = field(repr=False)
    finalists: list[Finalist] = field(default_factory=list)

    @property
    def winner(self) -> Finalist:
        """The best of the finalists."""
        return self.finalists[0]

    def to_record(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return {"metric": self.metric, "card": self.card, "finalists": [asdict(each) for each in self.finalists],
                "spaces": {name: {each: str(found) for each, found in space.items()}
                           for name, space in self.spaces.items()},
                "trials": {name: [each.to_record() for each in trials] for name, trials in self.trials.items()}}

    def write(self, path: str | PathLike[str]) -> None:
        """The winner as a TOML file, which `recsys train` and `evaluate` take with `--config`.

        It holds nothing that differs between two runs of the same search.
        """
        winner, timed = self.winner, ("seconds of CPU",)
        written(path, {
            "model": {"name": winner.model}, "model.parameters": winner.parameters,
            "tuning": {**{name: value for name, value in self.card.items() if name not in timed},
                       "chosen": winner.chosen, "anew": winner.anew.value, "low": winner.anew.low,
                       "high": winner.anew.high,
                       "setting": "to begin with" if winner.default else "best of its trials"}},
            "A model that recsys tune has chosen, for --config of recsys train, evaluate and serve.")


def tune(models: Mapping[str, Any], data: Any, protocol: str | protocols.Protocol, *, minutes: float | None = None,
         trials: int | None = None, jobs: int = 1, seed: int = 0, storage: str | PathLike[str] | None = None,
         k: int = 10, metric: str | None = None, values: bool = False, train_users: int | None = None,
         valid_users: int | None = None, fixed: Mapping[str, Sequence[str]] | None = None,
         split_seed: int | None = None, progress: Progress | None = None, **options: Any) -> Tuned:
    """Search the hyper-parameters of models, each for as long as the others, by the protocol's validation part.

    The people of the validation part are divided: by one half settings are chosen, on the other the best setting of
    each model and the one that it began with are scored anew, as the best of many is lucky, and the winner is the best
    of these few. The test part is put away before the first fit.

    Parameters
    ----------
    models : mapping of name to Recommender
        One of each class. The parameters that they have are tried first.
    data : Interactions, tuple or Split
    protocol : str or Protocol
        One with a validation part; of several folds the first counts.
    minutes : float, optional
        For all models together; 10, if there is no limit of `trials` either. The new scores come on top.
    trials : int, optional
        Of each model. Only with this limit alone is the result the same on a faster machine.
    jobs : int
        Processes. Their number does not change the result.
    seed : int
        Of the search and of the division of people.
    storage : path, optional
        A SQLite file that keeps every trial, as Optuna does. The same call goes on from it, also after a kill.
    k : int
    metric : str, optional
        By default the protocol's first one.
    values : bool
        As for `recsys.evaluation.run`.
    train_users : int, optional
        Learn from so many random people only, and choose by them.
    valid_users : int, optional
        Choose and score by so many random people only.
    fixed : mapping of name to names, optional
        Parameters of a model that are not searched.
    split_seed : int, optional
        Of the protocol's division; each has its own.
    progress : object with start, advance and stop, optional
    **options
        The protocol's.

    Returns
    -------
    Tuned

    Raises
    ------
    MissingExtraError
        Optuna is not installed.
    DataError
        There is no validation part, or too few people in it.
    UnsupportedError
        No model could be measured.

    Notes
    -----
    Samplers, pruners and storage are Optuna's (Akiba et al., KDD 2019): TPE (Bergstra et al., NeurIPS 2011), and for
    networks successive halving by what they report after each epoch (Li et al., MLSys 2020).
    """
    require("tune", _CHECKS, locals())
    protocol = protocols.find(protocol)
    metric = str(asked_for([metric or protocol.metrics[0].format(k=k)], protocol.task, k)[0])
    fold = protocols.divided(protocol, protocols.prepared(protocol, data), split_seed, options)[0]
    split = _of_some(without_test(fold), train_users, valid_users, seed)
    choosing, fresh = halves(split, seed)
    shared = Shared(protocol, choosing, metric, k, values)
    kept = open_storage(storage)
    identity = {"protocol": protocol.name, "options": options, "metric": metric, "values": values,
                "data": [split.train.fingerprint(), valid_of(choosing).fingerprint()]}
    larger = metric.partition("@")[0] not in LOWER_IS_BETTER
    studies = [Study(model, tuple((fixed or {}).get(name, ())), kept, identity, larger, seed)
               for name, model in models.items()]
    limit = minutes if minutes is not None or trials is not None else _MINUTES
    with executor(attempt, shared, jobs) as run, task(progress, None, "trials") as bar:
        _search(studies, run, limit, trials, jobs, bar)
    finalists = _finalists(studies, shared, fresh, jobs)
    finalists.sort(key=lambda each: (-each.anew.value if larger else each.anew.value, not each.default))
    return Tuned(metric, _card(shared, fresh, studies, seed, limit, trials),
                 {study.name: [study.trials[place] for place in sorted(study.trials)] for study in studies},
                 {study.name: dict(study.space) for study in studies}, finalists)


def _of_some(split: Split, train_users: int | None, valid_users: int | None, seed: int) -> Split:
    """The split with some random people only, all of whom can be validated on."""
    people = np.random.default_rng((seed, 2)).permutation(np.unique(valid_of(split).user))
    if train_users is not None:
        mine = people[:train_users]
        parts = {name: getattr(split, name) for name in ("train", "valid", "valid_history")}
        split = replace(split, **{name: part.take(np.isin(part.user, mine)) for name, part in parts.items()
                                  if part is not None})
        people = mine
    if valid_users is not None:
        split = replace(split, valid=valid_of(split).take(
            np.isin(valid_of(split).user, people[:valid_users])))
    if len(np.unique(valid_of(split).user)) < 2:
        raise DataError("tune: the validation part has fewer than 2 people, and half of them choose; give more data.")
    return split


def _search(studies: Sequence[Study], run: Any, minutes: float | None, trials: int | None, jobs: int, bar: Any) -> None:
    """Batches of each model in turn, until the time of each is over."""
    share = None if minutes is None else 60 * minutes / len(studies)
    open_ = list(studies)
    while open_:
        for study in list(open_):
            left = None if share is None else share - study.spent / jobs
            batch = study.batch(trials, None if left is None else time.time() + left)
            if left is not None and study.trials:  # as many as are expected to end in time
                fitting = int(max(left, 0) * jobs * len(study.trials) / max(study.spent, 1e-9))
                batch = dict(list(batch.items())[:fitting])
            if not batch:
                open_.remove(study)
                continue
            bar.advance(0, now=study.name)
            for place, trial in zip(batch, run(list(batch.values())), strict=True):
                study.add(place, Trial(dict(batch[place].parameters), "failed", reason="its process was killed, as by "
                                       "a system without memory") if isinstance(trial, Died) else trial)
                best = study.ranked
                bar.advance(1, **({"best": best[0].value} if best else {}))


def _finalists(studies: Sequence[Study], shared: Shared, fresh: Split, jobs: int) -> list[Finalist]:
    """The best trial of each model, and the first if it is another one, scored anew.

    Raises
    ------
    UnsupportedError
        No model could be measured.
    """
    asked = [(study, trial) for study in studies for trial in _to_score(study)]
    if not asked:
        reasons = [f"{study.name} {trial.reason}" for study in studies for trial in study.trials.values()]
        raise UnsupportedError(f"tune: no model could be measured: {reasons[0] if reasons else 'there was no time'}")
    with executor(_score, (shared, fresh), jobs) as run:
        scored = list(run([Job(study.name, trial.parameters) for study, trial in asked]))
    found = []
    for study in studies:
        own = [(trial, *said) for (of, trial), said in zip(asked, scored, strict=True) if of is study]
        labels = {_label(study, trial): told for trial, told, _ in own}
        rows = {row.model: row for row in compare(labels, metrics=[shared.metric], baseline=next(
            reversed(labels))).entries} if own else {}
        found += [Finalist(study.name, _to_take(trial), trial is study.trials[0], float(trial.value or 0.0),
                           rows[_label(study, trial)], seconds) for trial, _, seconds in own]
    return found


def _to_score(study: Study) -> list[Trial]:
    """The best trial, and after it the first, if that is another one with a value."""
    ranked, first = study.ranked, study.trials.get(0)
    return ranked[:1] + [trial for trial in ranked[1:] if trial is first]


def _label(study: Study, trial: Trial) -> str:
    return "to begin with" if trial is study.trials[0] else "best of its trials"


def _score(shared: tuple[Shared, Split], job: Job) -> tuple[Evaluation, float]:
    return anew(*shared, job)


def _to_take(trial: Trial) -> dict[str, Any]:
    """The parameters of a trial, with as many epochs as were best: whoever learns from all data has no validation."""
    best = {"epochs": max(trial.curve, key=lambda epoch: trial.curve[epoch])} if trial.curve else {}
    return {**trial.parameters, **best}


def _card(shared: Shared, fresh: Split, studies: Sequence[Study], seed: int, minutes: float | None, trials: int | None
          ) -> dict[str, Any]:
    chosen, other = (len(np.unique(valid_of(part).user)) for part in (shared.split, fresh))
    card = shared.split.card
    said = {name: card[name] for name in ("data", "split", "seed") if name in card}
    return {"protocol": shared.protocol.name, **said, "training part": shared.split.train.fingerprint(),
            "metric": shared.metric, "part": "valid",
            "chosen on": f"{chosen:,} people of the validation part", "scored anew on": f"{other:,} others of it",
            "budget": ", ".join([*([f"{minutes:g} minutes"] if minutes is not None else []),
                                 *([f"{trials} trials a model"] if trials is not None else [])]),
            "trials": sum(len(study.trials) for study in studies), "search seed": seed,
            "seconds of CPU": round(sum(each.cpu for study in studies for each in study.trials.values()), 1)}
