"""Training by epochs: one loop for every model, and a trainer for modules of `minidl.nn`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from recsys.errors import RecsysError

__all__ = ["EarlyStopping", "Objective", "Trainer", "batches", "run_epochs"]

History = dict[str, list[float]]


def run_epochs(name: str, epochs: int, step: Callable[[int], dict[str, float]], progress: Any = None,
               stop: Callable[[dict[str, float]], bool] | None = None) -> History:
    """Call `step` for every epoch; collect what it reports, show it, and refuse numbers that are not finite.

    Parameters
    ----------
    name : str
        For messages and the progress display.
    epochs : int
    step : callable
        `step(epoch) -> {"loss": ..., ...}`.
    progress : object with start, advance and stop, optional
    stop : callable, optional
        `stop(report) -> bool`, asked after every epoch.

    Returns
    -------
    dict of list of float
        The learning curves, an entry per epoch.

    Raises
    ------
    RecsysError
        The training diverged; the message names the epoch.
    """
    history: History = {}
    if progress is not None:
        progress.start(epochs, name)
    try:
        for epoch in range(epochs):
            report = step(epoch)
            for key, value in report.items():
                if not math.isfinite(value):
                    raise RecsysError(f"{name}: {key} is {value} in epoch {epoch + 1}; the training diverged, "
                                      f"lower lr or raise reg.")
                history.setdefault(key, []).append(float(value))
            if progress is not None:
                progress.advance(1, **report)
            if stop is not None and stop(report):
                break
    finally:
        if progress is not None:
            progress.stop()
    return history


class EarlyStopping:
    """Keeps the best state by a validation metric, and says when to stop.

    Parameters
    ----------
    take : callable
        `take()` returns a copy of the state.
    patience : int, optional
        Stop after so many epochs without a better value; None never stops.
    larger_is_better : bool
        Of the metric.

    Attributes
    ----------
    best_epoch : int or None
        Counted from 1.
    best_state : object
        What `take` returned at the best epoch.
    """

    def __init__(self, take: Callable[[], Any], patience: int | None = None, larger_is_better: bool = True) -> None:
        self.take = take
        self.patience = patience
        self.sign = 1.0 if larger_is_better else -1.0
        self.best_value = -math.inf
        self.best_epoch: int | None = None
        self.best_state: Any = None
        self.epoch = 0

    def update(self, value: float) -> bool:
        """Take notice of an epoch's value; True when it is time to stop."""
        self.epoch += 1
        if self.sign * value > self.best_value:
            self.best_value, self.best_epoch, self.best_state = self.sign * value, self.epoch, self.take()
        return self.patience is not None and self.epoch - (self.best_epoch or 0) >= self.patience


class Objective(Protocol):
    """What a model learns: examples, and their loss."""

    def begin(self, rng: np.random.Generator) -> int:
        """Prepare an epoch (draw negatives, say); the number of examples it has."""

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the examples `batch`, int (B,): a Tensor of one element."""


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

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn, ops, optim
    >>> class Line:  # y = 2 x
    ...     def begin(self, rng):
    ...         return 8
    ...     def loss(self, batch, rng):
    ...         x = batch[:, None].astype(np.float32) / 8
    ...         return ops.mse_loss(layer(x), 2 * x)
    >>> layer = nn.Linear(1, 1)
    >>> trainer = Trainer(epochs=200, batch_size=4)
    >>> history = trainer.fit(layer, optim.Adam(layer.parameters(), lr=0.05), Line())
    >>> bool(history["loss"][-1] < 1e-3)
    True
    """

    def __init__(self, *, epochs: int = 20, batch_size: int = 1024, patience: int | None = None,
                 max_norm: float | None = None, seed: int = 0, name: str = "Trainer") -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.patience = patience
        self.max_norm = max_norm
        self.seed = seed
        self.name = name

    def fit(self, module: Any, optimizer: Any, objective: Objective, *,
            validate: Callable[[], float] | None = None, progress: Any = None) -> History:
        """Train a module in place.

        Parameters
        ----------
        module : minidl.nn.Module
        optimizer : minidl.optim.Optimizer
            Of the module's parameters.
        objective : Objective
        validate : callable, optional
            A metric of the module as it stands, larger is better; asked after every epoch, in evaluation mode.
        progress : object with start, advance and stop, optional

        Returns
        -------
        dict of list of float
            `"loss"`, and `"valid"` if there is validation.
        """
        stopping = EarlyStopping(module.state_dict, self.patience)

        def step(epoch: int) -> dict[str, float]:
            report = {"loss": self._epoch(epoch, module, optimizer, objective)}
            optimizer.flush()  # rows that are behind, before anyone reads the tables
            module.eval()
            if validate is not None:
                report["valid"] = float(validate())
            return report

        history = run_epochs(self.name, self.epochs, step, progress,
                             None if validate is None else lambda report: stopping.update(report["valid"]))
        if stopping.best_state is not None:
            module.load_state_dict(stopping.best_state)
        return history

    def _epoch(self, epoch: int, module: Any, optimizer: Any, objective: Objective) -> float:
        from minidl.nn.utils import clip_grad_norm_

        module.train()
        rng = np.random.default_rng((self.seed, epoch))
        n = objective.begin(rng)
        total = 0.0
        for number, batch in enumerate(batches(rng.permutation(n), self.batch_size)):
            loss = objective.loss(batch, rng)
            value = float(loss.data)
            if not math.isfinite(value):
                raise RecsysError(f"{self.name}: the loss is {value} in epoch {epoch + 1}, batch {number + 1}; the "
                                  f"training diverged, lower lr or raise reg.")
            optimizer.zero_grad()
            loss.backward()
            if self.max_norm is not None:
                clip_grad_norm_(module.parameters(), self.max_norm)
            optimizer.step()
            total += value * len(batch)
        return total / max(n, 1)


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive parts of `order`, of `size` elements but for the last."""
    return (order[start:start + size] for start in range(0, len(order), size))

