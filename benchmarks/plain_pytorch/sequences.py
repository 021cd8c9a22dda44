"""Networks of sequences in plain PyTorch, trained on pieces of histories that are cut as ours are.

Scores are computed for real events only, chosen by a mask; by their places is as fast, and all scores with targets that
`cross_entropy` ignores are slower (by 20 %).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness import Arrays


class _Recurrent(nn.Module):
    def __init__(self, factors: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.GRU(factors, factors, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.layers(x)[0])


class _Block(nn.Module):
    def __init__(self, factors: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(factors), nn.LayerNorm(factors)
        self.attend = nn.MultiheadAttention(factors, heads, dropout, batch_first=True)
        self.feed1, self.feed2 = nn.Linear(factors, factors), nn.Linear(factors, factors)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.dropout(self.attend(h, h, h, attn_mask=mask, need_weights=False, is_causal=True)[0])
        return x + self.dropout(self.feed2(self.dropout(F.relu(self.feed1(self.norm2(x))))))


class _Attention(nn.Module):
    def __init__(self, factors: int, recent: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(recent, factors))
        self.blocks = nn.ModuleList(_Block(factors, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(factors)
        self.mask = torch.ones(recent, recent, dtype=torch.bool).triu(1)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.shape[1]
        x = x + self.positions[:steps]
        for block in self.blocks:
            x = block(x, self.mask[:steps, :steps])
        return self.norm(x)


class _Convolutions(nn.Module):
    def __init__(self, factors: int, window: int, horizontal: int, vertical: int, dropout: float) -> None:
        super().__init__()
        self.rows = nn.ModuleList(nn.Conv1d(factors, horizontal, h) for h in range(1, window + 1))
        self.columns = nn.Conv2d(1, vertical, (window, 1))
        self.dense = nn.Linear(window * horizontal + vertical * factors, factors)
        self.dropout = nn.Dropout(dropout)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, self.window - 1, 0))
        channels = x.transpose(1, 2)
        parts = [F.max_pool1d(F.relu(layer(channels)), self.window - h, 1).transpose(1, 2)
                 for h, layer in enumerate(self.rows)]
        parts.append(self.columns(x[:, None]).transpose(1, 2).flatten(2))
        return self.dense(self.dropout(torch.cat(parts, dim=2)))


class _Sequences(nn.Module):
    def __init__(self, arrays: Arrays, encoder: nn.Module, factors: int, recent: int, dropout: float) -> None:
        super().__init__()
        n_users, n_items = arrays["shape"].tolist()
        self.history = torch.from_numpy(arrays["item"].astype(np.int64))  # by user, in time order
        counts = np.bincount(arrays["user"], minlength=n_users)
        self.first, self.counts = (np.cumsum(counts) - counts)[counts > 1], counts[counts > 1] - 1
        self.recent, self.scale = recent, factors**0.5
        self.items, self.tastes = nn.Embedding(n_items, factors), nn.Embedding(n_items, factors, sparse=True)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        length, n = self.recent, self.counts
        shift = rng.integers(0, np.minimum(length, n))
        pieces = -(-(n + shift) // length)
        of = np.repeat(np.arange(len(n)), pieces)
        end = (np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + 1) * length - shift[of]
        start = np.maximum(end - length, 0)
        self.starts = torch.from_numpy(self.first[of] + start)
        self.lengths = torch.from_numpy(np.minimum(end, n[of]) - start)
        return len(of)

    def loss(self, pieces: np.ndarray, rng: np.random.Generator) -> Tensor:
        batch = torch.from_numpy(pieces)
        starts, lengths = self.starts[batch, None], self.lengths[batch, None]
        steps = torch.arange(int(lengths.max()))
        real = steps < lengths
        entries = (starts + steps)[real]
        items = torch.zeros(real.shape, dtype=torch.int64)
        items[real] = self.history[entries]
        vectors = self.items(items) * (self.scale * real[:, :, None])
        so_far = torch.arange(1.0, len(steps) + 1)[:, None]
        long_term = self.dropout(torch.cumsum(self.tastes(items), dim=1) * so_far.rsqrt())
        states = (self.encoder(self.dropout(vectors)) + long_term)[real]
        targets = self.history[entries + 1]
        scores = F.linear(states, self.items.weight, self.bias)
        piece, place = real.nonzero(as_tuple=True)
        state, other = (place[:, None] >= steps).nonzero(as_tuple=True)  # what a state has read competes no more
        seen = items[piece[state], other]
        counts = seen != targets[state]
        scores.detach()[state[counts], seen[counts]] = -torch.inf
        return F.cross_entropy(scores, targets)


class SequenceRecommender(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, dropout: float, **_: Any) -> None:
        super().__init__(arrays, _Recurrent(factors, dropout), factors, recent, dropout)


class SASRec(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, layers: int, heads: int, dropout: float,
                 **_: Any) -> None:
        encoder = _Attention(factors, recent, layers, heads, dropout)
        super().__init__(arrays, encoder, factors, recent, dropout)


class Caser(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, window: int, horizontal: int, vertical: int,
                 dropout: float, **_: Any) -> None:
        encoder = _Convolutions(factors, window, horizontal, vertical, dropout)
        super().__init__(arrays, encoder, factors, recent, dropout)
