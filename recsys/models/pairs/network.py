"""Scorers of pairs: from a user and an item, each with vectors of its own, to a score.

A scorer's `forward(users, items)` takes users, int (B,), and items: int (B, K), K of its own for each user; or int
(K,), the same for all users; or None, all items. It gives scores (B, K).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from minidl import nn, ops
from recsys.models.autoencoders.network import dense

__all__ = ["ConvNCFNetwork", "GMFNetwork", "MLPNetwork", "NeuMFNetwork", "PairNetwork", "convncf", "gmf", "mlp",
           "neumf"]


class PairNetwork(nn.Module):
    """A scorer with tables of vectors; the module's docstring says what its `forward` takes and gives.

    Attributes
    ----------
    width : int
        Numbers that it computes for a pair, so that callers may score in blocks that fit into memory.
    """

    of_users: ClassVar[tuple[str, ...]] = ("users",)
    width: int
    users: nn.Embedding
    items: nn.Embedding

    def tables(self) -> list[tuple[nn.Embedding, nn.Embedding]]:
        """The vectors of users and items, as pairs of tables."""
        return [(self.users, self.items)]

    def biases(self) -> list[nn.Embedding]:
        """The biases of items, as tables of one column."""
        return []

    def user_vectors(self) -> np.ndarray:
        """Those of all tables, concatenated: (n_users, d)."""
        return np.hstack([users.weight.data for users, _ in self.tables()])

    def item_vectors(self) -> np.ndarray:
        """(n_items, d)."""
        return np.hstack([items.weight.data for _, items in self.tables()])

    def penalty(self, users: np.ndarray, items: np.ndarray) -> Any:
        """The squared norms of the vectors of pairs, int (n,) and (n,); their sum."""
        of_users, of_items = zip(*self.tables(), strict=True)
        return _squares(of_users, users) + _squares(of_items, items)


def _squares(tables: Sequence[nn.Embedding], numbers: np.ndarray) -> Any:
    """The sum of the squared norms of rows; each row is squared once, and times how often it is there."""
    rows, counts = np.unique(numbers, return_counts=True)
    return sum(ops.square(table(rows)).sum(axis=1) @ counts.astype(np.float32) for table in tables)


def rows_of(table: nn.Embedding, items: np.ndarray | None) -> Any:
    """Vectors of items, or the whole table: (..., f)."""
    return table.weight if items is None else table(items)


def embedding(rows: int, factors: int, std: float, generator: np.random.Generator) -> nn.Embedding:
    """A table of normal numbers."""
    table = nn.Embedding(rows, factors)
    nn.init.normal_(table.weight, 0, std, generator)
    return table


class GMFNetwork(PairNetwork):
    """`h . (p_u * q_i) + b_i`: two embeddings, an output weight and an item bias.

    Parameters
    ----------
    n_users, n_items, factors : int
    std : float
        Standard deviation of the initial embeddings; the output weight starts at 1, the bias at 0.
    generator : numpy.random.Generator
    """

    def __init__(self, n_users: int, n_items: int, factors: int, std: float, generator: np.random.Generator) -> None:
        self.users = embedding(n_users, factors, std, generator)
        self.items = embedding(n_items, factors, std, generator)
        self.bias = embedding(n_items, 1, 0.0, generator)
        self.output = nn.Parameter(np.ones(factors, np.float32))
        self.width = factors

    def biases(self) -> list[nn.Embedding]:
        """One for each item."""
        return [self.bias]

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None -> (B, K)."""
        p, b = self.users(users) * self.output, rows_of(self.bias, items)[..., 0]  # (B, f); (K,) or (B, K)
        if items is None or items.ndim == 1:
            return p @ rows_of(self.items, items).T + b
        ends = np.arange(len(items) + 1) * items.shape[1]
        return ops.sampled_matmul(p, self.items.weight, items.reshape(-1), ends).reshape(items.shape) + b


