"""Training by epochs: the loop that every iterative model runs, and when to stop it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recsys.errors import RecsysError

__all__ = ["EarlyStopping", "History", "batches", "run_epochs"]

History = dict[str, list[float]]


def run_epochs(name: str, epochs: int, step: Callable[[int], dict[str, float]], progress: Any = None,
               stop: Callable[[dict[str, float]], bool] | None = None, history: History | None = None,
               remedy: str = "lower lr") -> History:
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
    history : dict of list of float, optional
        Of the epochs that are done already; it grows.
    remedy : str
        What to do when the training diverges, for the message.

    Returns
    -------
    dict of list of float
        The learning curves, an entry per epoch.

    Raises
    ------
    RecsysError
        The training diverged; the message names the epoch.
    """
    history = {} if history is None else history
    done = max(map(len, history.values()), default=0)
    if progress is not None:
        progress.start(epochs, name)
        if done:
            progress.advance(done)
    try:
        for epoch in range(done, epochs):
            report = step(epoch)
            for key, value in report.items():
                if not math.isfinite(value):
                    raise RecsysError(f"{name}: {key} is {value} in epoch {epoch + 1}; the training diverged, "
                                      f"{remedy}.")
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
    """Keeps the best state by a validation metric, the larger the better, and says when to stop.

    Parameters
    ----------
    take : callable
        `take()` returns a copy of the state.
    patience : int, optional
        Stop after so many epochs without a better value; None never stops.

    Attributes
    ----------
    best_epoch : int or None
        Counted from 1.
    best_state : object
        What `take` returned at the best epoch.
    """

    def __init__(self, take: Callable[[], Any], patience: int | None = None) -> None:
        self.take = take
        self.patience = patience
        self.best_value = -math.inf
        self.best_epoch: int | None = None
        self.best_state: Any = None
        self.epoch = 0

    def update(self, value: float) -> bool:
        """Take notice of an epoch's value; True when it is time to stop."""
        self.epoch += 1
        if value > self.best_value:
            self.best_value, self.best_epoch, self.best_state = value, self.epoch, self.take()
        return self.patience is not None and self.epoch - (self.best_epoch or 0) >= self.patience


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Consecutive parts of `order`, of `size` elements but for the last."""
    return (order[start:start + size] for start in range(0, len(order), size))
