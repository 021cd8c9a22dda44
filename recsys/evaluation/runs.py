"""Several models under one protocol, one after another: what is finished is kept, whatever happens to the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, NamedTuple

from recsys.checks import PROGRESS, Check, flag, one_of, optional, require
from recsys.data.given import Data
from recsys.data.interactions import Interactions
from recsys.data.parts import Parts, Split
from recsys.errors import ParameterError, RecsysError, UnsupportedError
from recsys.evaluation import protocols
from recsys.evaluation.controls import KINDS, beside
from recsys.evaluation.evaluator import Evaluation
from recsys.evaluation.protocols import Protocol, Result
from recsys.progress import Progress, task
from recsys.training.checkpoint import Checkpoint, contents, named

__all__ = ["Interrupted", "Runs", "run_all", "run_each"]

_MODELS = Check(lambda value: isinstance(value, Mapping) and len(value) > 0 and all(isinstance(n, str) for n in value),
                "a mapping of names to models, such as {'EASE': EASE()}")


@dataclass(frozen=True)
class Runs:
    """What several models reached, and why others are missing.

    Attributes
    ----------
    results : dict of str to Result
        In the order asked for.
    left_out : dict of str to str
        Models that cannot be measured, or that failed, and why.
    without_content : dict of str to str
        Models that read content which this data lacks, so that they learned from the interactions alone.
    """

    results: dict[str, Result] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    without_content: dict[str, str] = field(default_factory=dict)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C between the first and the last model; `runs` holds what was finished before."""

    def __init__(self, runs: Runs) -> None:
        super().__init__("stopped")
        self.runs = runs


def run_all(models: Mapping[str, Any], data: Data | Parts, protocol: str | Protocol, *, lenient: bool = False,
            controls: str | None = None, checkpoint: str | PathLike[str] | None = None,
            progress: Progress | None = None, **settings: Any) -> Runs:
    """Fit and measure models under a protocol, in turn.

    Parameters
    ----------
    models : mapping of name to Recommender or callable
    data : Interactions, tuple or Split
        Models and data are as for `recsys.evaluation.run`.
    protocol : str or Protocol
    lenient : bool
        Leave out what cannot be measured or fails, and say why, instead of raising; models that read content learn
        without it where the data has none.
    controls : {"features", "friends"}, optional
        Measure each model that reads features, or friends, with permuted and with constant ones, too, under names such
        as "FactorizationMachine, features permuted"; see `recsys.evaluation.controls`.
    checkpoint : path, optional
        Ends in `.npz`; written after every model. The same call goes on from it.
    progress : object with start, advance and stop, optional
    **settings
        Of `recsys.evaluation.run`: `k`, `metrics`, `seed`, `part`, `values`, `refit`, and the protocol's options.

    Returns
    -------
    Runs

    Raises
    ------
    UnsupportedError
        A model cannot be measured like this (with `lenient`: none can).
    Interrupted
        On Ctrl-C, with what is finished.

    Examples
    --------
    >>> from recsys import datasets, models
    >>> data, _ = datasets.simulate(60, 40, 900, seed=1)
    >>> runs = run_all({"Popular": models.Popular(), "Bias": models.Bias()}, data.binarise(), "ratio-811-full",
    ...                lenient=True)
    >>> list(runs.results), runs.left_out
    (['Popular'], {'Bias': 'needs data with values'})
    """
    *_, (_, runs) = run_each(models, data, protocol, lenient=lenient, controls=controls, checkpoint=checkpoint,
                             progress=progress, **settings)
    return runs


def run_each(models: Mapping[str, Any], data: Data | Parts, protocol: str | Protocol, *, lenient: bool = False,
             controls: str | None = None, checkpoint: str | PathLike[str] | None = None,
             progress: Progress | None = None, **settings: Any) -> Iterator[tuple[str, Runs]]:
    """As `run_all`, model by model: the name of the one that is done, and what has been found so far.

    Examples
    --------
    >>> from recsys import datasets, models
    >>> data, _ = datasets.simulate(60, 40, 900, seed=1)
    >>> for name, runs in run_each({"Popular": models.Popular(), "EASE": models.EASE()}, data, "last-one-full"):
    ...     print(name, len(runs.results))
    Popular 1
    EASE 2
    """
    require("run_all", {"models": _MODELS, "lenient": flag(), "controls": optional(one_of(*KINDS)),
                        "progress": PROGRESS}, locals())
    protocol = protocols.find(protocol)
    data = protocols.prepared(protocol, data)
    jobs = {name: _job(model, data, lenient) for name, model in models.items()}
    if controls is not None:
        jobs = _with_controls(jobs, data, controls)
    needs = {name: reason for name, job in jobs.items() if (reason := _unfit(job.made, protocol.task, data))}
    left_out = {name: reason for name, reason in needs.items() if _unfit(jobs[name].made, protocol.task,
                                                                         jobs[name].data)}
    if left_out and (not lenient or len(left_out) == len(jobs)):
        name, reason = next(iter(left_out.items()))
        raise UnsupportedError(f"{name} {reason}, under {protocol.name}; name other models.")
    runs = Runs(left_out=left_out)
    kept = None if checkpoint is None else _Kept(checkpoint, protocol, data, settings)
    try:
        with task(progress, len(jobs) - len(left_out), "models") as bar:
            for name, job in [each for each in jobs.items() if each[0] not in left_out]:
                bar.advance(0, now=name)
                try:
                    runs.results[name] = _result(name, job, protocol, kept, progress, settings)
                except RecsysError as error:
                    left_out[name] = f"fails: {error}"
                    if not lenient or len(left_out) == len(jobs):
                        raise
                else:
                    if name in needs:
                        runs.without_content[name] = needs[name]
                bar.advance()
                yield name, runs
    except KeyboardInterrupt as error:
        raise Interrupted(runs) from error


