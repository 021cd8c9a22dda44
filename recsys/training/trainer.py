"""The trainer of modules of `minidl.nn`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minidl import runtime
from minidl.debug import detect_anomaly
from minidl.errors import AnomalyError
from minidl.nn.utils import clip_grad_norm_
from minidl.optim.lr_scheduler import ReduceLROnPlateau
from recsys.checks import Check, above, optional, require, whole
from recsys.errors import RecsysError, TrainingInterrupted
from recsys.training.checkpoint import Checkpoint
from recsys.training.epochs import EarlyStopping, History, batches, run_epochs

__all__ = ["Callback", "Objective", "Run", "Trainer", "shuffled"]

_CHECKS = {"epochs": whole(1), "batch_size": whole(1), "patience": optional(whole(1)), "max_norm": optional(above(0)),
           "seed": whole(0), "callbacks": Check(lambda value: isinstance(value, Sequence) and all(map(callable, value)),
                                                "a list of functions")}

Callback = Callable[[int, dict[str, float]], bool | None]


class Objective(Protocol):
    """What a network learns: batches of examples, and their loss."""

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The batches of an epoch, counted from 0, of about `size` examples: int arrays (B,)."""

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the examples of a batch: a Tensor of one element."""


def shuffled(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The numbers from 0 to n - 1 in an order that is drawn, `size` at a time: the batches of most objectives."""
    return batches(rng.permutation(n), size)


@dataclass(frozen=True, eq=False)
class Run:
    """A training before its first epoch, open to whoever wants to look or to train it otherwise.

    Parameters
    ----------
    network : minidl.nn.Module
    objective : Objective
    optimizer : minidl.optim.Optimizer
        Of the network's parameters.
    validate : callable, optional
        `validate() -> float`: a metric of the network as it stands, larger is better; asked after every epoch, in
        evaluation mode.
    """

    network: Any
    objective: Objective
    optimizer: Any
    validate: Callable[[], float] | None = None


class Trainer:
    """Minimises an objective over shuffled batches.

    Every epoch has its own random generator, seeded by `(seed, epoch)`, so a run can be repeated from
    any epoch on.

    Parameters
    ----------
    epochs, batch_size : int
    patience : int, optional
        Epochs without a better validation value before it stops; None runs all epochs. The best
        weights are put back in any case, if there is validation.
    max_norm : float, optional
        Clip the norm of the gradient of all parameters together.
    seed : int
    name : str
        For messages.
    remedy : str
        What to do when the training diverges, for the message.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn, ops, optim
    >>> class Line:  # y = 2 x
    ...     def batches(self, epoch, rng, size):
    ...         return shuffled(8, size, rng)
    ...     def loss(self, batch, rng):
    ...         x = batch[:, None].astype(np.float32) / 8
    ...         return ops.mse_loss(layer(x), 2 * x)
    >>> layer = nn.Linear(1, 1)
    >>> trainer = Trainer(epochs=200, batch_size=4)
    >>> history = trainer.fit(Run(layer, Line(), optim.Adam(layer.parameters(), lr=0.05)))
    >>> bool(history["loss"][-1] < 1e-3)
    True
    """

    def __init__(self, *, epochs: int = 20, batch_size: int = 1024, patience: int | None = None,
                 max_norm: float | None = None, seed: int = 0, name: str = "Trainer",
                 remedy: str = "lower lr of the optimizer") -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.max_norm = max_norm
        self.seed = seed
        self.name = name
        self.remedy = remedy

    def fit(self, run: Run, *, schedule: Any = None, each_batch: bool = False, callbacks: Sequence[Callback] = (),
            checkpoint: Checkpoint | None = None, progress: Any = None) -> History:
        """Train a network in place; in the end it is in evaluation mode, without gradients.

        Parameters
        ----------
        run : Run
        schedule : minidl.optim.lr_scheduler.LRScheduler, optional
            Stepped after every epoch, `ReduceLROnPlateau` with the validation value (or the loss).
        each_batch : bool
            Step the schedule after every batch instead.
        callbacks : sequence of callable
            `callback(epoch, report)`, called after every epoch, from 1 on; one that returns True ends the training.
        checkpoint : Checkpoint, optional
            Written after every epoch. If there is one of this training, it goes on from there, to the same bits
            as without the interruption.
        progress : object with start, advance and stop, optional

        Returns
        -------
        dict of list of float
            `"loss"`, and `"valid"` if there is validation.

        Raises
        ------
        RecsysError
            The loss is not finite; the message names the epoch, the batch and the op.
        TrainingInterrupted
            Instead of KeyboardInterrupt; the message says how to go on.
        """
        require(self.name, _CHECKS, {**vars(self), "callbacks": callbacks})
        runtime.tune()
        state = _State(self, run, schedule, each_batch)
        history = state.restore(checkpoint)

        def stop(report: dict[str, float]) -> bool:
            finished = run.validate is not None and state.stopping.update(report["valid"])
            wanted = [callback(len(history["loss"]), report) for callback in callbacks]
            state.finished = finished or any(wanted)
            if checkpoint is not None:
                checkpoint.save(state.tree(history))
            return state.finished

        try:
            if not state.finished:
                run_epochs(self.name, self.epochs, state.epoch, progress, stop, history, self.remedy)
        except KeyboardInterrupt:
            done = len(history.get("loss", ()))
            how = ("give checkpoint= to be able to go on" if checkpoint is None else
                   f"run the same again with checkpoint {checkpoint.path} to go on")
            raise TrainingInterrupted(f"{self.name}: interrupted after {done} of {self.epochs} epochs; "
                                      f"{how}.") from None
        if state.stopping.best_state is not None:
            run.network.load_state_dict(state.stopping.best_state)
        run.network.eval()
        run.network.zero_grad()
        return history


