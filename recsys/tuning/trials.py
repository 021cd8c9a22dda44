"""One trial: a model with some parameters learns, and is measured on the validation part."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.errors import DataError, RecsysError
from recsys.estimator.registry import find
from recsys.evaluation import protocols
from recsys.evaluation.evaluator import Evaluation
from recsys.evaluation.protocols import Protocol
from recsys.tuning.spaces import usual_of

__all__ = ["Job", "Shared", "Trial", "anew", "attempt", "halves", "valid_of", "without_test"]


@dataclass(frozen=True, eq=False)
class Shared:
    """What all trials have in common.

    Parameters
    ----------
    protocol : Protocol
    split : Split
        Without a test.
    metric : str
    k : int
    values : bool
    """

    protocol: Protocol
    split: Split
    metric: str
    k: int
    values: bool = False


@dataclass(frozen=True)
class Job:
    """A model to try.

    Parameters
    ----------
    model : str
    parameters : dict
    earlier : list of dict
        What earlier trials of a network reported, as `Trial.curve` and `Trial.rungs` have it; it is stopped where these
        were better by far. Without, it is never stopped.
    until : float, optional
        The moment, by `time.time()`, at which a network is to end its training.
    """

    model: str
    parameters: Mapping[str, Any]
    earlier: Sequence[Mapping[str, Any]] | None = None
    until: float | None = None


@dataclass(frozen=True)
class Trial:
    """What came of a job.

    Attributes
    ----------
    parameters : dict
        All that the model was made with.
    state : {"complete", "pruned", "failed"}
    value : float or None
        Of the metric.
    seconds, cpu : float
        Of fitting and measuring, and of the processor.
    epochs : int or None
        Of a network.
    reason : str
        Why it failed, or was stopped.
    curve : dict of int to float
        What a network's validation gave after each epoch.
    rungs : dict
        What Optuna's pruner remembers.
    usual : dict
        As `usual_of` gives it.
    """

    parameters: dict[str, Any]
    state: str
    value: float | None = None
    seconds: float = 0.0
    epochs: int | None = None
    reason: str = ""
    curve: dict[int, float] = field(default_factory=dict)
    rungs: dict[str, Any] = field(default_factory=dict)
    usual: dict[str, Any] = field(default_factory=dict)
    cpu: float = 0.0

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Trial:
        """The trial of a record that was JSON."""
        values = {name: tuple(value) if isinstance(value, list) else value
                  for name, value in record["parameters"].items()}
        return cls(**{**record, "parameters": values,
                      "curve": {int(epoch): value for epoch, value in record["curve"].items()}})


def valid_of(split: Split) -> Interactions:
    """The validation part.

    Raises
    ------
    DataError
        There is none.
    """
    if split.valid is None or not len(split.valid):
        raise DataError("tune: the protocol gives no validation part to choose by; take one that does, such as "
                        "ratio-811-full or ratings-90-10, or give one.")
    return split.valid


def without_test(split: Split) -> Split:
    """A split of which nothing is left to be asked but the validation part.

    Ids that the test part alone has are gone, and the others are in order, so that nothing that a model takes from how
    many there are, or from how they are numbered, depends on the test.
    """
    parts = [part for part in (split.train, split.valid, split.valid_history) if part is not None]
    users, items = (IdMap(np.sort(getattr(split.train, side).ids[np.unique(np.concatenate(
        [getattr(part, column) for part in parts]))])) for side, column in (("users", "user"), ("items", "item")))

    def cut(part: Interactions | None) -> Interactions | None:
        return None if part is None else part.reindex(users, items)

    train = split.train.reindex(users, items)
    return replace(split, train=train, valid=cut(split.valid), valid_history=cut(split.valid_history),
                   test=train.take(np.zeros(len(train), bool)), test_history=None, whole=None)


def halves(split: Split, seed: int) -> tuple[Split, Split]:
    """Two splits, each with the validation rows of a random half of their users."""
    valid = valid_of(split)
    people = np.random.default_rng((seed, 1)).permutation(np.unique(valid.user))
    first = np.isin(valid.user, people[:(len(people) + 1) // 2])
    return replace(split, valid=valid.take(first)), replace(split, valid=valid.take(~first))


def attempt(shared: Shared, job: Job) -> Trial:
    """Do a job; what goes wrong is told by the trial."""
    pruning = _Pruning(job)
    wall, cpu = time.perf_counter(), time.process_time()

    def trial(state: str, value: float | None = None, reason: str = "", **more: Any) -> Trial:
        return Trial(dict(job.parameters), state, value, time.perf_counter() - wall, len(pruning.curve) or None,
                     reason, pruning.curve, pruning.rungs(), cpu=time.process_time() - cpu, **more)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # each would come with every trial; a fit with what was chosen tells them
        try:
            model = find(job.model)(**job.parameters)
            trained = protocols.train(model, shared.split, shared.protocol, values=shared.values,
                                      callbacks=[pruning] if model.trains else ())
            if pruning.pruned:
                return trial("pruned", reason=f"after {len(pruning.curve)} epochs, below the best of the others")
            found = protocols.ask(trained.model, trained.valid, shared.protocol, [shared.metric], k=shared.k,
                                  part="valid")
        except RecsysError as error:
            return trial("failed", reason=str(error))
        except MemoryError as error:
            return trial("failed", reason=f"not enough memory: {str(error) or 'the model is too large'}")
    value = found.metrics[shared.metric]
    if not math.isfinite(value):
        return trial("failed", reason=f"{shared.metric} is {value}")
    return trial("complete", value, "out of time" if pruning.late else "",
                 usual=usual_of(trained.model))


def anew(shared: Shared, fresh: Split, job: Job) -> tuple[Evaluation, float]:
    """Fit as `attempt` does, and ask other people: what they say, and the seconds of the fit."""
    trained = protocols.train(find(job.model)(**job.parameters), shared.split, shared.protocol, values=shared.values)
    asked = replace(trained.valid, valid=fresh.valid)
    return protocols.ask(trained.model, asked, shared.protocol, [shared.metric], k=shared.k, part="valid"
                         ), trained.seconds


class _Pruning:
    """Asked after every epoch whether to go on; Optuna's successive halving says so, from what others reported."""

    def __init__(self, job: Job) -> None:
        self.job, self.curve, self.pruned, self.late = job, dict[int, float](), False, False
        self.trial: Any = None

    def __call__(self, epoch: int, report: dict[str, float]) -> bool:
        self.late = self.job.until is not None and time.time() > self.job.until
        if "valid" in report:
            self.curve[epoch] = report["valid"]
            self.pruned = self._worse(epoch, report["valid"])
        return self.pruned or self.late

    def _worse(self, epoch: int, value: float) -> bool:
        if self.job.earlier is None:
            return False
        if self.trial is None:
            self.trial = _beside(self.job.earlier)
        self.trial.report(value, epoch)
        return bool(self.trial.should_prune())

    def rungs(self) -> dict[str, Any]:
        """What the pruner has noted."""
        return {} if self.trial is None else dict(self.trial.study.get_trials(deepcopy=False)[-1].system_attrs)


def _beside(earlier: Sequence[Mapping[str, Any]]) -> Any:
    """A trial of Optuna's beside earlier ones, in a study that only this process sees."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.SuccessiveHalvingPruner(
        min_resource=2, reduction_factor=3))
    study.add_trials([optuna.trial.create_trial(
        state=optuna.trial.TrialState.PRUNED, intermediate_values={int(e): v for e, v in each["curve"].items()},
        system_attrs=dict(each["rungs"])) for each in earlier])
    return study.ask()
