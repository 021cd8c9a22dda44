"""Networks of sequences in plain PyTorch, trained on pieces of histories that are cut and batched as ours are.

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
from recsys.models.sequential.objective import alike


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
    def __init__(self, arrays: Arrays, encoder: nn.Module, factors: int, recent: int, dropout: float,
                 loss: str = "softmax", negatives: int = 0, **_: Any) -> None:
        super().__init__()
        n_users, n_items = arrays["shape"].tolist()
        self.history = torch.from_numpy(arrays["item"].astype(np.int64))  # by user, in time order
        counts = np.bincount(arrays["user"], minlength=n_users)
        self.first, self.counts = (np.cumsum(counts) - counts)[counts > 1], counts[counts > 1] - 1
        self.recent, self.scale = recent, factors**0.5
        self.negatives = negatives if loss == "sampled_softmax" else 0
        self.items = nn.Embedding(n_items, factors, sparse=self.negatives > 0)
        self.tastes = nn.Embedding(n_items, factors, sparse=True)
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        often = np.maximum(np.bincount(arrays["item"], minlength=n_items), 1) ** 0.5
        self.ends = np.cumsum(often / often.sum())
        self.log_q = torch.from_numpy(np.log(often / often.sum()).astype(np.float32))

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

    def divide(self, count: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
        return list(alike(self.lengths.numpy(), size, rng))

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
        piece, place = real.nonzero(as_tuple=True)
        state, other = (place[:, None] >= steps).nonzero(as_tuple=True)  # what a state has read competes no more
        seen = items[piece[state], other]
        counts = seen != targets[state]
        if self.negatives:
            return self.sampled(states, targets, state[counts], seen[counts], rng)
        scores = F.linear(states, self.items.weight, self.bias)
        scores.detach()[state[counts], seen[counts]] = -torch.inf
        return F.cross_entropy(scores, targets)

    def sampled(self, states: Tensor, targets: Tensor, state: Tensor, seen: Tensor, rng: np.random.Generator) -> Tensor:
        drawn = torch.from_numpy(np.minimum(np.searchsorted(self.ends, rng.random(self.negatives)), len(self.ends) - 1))
        right = (states * self.items(targets)).sum(1) + self.bias[targets] - self.log_q[targets]
        others = F.linear(states, self.items(drawn), self.bias[drawn] - self.log_q[drawn])
        ascending, by_item = drawn.sort()  # what was read, where it is drawn, once or more
        first, end = (torch.searchsorted(ascending, seen, right=right) for right in (False, True))
        times = end - first
        place = torch.arange(int(times.sum())) + torch.repeat_interleave(first - times.cumsum(0) + times, times)
        with torch.no_grad():
            others[torch.repeat_interleave(state, times), by_item[place]] = -torch.inf
            others[drawn == targets[:, None]] = -torch.inf
        scores = torch.cat([right[:, None], others], dim=1)
        return F.cross_entropy(scores, torch.zeros_like(targets))


class SequenceRecommender(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, dropout: float, **others: Any) -> None:
        super().__init__(arrays, _Recurrent(factors, dropout), factors, recent, dropout, **others)


class SASRec(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, layers: int, heads: int, dropout: float,
                 **others: Any) -> None:
        encoder = _Attention(factors, recent, layers, heads, dropout)
        super().__init__(arrays, encoder, factors, recent, dropout, **others)


class Caser(_Sequences):
    def __init__(self, arrays: Arrays, *, factors: int, recent: int, window: int, horizontal: int, vertical: int,
                 dropout: float, **others: Any) -> None:
        encoder = _Convolutions(factors, window, horizontal, vertical, dropout)
        super().__init__(arrays, encoder, factors, recent, dropout, **others)
