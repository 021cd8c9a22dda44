"""From texts to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import nn, ops
from recsys.models.autoencoders.network import dense
from recsys.models.content.text_reader import PADDING

__all__ = ["TextTower"]


class TextTower(nn.Module):
    """Vectors of words; convolutions over runs of words of several lengths; the maximum over the text; a linear layer.

    Padding has no influence: a run of words ends where the text does, and a text that is
    shorter than a run is one run.

    Parameters
    ----------
    n_words : int
        With the numbers of padding (0) and unknown words (1).
    words : int
        Length of the words' vectors.
    widths : sequence of int
        Lengths of the runs.
    filters : int
        Of each length.
    factors : int
        Length of the texts' vectors.
    dropout : float
        Of the maxima, in training.
    generator : numpy.random.Generator

    Examples
    --------
    >>> tower = TextTower(100, 8, (2, 3), 4, 16, 0.0, np.random.default_rng(0))
    >>> tower(np.array([[5, 7, 9, 0, 0], [2, 3, 4, 5, 6]])).shape
    (2, 16)
    """

    def __init__(self, n_words: int, words: int, widths: Sequence[int], filters: int, factors: int, dropout: float,
                 generator: np.random.Generator) -> None:
        self.words = nn.Embedding(n_words, words, padding_idx=PADDING, generator=generator)
        nn.init.normal_(self.words.weight, 0, 0.3, generator)
        self.words.weight.data[PADDING] = 0
        self.convolutions = nn.ModuleList(nn.Conv1d(words, filters, width, generator=generator) for width in widths)
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.output = dense(filters * len(widths), factors, generator)
        self.widths = tuple(widths)

    def forward(self, numbers: np.ndarray) -> Any:
        """int (B, L) -> (B, factors)."""
        lengths = (numbers != PADDING).sum(axis=1)
        missing = max(0, max(self.widths) - numbers.shape[1])
        numbers = np.pad(numbers, ((0, 0), (0, missing)), constant_values=PADDING)
        x = self.words(numbers).transpose((0, 2, 1))  # (B, L) -> (B, words, L)
        maxima = []
        for width, layer in zip(self.widths, self.convolutions, strict=True):
            runs = ops.relu(layer(x))  # (B, filters, L - width + 1)
            real = np.arange(runs.shape[2]) <= np.maximum(lengths - width, 0)[:, None]
            maxima.append((runs * real[:, None, :].astype(np.float32)).max(axis=2))
        return self.output(self.dropout(ops.concatenate(maxima, axis=1)))  # (B, len(widths) * filters) -> (B, factors)
