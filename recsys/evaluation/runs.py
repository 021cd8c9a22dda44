"""Several models under one protocol, one after another: what is finished is kept, whatever happens to the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from recsys.checks import PROGRESS, Check, flag, require
from recsys.data.given import Data
from recsys.data.interactions import Interactions
from recsys.data.parts import Parts, Split
from recsys.errors import RecsysError, UnsupportedError
from recsys.evaluation import protocols
from recsys.evaluation.evaluator import Evaluation
from recsys.evaluation.protocols import Protocol, Result
from recsys.progress import Progress
from recsys.training.checkpoint import Checkpoint, contents, named

__all__ = ["Interrupted", "Runs", "run_all"]

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
            checkpoint: str | PathLike[str] | None = None, progress: Progress | None = None,
            **settings: Any) -> Runs:
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
    require("run_all", {"models": _MODELS, "lenient": flag(), "progress": PROGRESS}, locals())
    protocol = protocols.find(protocol)
    data = protocols.prepared(protocol, data)
    made = {name: protocols.fresh(model) for name, model in models.items()}
    sets = {name: _with_blanks(model, data) if lenient else data for name, model in made.items()}
    needs = {name: reason for name, model in made.items() if (reason := _unfit(model, protocol.task, data))}
    left_out = {name: reason for name, reason in needs.items() if _unfit(made[name], protocol.task, sets[name])}
    if left_out and (not lenient or len(left_out) == len(models)):
        name, reason = next(iter(left_out.items()))
        raise UnsupportedError(f"{name} {reason}, under {protocol.name}; name other models.")
    runs = Runs(left_out=left_out)
    kept = None if checkpoint is None else _Kept(checkpoint, protocol, data, settings)
    try:
        for name in [name for name in models if name not in left_out]:
            try:
                found = kept.result(name, made[name]) if kept else None
                if found is None:
                    found = protocols.run(models[name], sets[name], protocol, progress=progress, **settings)
                    if kept:
                        kept.add(name, made[name], found)
            except RecsysError as error:
                left_out[name] = f"fails: {error}"
                if not lenient or len(left_out) == len(models):
                    raise
            else:
                runs.results[name] = found
                if name in needs:
                    runs.without_content[name] = needs[name]
    except KeyboardInterrupt as error:
        raise Interrupted(runs) from error
    return runs


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
