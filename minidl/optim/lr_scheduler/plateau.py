"""A schedule that watches a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minidl.optim.base import Optimizer
from minidl.optim.lr_scheduler.base import LRScheduler, each

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by `factor` when a number has not become better for more than `patience` steps.

    Better than `best` is, for mode `"min"`, less than best (1 - threshold) with threshold_mode `"rel"`, and less than
    best - threshold with `"abs"`; for `"max"`, more than best (1 + threshold) and best + threshold.

    Parameters
    ----------
    optimizer : Optimizer
    mode : str
        `"min"` or `"max"`.
    factor : float
        Below 1.
    patience : int
    threshold : float
    threshold_mode : str
        `"rel"` or `"abs"`.
    cooldown : int
        Steps after a reduction that do not count.
    min_lr : float or sequence of float
        One for each group.
    eps : float
        Changes that are not greater than this are not made.

    Examples
    --------
    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = minidl.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0,
                 min_lr: float | Sequence[float] = 0.0, eps: float = 1e-8) -> None:
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor={factor} must be below 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: mode={mode!r} must be 'min' or 'max', and "
                             f"threshold_mode={threshold_mode!r} 'rel' or 'abs'")
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.min_lrs = each(optimizer, "min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        super().__init__(optimizer)

    def rate(self, base: float, now: float, t: int) -> float:
        """The rate that is there; `step` changes it."""
        return now

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the number, and reduce the rates if it is time.

        Parameters
        ----------
        metrics : float
            Such as the validation loss; NaN is not better.
        """
        value = float(metrics)
        better = self._is_better(value)
        self.best = value if better else self.best
        self.num_bad_epochs = 0 if better else self.num_bad_epochs + 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, least)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        super().step()

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        bound = (self.best * (1 + sign * self.threshold) if self.threshold_mode == "rel"
                 else self.best + sign * self.threshold)
        return value > bound if self.mode == "max" else value < bound
