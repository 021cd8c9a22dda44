"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as `torch.optim.SGD`.

    With g' = g + weight_decay p and the buffer b = momentum b + (1 - dampening) g' (b = g' at the first step),
    p = p - lr b; or p = p - lr (g' + momentum b) with Nesterov's momentum; or p = p - lr g' without.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr, momentum, dampening, weight_decay : float
    nesterov : bool
        Needs momentum and no dampening.
    exact : bool
        What rows without a gradient do; see `Optimizer`. It makes no difference without momentum and weight decay.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5, 1. ])
    """

    kernel = "sgd"
    moments = ("momentum_buffer",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0, nesterov: bool = False, *, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening,
                                  "weight_decay": weight_decay, "nesterov": nesterov, "exact": exact})

    def check(self, group: Mapping[str, Any]) -> None:
        """Refuse negative hyper-parameters, and Nesterov's momentum without momentum."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(f"SGD: nesterov=True needs momentum > 0 and dampening = 0, not "
                             f"momentum={group['momentum']}, dampening={group['dampening']}")

    def count(self, group: Mapping[str, Any]) -> int:
        """One buffer, if there is momentum."""
        return int(group["momentum"] != 0)

    def numbers(self, group: Mapping[str, Any], step: int) -> tuple[float, ...]:
        """`lr, decay, keep, take, of_gradient, of_buffer`."""
        momentum = group["momentum"]
        keep, take = (0.0, 1.0) if step == 1 else (momentum, 1 - group["dampening"])
        of_gradient, of_buffer = (1.0, momentum) if group["nesterov"] else (0.0, 1.0)
        return group["lr"], group["weight_decay"], keep, take, of_gradient, of_buffer
