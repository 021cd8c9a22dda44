"""Several schedules on one optimizer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from minidl.optim.base import Optimizer
from minidl.optim.lr_scheduler.base import LRScheduler
from minidl.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composed(LRScheduler):
    """Schedules that step the same optimizer."""

    unsaved = ("optimizer", "_schedulers")

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        name = type(self).__name__
        for i, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
                raise TypeError(f"{name}: schedulers[{i}] is {type(schedule).__name__}; step it on its own")
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{name}: schedulers[{i}] ({type(schedule).__name__}) has another optimizer")
        self.optimizer = optimizer
        self.base_lrs = schedulers[0].base_lrs
        self._schedulers = list(schedulers)

    def _note(self) -> None:
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The states of the schedules, under `_schedulers`, and where they are."""
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`; see `LRScheduler`."""
        states = state_dict.get("_schedulers", ())
        if len(states) != len(self._schedulers):
            raise ValueError(f"{type(self).__name__}.load_state_dict: the state has {len(states)} schedules, this "
                             f"{len(self._schedulers)}; make it of the same ones")
        super().load_state_dict(state_dict)
        for schedule, state in zip(self._schedulers, states, strict=True):
            schedule.load_state_dict(state)


class ChainedScheduler(_Composed):
    """Step several schedules at once; each changes what the ones before it have left.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
    optimizer : Optimizer, optional
        By default that of the first.

    Examples
    --------
    >>> import minidl
    >>> from minidl.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = ChainedScheduler([ConstantLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, 0.9)])
    >>> for _ in range(3):
    ...     print(round(schedule.get_last_lr()[0], 6))
    ...     schedule.step()
    0.5
    0.45
    0.81
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler: schedulers is empty; pass at least one")
        super().__init__(optimizer or schedulers[0].optimizer, schedulers)
        self._note()

    def begin(self) -> None:
        """Go to step 0 from the rates that are there."""
        for schedule in self._schedulers:
            schedule.begin()
        self._note()

    def step(self) -> None:
        """Step every schedule."""
        for schedule in self._schedulers:
            schedule.step()
        self._note()


class SequentialLR(_Composed):
    """One schedule after another: at step `milestones[i]` schedule i + 1 begins, from the initial rates.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
    milestones : list of int
        One fewer than the schedules, increasing.
    last_epoch : int

    Examples
    --------
    A warm-up, and then a cosine:

    >>> import minidl
    >>> from minidl.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = SequentialLR(optimizer, [LinearLR(optimizer, 0.2, total_iters=2), CosineAnnealingLR(optimizer, 4)],
    ...                         milestones=[2])
    >>> for _ in range(5):
    ...     print(round(schedule.get_last_lr()[0], 3))
    ...     schedule.step()
    0.2
    0.6
    1.0
    0.854
    0.5
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int],
                 last_epoch: int = -1) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(f"SequentialLR: {len(schedulers)} schedulers need {max(len(schedulers) - 1, 0)} "
                             f"milestones, not {len(milestones)}")
        super().__init__(optimizer, schedulers)
        self._milestones = list(milestones)
        self.restart()
        self.last_epoch = last_epoch + 1

    def begin(self) -> None:
        """Begin with the first schedule, from the rates that are there."""
        self.last_epoch = 0
        self._schedulers[bisect_right(self._milestones, 0)].begin()
        self._note()

    def step(self) -> None:
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            self._schedulers[i].restart()
        else:
            self._schedulers[i].step()
        self._note()
