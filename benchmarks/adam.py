"""One Adam update of many parameters: bound by memory."""

from __future__ import annotations

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

COUNT = 6_500_000


def data() -> Arrays:
    rng = np.random.default_rng(SEED)
    return {"w": rng.standard_normal(COUNT, np.float32), "g": rng.standard_normal(COUNT, np.float32)}


def ours(arrays: Arrays) -> Session:
    from minidl import nn, optim

    weight = nn.Parameter(arrays["w"])
    weight.grad = arrays["g"]
    optimizer = optim.Adam([weight])
    return Session(optimizer.step, lambda: {"w": weight.data}, repeat=20)


def theirs(arrays: Arrays) -> Session:
    import torch

    torch.set_num_threads(2)
    weight = torch.nn.Parameter(torch.from_numpy(arrays["w"]))
    weight.grad = torch.from_numpy(arrays["g"])
    optimizer = torch.optim.Adam([weight])
    return Session(optimizer.step, lambda: {"w": weight.detach().numpy()}, repeat=20)


def agree(ours: Arrays, theirs: Arrays) -> str:
    return close(ours["w"], theirs["w"], "weights after a step", rtol=1e-6)


CLAIMS = [Claim("adam", f"Adam over {COUNT / 1e6:g} M parameters", "PyTorch", 1.5, data, ours, theirs, agree)]
