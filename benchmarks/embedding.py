"""A step of two embedding tables and a perceptron (the shape of NeuMF) with Adam."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.datasets import SEED
from benchmarks.harness import Arrays, Claim, Session, close

STEPS = 20
EPS = 1e-12  # SparseAdam adds its eps before the bias correction, Adam after it; so small, it does not matter


def data(users: int, items: int, dim: int, batch: int) -> Arrays:
    rng = np.random.default_rng(SEED)
    widths = (2 * dim, dim, dim // 2, 1)
    arrays = {"users.weight": rng.standard_normal((users, dim), np.float32) * np.float32(0.01),
              "items.weight": rng.standard_normal((items, dim), np.float32) * np.float32(0.01),
              "user": rng.integers(0, users, (STEPS, batch)), "item": rng.integers(0, items, (STEPS, batch)),
              "label": rng.integers(0, 2, (STEPS, batch)).astype(np.float32)}
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        arrays[f"mlp.{2 * i}.weight"] = (rng.standard_normal((n_out, n_in)) / n_in**0.5).astype(np.float32)
        arrays[f"mlp.{2 * i}.bias"] = np.zeros(n_out, np.float32)
    return arrays


def _state(arrays: Arrays) -> Arrays:
    return {k: v for k, v in arrays.items() if "." in k}


def ours(arrays: Arrays) -> Session:
    from minidl import nn, ops, optim

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            dim = arrays["users.weight"].shape[1]
            self.users = nn.Embedding(*arrays["users.weight"].shape)
            self.items = nn.Embedding(*arrays["items.weight"].shape)
            self.mlp = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim // 2), nn.ReLU(),
                                     nn.Linear(dim // 2, 1))

        def forward(self, user: np.ndarray, item: np.ndarray) -> Any:
            return self.mlp(ops.concatenate([self.users(user), self.items(item)], axis=1)).reshape(-1)

    def build() -> tuple[Any, Any]:
        net = Net()
        net.load_state_dict(_state(arrays))
        return net, optim.Adam(net.parameters(), eps=EPS)

    def train(net: Any, optimizer: Any, steps: int) -> Any:
        for user, item, label in zip(arrays["user"][:steps], arrays["item"][:steps], arrays["label"], strict=False):
            optimizer.zero_grad()
            ops.binary_cross_entropy_with_logits(net(user, item), label).backward()
            optimizer.step()
        return net

    net, optimizer = build()
    return Session(lambda: train(net, optimizer, STEPS),
                   lambda: {"score": train(*build(), 1)(arrays["user"][0], arrays["item"][0]).data})


def theirs(arrays: Arrays, sparse: bool) -> Session:
    import torch
    from torch import nn

    torch.set_num_threads(2)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            dim = arrays["users.weight"].shape[1]
            self.users = nn.Embedding(*arrays["users.weight"].shape, sparse=sparse)
            self.items = nn.Embedding(*arrays["items.weight"].shape, sparse=sparse)
            self.mlp = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim // 2), nn.ReLU(),
                                     nn.Linear(dim // 2, 1))

        def forward(self, user: Any, item: Any) -> Any:
            return self.mlp(torch.cat([self.users(user), self.items(item)], dim=1)).reshape(-1)

    batches = [tuple(torch.from_numpy(arrays[k][i]) for k in ("user", "item", "label")) for i in range(STEPS)]

    def build() -> tuple[Any, list[Any]]:
        net = Net()
        net.load_state_dict({k: torch.from_numpy(v) for k, v in _state(arrays).items()})
        if not sparse:
            return net, [torch.optim.Adam(net.parameters(), eps=EPS)]
        return net, [torch.optim.SparseAdam([net.users.weight, net.items.weight], eps=EPS),
                     torch.optim.Adam(net.mlp.parameters(), eps=EPS)]

    def train(net: Any, optimizers: list[Any], steps: int) -> Any:
        for user, item, label in batches[:steps]:
            for optimizer in optimizers:
                optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(net(user, item), label).backward()
            for optimizer in optimizers:
                optimizer.step()
        return net

    net, optimizers = build()
    return Session(lambda: train(net, optimizers, STEPS),
                   lambda: {"score": train(*build(), 1)(*batches[0][:2]).detach().numpy()})


def agree(ours: Arrays, theirs: Arrays) -> str:
    return close(ours["score"], theirs["score"], "scores after a step", rtol=1e-3)


def _claims() -> list[Claim]:
    made = []
    for label, name, shape, target in [
            ("ML-1M size, batch 1024", "neumf-1m", (6040, 3706, 32, 1024), 2),
            ("138,493 x 26,744, dim 64, batch 1024", "neumf-20m", (138_493, 26_744, 64, 1024), 3)]:
        for baseline, sparse in (("PyTorch, dense Adam", False), ("PyTorch, SparseAdam", True)):
            made.append(Claim(f"{name}-{'sparse' if sparse else 'dense'}",
                              f"two embedding tables + MLP, Adam, {STEPS} steps, {label}", baseline, target,
                              lambda shape=shape: data(*shape), ours, lambda a, sparse=sparse: theirs(a, sparse),
                              agree, rounds=5))
    return made


CLAIMS = _claims()
