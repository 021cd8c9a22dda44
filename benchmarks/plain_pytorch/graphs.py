"""LightGCN in plain PyTorch: one sparse matrix of all users and items, by rows, which `torch.sparse.mm` reads fastest.

As in the authors' code the vectors of all are propagated once a batch. The matrix is symmetric, so going back is a
product with itself, which is said to autograd: left to find the transpose, PyTorch is slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Arrays
from benchmarks.plain_pytorch.sparse import draw


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, x: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return torch.sparse.mm(adjacency, x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        return None, torch.sparse.mm(ctx.adjacency, g)


class LightGCN(nn.Module):
    def __init__(self, arrays: Arrays, *, factors: int, layers: int, reg: float, **_: Any) -> None:
        super().__init__()
        n_users, n_items = arrays["shape"].tolist()
        self.users, self.items = nn.Embedding(n_users, factors), nn.Embedding(n_items, factors)
        self.user, self.item = (torch.from_numpy(arrays[name].astype(np.int64)) for name in ("user", "item"))
        met = np.zeros((n_users, n_items), bool)
        met[arrays["user"], arrays["item"]] = True
        self.unseen = torch.from_numpy(np.argsort(met, axis=1, kind="stable").astype(np.int32))
        self.count = torch.from_numpy(n_items - met.sum(axis=1))
        self.adjacency = _adjacency(met)
        self.layers, self.reg = layers, reg

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        return len(self.user)

    def loss(self, pairs: np.ndarray, rng: np.random.Generator) -> Tensor:
        batch = torch.from_numpy(pairs)
        user, item = self.user[batch], self.item[batch]
        x = total = torch.cat([self.users.weight, self.items.weight])
        for _ in range(self.layers):
            x = _Propagate.apply(self.adjacency, x)
            total = total + x
        of_users, of_items = (total / (self.layers + 1)).split([len(self.users.weight), len(self.items.weight)])
        negative = draw(self.unseen, self.count, user, 1)[:, 0]
        p = of_users[user]
        error = F.softplus((p * (of_items[negative] - of_items[item])).sum(dim=1)).mean()
        norms = self.users(user).square().sum() + self.items(item).square().sum()
        return error + self.reg / len(user) * norms


def _adjacency(met: np.ndarray) -> Tensor:
    """Each interaction both ways, divided by the roots of the degrees of its ends, as CSR."""
    n_users, n_items = met.shape
    users, items = (torch.from_numpy(each) for each in np.nonzero(met))
    rows, columns = torch.cat([users, items + n_users]), torch.cat([items + n_users, users])
    degrees = torch.bincount(rows, minlength=n_users + n_items).float()
    values = (degrees[rows] * degrees[columns]).rsqrt()
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), values, (n_users + n_items,) * 2).to_sparse_csr()