class MLPNetwork(PairNetwork):
    """`h . relu(... W_2 relu(W_1 [p_u, q_i] + b_1) ...)`: layers over the two vectors, concatenated.

    `W_1 [p, q]` is computed as `U p + V q`: once for each user and once for each item, not for each pair.

    Parameters
    ----------
    n_users, n_items, factors : int
    hidden : sequence of int
        Widths of the layers.
    std : float
        Of the initial embeddings.
    dropout : float
        Of what each layer gives, in training.
    generator : numpy.random.Generator
    """

    def __init__(self, n_users: int, n_items: int, factors: int, hidden: Sequence[int], std: float, dropout: float,
                 generator: np.random.Generator) -> None:
        self.users = embedding(n_users, factors, std, generator)
        self.items = embedding(n_items, factors, std, generator)
        first = dense(2 * factors, hidden[0], generator)
        self.from_user = nn.Parameter(first.weight.data[:, :factors].copy())
        self.from_item = nn.Parameter(first.weight.data[:, factors:].copy())
        self.bias = first.bias
        self.inner = nn.ModuleList(dense(a, b, generator) for a, b in pairwise(hidden))
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.output = dense(hidden[-1], 1, generator)
        self.width = sum(hidden)

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None -> (B, K)."""
        of_users = ops.linear(self.users(users), self.from_user, self.bias)  # (B, h)
        of_items = self._of_items(items)  # (K, h) or (B, K, h)
        x = self.dropout(ops.relu(of_users[:, None, :] + of_items))  # (B, K, h)
        for layer in self.inner:
            x = self.dropout(ops.relu(layer(x)))
        return self.output(x)[..., 0]

    def _of_items(self, items: np.ndarray | None) -> Any:
        """`V q`: of the items asked for, or, if there are fewer, of all items, and then looked up."""
        if items is None or items.size <= len(self.items.weight):
            return ops.linear(rows_of(self.items, items), self.from_item)
        return ops.embedding(items, ops.linear(self.items.weight, self.from_item))


class NeuMFNetwork(PairNetwork):
    """The sum of a `GMFNetwork` and an `MLPNetwork` with vectors of their own.

    The paper concatenates the last layers of both and weights them: the same sum.

    Parameters
    ----------
    n_users, n_items, factors, hidden, std, dropout, generator
        As of the two.
    """

    def __init__(self, n_users: int, n_items: int, factors: int, hidden: Sequence[int], std: float, dropout: float,
                 generator: np.random.Generator) -> None:
        self.product = GMFNetwork(n_users, n_items, factors, std, generator)
        self.layers = MLPNetwork(n_users, n_items, factors, hidden, std, dropout, generator)
        self.width = self.product.width + self.layers.width

    def tables(self) -> list[tuple[nn.Embedding, nn.Embedding]]:
        """Of both parts."""
        return self.product.tables() + self.layers.tables()

    def biases(self) -> list[nn.Embedding]:
        """Of the product."""
        return self.product.biases()

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None -> (B, K)."""
        return self.product(users, items) + self.layers(users, items)


class ConvNCFNetwork(PairNetwork):
    """Convolutions over the outer product of the two vectors, each halving its sides, until one cell is left.

    The cells of the outer product stand in Z-order (Morton 1966): the four under a kernel of 2 x 2 side by side, and
    those four of the next convolution again. So each convolution is a dense layer of rows of 4 cells.

    Parameters
    ----------
    n_users, n_items : int
    factors : int
        A power of 2, the side of the outer product.
    channels : int
        Of every convolution.
    std : float
        Of the initial embeddings.
    generator : numpy.random.Generator

    Attributes
    ----------
    convolutions : minidl.nn.ModuleList
        Dense layers; `weight.reshape(made, 2, 2, taken)` is a kernel with its channels last.
    """

    def __init__(self, n_users: int, n_items: int, factors: int, channels: int, std: float,
                 generator: np.random.Generator) -> None:
        self.users = embedding(n_users, factors, std, generator)
        self.items = embedding(n_items, factors, std, generator)
        halvings = factors.bit_length() - 1
        widths = [1] + [channels] * halvings
        layers = [dense(4 * a, b, generator) for a, b in pairwise(widths)]
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
        self.convolutions: Any = nn.ModuleList(layers)
        self.output = dense(widths[-1], 1, generator)
        self.width = factors**2 + sum(channels * 4**n for n in range(halvings))
        self._rows, self._columns = _z_order(halvings)

    def forward(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """int (B,); int (B, K), (K,) or None -> (B, K)."""
        p, q = self.users(users), rows_of(self.items, items)  # (B, f); (K, f) or (B, K, f)
        pairs = p[:, None, self._rows] * q[..., self._columns]  # (B, K, f * f)
        x = pairs
        for layer in self.convolutions:
            x = ops.relu(layer(x.reshape((-1, layer.in_features))))  # (B * K * f * f / 4, channels), ...
        return self.output(x).reshape(pairs.shape[:2])


def _z_order(halvings: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each cell of a square of side `2 ** halvings`: the bits of its number in turn.

    >>> _z_order(1)
    (array([0, 0, 1, 1]), array([0, 1, 0, 1]))
    """
    cells, bits = np.arange(4**halvings), np.arange(halvings)
    row, column = (((cells[:, None] >> 2 * bits + odd & 1) << bits).sum(axis=1) for odd in (1, 0))
    return row, column


def gmf(n_users: int, n_items: int, rng: np.random.Generator, *, factors: int, init_std: float) -> GMFNetwork:
    """A `GMFNetwork` of its options."""
    return GMFNetwork(n_users, n_items, factors, init_std, rng)


def mlp(n_users: int, n_items: int, rng: np.random.Generator, *, factors: int, hidden: Sequence[int], init_std: float,
        dropout: float) -> MLPNetwork:
    """An `MLPNetwork` of its options."""
    return MLPNetwork(n_users, n_items, factors, hidden, init_std, dropout, rng)


def neumf(n_users: int, n_items: int, rng: np.random.Generator, *, factors: int, hidden: Sequence[int],
          init_std: float, dropout: float) -> NeuMFNetwork:
    """A `NeuMFNetwork` of its options."""
    return NeuMFNetwork(n_users, n_items, factors, hidden, init_std, dropout, rng)


def convncf(n_users: int, n_items: int, rng: np.random.Generator, *, factors: int, channels: int,
            init_std: float) -> ConvNCFNetwork:
    """A `ConvNCFNetwork` of its options."""
    return ConvNCFNetwork(n_users, n_items, factors, channels, init_std, rng)
