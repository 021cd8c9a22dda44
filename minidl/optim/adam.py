"""Adam and its variants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Moments, Optimizer

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

Betas = tuple[float, float]


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
    amsgrad : bool
        Divide by the root of the greatest v so far (Reddi, Kale and Kumar 2018, arXiv:1904.09237).
    maximize : bool
        Go up the gradient instead of down.
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
    moments = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
                 decoupled_weight_decay: bool = False, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "amsgrad": amsgrad, "maximize": maximize,
                                  "decoupled_weight_decay": decoupled_weight_decay, "exact": exact})

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The greatest v, if there is `amsgrad`."""
        return self.moments if group["amsgrad"] else self.moments[:2]

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, beta1, beta2, 1, w1, w2, of_gradient, correction`."""
        beta1, beta2 = group["betas"]
        return _numbers(group, group["lr"] / (1 - beta1 ** m.step), correction=(1 - beta2 ** m.step) ** 0.5)


def _numbers(group: Mapping[str, Any], lr: float, of_gradient: float = 0.0, correction: float = 1.0,
             eps: float | None = None) -> tuple[float, ...]:
    beta1, beta2 = group["betas"]
    return (lr, group["eps"] if eps is None else eps, float(beta1 * beta1 < beta2), beta1, beta2, 1.0,
            1 - beta1, 1 - beta2, of_gradient, correction)


class AdamW(Adam):
    """Adam with decoupled weight decay, as `torch.optim.AdamW` (Loshchilov and Hutter 2019, arXiv:1711.05101).

    p = (1 - lr weight_decay) p, and then Adam without weight decay. The parameters are those of `Adam`; the one default
    that differs is `weight_decay=0.01`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.85, 1.8 ])
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True,
                         exact=exact)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, as `torch.optim.NAdam` (Dozat 2016, algorithm 2, with a schedule of momenta).

    m and v are Adam's. With mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2) and M(t) = mu(1) ... mu(t), at step t
    p = p - lr ((1 - mu(t)) / (1 - M(t)) g' + mu(t + 1) / (1 - M(t + 1)) m) / (sqrt(v / (1 - beta2^t)) + eps).

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    eps, weight_decay, momentum_decay : float
    decoupled_weight_decay, maximize, exact : bool
        See `Adam`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.894355, 1.894355])
    """

    kernel = "adam"
    moments = ("exp_avg", "exp_avg_sq")
    carried = "mu_product"

    def __init__(self, params: Iterable[Any], lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
                 maximize: bool = False, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "momentum_decay": momentum_decay, "maximize": maximize,
                                  "decoupled_weight_decay": decoupled_weight_decay, "exact": exact})

    def factor(self, group: Mapping[str, Any], step: int) -> float:
        """mu(step)."""
        return float(group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"])))

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """Those of `Adam`."""
        lr, mu, following = group["lr"], self.factor(group, m.step), self.factor(group, m.step + 1)
        return _numbers(group, lr * following / (1 - m.product * following), lr * (1 - mu) / (1 - m.product),
                        correction=(1 - group["betas"][1] ** m.step) ** 0.5)


class RAdam(Optimizer):
    """Rectified Adam, as `torch.optim.RAdam` (Liu et al. 2020, arXiv:1908.03265, algorithm 2).

    m and v are Adam's. With r = 2 / (1 - beta2) - 1 and r(t) = r - 2 t beta2^t / (1 - beta2^t), at step t
    p = p - lr / (1 - beta1^t) m R sqrt(1 - beta2^t) / (sqrt(v) + eps) if r(t) > 5, where
    R^2 = (r(t) - 4) (r(t) - 2) r / ((r - 4) (r - 2) r(t)), and p = p - lr / (1 - beta1^t) m before.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    eps, weight_decay : float
    decoupled_weight_decay, maximize, exact : bool
        See `Adam`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.RAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.8, 1.6])
    """

    kernel = "adam"
    moments = ("exp_avg", "exp_avg_sq")

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, decoupled_weight_decay: bool = False, *, maximize: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay,
                                  "exact": exact})

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """Those of `Adam`; an infinite correction and eps = 1 leave m undivided."""
        beta1, beta2 = group["betas"]
        lr, correction = group["lr"] / (1 - beta1 ** m.step), 1 - beta2 ** m.step
        r = 2 / (1 - beta2) - 1
        now = r - 2 * m.step * beta2 ** m.step / correction
        if now <= 5:
            return _numbers(group, lr, correction=math.inf, eps=1.0)
        rectified = ((now - 4) * (now - 2) * r / ((r - 4) * (r - 2) * now)) ** 0.5
        return _numbers(group, lr * rectified * correction ** 0.5)


class Adamax(Optimizer):
    """Adam with the infinity norm, as `torch.optim.Adamax` (Kingma and Ba 2015, arXiv:1412.6980, algorithm 2).

    With g' = g + weight_decay p, m = m + (1 - beta1) (g' - m) and u = max(beta2 u, |g'| + eps), at step t = 1, 2, ...
    p = p - lr / (1 - beta1^t) m / u.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    eps, weight_decay : float
    maximize, exact : bool
        See `Adam`.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.9, 1.9])
    """

    kernel = "adamax"
    moments = ("exp_avg", "exp_inf")

    def __init__(self, params: Iterable[Any], lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0, *, maximize: bool = False, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "maximize": maximize, "exact": exact})

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, beta1, beta2, w1`."""
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1 ** m.step), group["eps"], float(beta1 < beta2), beta1, beta2, 1 - beta1