class _State:
    """One call of `Trainer.fit`: what changes from epoch to epoch, and how it is kept."""

    def __init__(self, trainer: Trainer, run: Run, schedule: Any, each_batch: bool) -> None:
        self.trainer, self.run, self.schedule, self.each_batch = trainer, run, schedule, each_batch
        self.stopping = EarlyStopping(run.network.state_dict, trainer.patience)
        self.finished = False

    def epoch(self, epoch: int) -> dict[str, float]:
        report = {"loss": self._train(epoch)}
        self.run.optimizer.flush()  # rows that are behind, before anyone reads the tables
        self.run.network.eval()
        if self.run.validate is not None:
            report["valid"] = float(self.run.validate())
        if self.schedule is not None and not self.each_batch:
            self._step_schedule(report.get("valid", report["loss"]))
        return report

    def _step_schedule(self, value: float) -> None:
        self.schedule.step(*((value,) if isinstance(self.schedule, ReduceLROnPlateau) else ()))

    def _train(self, epoch: int) -> float:
        network, objective, optimizer = self.run.network, self.run.objective, self.run.optimizer
        network.train()
        rng = np.random.default_rng((self.trainer.seed, epoch))
        for part in network.modules():  # masks of dropout come from the epoch's numbers, too
            if hasattr(part, "generator"):
                part.generator = rng
        total, n = 0.0, 0
        for number, batch in enumerate(objective.batches(epoch, rng, self.trainer.batch_size)):
            before = rng.bit_generator.state
            loss = objective.loss(batch, rng)
            value = float(loss.data)
            if not math.isfinite(value):
                rng.bit_generator.state = before
                raise RecsysError(f"{self.trainer.name}: the loss is {value} in epoch {epoch + 1}, batch {number + 1}"
                                  f"{self._origin(batch, rng)}; the training diverged, {self.trainer.remedy}.")
            optimizer.zero_grad()
            loss.backward()
            if self.trainer.max_norm is not None:
                clip_grad_norm_(network.parameters(), self.trainer.max_norm)
            optimizer.step()
            if self.schedule is not None and self.each_batch:
                self._step_schedule(value)
            total, n = total + value * len(batch), n + len(batch)
        return total / max(n, 1)

    def _origin(self, batch: np.ndarray, rng: np.random.Generator) -> str:
        """The op that gave the first number that is not finite, found by computing the loss once more."""
        try:
            with detect_anomaly():
                self.run.objective.loss(batch, rng)
        except AnomalyError as error:
            return f" ({error})"
        return ""

    def tree(self, history: History) -> dict[str, Any]:
        """Everything that the next epoch depends on."""
        best = self.stopping
        return {"history": history, "finished": self.finished, "module": self.run.network.state_dict(),
                "optimizer": self.run.optimizer.state_dict(),
                "schedule": None if self.schedule is None else self.schedule.state_dict(),
                "best": {"value": best.best_value, "epoch": best.best_epoch, "state": best.best_state}}

    def restore(self, checkpoint: Checkpoint | None) -> History:
        """Take back what `tree` gave, if there is such a file; the history so far."""
        saved = None if checkpoint is None else checkpoint.load()
        if saved is None:
            return {}
        self.run.network.load_state_dict(saved["module"])
        moments = {int(number): state for number, state in saved["optimizer"]["state"].items()}
        self.run.optimizer.load_state_dict(saved["optimizer"] | {"state": moments})
        if self.schedule is not None:
            self.schedule.load_state_dict(saved["schedule"])
        history: History = saved["history"]
        best = self.stopping
        best.best_value, best.best_epoch, best.best_state = (saved["best"][k] for k in ("value", "epoch", "state"))
        best.epoch = len(history["loss"])
        self.finished = saved["finished"]
        return history
