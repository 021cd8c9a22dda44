"""Encoders of sets: a history is a bag of items, never a dense row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from minidl import nn, ops
from minidl.nn.functional import dropout
from recsys.data.csr import CSR

__all__ = ["ACTIVATIONS", "Autoencoder", "Bag", "LinearAutoencoder", "VariationalAutoencoder", "autoencoder", "dense",
           "linear_autoencoder", "variational_autoencoder"]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": ops.tanh, "sigmoid": ops.sigmoid, "relu": ops.relu, "selu": ops.selu, "identity": lambda x: x}


class Bag(nn.Module):
    """A dense layer over sparse rows: `W x + b`, where x holds a history's values (1 without values).

    Parameters
    ----------
    n_items, width : int
    normalise : bool
        Scale each x to length 1.
    dropout : float
        Share of the entries of x that training leaves out.
    bias : bool
    generator : numpy.random.Generator
    """

    def __init__(self, n_items: int, width: int, *, normalise: bool = False, dropout: float = 0.0, bias: bool = True,
                 generator: np.random.Generator) -> None:
        self.table = nn.EmbeddingBag(n_items, width, mode="sum", include_last_offset=True, generator=generator)
        self.bias = nn.Parameter(np.zeros(width, np.float32)) if bias else None
        nn.init.xavier_uniform_(self.table.weight, generator=generator)
        self.normalise, self.dropout, self.generator = normalise, dropout, generator

    def forward(self, history: CSR) -> Any:
        """CSR (B, n_items) -> (B, width)."""
        sums = self.table(history.indices, history.indptr, self._weights(history))
        return sums if self.bias is None else sums + self.bias

    def _weights(self, history: CSR) -> np.ndarray:
        """The entries of x: float32 (nnz,)."""
        weights = history.weights
        if self.normalise:
            squares = np.bincount(history.row_of_entry, np.square(weights, dtype=np.float64), history.shape[0])
            weights = weights * np.repeat(np.maximum(squares, 1e-12) ** -0.5, history.counts).astype(np.float32)
        return np.asarray(dropout(weights, self.dropout, self.training, self.generator))


class Autoencoder(nn.Module):
    """`n_items - hidden - ... - hidden - n_items`: a bag, dense layers, and scores of all items.

    Parameters
    ----------
    n_items : int
    hidden : sequence of int
        Widths of the layers between the items.
    activation : str
        Of the hidden layers; a name in `ACTIVATIONS`.
    normalise, dropout
        Of the input, as in `Bag`.
    n_users : int, optional
        How many users have a vector of their own, which is added to the first hidden layer; it starts at 0.
    generator : numpy.random.Generator
    """

    of_users: ClassVar[tuple[str, ...]] = ("users",)
    of_history: ClassVar[tuple[str, ...]] = ("bag.table",)  # the tables by which it reads a history

    def __init__(self, n_items: int, hidden: Sequence[int], *, activation: str = "tanh", normalise: bool = False,
                 dropout: float = 0.0, n_users: int | None = None, generator: np.random.Generator) -> None:
        self.users = None if n_users is None else nn.Embedding(n_users, hidden[0])
        if self.users is not None:
            nn.init.zeros_(self.users.weight)
        self.bag = Bag(n_items, hidden[0], normalise=normalise, dropout=dropout, generator=generator)
        self.inner = nn.ModuleList(dense(a, b, generator) for a, b in pairwise(hidden))
        self.output = dense(hidden[-1], n_items, generator)
        self.activation = activation

    def encode(self, history: CSR, users: np.ndarray | None = None) -> Any:
        """CSR (B, n_items), and int (B,) where the rows are of known users -> (B, hidden[-1])."""
        act = ACTIVATIONS[self.activation]
        x = self.bag(history)  # (B, hidden[0])
        x = act(x if users is None or self.users is None else x + self.users(users))
        for layer in self.inner:
            x = act(layer(x))
        return x

    def decoder(self) -> tuple[Any, Any]:
        """Weights and bias that take codes to scores: (n_items, hidden[-1]), (n_items,)."""
        return self.output.weight, self.output.bias

    def products(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n_items, hidden[-1]) and biases (n_items,), whose products with `queries` are the scores."""
        weight, bias = self.decoder()
        return weight.data, bias.data

    def queries(self, history: CSR, users: np.ndarray | None = None) -> Any:
        """The codes of histories: CSR (B, n_items), int (B,) -> (B, hidden[-1])."""
        return self.encode(history, users)

    def forward(self, history: CSR, users: np.ndarray | None = None) -> Any:
        """CSR (B, n_items), int (B,) -> (B, n_items)."""
        return self.output(self.encode(history, users))


