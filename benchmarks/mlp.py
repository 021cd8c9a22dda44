"""A small multi-layer perceptron's training step, where overhead is everything."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

WIDTHS = (64, 64, 32, 1)
# Targets are random: were they learned, the gradients would vanish into subnormal numbers, which are slow.
BATCH, BATCHES = 256, 64


def data() -> Arrays:
    rng = np.random.default_rng(SEED)
    arrays = {"x": rng.standard_normal((BATCHES, BATCH, WIDTHS[0]), np.float32),
              "y": rng.random((BATCHES, BATCH, 1), np.float32)}
    for i, (n_in, n_out) in enumerate(itertools.pairwise(WIDTHS)):
        arrays[f"{2 * i}.weight"] = (rng.standard_normal((n_out, n_in)) / n_in**0.5).astype(np.float32)
        arrays[f"{2 * i}.bias"] = np.zeros(n_out, np.float32)
    return arrays


def ours(arrays: Arrays) -> Session:
    import minidl
    from minidl import nn, optim

    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    net.load_state_dict({k: v for k, v in arrays.items() if "." in k})
    return _session(net, optim.Adam(net.parameters()), nn.MSELoss(), arrays, minidl.tensor,
                    lambda net: {k: np.array(v) for k, v in net.state_dict().items()})


def theirs(arrays: Arrays) -> Session:
    import torch
    from torch import nn

    torch.set_num_threads(2)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    net.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items() if "." in k})
    return _session(net, torch.optim.Adam(net.parameters()), nn.MSELoss(), arrays, torch.from_numpy,
                    lambda net: {k: v.numpy() for k, v in net.state_dict().items()})


def _session(net: Any, optimizer: Any, loss: Any, arrays: Arrays, tensor: Any, weights: Any) -> Session:
    batches = itertools.cycle([(tensor(x), tensor(y)) for x, y in zip(arrays["x"], arrays["y"], strict=True)])

    def step() -> None:
        x, y = next(batches)
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()

    return Session(step, lambda: weights(net), repeat=640)


def agree(ours: Arrays, theirs: Arrays) -> str:
    return close(np.concatenate([ours[k].ravel() for k in sorted(ours)]),
                 np.concatenate([theirs[k].ravel() for k in sorted(ours)]), "weights after a step", rtol=1e-5)


_WORK = "MLP 64-64-32-1, batch 256, Adam step"
CLAIMS = [
    Claim("mlp", _WORK, "PyTorch", 2.5, data, ours, theirs, agree),
    Claim("mlp-busy", f"{_WORK}, two busy processes beside it", "PyTorch", 2, data, ours, theirs, agree, busy=2),
]
