"""Autoencoders of sparse rows in plain PyTorch.

The first layer is a product with dense rows, or an `EmbeddingBag` with dense gradients: whichever is faster. For
Mult-VAE it is the product with 3,706 items (by 15 %), the bag with 20,108 items (by 12 %) and for AutoRec (by 13 %).
Sparse gradients and SparseAdam are slower. For the losses, Mult-VAE is faster with dense rows, and AutoRec with the
scores of the rows' entries.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Arrays
from benchmarks.plain_pytorch.sparse import Batch, Rows

_WIDE = 10_000  # columns from which on the bag is faster


class Bag(nn.Module):
    """The first layer: rows whose entries are dropped, scaled to length 1 before if asked for."""

    def __init__(self, columns: int, width: int, dropout: float = 0.0, *, normalise: bool = False) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(columns, width, mode="sum", include_last_offset=True)
        self.bias = nn.Parameter(torch.zeros(width))
        self.dropout, self.normalise = dropout, normalise

    def forward(self, batch: Batch, x: Tensor | None) -> Tensor:
        """The rows, and the same as a dense matrix if that is faster."""
        if x is not None:
            x = F.dropout(F.normalize(x) if self.normalise else x, self.dropout, self.training)
            return torch.addmm(self.bias, x, self.table.weight)
        value = batch.value
        if self.normalise:
            squares = torch.zeros(len(batch.offsets) - 1).index_add(0, batch.row, value.square())
            value = value * squares.rsqrt()[batch.row]
        value = F.dropout(value, self.dropout, self.training)
        return self.table(batch.column, batch.offsets, value) + self.bias


class MultVAE(nn.Module):
    def __init__(self, arrays: Arrays, *, hidden: tuple[int, ...], latent: int, dropout: float, beta: float,
                 anneal: int, **_: Any) -> None:
        super().__init__()
        self.rows = Rows(arrays)
        self.beta, self.anneal = beta, anneal
        n_items = self.rows.shape[1]
        self.bag = Bag(n_items, hidden[0], dropout, normalise=True)
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([*hidden, 2 * latent]))
        self.decoder = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([latent, *reversed(hidden)]))
        self.output = nn.Linear(hidden[0], n_items)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        self.seen = 0
        return len(self.rows.active)

    def loss(self, users: np.ndarray, rng: np.random.Generator) -> Tensor:
        self.seen += len(users)
        batch = self.rows.take(self.rows.active[torch.from_numpy(users)])
        x = batch.dense(self.rows.shape[1])
        h = self.bag(batch, x if x.shape[1] < _WIDE else None)
        for layer in self.encoder:
            h = layer(torch.tanh(h))
        mean, log_variance = h.chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        for layer in self.decoder:
            z = torch.tanh(layer(z))
        likelihood = -(F.log_softmax(self.output(z), dim=1) * x).sum(dim=1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
        return likelihood + self.beta * min(1.0, self.seen / (self.anneal * len(self.rows.active))) * divergence


class AutoRec(nn.Module):
    def __init__(self, arrays: Arrays, *, hidden: tuple[int, ...], reg: float, **_: Any) -> None:
        super().__init__()
        self.rows = Rows(arrays, transposed=True, values=True)
        self.reg, self.mean = reg, float(arrays["value"].mean(dtype=np.float64))
        self.bag = Bag(self.rows.shape[1], hidden[0])
        self.inner = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.output = nn.Linear(hidden[-1], self.rows.shape[1])

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        return len(self.rows.active)

    def loss(self, items: np.ndarray, rng: np.random.Generator) -> Tensor:
        batch = self.rows.take(self.rows.active[torch.from_numpy(items)])
        h = torch.sigmoid(self.bag(batch, None))
        for layer in self.inner:
            h = torch.sigmoid(layer(h))
        errors = self.output(h)[batch.row, batch.column] - (batch.value - self.mean)
        layers = [self.bag.table, *self.inner, self.output]
        penalty = 0.5 * self.reg * sum(layer.weight.square().sum() for layer in layers)
        given = len(batch.row)
        return (0.5 * errors.square().sum() + penalty * (given / len(self.rows.column))) / given
