"""Models that are a network of `minidl.nn`: built, trained, validated, saved and loaded in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np

from minidl import nn, no_grad, optim
from recsys.checkpoint import Checkpoint, contents, named
from recsys.data import given
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.epochs import History, curves_of_state, curves_to_state
from recsys.models.base import Recommender
from recsys.models.history import HistoryRecommender
from recsys.models.parameters import Check, above, at_least, optional, whole
from recsys.models.refining import go_on, regrow
from recsys.models.sparse import blocks
from recsys.models.updating import behind
from recsys.models.validating import validation
from recsys.training import Callback, Objective, Trainer

__all__ = ["HistoryNetwork", "NeuralRecommender"]


class NeuralRecommender(Recommender):
    """An encoder, a loss, and the trainer.

    A subclass has the hyper-parameters `epochs, lr, weight_decay, batch_size, patience, seed` and writes

    - `_network(rng)`, which builds the module from the hyper-parameters and `self.users`, `self.items`;
    - `_objective(data)`, what the module learns;
    - how the module answers: `_score`, `_predict`, `_fold`, ... of `Recommender`.

    Attributes
    ----------
    network : minidl.nn.Module
    history_ : dict of list of float
        `"loss"`, and with validation data `"valid"`: `valid_metric`, negated if it is an error.
    """

    checks: ClassVar[dict[str, Check]] = {
        "epochs": whole(1), "lr": above(0), "weight_decay": at_least(0), "batch_size": whole(1),
        "patience": optional(whole(1)), "seed": whole(0)}
    valid_metric: ClassVar[str] = "ndcg@10"

    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    patience: int | None
    seed: int
    network: Any
    history_: History
    _training: Any = None

    def _network(self, rng: np.random.Generator) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} does not define _network.")

    def _objective(self, data: Interactions) -> Objective:
        raise NotImplementedError(f"{type(self).__name__} does not define _objective.")

    def fit(self, data: Interactions, valid: Interactions | None = None, *, valid_history: Interactions | None = None,
            checkpoint: str | PathLike[str] | None = None, callbacks: Sequence[Callback] = (),
            progress: Any = None) -> Self:
        """Learn from the data; what was learned before is replaced, or kept to the bit if this fails or is interrupted.

        Parameters
        ----------
        data : Interactions, or pandas or polars frame
        valid : like data, optional
            The weights of the epoch that answers these events best are kept (`valid_metric`), and with `patience`
            the training stops early.
        valid_history : Interactions, optional
            What the model may see of the users of `valid`; by default the training data.
        checkpoint : path, optional
            A `.npz` or `.safetensors` file that is written after every epoch; if it is there, the training goes on
            from it, to the same bits as without the interruption.
        callbacks : sequence of callable
            `callback(epoch, report)` after every epoch; one that returns True ends the training.
        progress : object with start, advance and stop, optional

        Returns
        -------
        Recommender
            The model itself.
        """
        data, valid, valid_history = given.training(f"{type(self).__name__}.fit", data, valid, valid_history)
        learner = self._prepared(data, valid, valid_history)
        split, validate = None, None
        if valid is not None and len(valid):
            split = Split(data, valid, valid, valid_history=valid_history)
            validate = learner._validation(split, valid)
        trainer = Trainer(epochs=learner.epochs, batch_size=learner.batch_size, patience=learner.patience,
                          seed=learner.seed, name=type(self).__name__, remedy=learner.remedy())
        kept = None if checkpoint is None else Checkpoint(checkpoint, learner._identity(data, split))
        learner.history_ = trainer.fit(learner.network, learner._optimizer(), learner._objective(data),
                                       progress=progress, validate=validate, callbacks=callbacks, checkpoint=kept)
        learner.network.eval()
        learner._settle()
        learner._training = None
        learner.network.zero_grad()
        return self._adopt(learner)

    def _prepared(self, data: Interactions, valid: Interactions | None = None,
                  valid_history: Interactions | None = None) -> Self:
        """A copy as it is before the first epoch: with data prepared, and a network."""
        learner = self._learner(data, valid, valid_history)
        learner._prepare_training(data)
        learner.network = learner._network(np.random.default_rng(learner.seed))
        learner._start()
        return learner

    def _prepare_training(self, data: Interactions) -> None:
        """What the network is built upon, and `self._training`, which is kept as long as `fit` runs."""

    def _start(self) -> None:
        """Give a new network other numbers than those of the generator, before the first epoch of a fit."""

    def _settle(self) -> None:
        """From the network as it stands to what answers; before each validation, and in the end."""

    def _optimizer(self) -> optim.Optimizer:
        return optim.Adam(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def _optimizer_anew(self) -> optim.Optimizer:
        """For a network that is trained and goes on."""
        return self._optimizer()

    def _identity(self, data: Interactions, split: Split | None) -> dict[str, Any]:
        """What has to be the same for a training to go on."""
        parts = () if split is None else (split.valid, split.valid_history)
        parameters = {name: named(value) if callable(value) else value  # a module's maker goes by its name
                      for name, value in self.get_params().items()}
        return {"class": named(type(self)), **parameters, **contents(data),
                "validation": [part.fingerprint() for part in parts if part is not None]}

    def _validation(self, split: Split, valid: Interactions) -> Callable[[], float]:
        """A function that measures the network as it stands."""
        new = not np.isin(valid.item, split.train.item).any()  # what training does not know is ranked by itself
        measure = validation(self, split, "rmse" if self.can.ratings else self.valid_metric, "new" if new else "train")

        def validate() -> float:
            self._settle()
            return measure()

        return validate

    def _state(self) -> dict[str, np.ndarray]:
        weights = {f"network.{name}": np.asarray(value) for name, value in self.network.state_dict().items()}
        return super()._state() | weights | curves_to_state(self.history_)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self.network = self._network(np.random.default_rng(self.seed))
        self.network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()
                                      if name.startswith("network.")})
        self.network.eval()
        self.history_ = curves_of_state(state)


class HistoryNetwork(NeuralRecommender, HistoryRecommender):
    """A network that takes histories to scores of all items: a user's score is that of the history.

    The module's `forward(history)` takes a CSR (B, n_items) to scores (B, n_items).

    With `partial_fit` histories grow, and so do the tables: the biases of new items are the mean of all, their other
    numbers as at the start of a fit, or what `_place_new(known)` makes of them. Then come a fourth of the epochs of a
    fit, over the histories that have grown and as many others.
    """

    def _prepare_training(self, data: Interactions) -> None:
        self._training = self._keep(data)

    def _partial_fit(self, data: Interactions) -> None:
        before, new = self.history_of_all(), data.csr
        values = None if before.data is None else new.data
        self.history = self._prepare(behind(before, CSR(new.indptr, new.indices, values, new.shape)))
        old, self.network = self.network, self._network(np.random.default_rng((self.seed, *new.shape)))
        regrow(self.network, old)
        self._place_new(before.shape[1])
        go_on(self, data)

    def _place_new(self, known: int) -> None:
        """Give items from `known` on, the new ones, other numbers than those of the start."""

    def _score_histories(self, history: CSR) -> np.ndarray:
        scores = np.empty(history.shape, np.float32)
        with no_grad():
            for block in blocks(*history.shape):
                scores[block] = self.network(history.rows(np.arange(block.start, block.stop))).data
        return scores