class LinearAutoencoder(nn.Module):
    """`V W' x`, without biases; V is W if they are tied.

    Parameters
    ----------
    n_items, factors : int
    tied : bool
    dropout : float
        Share of the entries of x that training leaves out.
    generator : numpy.random.Generator
    """

    of_history: ClassVar[tuple[str, ...]] = ("bag.table",)

    def __init__(self, n_items: int, factors: int, *, tied: bool, dropout: float,
                 generator: np.random.Generator) -> None:
        self.bag = Bag(n_items, factors, dropout=dropout, bias=False, generator=generator)
        self.output = None if tied else nn.Parameter(self.bag.table.weight.data.copy())

    def products(self) -> tuple[np.ndarray, None]:
        """V, whose products with `queries` are the scores: (n_items, factors)."""
        return (self.bag.table.weight if self.output is None else self.output).data, None

    def queries(self, history: CSR) -> Any:
        """`W' x`: CSR (B, n_items) -> (B, factors)."""
        return self.bag(history)

    def forward(self, history: CSR) -> Any:
        """CSR (B, n_items) -> (B, n_items)."""
        return self.bag(history) @ (self.bag.table.weight if self.output is None else self.output).T

    def item_vectors(self) -> np.ndarray:
        """W: (n_items, factors)."""
        return np.asarray(self.bag.table.weight.data)

    def user_vectors(self, history: CSR) -> np.ndarray:
        """`W' x`: (n, factors)."""
        return np.asarray(self.bag(history).data)


class VariationalAutoencoder(nn.Module):
    """An encoder to the mean and the log variance of a latent vector, and a decoder from a draw (or the mean).

    Parameters
    ----------
    n_items : int
    hidden : sequence of int
        Widths of the encoder's layers; the decoder has them backwards. Without any, both are linear.
    latent : int
    dropout : float
        Of the input, which is scaled to length 1.
    generator : numpy.random.Generator
        In training, of the draws too.
    """

    of_history: ClassVar[tuple[str, ...]] = ("bag.table",)

    def __init__(self, n_items: int, hidden: Sequence[int], latent: int, *, dropout: float,
                 generator: np.random.Generator) -> None:
        widths = [*hidden, 2 * latent]
        self.bag = Bag(n_items, widths[0], normalise=True, dropout=dropout, generator=generator)
        self.encoder = nn.ModuleList(dense(a, b, generator) for a, b in pairwise(widths))
        widths = [latent, *reversed(hidden)]
        self.decoder = nn.ModuleList(dense(a, b, generator) for a, b in pairwise(widths))
        self.output = dense(widths[-1], n_items, generator)
        self.latent, self.generator = latent, generator

    def encode(self, history: CSR) -> tuple[Any, Any]:
        """CSR (B, n_items) -> mean and log variance, (B, latent) each."""
        x = self.bag(history)
        for layer in self.encoder:
            x = layer(ops.tanh(x))
        return x[:, :self.latent], x[:, self.latent:]

    def decode(self, z: Any) -> Any:
        """(B, latent) -> (B, n_items)."""
        return self.output(self._before_output(z))

    def _before_output(self, z: Any) -> Any:
        for layer in self.decoder:
            z = ops.tanh(layer(z))
        return z

    def products(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and biases (n_items,) of the last layer, whose products with `queries` are the scores."""
        bias: Any = self.output.bias
        return self.output.weight.data, bias.data

    def queries(self, history: CSR) -> Any:
        """What the last layer is given: CSR (B, n_items) -> (B, width)."""
        return self._before_output(self.encode(history)[0])

    def draw(self, mean: Any, log_variance: Any) -> Any:
        """A normal vector with these moments, differentiable in them: (B, latent)."""
        noise = self.generator.standard_normal(mean.shape, np.float32)
        return mean + noise * ops.exp(0.5 * log_variance)

    def forward(self, history: CSR) -> Any:
        """The scores from the mean: CSR (B, n_items) -> (B, n_items)."""
        return self.decode(self.encode(history)[0])


def dense(inputs: int, outputs: int, generator: np.random.Generator) -> nn.Linear:
    """A layer with Glorot's weights and a bias of 0."""
    layer = nn.Linear(inputs, outputs, generator=generator)
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    layer.bias = nn.Parameter(np.zeros(outputs, np.float32))
    return layer


def autoencoder(n_users: int, n_items: int, rng: np.random.Generator, *, of: str = "items", personal: bool = False,
                **options: Any) -> Autoencoder:
    """An `Autoencoder` of rows of items, or of users, and with a vector for each user if it is personal."""
    return Autoencoder(n_items if of == "items" else n_users, n_users=n_users if personal else None, generator=rng,
                       **options)


def linear_autoencoder(n_users: int, n_items: int, rng: np.random.Generator, **options: Any) -> LinearAutoencoder:
    """A `LinearAutoencoder` of its options."""
    return LinearAutoencoder(n_items, generator=rng, **options)


def variational_autoencoder(n_users: int, n_items: int, rng: np.random.Generator,
                            **options: Any) -> VariationalAutoencoder:
    """A `VariationalAutoencoder` of its options."""
    return VariationalAutoencoder(n_items, generator=rng, **options)
