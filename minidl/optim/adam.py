"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam, as `torch.optim.Adam` (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1).

    With g' = g + weight_decay p, m = m + (1 - beta1) (g' - m) and v = beta2 v + (1 - beta2) g'^2, at step t = 1, 2, ...
    p = p - lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps).

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    eps, weight_decay : float
    decoupled_weight_decay : bool
        Shrink p by 1 - lr weight_decay instead of adding to the gradient, as `AdamW` does.
    exact : bool
        What rows without a gradient do; see `Optimizer`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.9, 1.9])
    """

    kernel = "adam"
    moments = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0, *, decoupled_weight_decay: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "decoupled_weight_decay": decoupled_weight_decay, "exact": exact})

    def check(self, group: Mapping[str, Any]) -> None:
        """Refuse negative hyper-parameters, and betas outside [0, 1)."""
        super().check(group)
        for i, beta in enumerate(group["betas"]):
            if not 0 <= beta < 1:
                raise ValueError(f"{type(self).__name__}: betas[{i}]={beta} must be in [0, 1)")

    def numbers(self, group: Mapping[str, Any], step: int) -> tuple[float, ...]:
        """`lr, shrink, decay, w1, beta2, w2, correction, eps`."""
        lr, weight_decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        shrink, decay = (1 - lr * weight_decay, 0.0) if group["decoupled_weight_decay"] else (1.0, weight_decay)
        return (lr / (1 - beta1 ** step), shrink, decay, 1 - beta1, beta2, 1 - beta2, (1 - beta2 ** step) ** 0.5,
                group["eps"])


class AdamW(Adam):
    """Adam with decoupled weight decay, as `torch.optim.AdamW` (Loshchilov and Hutter 2019, arXiv:1711.05101).

    p = (1 - lr weight_decay) p, and then Adam without weight decay.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    eps, weight_decay : float
    exact : bool
        What rows without a gradient do; see `Optimizer`.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, *, exact: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, decoupled_weight_decay=True, exact=exact)
