"""Schedules that follow a cosine, and the one-cycle policy."""

from __future__ import annotations

import math
from typing import Any

from minidl.optim.base import Optimizer
from minidl.optim.lr_scheduler.base import LRScheduler, each, fraction, positive

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR"]


def _cosine(start: float, end: float, part: float) -> float:
    """From `start` to `end` as `part` goes from 0 to 1, flat at both."""
    return end + (start - end) / 2 * (math.cos(math.pi * part) + 1)


def _line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov and Hutter 2017, arXiv:1608.03983).

    A step changes the rate that is there in the same proportion, so that it can be chained. After T_max steps the rate
    goes up again, and so on.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
    eta_min : float
    last_epoch : int

    Examples
    --------
    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=1.0)
    >>> schedule = minidl.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     schedule.step()
    ...     print(round(optimizer.param_groups[0]["lr"], 3))
    0.854
    0.5
    0.146
    0.0
    """

    chains = True

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = positive("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, now: float, t: int) -> float:
        """With 1 + cos(2 x) = 2 cos(x)^2, which keeps its precision near 0."""
        step = math.pi / (2 * self.T_max)
        if t == 0:
            return now
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # up from eta_min, which has no proportion
            return now + (base - self.eta_min) * math.sin(step) ** 2
        return (math.cos(step * t) / math.cos(step * (t - 1))) ** 2 * (now - self.eta_min) + self.eta_min


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that begins anew after T_0, T_0 T_mult, T_0 T_mult^2, ... steps (SGDR, arXiv:1608.03983).

    lr = eta_min + (initial_lr - eta_min) (1 + cos(pi T_cur / T_i)) / 2, T_cur steps after the latest of T_i.

    Parameters
    ----------
    optimizer : Optimizer
    T_0, T_mult : int
    eta_min : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0,
                 last_epoch: int = -1) -> None:
        self.T_0 = positive("CosineAnnealingWarmRestarts", "T_0", T_0)
        self.T_mult = positive("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Go to the next step, or to `epoch`, which need not be whole: `epoch + batch / batches`."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch={epoch} must not be negative")
        self._go_to(self.last_epoch + 1 if epoch is None else epoch)

    def rate(self, base: float, now: float, t: float) -> float:
        """The closed form."""
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t -= length
            length *= self.T_mult
        return _cosine(base, self.eta_min, t / length)


class OneCycleLR(LRScheduler):
    """Up to max_lr and down to nearly nothing, while the momentum does the reverse (Smith and Topin, arXiv:1708.07120).

    The rate goes from max_lr / div_factor to max_lr in the first pct_start of the steps, and then to
    max_lr / div_factor / final_div_factor; with `three_phase` first back to where it began. Step it after every batch.

    Parameters
    ----------
    optimizer : Optimizer
    max_lr : float or list of float
        One for each group.
    total_steps : int, optional
        By default epochs times steps_per_epoch.
    epochs, steps_per_epoch : int, optional
    pct_start : float
    anneal_strategy : str
        `"cos"` or `"linear"`.
    cycle_momentum : bool
        Move the momentum, or beta1, from max_momentum to base_momentum and back.
    base_momentum, max_momentum : float or list of float
    div_factor, final_div_factor : float
    three_phase : bool
    last_epoch : int

    Examples
    --------
    >>> import minidl
    >>> optimizer = minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], momentum=0.9)
    >>> schedule = minidl.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4)
    >>> for _ in range(5):
    ...     print(*(round(optimizer.param_groups[0][name], 3) for name in ("lr", "momentum")))
    ...     optimizer.step()
    ...     schedule.step()
    0.04 0.95
    1.0 0.85
    0.75 0.875
    0.25 0.925
    0.0 0.95
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True,
                 base_momentum: float | list[float] = 0.85, max_momentum: float | list[float] = 0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: pass total_steps, or both epochs and steps_per_epoch")
            total_steps = positive("OneCycleLR", "epochs", epochs) * positive("OneCycleLR", "steps_per_epoch",
                                                                              steps_per_epoch)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'")
        self.total_steps = positive("OneCycleLR", "total_steps", total_steps)
        self.pct_start = fraction("OneCycleLR", "pct_start", pct_start)
        self.anneal_strategy, self.cycle_momentum, self.three_phase = anneal_strategy, cycle_momentum, three_phase
        self.max_lrs = each(optimizer, "max_lr", max_lr)
        self.final_div_factor = final_div_factor
        self.base_momentums = each(optimizer, "base_momentum", base_momentum)
        self.max_momentums = each(optimizer, "max_momentum", max_momentum)
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor betas; "
                             "pass cycle_momentum=False")
        if last_epoch == -1:
            for group, most in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = most / div_factor
        super().__init__(optimizer, last_epoch)

    def _place(self, t: int) -> tuple[int, float]:
        """The phase that step `t` is in, and the part of it that is over."""
        rise = self.pct_start * self.total_steps
        ends = [rise - 1, 2 * rise - 2, self.total_steps - 1] if self.three_phase else [rise - 1, self.total_steps - 1]
        phase = next((i for i, end in enumerate(ends) if t <= end), len(ends) - 1)
        start = ends[phase - 1] if phase else 0.0
        return phase, (t - start) / (ends[phase] - start) if ends[phase] != start else 1.0

    def rates(self, t: int) -> list[float]:
        """The rates; momenta are set on the way."""
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: step {t} of total_steps={self.total_steps}; make the schedule longer, or "
                             "stop stepping it")
        phase, part = self._place(t)
        between = _cosine if self.anneal_strategy == "cos" else _line
        rates = []
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            low, high = self.base_momentums[i], self.max_momentums[i]
            rise, back = (base, self.max_lrs[i], high, low), (self.max_lrs[i], base, low, high)
            end = base / self.final_div_factor
            phases = [rise, back, (base, end, high, high)] if self.three_phase else [rise, (self.max_lrs[i], end,
                                                                                            low, high)]
            start_lr, end_lr, start_momentum, end_momentum = phases[phase]
            rates.append(between(start_lr, end_lr, part))
            if self.cycle_momentum:
                _set_momentum(group, between(start_momentum, end_momentum, part))
        return rates


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
