"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minidl.optim.base import Moments, Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with momentum, full-batch, mini-batch or stochastic, as `torch.optim.SGD`.

    With g' = g + weight_decay p and the buffer b = momentum b + (1 - dampening) g' (b = g' at the first step),
    p = p - lr b; or p = p - lr (g' + momentum b) with Nesterov's momentum; or p = p - lr g' without.

    Parameters
    ----------
    params : iterable of Tensor, or iterable of dict
    lr, momentum, dampening, weight_decay : float
    nesterov : bool
        Needs momentum and no dampening.
    maximize : bool
        Go up the gradient instead of down.
    exact : bool
        What rows without a gradient do; see `Optimizer`. It makes no difference without momentum and weight decay.

    Notes
    -----
    The step is the same whatever the gradient was computed from; that choice is the caller's:

    - *full batch*: the mean loss over all n examples. Each step goes exactly downhill and costs n examples; with
      lr < 2 / L, where L is the greatest eigenvalue of the Hessian, a convex quadratic converges linearly.
    - *stochastic* (batch of 1): the loss of one example, drawn at random. A step is n times cheaper and right on
      average; its noise does not vanish, so that p ends in a neighbourhood of the minimum whose size falls with lr.
      Let lr fall to come closer (`lr_scheduler`; Robbins and Monro 1951).
    - *mini-batch* of b examples: the variance is b times smaller than with one, and the arithmetic runs as matrix
      products. This is the usual choice.

    Examples
    --------
    >>> import minidl
    >>> w = minidl.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = minidl.optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5, 1. ])

    Least squares solved all three ways, and how far each is from the minimum after 40 epochs. The full batch makes 40
    steps, which may be long; the single examples make 2,400, which must be short:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 2))
    >>> y = X @ [3.0, -1.0] + 0.1 * rng.normal(size=60)
    >>> best = np.linalg.lstsq(X, y)[0]
    >>> for batch, lr in ((60, 0.5), (12, 0.1), (1, 0.01)):
    ...     w = minidl.tensor(np.zeros(2), requires_grad=True)
    ...     optimizer = minidl.optim.SGD([w], lr=lr)
    ...     for epoch in range(40):
    ...         order = rng.permutation(60)
    ...         for i in range(0, 60, batch):
    ...             rows = order[i:i + batch]
    ...             optimizer.zero_grad()
    ...             ((X[rows] @ w - y[rows]) ** 2).mean().backward()
    ...             optimizer.step()
    ...     print(f"batch {batch:2}: {np.abs(w.data - best).max():.3f}")
    batch 60: 0.000
    batch 12: 0.00...
    batch  1: 0.00...
    """

    kernel = "sgd"
    moments = ("momentum_buffer",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False,
                 exact: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "maximize": maximize, "exact": exact})

    def check(self, group: Mapping[str, Any]) -> None:
        """Refuse what every optimizer refuses, and Nesterov's momentum without momentum."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(f"SGD: nesterov=True needs momentum > 0 and dampening = 0, not "
                             f"momentum={group['momentum']}, dampening={group['dampening']}")

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """One buffer, if there is momentum."""
        return self.moments if group["momentum"] else ()

    def numbers(self, group: Mapping[str, Any], m: Moments) -> tuple[float, ...]:
        """`lr, eps, calm, keep, take, of_gradient, of_buffer`."""
        momentum = group["momentum"]
        keep, take = (0.0, 1.0) if m.step == 1 else (momentum, 1 - group["dampening"])
        of_gradient, of_buffer = (1.0, momentum) if group["nesterov"] else (0.0, 1.0)
        return group["lr"], 0.0, float(momentum < 1), keep, take, of_gradient, of_buffer
