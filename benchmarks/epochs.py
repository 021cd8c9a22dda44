"""An epoch of one of our models' training against one of the same network in plain PyTorch: what such claims share.

Ours is the model's own network, objective and optimizer in `recsys.training.Trainer`; theirs is the class of the same
name in `benchmarks.plain_pytorch`. Both begin with the weights that `fit` draws, and go through the same examples in
the same batches. They agree if the mean loss of the first epoch is the same without dropout, and nearly the same with
it. What is timed are the epochs that follow.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.harness import Arrays, Claim, Session, close

_SEED = 0
_WEIGHTS = "network."


@dataclass(frozen=True)
class Training:
    """What both sides train, the class `model` with these hyper-parameters, on the data that `load` gives.

    Of an epoch that takes too long only the first `batches` are done. What both sides draw
    besides dropout, such as negatives, lets the losses without dropout differ by `noise`.
    """

    model: str
    options: dict[str, Any]
    load: Callable[[], Arrays]
    plain: str  # the file in `benchmarks.plain_pytorch`
    batches: int | None = None
    noise: float = 1e-4

    def part(self, objective: Any) -> Any:
        """The objective of the batches that are done."""
        return objective if self.batches is None else _Part(objective, self.batches)


class _Part:
    """The first so many batches of an objective."""

    def __init__(self, objective: Any, count: int) -> None:
        self.objective, self.count = objective, count

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        return islice(self.objective.batches(epoch, rng, size), self.count)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        return self.objective.loss(batch, rng)


def claim(name: str, work: str, target: float, training: Training, *, on: str) -> Claim:
    """The claim that our epoch takes at most 1 / `target` of theirs, on the set `on`."""
    return Claim(name, work, "PyTorch", target, partial(_data, training), partial(_ours, training),
                 partial(_theirs, training), partial(_agree, training.noise), rounds=3, processes=3, on=on)


def _data(training: Training) -> Arrays:
    arrays = training.load()
    state = _ready(training, _interactions(arrays)).network.state_dict()
    return arrays | {_WEIGHTS + name: np.array(value) for name, value in state.items()}


def _interactions(arrays: Arrays) -> Any:
    from recsys import Interactions
    from recsys.data import Features, IdMap

    n_users, n_items = arrays["shape"]
    features = Features(attributes={"poster": arrays["poster"]}) if "poster" in arrays else None
    return Interactions.from_arrays(arrays["user"], arrays["item"], arrays.get("value"),
                                    user_ids=IdMap(np.arange(n_users)), item_ids=IdMap(np.arange(n_items)),
                                    item_features=features)


def _ready(training: Training, interactions: Any) -> Any:
    """Our training before its first epoch."""
    from recsys import models

    return getattr(models, training.model)(**training.options, seed=_SEED).prepare(interactions)


def _ours(training: Training, arrays: Arrays) -> Session:
    from recsys.training import Trainer

    interactions = _interactions(arrays)
    trainer = Trainer(epochs=1, batch_size=training.options["batch_size"], seed=_SEED)
    ready = _ready(training, interactions)
    run, moments = replace(ready, objective=training.part(ready.objective)), deepcopy(ready.optimizer.state_dict())

    def start() -> Callable[[], float]:
        run.network.load_state_dict(_weights(arrays))
        run.optimizer.load_state_dict(deepcopy(moments))
        return lambda: trainer.fit(run)["loss"][0]

    return _session(run.network, start)


def _theirs(training: Training, arrays: Arrays) -> Session:
    from benchmarks.plain_pytorch.trainer import Trainer

    plain = importlib.import_module(f"benchmarks.plain_pytorch.{training.plain}")
    network = getattr(plain, training.model)(arrays, **training.options)
    trainer = Trainer(network, network, training.options, _SEED, training.batches)
    return _session(network, lambda: trainer.start(_weights(arrays)))


def _weights(arrays: Arrays) -> Arrays:
    return {name.removeprefix(_WEIGHTS): value for name, value in arrays.items() if name.startswith(_WEIGHTS)}


def _session(network: Any, start: Callable[[], Callable[[], float]]) -> Session:
    with _without_dropout(network):
        exact = start()()
    epoch, losses = start(), []  # with the weights and moments that `start` gives

    def run() -> None:
        losses.append(epoch())

    return Session(run, lambda: {"exact": np.array(exact), "loss": np.array(losses[0])})


@contextmanager
def _without_dropout(network: Any) -> Iterator[None]:
    kept = [(part, name, value) for part in network.modules() for name in ("p", "dropout")
            if isinstance(value := getattr(part, name, None), float)]
    for part, name, _ in kept:
        setattr(part, name, 0.0)
    yield
    for part, name, value in kept:
        setattr(part, name, value)


def _agree(noise: float, ours: Arrays, theirs: Arrays) -> str:
    return (close(ours["exact"], theirs["exact"], "mean losses of an epoch without dropout", rtol=noise) + ", "
            + close(ours["loss"], theirs["loss"], "with dropout", rtol=0.02))
