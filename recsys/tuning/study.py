"""What to try next of one model, which Optuna says, and what came of it, which Optuna's storage keeps.

Trials come in batches of one size, whatever the number of processes. The sampler of a trial is seeded by its place and
knows the batches before its own. So the trials, and the best of them, are the same for any number of processes, and
after an interruption the search goes on as if there had been none: what was finished is kept, what was being done is
done again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

from minidl import MissingExtraError
from recsys.errors import ParameterError
from recsys.tuning.spaces import Range, Space, space_of
from recsys.tuning.trials import Job, Trial

__all__ = ["Study", "distribution", "importances", "open_storage", "optuna", "require"]

_BATCH = 4
_STARTUP = 5  # random trials, before the sampler models what was found
_CURVES = 4  # trainings that are not stopped for being worse than others


def optuna() -> Any:
    """The package.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import optuna as package
    except ImportError:
        raise MissingExtraError("optuna", "tune", "tuning") from None
    package.logging.set_verbosity(package.logging.ERROR)
    return package


def require() -> None:
    """Raise MissingExtraError, naming the command to run, when there is no Optuna."""
    optuna()


def open_storage(path: str | PathLike[str] | None) -> Any:
    """Where trials are kept: a SQLite file, or memory.

    Raises
    ------
    ParameterError
        There is a file of something else; it stays as it is.
    """
    if path is None:
        return optuna().storages.InMemoryStorage()
    if Path(path).exists() and not _keeps_trials(Path(path)):
        raise ParameterError(f"tune: {path} is no file of trials, and stays as it is; name another storage.")
    package = optuna()
    from sqlalchemy.exc import SQLAlchemyError  # which Optuna brings

    try:
        return package.storages.RDBStorage(f"sqlite:///{path}")
    except (RuntimeError, SQLAlchemyError) as error:  # another version of Optuna's; a folder that cannot be written
        raise ParameterError(f"tune: {path} cannot keep trials ({str(error).splitlines()[0]}); name another storage."
                             ) from error


