"""What all schedules share."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from minidl.optim.base import Optimizer

__all__ = ["LRScheduler", "each", "fraction", "positive"]


class LRScheduler:
    """Base class; a subclass gives `rate`.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups remember the rate they began with as `initial_lr`.
    last_epoch : int
        -1 to begin; else the last step that was made, by a schedule whose optimizer's state has been loaded.

    Examples
    --------
    >>> import minidl
    >>> from minidl.optim.lr_scheduler import LRScheduler
    >>> class InverseTime(LRScheduler):
    ...     def rate(self, base, now, t):
    ...         return base / (1 + t)
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=6.0)
    >>> schedule = InverseTime(optimizer)
    >>> for _ in range(3):
    ...     schedule.get_last_lr()
    ...     optimizer.step()
    ...     schedule.step()
    [6.0]
    [3.0]
    [2.0]
    """

    chains = False  # whether `rate` changes the rate that is there, rather than putting another in its place
    unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer is {type(optimizer).__name__}; pass an Optimizer")
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: last_epoch={last_epoch}, but param_groups[{i}] has no "
                               "initial_lr; load the state of the optimizer that was scheduled first")
        self.optimizer = optimizer
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._last_lr = [group["lr"] for group in optimizer.param_groups]
        if last_epoch == -1:
            self.begin()
        elif not self.chains:
            self._go_to(self.last_epoch)

    def rate(self, base: float, now: float, t: int) -> float:
        """The rate of a group at step `t` = 0, 1, ..., from its initial rate and the one it has now."""
        raise NotImplementedError(f"{type(self).__name__} has no rate(base, now, t); write it in the subclass")

    def rates(self, t: int) -> list[float]:
        """`rate` for each group."""
        return [self.rate(base, group["lr"], t)
                for base, group in zip(self.base_lrs, self.optimizer.param_groups, strict=True)]

    def begin(self) -> None:
        """Go to step 0 from the rates that are there."""
        self._go_to(0)

    def restart(self) -> None:
        """Go to step 0 from the initial rates."""
        for base, group in zip(self.base_lrs, self.optimizer.param_groups, strict=True):
            group["lr"] = base
        self.begin()

    def step(self) -> None:
        """Go to the next step; call it after the optimizer's `step`."""
        self._go_to(self.last_epoch + 1)

    def _go_to(self, t: float) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(f"{type(self).__name__}: the optimizer has now {len(groups)} groups, and had "
                             f"{len(self.base_lrs)}; make a new schedule after add_param_group")
        self.last_epoch = math.floor(t)
        for group, lr in zip(groups, self.rates(t), strict=True):  # type: ignore[arg-type]
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in groups]

    def get_last_lr(self) -> list[float]:
        """The rates that the latest step has set, one a group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions.

        Returns
        -------
        dict
            Numbers and lists of numbers. The rates themselves are in the optimizer's `state_dict`.
        """
        return {k: copy.deepcopy(v) for k, v in vars(self).items() if k not in self.unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`, of this class or of its namesake in `torch.optim.lr_scheduler`.

        Parameters
        ----------
        state_dict : dict
            Load the optimizer's state after the schedule is made, because making it sets the rates.
        """
        if "last_epoch" not in state_dict and "_schedulers" not in state_dict:
            raise ValueError(f"{type(self).__name__}.load_state_dict: the state has no last_epoch, only "
                             f"{sorted(state_dict)}; pass what a schedule's state_dict() gave")
        known = vars(self).keys() - set(self.unsaved)
        vars(self).update({k: copy.deepcopy(v) for k, v in state_dict.items() if k in known})


def each(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value for each group."""
    count = len(optimizer.param_groups) if isinstance(optimizer, Optimizer) else 1
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values, but the optimizer {count} group(s); pass one for each")
    return list(value)


def positive(asker: str, name: str, value: int) -> int:
    """Refuse what is not a positive whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError(f"{asker}: {name}={value!r} must be a positive int")
    return value


def fraction(asker: str, name: str, value: float) -> float:
    """Refuse what is not in [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"{asker}: {name}={value} must be in [0, 1]")
    return value
