"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Optimizer

__all__ = ["Adagrad"]


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

    kernel = "adagrad"
    moments = ("sum",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, lr_decay: float = 0.0, weight_decay: float = 0.0,
                 initial_accumulator_value: float = 0.0, eps: float = 1e-10, *, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                                  "initial_accumulator_value": initial_accumulator_value, "eps": eps, "exact": exact})

    def initial(self, group: Mapping[str, Any]) -> float:
        """The initial accumulator value."""
        return float(group["initial_accumulator_value"])

    def numbers(self, group: Mapping[str, Any], step: int) -> tuple[float, ...]:
        """`lr, decay, eps`."""
        return group["lr"] / (1 + (step - 1) * group["lr_decay"]), group["weight_decay"], group["eps"]
