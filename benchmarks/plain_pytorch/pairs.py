"""NeuMF in plain PyTorch.

As in ours, what the first layer makes of a user is computed once for all the user's items. A table of the items that
each user has not met makes drawing negatives one gather. With tables of this size, dense gradients and Adam are faster
than sparse ones and SparseAdam.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Arrays
from benchmarks.plain_pytorch.sparse import draw


class _Product(nn.Module):
    def __init__(self, n_users: int, n_items: int, factors: int) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
        self.bias = nn.Embedding(n_items, 1)
        self.output = nn.Parameter(torch.ones(factors))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        p = self.users(users) * self.output
        return torch.bmm(self.items(items), p[:, :, None])[:, :, 0] + self.bias(items)[:, :, 0]


class _Layers(nn.Module):
    def __init__(self, n_users: int, n_items: int, factors: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
        self.from_user = nn.Parameter(torch.empty(hidden[0], factors))
        self.from_item = nn.Parameter(torch.empty(hidden[0], factors))
        self.bias = nn.Parameter(torch.empty(hidden[0]))
        self.inner = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden[-1], 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        of_users = F.linear(self.users(users), self.from_user, self.bias)[:, None]
        x = self.dropout(F.relu(of_users + F.linear(self.items(items), self.from_item)))
        for layer in self.inner:
            x = self.dropout(F.relu(layer(x)))
        return self.output(x)[:, :, 0]


class NeuMF(nn.Module):
    def __init__(self, arrays: Arrays, *, factors: int, hidden: tuple[int, ...], dropout: float, negatives: int,
                 reg: float, **_: Any) -> None:
        super().__init__()
        n_users, n_items = arrays["shape"].tolist()
        self.user, self.item = (torch.from_numpy(arrays[name].astype(np.int64)) for name in ("user", "item"))
        seen = np.zeros((n_users, n_items), bool)
        seen[arrays["user"], arrays["item"]] = True
        self.unseen = torch.from_numpy(np.argsort(seen, axis=1, kind="stable").astype(np.int16))
        self.count = torch.from_numpy(n_items - seen.sum(axis=1))
        self.negatives, self.reg = negatives, reg
        self.product = _Product(n_users, n_items, factors)
        self.layers = _Layers(n_users, n_items, factors, hidden, dropout)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        return len(self.user)

    def loss(self, pairs: np.ndarray, rng: np.random.Generator) -> Tensor:
        batch = torch.from_numpy(pairs)
        user, item = self.user[batch], self.item[batch]
        items = torch.cat([item[:, None], draw(self.unseen, self.count, user, self.negatives)], dim=1)
        scores = self.product(user, items) + self.layers(user, items)
        error = F.softplus(-scores[:, 0]).mean() + F.softplus(scores[:, 1:]).sum() / len(user)
        tables = (self.product, self.layers)
        norms = sum(part.users(user).square().sum() + part.items(item).square().sum() for part in tables)
        return error + self.reg / len(user) * norms