def _keeps_trials(path: Path) -> bool:
    """Whether it is a SQLite file of Optuna's, or an empty one."""
    if not path.is_file():
        return False
    if not path.stat().st_size:
        return True
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as file:
            tables = {name for name, in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return False
    return {"studies", "trials"} <= tables


class Study:
    """The search for the parameters of one model.

    Parameters
    ----------
    model : Recommender
        With the parameters that are tried first, and kept where nothing is searched.
    fixed : sequence of str
        Parameters that are not searched.
    storage : Optuna's storage
    identity : mapping
        What has to be the same to go on with a search.
    maximize : bool
    seed : int

    Attributes
    ----------
    trials : dict of int to Trial
        What is finished, by its place in the search; place 0 has the parameters as they were given.
    """

    def __init__(self, model: Any, fixed: tuple[str, ...], storage: Any, identity: Mapping[str, Any], maximize: bool,
                 seed: int) -> None:
        self.name, self.model, self.fixed = type(model).__name__, model, fixed
        self.maximize, self.seed = maximize, seed
        self.study = optuna().create_study(storage=storage, study_name=self.name, load_if_exists=True,
                                           direction=self._direction)
        self._go_on({"seed": seed, **identity, "parameters": model.get_params(), "fixed": list(fixed)})
        self.trials: dict[int, Trial] = {}
        for each in self.study.get_trials(deepcopy=False):
            self.trials[each.user_attrs["place"]] = Trial.of_record(json.loads(each.user_attrs["trial"]))

    @property
    def _direction(self) -> str:
        return "maximize" if self.maximize else "minimize"

    def _go_on(self, identity: Mapping[str, Any]) -> None:
        said, known = json.loads(json.dumps(identity, default=repr)), self.study.user_attrs.get("identity")
        if known is None:
            self.study.set_user_attr("identity", said)
        elif known != said:
            differ = next(name for name in said if known.get(name) != said[name])
            raise ParameterError(f"tune: the storage holds a search of {self.name} with another {differ} "
                                 f"({known.get(differ)!r}, and now {said[differ]!r}); name another storage.")

    # ------------------------------------------------------------------------------------ what was found
    @property
    def space(self) -> Space:
        """What is searched; known once the first trial has said what is usual."""
        return space_of(self.model, self.trials[0].usual, self.fixed) if 0 in self.trials else {}

    @property
    def ranked(self) -> list[Trial]:
        """The complete trials, best first; of equals the earlier one."""
        sign = -1 if self.maximize else 1
        complete = [(sign * trial.value, place) for place, trial in self.trials.items() if trial.value is not None]
        return [self.trials[place] for _, place in sorted(complete)]

    @property
    def spent(self) -> float:
        """Seconds that the trials have taken, one after the other."""
        return sum(trial.seconds for trial in self.trials.values())

    # ----------------------------------------------------------------------------------- what to try next
    def batch(self, most: int | None = None, until: float | None = None) -> dict[int, Job]:
        """The trials of the next batch that are not finished, by their places; none, if there is nothing to search.

        Parameters
        ----------
        most : int, optional
            Trials in all.
        until : float, optional
            As of `Job`.
        """
        start = next(place for place in _starts() if any(i not in self.trials for i in _places(place)))
        if start == 0:
            return {0: Job(self.name, self.model.get_params(), None, until)} if most is None or most > 0 else {}
        space, before = self.space, {place: self.trials[place] for place in range(start)}
        if not space:
            return {}
        curves = [{"curve": each.curve, "rungs": each.rungs} for each in before.values() if each.curve]
        earlier = curves if len(curves) >= _CURVES else None
        known = optuna().create_study(direction=self._direction)
        known.add_trials([_frozen(trial, space, self.maximize) for trial in before.values()])
        jobs = {}
        for place in _places(start):
            known.sampler = optuna().samplers.TPESampler(seed=(self.seed * 1_000_003 + place) % 2**32,
                                                        n_startup_trials=_STARTUP, constant_liar=True)
            chosen = known.ask({name: distribution(each) for name, each in space.items()}).params
            if place not in self.trials and (most is None or place < most):
                jobs[place] = Job(self.name, {**self.model.get_params(), **chosen}, earlier, until)
        return jobs

    def add(self, place: int, trial: Trial) -> None:
        """Keep what came of a trial."""
        self.trials[place] = trial
        told = {"place": place, "trial": json.dumps(trial.to_record())}
        try:
            self.study.add_trial(_frozen(trial, self.space, self.maximize, told))
        except optuna().exceptions.StorageInternalError as error:
            why = str(error.__cause__ or error).splitlines()[0]
            raise ParameterError(f"tune: the storage cannot keep another trial ({why}); make room, and run the same "
                                 f"again.") from error


def _frozen(trial: Trial, space: Space, maximize: bool, told: Mapping[str, Any] | None = None) -> Any:
    """The trial as Optuna has it."""
    states, sign = optuna().trial.TrialState, 1 if maximize else -1
    values = {**trial.parameters, **{name: value for name, value in trial.usual.items()
                                     if trial.parameters.get(name) is None}}
    held = {name: values[name] for name, each in space.items() if each.holds(values[name])}
    return optuna().trial.create_trial(
        state={"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[trial.state],
        value=trial.value, params=held, distributions={name: distribution(space[name]) for name in held},
        user_attrs=dict(told or {}), intermediate_values={e: sign * v for e, v in trial.curve.items()})


def importances(trials: Sequence[Trial], space: Space) -> dict[str, float]:
    """Which share of the metric's variance each parameter explains, as Optuna estimates it (fANOVA), largest first."""
    study = optuna().create_study()
    study.add_trials([_frozen(each, space, True) for each in trials if each.value is not None])
    try:
        return dict(optuna().importance.get_param_importances(
            study, evaluator=optuna().importance.PedAnovaImportanceEvaluator()))
    except (RuntimeError, ValueError):  # all values are equal
        return {}


def _starts() -> Any:
    """The first places of the batches: 0, which is alone, 1, 5, 9, ..."""
    yield 0
    place = 1
    while True:
        yield place
        place += _BATCH


def _places(start: int) -> range:
    return range(start, start + (_BATCH if start else 1))


def distribution(found: Range) -> Any:
    """A range as Optuna has it."""
    package = optuna().distributions
    if found.options:
        return package.CategoricalDistribution(found.options)
    if found.whole:
        return package.IntDistribution(int(found.low), int(found.high), log=found.log)
    return package.FloatDistribution(found.low, found.high, log=found.log)
