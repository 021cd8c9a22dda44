"""Optimizers that divide by the root of a sum or an average of squared gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Moments, Optimizer

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """Adagrad, as `torch.optim.Adagrad` (Duchi, Hazan and Singer 2011, JMLR 12, equation 1 with a diagonal matrix).

    With g' = g + weight_decay p and total = total + g'^2, at step t = 1, 2, ...
    p = p - lr / (1 + (t - 1) lr_decay) g' / (sqrt(total) + eps).

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr, lr_decay, weight_decay : float
    initial_accumulator_value : float
        What `total` starts from.
    eps : float
    maximize : bool
        Go up the gradient instead of down.
    exact : bool
        What rows without a gradient do; see `Optimizer`. It makes no difference without weight decay.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.Adagrad([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5, 1.5])
    """

    kernel = "rmsprop"
    moments = ("sum",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
                 initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, maximize: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "eps": eps,
                                  "maximize": maximize, "exact": exact})

    def initial(self, group: Mapping[str, Any]) -> float:
        """The initial accumulator value."""
        return float(group["initial_accumulator_value"])

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, keep of three moments, take, momentum`."""
        return group["lr"] / (1 + (m.step - 1) * group["lr_decay"]), group["eps"], 1.0, 1.0, 1.0, 1.0, 1.0, 0.0


class RMSprop(Optimizer):
    """RMSprop, as `torch.optim.RMSprop` (Hinton 2012, lecture 6e; centered: Graves 2013, arXiv:1308.0850, equation 38).

    With g' = g + weight_decay p and v = alpha v + (1 - alpha) g'^2, the buffer b = momentum b + g' / (sqrt(v) + eps)
    moves p = p - lr b. With `centered`, v - a^2 takes the place of v in the root, where a = alpha a + (1 - alpha) g':
    an estimate of the variance rather than of the second moment.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr, alpha, eps, weight_decay, momentum : float
    centered : bool
    maximize, exact : bool
        See `Adagrad`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.RMSprop([w], lr=0.05)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.5, 1.5])
    """

    kernel = "rmsprop"
    moments = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, *, maximize: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay,
                                  "momentum": momentum, "centered": centered, "maximize": maximize, "exact": exact})

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """A buffer if there is momentum, the average of gradients if it is centered."""
        return ("square_avg", *(("momentum_buffer",) if group["momentum"] else ()),
                *(("grad_avg",) if group["centered"] else ()))

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, keep of three moments, take, momentum`."""
        alpha, momentum = group["alpha"], group["momentum"]
        return group["lr"], group["eps"], float(momentum < 1), alpha, momentum or alpha, alpha, 1 - alpha, momentum


class Adadelta(Optimizer):
    """Adadelta, as `torch.optim.Adadelta` (Zeiler 2012, arXiv:1212.5701, algorithm 1).

    With g' = g + weight_decay p and v = rho v + (1 - rho) g'^2, the step d = sqrt(u + eps) / sqrt(v + eps) g' moves
    p = p - lr d, and u = rho u + (1 - rho) d^2 averages the squares of the steps.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr, rho, eps, weight_decay : float
    maximize, exact : bool
        See `Adagrad`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.Adadelta([w])
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.996838, 1.996838])
    """

    kernel = "adadelta"
    moments = ("square_avg", "acc_delta")

    def __init__(self, params: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0.0, *, maximize: bool = False, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize, "exact": exact})

    def check(self, group: Mapping[str, Any]) -> None:
        """Refuse what every optimizer refuses, and rho above 1."""
        super().check(group)
        if group["rho"] > 1:
            raise ValueError(f"Adadelta: rho={group['rho']} must be in [0, 1]")

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, rho, rho, take`."""
        rho = group["rho"]
        return group["lr"], group["eps"], 1.0, rho, rho, 1 - rho
