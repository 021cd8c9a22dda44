"""How estimators learn by epochs: what a training consists of, and what all have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minidl import optim
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.estimator.context import Context
from recsys.estimator.fitted import Learned
from recsys.estimator.parameters import Check, above, at_least, optional, whole
from recsys.estimator.scorers import Scorer
from recsys.training import Objective, Run, Trainer
from recsys.training.checkpoint import Checkpoint, contents, named

if TYPE_CHECKING:
    from recsys.estimator.recommender import Recommender

__all__ = ["CHECKS", "Training", "adam", "identity", "train", "trainer"]

CHECKS: dict[str, Check] = {"epochs": whole(1), "lr": above(0), "weight_decay": at_least(0), "batch_size": whole(1),
                            "patience": optional(whole(1)), "seed": whole(0)}
"""The hyper-parameters that all trainings have."""


@dataclass(frozen=True, eq=False)
class Training:
    """A run, and what is learned when it is over.

    Parameters
    ----------
    run : Run
    finish : callable
        `finish() -> Learned`, from the network as it then stands.
    """

    run: Run
    finish: Callable[[], Learned]

    @classmethod
    def of(cls, model: Recommender, data: Interactions, context: Context, network: Any, objective: Objective,
           finish: Callable[[], Learned], optimizer: optim.Optimizer | None = None) -> Self:
        """The training of a network, by Adam if nothing else is given, validated by what it would answer with now."""
        return cls(Run(network, objective, optimizer or adam(model, network.parameters()),
                       _validation(model, data, context, lambda: finish().scorer)), finish)


def train(model: Any, training: Training, data: Interactions, context: Context) -> Learned:
    """Run a training, and what it gave, with the learning curves as `curves_`."""
    kept = None if context.checkpoint is None else Checkpoint(context.checkpoint, identity(model, data, context))
    history = trainer(model, model.epochs, model.patience).fit(
        training.run, callbacks=context.callbacks, checkpoint=kept, progress=context.progress)
    learned = training.finish()
    return replace(learned, taken={**learned.taken, "curves_": history})


def trainer(model: Any, epochs: int, patience: int | None = None) -> Trainer:
    """With the model's hyper-parameters."""
    return Trainer(epochs=epochs, batch_size=model.batch_size, patience=patience, seed=model.seed,
                   name=type(model).__name__, remedy=model.remedy())


def adam(model: Any, parameters: Any) -> optim.Optimizer:
    """With the model's hyper-parameters."""
    return optim.Adam(parameters, lr=model.lr, weight_decay=model.weight_decay)


def _validation(model: Recommender, data: Interactions, context: Context,
                scorer: Callable[[], Scorer]) -> Callable[[], float] | None:
    """A function that measures, on the validation data, what would answer now; None if there is no such data.

    It gives NDCG@10, or minus the RMSE if the model predicts ratings. Items that training does not know are ranked by
    themselves.
    """
    from recsys.estimator.validating import validation

    if context.valid is None:
        return None
    split = Split(data, context.valid, context.valid, valid_history=context.valid_history)
    new = not np.isin(context.valid.item, data.item).any()
    return validation(model, context.facts, split, scorer, "rmse" if model.can.ratings else "ndcg@10",
                      "new" if new else "train")


def identity(model: Any, data: Interactions, context: Context) -> dict[str, Any]:
    """What has to be the same for a training to go on."""
    parts = context.valid, context.valid_history
    parameters = {name: named(value) if callable(value) else value  # a module's maker goes by its name
                  for name, value in model.get_params().items()}
    return {"class": named(type(model)), **parameters, **contents(data),
            "validation": [part.fingerprint() for part in parts if part is not None]}
