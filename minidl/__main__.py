"""`python -m minidl report` and `python -m minidl warmup`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl import nn, optim, runtime, streams
from minidl.tensors import Tensor, tensor


def report() -> None:
    """Print what runs underneath."""
    for name, value in runtime.report().items():
        print(f"{name:22} {value}")


def warmup() -> None:
    """Compile the kernels ahead of time, into Numba's cache, by training a little with whatever uses them."""
    if not runtime.numba_enabled():
        print("Numba is not installed or switched off (MINIDL_NUMBA=0): there is nothing to compile")
        return
    start = time.perf_counter()
    for dtype in (np.float32, np.float64):
        losses = _losses(dtype)
        for loss in losses:
            _train(optim.Adam, loss, dtype, exact=False)
        for make in (optim.SGD, optim.RMSprop, optim.Adam, optim.Adamax, optim.Adadelta, optim.Lion):
            for exact in (False,) if make is optim.Lion else (False, True):
                _train(make, losses[0], dtype, exact)
        for layer, x in _layers(dtype):
            y = layer(tensor(x, requires_grad=True))
            (y[0] if isinstance(y, tuple) else y).sum().backward()
    print(f"compiled in {time.perf_counter() - start:.1f} s")


def _layers(dtype: Any) -> Iterator[tuple[nn.Module, np.ndarray]]:
    """Layers with kernels of their own, and something to put in."""
    for channels in (2, 16):  # enough for either way to convolve
        yield nn.Conv2d(channels, channels, 3, dtype=dtype), np.ones((1, channels, 18, 18), dtype)
    for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2)):
        yield pool, np.ones((1, 1, 4, 4), dtype)
    for norm, shape in ((nn.LayerNorm(3, dtype=dtype), (2, 3)), (nn.BatchNorm1d(3, dtype=dtype), (2, 3)),
                        (nn.BatchNorm2d(3, dtype=dtype), (2, 3, 2, 2))):
        yield norm, np.ones(shape, dtype)
    for recurrent in (nn.RNN, nn.GRU, nn.LSTM):
        yield recurrent(3, 2, dtype=dtype), np.ones((2, 2, 3), dtype)
    yield nn.LRU(3, 2, dtype=dtype), np.ones((2, 2, 3), dtype)


def _losses(dtype: type[np.floating]) -> list[Callable[[Tensor], Tensor]]:
    """Losses of scores (4, 2)."""
    zeros, classes = np.zeros((4, 2), dtype), np.zeros(4, np.int64)
    targeted = [nn.MSELoss(), nn.HuberLoss(), nn.BCEWithLogitsLoss(), nn.BPRLoss(), nn.HingeLoss()]
    return [*(lambda x, loss=loss: loss(x, zeros) for loss in targeted),
            lambda x: nn.functional.cross_entropy(x, classes), lambda x: nn.functional.multinomial_loss(x, zeros)]


def _train(make: Callable[..., optim.Optimizer], loss: Callable[[Tensor], Tensor], dtype: type[np.floating],
           exact: bool) -> None:
    table, bag = nn.Embedding(5, 3, dtype=dtype), nn.EmbeddingBag(5, 3, dtype=dtype)
    dense, largest = nn.Linear(3, 2, dtype=dtype), nn.EmbeddingBag(5, 3, "max", dtype=dtype)
    indices = np.array([0, 1, 1, 2])
    optimizer = make([p for part in (table, bag, largest, dense) for p in part.parameters()], exact=exact)
    for _ in range(2):
        optimizer.zero_grad()
        loss(dense(table(indices) + bag(indices[:, None]) + largest(indices[:, None]))).backward()
        optimizer.step()
    optimizer.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m minidl", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (report, warmup):
        commands.add_parser(command.__name__, help=command.__doc__).set_defaults(run=command)
    parser.parse_args(arguments).run()


if __name__ == "__main__":
    sys.exit(streams.run(main))
