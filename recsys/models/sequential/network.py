"""Networks of sequences: the last items of a history, in order, to scores of the next one.

A batch of histories is an integer array (B, T) that is filled from the left and padded with -1 on the right. An encoder
takes the vectors of its items to a *state* at every position, which predicts the item that comes after it. Encoders
are causal, a state depends on its own and earlier items only. So padding cannot reach a history's states,
and no mask is needed: states of padding are never read.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from minidl import nn, ops
from recsys.data.csr import CSR, ranges
from recsys.estimator.arrays import blocks
from recsys.models.sequential.encoders import ENCODERS

__all__ = ["OPTIONS", "SequenceNetwork", "padded", "sequence"]


def padded(history: CSR) -> np.ndarray:
    """The items of each row in order, and -1 up to the length of the longest.

    Parameters
    ----------
    history : CSR, shape (B, n_items)

    Returns
    -------
    ndarray, int32, shape (B, T)
        T is at least 1.

    Examples
    --------
    >>> padded(CSR.from_pairs([0, 0, 0, 2], [7, 5, 7, 0], None, (3, 8)))
    array([[ 7,  5,  7],
           [-1, -1, -1],
           [ 0, -1, -1]], dtype=int32)
    """
    items = np.full((history.shape[0], max(int(history.counts.max(initial=0)), 1)), -1, np.int32)
    items[np.arange(items.shape[1]) < history.counts[:, None]] = history.indices
    return items


class SequenceNetwork(nn.Module):
    """Item vectors, an encoder, and scores: `score(i) = state . v_i + b_i`, with the same v at both ends.

    With a `long_term` part, a state is what the encoder gives plus `t^-1/2 sum_s y_s` over the t items so far, y being
    further vectors of the items: as in SVD++ for ratings, what somebody likes, whatever the order. A `wide` part adds
    `t^-1/2 sum_s u_s . u_i` with longer vectors u, a linear autoencoder whose two ends are tied: what comes with what.

    Parameters
    ----------
    n_items, factors : int
    encoder : minidl.nn.Module
        `encoder(vectors, items)` takes the vectors (B, T, factors) of the items (B, T) of histories, of a variance of
        about `length ** 2` at the start and 0 for padding, to states (B, T, factors). The state at t must not depend
        on what comes after t.
    dropout : float
        Of the encoder's input, and of what the long-term and the wide part give.
    long_term : bool
    wide : int
        Factors of the wide part's vectors; 0 for none.
    length : float
        Of the items' vectors, about, at the start.
    generator : numpy.random.Generator

    Attributes
    ----------
    items : minidl.nn.Embedding
        Its weight, shape (n_items, factors), starts with rows of about that length.
    tastes : minidl.nn.Embedding, optional
        The long-term part's vectors, shape (n_items, factors), which start at 0.
    wide : minidl.nn.Embedding, optional
        The wide part's vectors, shape (n_items, wide), which start with a length of about a half.
    bias : Parameter, shape (n_items,)
    """

    of_history: ClassVar[tuple[str, ...]] = ("items", "tastes", "wide")  # the tables by which it reads a history

    def __init__(self, n_items: int, factors: int, encoder: nn.Module, *, dropout: float = 0.0,
                 long_term: bool = False, wide: int = 0, length: float = 1.0,
                 generator: np.random.Generator) -> None:
        self.items = nn.Embedding(n_items, factors, generator=generator)
        nn.init.normal_(self.items.weight, 0, length * factors ** -0.5, generator)
        self.tastes = nn.Embedding(n_items, factors, generator=generator) if long_term else None
        if self.tastes is not None:
            nn.init.zeros_(self.tastes.weight)
        self.wide = nn.Embedding(n_items, wide, generator=generator) if wide else None
        if self.wide is not None:
            nn.init.normal_(self.wide.weight, 0, 0.5 * wide ** -0.5, generator)
        self.bias = nn.Parameter(np.zeros(n_items, np.float32))
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout, generator)

    def place(self, known: int, history: CSR) -> None:
        """Put items from `known` on, of which nothing was learned, where their neighbours in histories are.

        Each row of a table becomes the mean of those of the known items directly before and after the item, or of all
        known items, if there are none.
        """
        same = history.row_of_entry[1:] == history.row_of_entry[:-1]
        before, after = history.indices[:-1][same], history.indices[1:][same]
        item, other = np.concatenate([before, after]), np.concatenate([after, before])
        of_new = (item >= known) & (other < known)
        item, other, n = item[of_new] - known, other[of_new], len(self.bias) - known
        count = np.bincount(item, minlength=n)
        tables = (self.items, self.tastes, self.wide)
        for data in (self.bias.data, *(table.weight.data for table in tables if table is not None)):
            sums = np.zeros((n, *data.shape[1:]))
            np.add.at(sums, item, data[other])
            sums[count == 0] = data[:known].mean(axis=0)
            data[known:] = (sums.T / np.maximum(count, 1)).T

    def vectors(self, items: np.ndarray) -> Any:
        """The encoder's input, 0 for the item -1: int (...) -> (..., factors)."""
        scale = (items >= 0) * np.float32(math.sqrt(self.items.embedding_dim))
        return self.items(np.maximum(items, 0)) * scale[..., None]

    def states(self, items: np.ndarray) -> Any:
        """The state at every position: int (B, T), padded with -1 -> (B, T, factors)."""
        states = self.encoder(self.dropout(self.vectors(items)), items)
        if self.tastes is None:
            return states
        so_far = np.arange(1, items.shape[1] + 1, dtype=np.float32)[:, None]
        sums = ops.cumsum(self.tastes(np.maximum(items, 0)), axis=1)  # (B, T, factors)
        return states + self.dropout(sums * so_far ** -0.5)

    def states_at(self, items: np.ndarray, flat: np.ndarray) -> Any:
        """States at the positions `flat`, int (n,), of the B * T ones, and the wide part's: (n, factors + wide)."""
        states = self.states(items)
        states = states.reshape((items.size, states.shape[2]))[flat]
        if self.wide is None:
            return states
        row, last = np.divmod(flat, items.shape[1])
        indptr = np.concatenate([[0], np.cumsum(last + 1)])
        read = np.maximum(items.ravel()[ranges(row * items.shape[1], last + 1)], 0)
        weights = np.repeat((last + 1) ** np.float32(-0.5), last + 1)
        return ops.concatenate([states, self.dropout(ops.embedding_bag(read, self.wide.weight, indptr, "sum", weights,
                                                                       True))], axis=1)

    def last_states(self, history: CSR) -> Any:
        """The states that the histories end with: CSR (B, n_items) -> (B, factors + wide); 0 for an empty one."""
        items = padded(history)
        rows = np.arange(len(items)) * items.shape[1]
        states = self.states_at(items, rows + np.maximum(history.counts - 1, 0))
        return ops.where((history.counts > 0)[:, None], states, 0)

    def targets(self, items: np.ndarray) -> Any:
        """What the states of histories are multiplied with: int (n,) -> (n, factors + wide)."""
        vectors = self.items(items)
        return vectors if self.wide is None else ops.concatenate([vectors, self.wide(items)], axis=1)

    def item_vectors(self) -> np.ndarray:
        """What the states of histories are multiplied with, of all items: (n_items, factors + wide)."""
        return np.asarray(self.targets(np.arange(len(self.bias))).data)

    def user_vectors(self, history: CSR) -> np.ndarray:
        """The states that many histories end with: (n, factors + wide)."""
        width = self.items.embedding_dim
        vectors = np.empty((history.shape[0], width + (self.wide.embedding_dim if self.wide else 0)), np.float32)
        for block in blocks(len(vectors), int(history.counts.max(initial=1)) * width):
            vectors[block] = self.last_states(history.rows(np.arange(block.start, block.stop))).data
        return vectors

    def scores(self, states: Any, items: np.ndarray | None = None) -> Any:
        """Scores of the items (k,), by default of all: (n, factors + wide) -> (n, k)."""
        if items is not None:
            return ops.linear(states, self.targets(items), self.bias[items])
        if self.wide is None:
            return ops.linear(states, self.items.weight, self.bias)
        factors = self.items.embedding_dim  # two products need no copy of the tables
        return ops.linear(states[:, :factors], self.items.weight, self.bias) + states[:, factors:] @ self.wide.weight.T

    def products(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n_items, factors + wide) and biases (n_items,), whose products with `queries` are the scores."""
        return self.items.weight.data if self.wide is None else self.item_vectors(), self.bias.data

    def queries(self, history: CSR) -> Any:
        """The states that histories end with: CSR (B, n_items) -> (B, factors + wide)."""
        return self.last_states(history)

    def forward(self, history: CSR) -> Any:
        """Scores of the next item: CSR (B, n_items) -> (B, n_items)."""
        return self.scores(self.last_states(history))


OPTIONS = ("encoder", "factors", "layers", "heads", "width", "window", "horizontal", "vertical",
           "dropout", "long_term", "wide")


def sequence(n_users: int, n_items: int, rng: np.random.Generator, *, encoder: Any, factors: int, dropout: float,
             long_term: bool, wide: int, length: float, **options: Any) -> SequenceNetwork:
    """A network from its options: `OPTIONS`, `max_length`, and the initial length of the items' vectors.

    `encoder` is a name in `ENCODERS`, or callable: `encoder(n_items, factors, generator)`.
    """
    if callable(encoder):
        module = encoder(n_items, factors, rng)
    else:
        module = ENCODERS[encoder](rng, factors=factors, dropout=dropout, **options)
    return SequenceNetwork(n_items, factors, module, dropout=dropout, long_term=long_term, wide=wide, length=length,
                           generator=rng)
