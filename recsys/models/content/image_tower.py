"""From images to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minidl import nn, ops
from recsys.models.autoencoders.network import dense

__all__ = ["ImageTower"]


class ImageTower(nn.Module):
    """Convolutions of 3 x 3, each followed by max-pooling of 2 x 2 and relu; a dense layer with relu; a linear one.

    Pooling before relu gives what relu before pooling does, and less work.

    The convolutions pad with zeros, so any size will do. An axis that pooling has brought down to 1 is not pooled any
    more.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width and channels of the images.
    filters : sequence of int
        Of each convolution.
    hidden, factors : int
        Widths of the dense layer and of the vectors.
    dropout : float
        Of the dense layer, in training.
    generator : numpy.random.Generator

    Examples
    --------
    >>> tower = ImageTower((48, 32, 3), (32, 64, 128), 512, 16, 0.0, np.random.default_rng(0))
    >>> tower(np.ones((2, 3, 48, 32), np.float32)).shape
    (2, 16)
    """

    def __init__(self, shape: Sequence[int], filters: Sequence[int], hidden: int, factors: int, dropout: float,
                 generator: np.random.Generator) -> None:
        height, width, channels = shape
        layers = [nn.Conv2d(a, b, 3, padding=1, generator=generator) for a, b in pairwise([channels, *filters])]
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        self.convolutions = nn.ModuleList(layers)
        for _ in filters:
            height, width = max(height // 2, 1), max(width // 2, 1)
        self.hidden = dense(height * width * filters[-1], hidden, generator)
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.output = dense(hidden, factors, generator)

    def forward(self, x: Any) -> Any:
        """(B, C, H, W) -> (B, factors)."""
        for layer in self.convolutions:
            x = layer(x)
            window = min(2, x.shape[2]), min(2, x.shape[3])
            x = ops.relu(ops.max_pool2d(x, window))  # (B, F, h, w) -> (B, F, h / 2, w / 2); relu of fewer numbers
        x = x.reshape((len(x), -1))
        return self.output(self.dropout(ops.relu(self.hidden(x))))
