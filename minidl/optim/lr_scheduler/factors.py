"""Schedules that follow a function of the step, or multiply by a factor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from minidl.optim.base import Optimizer
from minidl.optim.lr_scheduler.base import LRScheduler, each, fraction, positive

__all__ = ["ConstantLR", "ExponentialLR", "FactorLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR",
           "PolynomialLR", "StepLR"]

Function = Callable[[int], float]


class LambdaLR(LRScheduler):
    """lr = initial_lr f(t).

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable or list of callables
        f, or one for each group. Functions are not saved in `state_dict`.
    last_epoch : int
    """

    unsaved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1) -> None:
        self.lr_lambdas = each(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def rates(self, t: int) -> list[float]:
        """initial_lr f(t), by group."""
        return [base * f(t) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """lr = lr f(t), for t = 1, 2, ...

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable or list of callables
        f, or one for each group. Functions are not saved in `state_dict`.
    last_epoch : int
    """

    chains = True

    def rates(self, t: int) -> list[float]:
        """lr f(t), by group."""
        return [group["lr"] * (f(t) if t else 1)
                for group, f in zip(self.optimizer.param_groups, self.lr_lambdas, strict=True)]

    def restart(self) -> None:
        """Multiply the rates that are there by f(0), as PyTorch does in `SequentialLR`."""
        for group, f in zip(self.optimizer.param_groups, self.lr_lambdas, strict=True):
            group["lr"] *= f(0)
        self.begin()


class FactorLR(LRScheduler):
    """Base class of schedules with lr = initial_lr factor_at(t); a subclass gives `factor_at`.

    A step multiplies the rate that is there by factor_at(t) / factor_at(t - 1), so that several can be chained.

    Examples
    --------
    >>> import minidl
    >>> class RootLR(minidl.optim.lr_scheduler.FactorLR):
    ...     def factor_at(self, t):
    ...         return (1 + t) ** -0.5
    >>> schedule = RootLR(minidl.optim.SGD([minidl.tensor([1.0], requires_grad=True)], lr=6.0))
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [3.0]
    """

    chains = True

    def factor_at(self, t: int) -> float:
        """What the initial rate is multiplied by at step `t` = 0, 1, ..."""
        raise NotImplementedError(f"{type(self).__name__} has no factor_at(t); write it in the subclass")

    def rate(self, base: float, now: float, t: int) -> float:
        """`now` times the change of the factor; from `base` where the factor was 0."""
        before = self.factor_at(t - 1) if t else 1.0
        return now * (self.factor_at(t) / before) if before else base * self.factor_at(t)


class StepLR(FactorLR):
    """factor_at(t) = gamma^(t // step_size).

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = positive("StepLR", "step_size", step_size)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """A power of gamma."""
        return self.gamma ** (t // self.step_size)


class MultiStepLR(FactorLR):
    """factor_at(t) = gamma^k, where k is the number of milestones at or before t.

    Parameters
    ----------
    optimizer : Optimizer
    milestones : iterable of int
        One that is there twice counts twice.
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """A power of gamma."""
        return self.gamma ** sum(count for at, count in self.milestones.items() if at <= t)


class ConstantLR(FactorLR):
    """factor_at(t) = factor for t < total_iters, and then 1.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float
        In [0, 1].
    total_iters, last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5,
                 last_epoch: int = -1) -> None:
        self.factor = fraction("ConstantLR", "factor", factor)
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """The factor, while it lasts."""
        return self.factor if t < self.total_iters else 1.0


class LinearLR(FactorLR):
    """factor_at(t) goes from start_factor to end_factor in total_iters steps, and stays there: a warm-up.

    factor_at(t) = start_factor + (end_factor - start_factor) min(t, total_iters) / total_iters.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float
        In (0, 1].
    end_factor : float
        In [0, 1].
    total_iters, last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
                 total_iters: int = 5, last_epoch: int = -1) -> None:
        self.start_factor = fraction("LinearLR", "start_factor", start_factor)
        if start_factor == 0:
            raise ValueError("LinearLR: start_factor=0 must be in (0, 1]; begin with a small one")
        self.end_factor = fraction("LinearLR", "end_factor", end_factor)
        self.total_iters = positive("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """Between the start and the end."""
        return self.start_factor + (self.end_factor - self.start_factor) * min(t, self.total_iters) / self.total_iters


class ExponentialLR(FactorLR):
    """factor_at(t) = gamma^t.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """A power of gamma."""
        return float(self.gamma ** t)


class PolynomialLR(FactorLR):
    """factor_at(t) = (1 - min(t, total_iters) / total_iters)^power.

    Parameters
    ----------
    optimizer : Optimizer
    total_iters : int
    power : float
    last_epoch : int
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = positive("PolynomialLR", "total_iters", total_iters)
        self.power = power
        super().__init__(optimizer, last_epoch)

    def factor_at(self, t: int) -> float:
        """What is left, to the power."""
        return float((1 - min(t, self.total_iters) / self.total_iters) ** self.power)