class _Job(NamedTuple):
    """A model as it was given, a fresh one to ask what it can, and the data that it learns from."""

    model: Any
    made: Any
    data: Any


def _job(model: Any, data: Any, lenient: bool) -> _Job:
    made = protocols.fresh(model)
    return _Job(model, made, _with_blanks(made, data) if lenient else data)


def _with_controls(jobs: Mapping[str, _Job], data: Any, kind: str) -> dict[str, _Job]:
    """Each job, and behind it those of its controls.

    Raises
    ------
    ParameterError
        There are none.
    """
    found: dict[str, _Job] = {}
    first, *rest = data if isinstance(data, tuple) else (data,)  # what is known besides is the first part's
    for name, job in jobs.items():
        found[name] = job
        for label, changed in beside(job.made, first, kind).items():
            found[f"{name}, {label}"] = job._replace(data=(changed, *rest) if rest else changed)
    if len(found) == len(jobs):
        raise ParameterError(f"run_all: there is nothing to control: none of the models reads {kind} that the data "
                             f"has; leave controls={kind!r} out, or give data with {kind} and a model that reads them.")
    return found


class _Kept:
    """Finished results in a checkpoint file; a model is known by its name, class and parameters."""

    def __init__(self, path: str | PathLike[str], protocol: Protocol, data: Any, settings: Mapping[str, Any]) -> None:
        parts = [contents(part) for part in _parts(data).values()]
        identity = {name: [part[name] for part in parts] for name in parts[0]}
        self.file = Checkpoint(path, {"protocol": protocol.name, "settings": dict(settings), **identity})
        self.tree: dict[str, Any] = self.file.load() or {}

    def result(self, name: str, model: Any) -> Result | None:
        found, described = self.tree.get(name), _description(model)
        if found is None or described is None or found["model"] != described:
            return None
        evaluations = [Evaluation(**each) for each in found["result"]["evaluations"]]
        return Result(**{**found["result"], "evaluations": evaluations})

    def add(self, name: str, model: Any, result: Result) -> None:
        folds = [vars(each) for each in result.evaluations]
        self.tree[name] = {"model": _description(model), "result": {**vars(result), "evaluations": folds}}
        self.file.save(self.tree)


def _result(name: str, job: _Job, protocol: Protocol, kept: _Kept | None, progress: Progress | None,
            settings: Mapping[str, Any]) -> Result:
    """What a model reaches, kept from before or measured now."""
    found = kept.result(name, job.made) if kept else None
    if found is None:
        found = protocols.run(job.model, job.data, protocol, progress=progress, **settings)
        if kept:
            kept.add(name, job.made, found)
    return found


def _description(model: Any) -> Any:
    """The class of a model and its parameters, as they come back from JSON; None of a model that tells none."""
    if not hasattr(model, "get_params"):
        return None
    return json.loads(json.dumps({"class": named(type(model)), "parameters": model.get_params()}, default=repr))


def _parts(data: Any) -> dict[Any, Interactions]:
    """The interactions that data consists of, what is learned from first."""
    held = vars(data) if isinstance(data, Split) else dict(enumerate(data if isinstance(data, tuple) else [data]))
    return {name: part for name, part in held.items() if isinstance(part, Interactions)}


def _with_blanks(model: Any, data: Any) -> Any:
    """The data with content that no item has, where the model needs some and there is none."""
    if not hasattr(model, "with_blanks"):  # a scorer of somebody's own
        return data
    parts = {name: model.with_blanks(part) for name, part in _parts(data).items()}
    if isinstance(data, Split):
        return replace(data, **parts)
    return tuple(parts.values()) if isinstance(data, tuple) else parts[0]


def _unfit(model: Any, task: str, data: Any) -> str:
    """Why a model cannot be measured, in words that follow its name; nothing if it can."""
    if not getattr(model.can, task):
        return f"gives no {task}"
    lacks = model.lacks(next(iter(_parts(data).values()))) if hasattr(model, "lacks") else ""
    return f"needs {lacks}" if lacks else ""
