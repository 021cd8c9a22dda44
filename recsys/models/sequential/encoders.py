"""Causal encoders of sequences: recurrent, attentive, and by convolutions; see `recsys.models.sequential.network`.

All take vectors (B, T, factors) of the items of histories to states (B, T, factors), and do not need the numbers of
the items, the second argument of `forward`, which an encoder of one's own may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import nn, ops

__all__ = ["ENCODERS", "RECURRENT", "AttentionEncoder", "CaserEncoder", "ConvolutionEncoder", "LinearRecurrentEncoder",
           "RecurrentEncoder"]

RECURRENT: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RecurrentEncoder(nn.Module):
    """Recurrent layers: a state is made of the one before and of the item.

    Parameters
    ----------
    cell : {"rnn", "gru", "lstm"}
    factors, layers : int
    dropout : float
        Of the states, between the layers and in the end.
    generator : numpy.random.Generator
    """

    def __init__(self, cell: str, factors: int, *, layers: int = 1, dropout: float = 0.0,
                 generator: np.random.Generator) -> None:
        self.layers = RECURRENT[cell](factors, factors, layers, dropout=dropout, generator=generator)
        self.dropout = nn.Dropout(dropout, generator)

    def forward(self, vectors: Any, items: np.ndarray) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        states, _ = self.layers(vectors.swapaxes(0, 1))  # (T, B, factors)
        return self.dropout(states.swapaxes(0, 1))


class AttentionEncoder(nn.Module):
    """Transformer blocks in which an item attends to itself and to earlier ones (SASRec).

    Learned vectors of the positions, counted from the start of the history, are added to the input. A block is
    `x = x + attend(norm(x)); x = x + feed(norm(x))`, feed being two dense layers with a ReLU.

    Parameters
    ----------
    factors, max_length : int
        Of the vectors, and of the histories at most.
    layers, heads : int
        Blocks, and the parts of a vector that attend on their own.
    dropout : float
        Of the weights of the attention and of what each half of a block adds.
    generator : numpy.random.Generator
    """

    def __init__(self, factors: int, max_length: int, *, layers: int = 2, heads: int = 1, dropout: float = 0.0,
                 generator: np.random.Generator) -> None:
        self.positions = nn.Parameter(generator.normal(0, 0.1, (max_length, factors)).astype(np.float32))
        self.blocks = nn.ModuleList(_Block(factors, heads, dropout, generator) for _ in range(layers))
        self.norm = nn.LayerNorm(factors)

    def forward(self, vectors: Any, items: np.ndarray) -> Any:
        """(B, T, factors) -> (B, T, factors), T up to max_length."""
        x = vectors + self.positions[:vectors.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class _Block(nn.Module):
    """A causal transformer block, norms first."""

    def __init__(self, factors: int, heads: int, dropout: float, generator: np.random.Generator) -> None:
        self.norm1, self.norm2 = nn.LayerNorm(factors), nn.LayerNorm(factors)
        self.attend = nn.MultiheadAttention(factors, heads, dropout, batch_first=True, generator=generator)
        self.feed1 = nn.Linear(factors, factors, generator=generator)
        self.feed2 = nn.Linear(factors, factors, generator=generator)
        self.dropout = nn.Dropout(dropout, generator)

    def forward(self, x: Any) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        h = self.norm1(x)
        x = x + self.dropout(self.attend(h, h, h, need_weights=False, is_causal=True)[0])
        h = ops.relu(self.feed1(self.norm2(x)))
        return x + self.dropout(self.feed2(self.dropout(h)))


class LinearRecurrentEncoder(nn.Module):
    """Blocks of a linear recurrence and a dense part, each added to its input and normalised (LRURec).

    A block is `x = norm(x + recur(x)); x = norm(x + feed(x))`, recur being `minidl.nn.LRU` with states of twice as many
    complex numbers as there are factors, feed two dense layers, four times as wide between, with a GELU.

    Parameters
    ----------
    factors, layers : int
    dropout : float
        Of what each half of a block adds, and between the dense layers.
    generator : numpy.random.Generator
    """

    def __init__(self, factors: int, *, layers: int = 2, dropout: float = 0.0, generator: np.random.Generator) -> None:
        self.norm = nn.LayerNorm(factors)
        self.blocks = nn.ModuleList(_LinearRecurrentBlock(factors, dropout, generator) for _ in range(layers))

    def forward(self, vectors: Any, items: np.ndarray) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        x = self.norm(vectors)
        for block in self.blocks:
            x = block(x)
        return x


class _LinearRecurrentBlock(nn.Module):
    """A linear recurrence and a dense part, norms last."""

    def __init__(self, factors: int, dropout: float, generator: np.random.Generator) -> None:
        self.recur = nn.LRU(factors, 2 * factors, generator=generator)
        self.feed1 = nn.Linear(factors, 4 * factors, generator=generator)
        self.feed2 = nn.Linear(4 * factors, factors, generator=generator)
        self.norm1, self.norm2 = nn.LayerNorm(factors), nn.LayerNorm(factors)
        self.dropout = nn.Dropout(dropout, generator)

    def forward(self, x: Any) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        x = self.norm1(x + self.dropout(self.recur(x)[0]))
        h = self.dropout(ops.gelu(self.feed1(x)))
        return self.norm2(x + self.dropout(self.feed2(h)))


class ConvolutionEncoder(nn.Module):
    """Residual blocks of dilated causal convolutions, whose reach doubles from block to block (NextItNet).

    Block b is `x = x + relu(norm(convolve(x)))`, its convolution of width `width` skipping `2 ** b` positions, so a
    state sees the last `(width - 1) (2 ** layers - 1) + 1` items.

    Parameters
    ----------
    factors, layers, width : int
    dropout : float
        Of what each block adds.
    generator : numpy.random.Generator
    """

    def __init__(self, factors: int, *, layers: int = 3, width: int = 3, dropout: float = 0.0,
                 generator: np.random.Generator) -> None:
        self.convolutions = nn.ModuleList(
            nn.Conv1d(factors, factors, width, dilation=2 ** b, generator=generator) for b in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(factors) for _ in range(layers))
        self.dropout = nn.Dropout(dropout, generator)
        self.width = width

    def forward(self, vectors: Any, items: np.ndarray) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        x = vectors
        for b, (convolve, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            h = convolve(preceded(x, (self.width - 1) * 2 ** b).swapaxes(1, 2)).swapaxes(1, 2)
            x = x + self.dropout(ops.relu(norm(h)))
        return x


class CaserEncoder(nn.Module):
    """Convolutions over the matrix of the last `window` items, at every position (Caser).

    A horizontal filter covers h items, 1 to `window`, with all their factors; the largest of its values over the
    window is kept. A vertical filter is a weighted sum of the window's vectors. A dense layer makes the state of all of
    them. Where a history is shorter than the window, zeros precede it. Windows overlap, so a horizontal filter is
    computed once a position, and its largest value by pooling with stride 1.

    Parameters
    ----------
    factors, window : int
    horizontal, vertical : int
        Filters of each height, and vertical ones.
    dropout : float
        Of the dense layer's input.
    generator : numpy.random.Generator
    """

    def __init__(self, factors: int, *, window: int = 5, horizontal: int = 16, vertical: int = 4,
                 dropout: float = 0.0, generator: np.random.Generator) -> None:
        self.rows: Any = nn.ModuleList(
            nn.Conv1d(factors, horizontal, h, generator=generator) for h in range(1, window + 1))
        self.columns = nn.Conv2d(1, vertical, (window, 1), generator=generator)
        self.dense = nn.Linear(window * horizontal + vertical * factors, factors, generator=generator)
        self.dropout = nn.Dropout(dropout, generator)
        self.window = window

    def forward(self, vectors: Any, items: np.ndarray) -> Any:
        """(B, T, factors) -> (B, T, factors)."""
        batch, steps, _ = vectors.shape
        x = preceded(vectors, self.window - 1)  # (B, T + window - 1, factors)
        largest = []
        for h, values in enumerate(ops.split(self._horizontal(x), self.window, axis=1), 1):
            largest.append(ops.max_pool1d(values[:, :, :steps + self.window - h], self.window - h + 1, 1))
        rows = ops.relu(ops.concatenate(largest, axis=1)).swapaxes(1, 2)  # (B, T, window * horizontal)
        sums = self.columns(x[:, None])  # (B, vertical, T, factors)
        columns = sums.swapaxes(1, 2).reshape((batch, steps, -1))
        states: Any = self.dense(self.dropout(ops.concatenate([rows, columns], axis=2)))
        return states

    def _horizontal(self, x: Any) -> Any:
        """All filters at once, as of the largest height: (B, L, factors) -> (B, window * horizontal, L).

        Rows that a filter lacks are zeros, and so is the padding of x: twice the products, but a quarter of
        the patches, and larger products are faster.
        """
        weights = [ops.pad(layer.weight, ((0, 0), (0, 0), (0, self.window - layer.weight.shape[2])))
                   for layer in self.rows]
        padding = np.zeros((x.shape[0], self.window - 1, x.shape[2]), x.dtype)
        channels = ops.concatenate([x, padding], axis=1).swapaxes(1, 2)
        return ops.conv1d(channels, ops.concatenate(weights), ops.concatenate([layer.bias for layer in self.rows]))


def preceded(x: Any, n: int) -> Any:
    """n zero vectors before each sequence: (B, T, d) -> (B, n + T, d)."""
    return ops.concatenate([np.zeros((x.shape[0], n, x.shape[2]), x.dtype), x], axis=1)


def _recurrent(cell: str) -> Callable[..., nn.Module]:
    return lambda rng, *, factors, layers, dropout, **others: RecurrentEncoder(
        cell, factors, layers=layers, dropout=dropout, generator=rng)


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    **{cell: _recurrent(cell) for cell in RECURRENT},
    "attention": lambda rng, *, factors, max_length, layers, heads, dropout, **others: AttentionEncoder(
        factors, max_length, layers=layers, heads=heads, dropout=dropout, generator=rng),
    "lru": lambda rng, *, factors, layers, dropout, **others: LinearRecurrentEncoder(
        factors, layers=layers, dropout=dropout, generator=rng),
    "cnn": lambda rng, *, factors, layers, width, dropout, **others: ConvolutionEncoder(
        factors, layers=layers, width=width, dropout=dropout, generator=rng),
    "caser": lambda rng, *, factors, window, horizontal, vertical, dropout, **others: CaserEncoder(
        factors, window=window, horizontal=horizontal, vertical=vertical, dropout=dropout, generator=rng)}
"""What makes each encoder of a generator and of the options of `recsys.models.sequential.network.OPTIONS`."""
