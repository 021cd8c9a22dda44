"""What autoencoders of histories learn: the history, from a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.csr import CSR
from recsys.data.sampling import apart
from recsys.models.autoencoders.network import VariationalAutoencoder
from recsys.training import shuffled

__all__ = ["LOSSES", "Evidence", "Histories", "bce", "multinomial", "squares"]


def multinomial(scores: Any, history: CSR, read: CSR | None = None) -> Any:
    """`-sum_i x_i log softmax(s)_i`, mean over the rows; items that were `read` do not compete."""
    if read is not None:  # in place is enough: where a softmax is 0, so is its gradient
        scores.data[read.row_of_entry, read.indices] = -np.inf
    return ops.multinomial_loss(scores, history.indices, history.indptr)


def bce(scores: Any, history: CSR) -> Any:
    """`-sum_i x_i log sigmoid(s_i) + (1 - x_i) log sigmoid(-s_i)`, mean over the rows."""
    given = scores[history.row_of_entry, history.indices].sum()
    return (ops.softplus(scores).sum() - given) * (1 / history.shape[0])


def squares(scores: Any, history: CSR) -> Any:
    """`|x - s|^2`, mean over the rows, without a dense x."""
    given = scores[history.row_of_entry, history.indices].sum()
    return (ops.square(scores).sum() - 2 * given + history.nnz) * (1 / history.shape[0])


LOSSES: dict[str, Callable[..., Any]] = {"multinomial": multinomial, "bce": bce, "squares": squares}


class Histories:
    """An objective whose examples are the histories that are not empty.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
    loss : callable
        `loss(history, users) -> Tensor`, the mean over the rows of a CSR, which belong to these users.
    """

    def __init__(self, rows: CSR, loss: Callable[[CSR, np.ndarray], Any]) -> None:
        self.rows = rows
        self.active = np.flatnonzero(rows.counts)
        self._loss = loss

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The histories, shuffled."""
        return shuffled(len(self.active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        users = self.active[batch]
        return self._loss(self.rows.rows(users), users)


class Evidence:
    """Minus the lower bound of the evidence of a variational autoencoder, with the divergence's weight on the rise.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
    network : VariationalAutoencoder
    beta : float
        Weight of the divergence in the end.
    anneal : int
        Epochs until then.
    rest : float
        Share of a history that is left out and then learned alone; 0 learns the whole of it.
    """

    def __init__(self, rows: CSR, network: VariationalAutoencoder, *, beta: float, anneal: int, rest: float) -> None:
        self.rows, self.network, self.beta, self.anneal, self.rest = rows, network, beta, anneal, rest
        self.active = np.flatnonzero(rows.counts)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The histories, shuffled."""
        self._read = epoch * len(self.active)
        return shuffled(len(self.active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        history = self.rows.rows(self.active[batch])
        if not self.rest:
            return self._bound(history, history, None)
        read, rest = apart(history, np.full(len(batch), 1 - self.rest), rng)
        return self._bound(read, rest, read)

    def _bound(self, history: CSR, wanted: CSR, read: CSR | None) -> Any:
        network = self.network
        self._read += history.shape[0]
        share = min(1.0, self._read / max(self.anneal * len(self.active), 1))
        mean, log_variance = network.encode(history)
        scores = network.decode(network.draw(mean, log_variance))
        divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1).sum() * (1 / history.shape[0])
        return multinomial(scores, wanted, read) + self.beta * share * divergence
