"""Lion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Moments, Optimizer

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion, which steps by the sign of a momentum (Chen et al. 2023, arXiv:2302.06675, algorithm 2).

    p = (1 - lr weight_decay) p - lr sign(beta1 m + (1 - beta1) g), and then m = beta2 m + (1 - beta2) g.
    Every element moves by lr, so lr wants to be some 3 to 10 times smaller than Adam's, and weight_decay as many times
    larger (section 5 of the paper). Not in `torch.optim`; names and defaults are those of the authors' own code.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr : float
    betas : tuple of two floats
    weight_decay : float
        Decoupled, as in `AdamW`.
    maximize : bool
        Go up the gradient instead of down.
    exact : bool
        Must be False: a row without a gradient would go on moving by lr, in the direction it had last.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.9, 1.9])
    """

    kernel = "lion"
    moments = ("exp_avg",)
    exact_refused = "a row without a gradient would go on moving by lr at every step, in the direction it had last"

    def __init__(self, params: Iterable[Any], lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99),
                 weight_decay: float = 0.0, *, maximize: bool = False, exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize,
                                  "decoupled_weight_decay": True, "exact": exact})

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, beta2, beta1, w1, w2`."""
        beta1, beta2 = group["betas"]
        return group["lr"], 0.0, 0.0, beta2, beta1, 1 - beta1, 1 - beta2
