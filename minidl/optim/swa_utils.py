"""Averages of the weights that training visits, with the names of `torch.optim.swa_utils`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minidl.engine import no_grad
from minidl.nn.module import Module
from minidl.optim.base import Optimizer
from minidl.optim.lr_scheduler.base import LRScheduler, each, fraction
from minidl.versions import wrote

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_swa_avg_fn", "update_bn"]

Average = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def get_swa_avg_fn() -> Average:
    """Give the equal average: mean + (weight - mean) / (n + 1), after n weights."""
    return lambda mean, weight, n: mean + (weight - mean) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Give the exponential average: decay mean + (1 - decay) weight."""
    fraction("get_ema_avg_fn", "decay", decay)
    return lambda mean, weight, n: decay * mean + (1 - decay) * weight


class AveragedModel(Module):
    """A copy of a model that holds an average of the weights it had (SWA, Izmailov et al. 2018, arXiv:1803.05407).

    Parameters
    ----------
    model : Module
        Deep-copied; the copy is `module`.
    avg_fn : callable, optional
        `avg_fn(mean, weight, n)`: the average after n + 1 weights. By default all count the same, `get_swa_avg_fn()`;
        `get_ema_avg_fn(decay)` is the exponential average.
    use_buffers : bool
        Average buffers too; by default they are those of the latest model, see `update_bn`.

    Attributes
    ----------
    n_averaged : int array, shape ()
        How many models there are in the average.

    Examples
    --------
    >>> import minidl
    >>> from minidl import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> mean = minidl.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     model.weight.data[...] = value
    ...     mean.update_parameters(model)
    >>> mean.module.weight.data
    array([[3., 3.]], dtype=float32)
    """

    n_averaged: np.ndarray

    def __init__(self, model: Module, avg_fn: Average | None = None, use_buffers: bool = False) -> None:
        self.module = copy.deepcopy(model)
        self.avg_fn = avg_fn or get_swa_avg_fn()
        self.use_buffers = use_buffers
        self.register_buffer("n_averaged", np.array(0))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights that `model` has now into the average.

        Parameters
        ----------
        model : Module
            Of the same shape as the one that was copied.
        """
        ours, theirs = dict(self.module.named_parameters()), dict(model.named_parameters())
        if {k: p.shape for k, p in ours.items()} != {k: p.shape for k, p in theirs.items()}:
            raise ValueError("AveragedModel.update_parameters: the parameters of the model are not those of the copy; "
                             "pass the model that was copied")
        for name, p in ours.items():
            self._take(p.data, theirs[name].data)
        for mean, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
            if self.use_buffers:
                self._take(mean, buffer)
            else:
                mean[...] = buffer
                wrote(mean)
        self.n_averaged += 1

    def _take(self, mean: np.ndarray, weight: np.ndarray) -> None:
        n = int(self.n_averaged)
        mean[...] = self.avg_fn(mean, weight, n) if n else weight
        wrote(mean)


def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Make the running statistics of batch normalisation anew, as equal averages over a pass of the data.

    The average of weights has statistics of its own, which nobody has seen before.

    Parameters
    ----------
    loader : iterable
        Of batches; of one that is a list or tuple the first element is the input.
    model : Module
        Layers with a `running_mean` and a `momentum` are updated; its mode is restored.
    """
    layers: list[Any] = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
    if not layers:
        return
    modes, momenta = [(m, m.training) for m in model.modules()], [layer.momentum for layer in layers]
    model.train()
    try:
        with no_grad():
            for n, batch in enumerate(loader):
                for layer in layers:
                    layer.momentum = 1 / (n + 1)  # of the first nothing remains, and then all count the same
                model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode


class SWALR(LRScheduler):
    """Anneal the rates to `swa_lr` in some steps, and keep them there while weights are averaged.

    With a(t) from 0 to 1 in anneal_epochs steps, as a cosine or a line, lr = a(t) swa_lr + (1 - a(t)) lr'; here lr' is
    what the rate would be without this schedule, so that it can be chained.

    Parameters
    ----------
    optimizer : Optimizer
    swa_lr : float or list of float
        One for each group.
    anneal_epochs : int
    anneal_strategy : str
        `"cos"` or `"linear"`.
    last_epoch : int
    """

    chains = True

    def __init__(self, optimizer: Optimizer, swa_lr: float | list[float], anneal_epochs: int = 10,
                 anneal_strategy: str = "cos", last_epoch: int = -1) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy={anneal_strategy!r} must be 'cos' or 'linear'")
        if anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs={anneal_epochs} must not be negative")
        self.swa_lrs = each(optimizer, "swa_lr", swa_lr)
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, t: int) -> float:
        """a(t)."""
        part = min(1.0, max(t, 0) / self.anneal_epochs) if self.anneal_epochs else float(t >= 0)
        return (1 - math.cos(math.pi * part)) / 2 if self.anneal_strategy == "cos" else part

    def rates(self, t: int) -> list[float]:
        """The rates, by group."""
        before, now = self._share(t - 1), self._share(t)
        groups = self.optimizer.param_groups
        without = [end if before == 1 else (group["lr"] - before * end) / (1 - before)
                   for group, end in zip(groups, self.swa_lrs, strict=True)]
        return [now * end + (1 - now) * lr for end, lr in zip(self.swa_lrs, without, strict=True)]
