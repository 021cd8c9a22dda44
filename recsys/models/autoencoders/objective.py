"""What autoencoders of histories learn: the history, from a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.csr import CSR
from recsys.data.sampling import apart
from recsys.errors import UnsupportedError
from recsys.models.autoencoders.network import VariationalAutoencoder
from recsys.training import shuffled

__all__ = ["LOSSES", "Evidence", "Histories", "bce", "multinomial", "squares"]


def multinomial(scores: Any, history: CSR, read: CSR | None = None, reduction: str = "mean") -> Any:
    """`-sum_i x_i log softmax(s)_i`, mean over the rows or "none"; items that were `read` do not compete."""
    if read is not None:  # in place is enough: where a softmax is 0, so is its gradient
        scores.data[read.row_of_entry, read.indices] = -np.inf
    return ops.multinomial_loss(scores, history.indices, history.indptr, reduction=reduction)


def bce(scores: Any, history: CSR, reduction: str = "mean") -> Any:
    """`-sum_i x_i log sigmoid(s_i) + (1 - x_i) log sigmoid(-s_i)`, mean over the rows or "none"."""
    if reduction == "none":
        return ops.softplus(scores).sum(axis=1) - (scores * _dense(history, scores.dtype)).sum(axis=1)
    given = scores[history.row_of_entry, history.indices].sum()
    return (ops.softplus(scores).sum() - given) * (1 / history.shape[0])


def squares(scores: Any, history: CSR, reduction: str = "mean") -> Any:
    """`|x - s|^2`, mean over the rows or "none"; the mean needs no dense x."""
    if reduction == "none":
        given = (scores * _dense(history, scores.dtype)).sum(axis=1)
        return ops.square(scores).sum(axis=1) - 2 * given + history.counts.astype(scores.dtype)
    given = scores[history.row_of_entry, history.indices].sum()
    return (ops.square(scores).sum() - 2 * given + history.nnz) * (1 / history.shape[0])


def _dense(history: CSR, dtype: Any) -> np.ndarray:
    """1 where there are items, else 0: (B, n_items)."""
    there = np.zeros(history.shape, dtype)
    there[history.row_of_entry, history.indices] = 1
    return there


LOSSES: dict[str, Callable[..., Any]] = {"multinomial": multinomial, "bce": bce, "squares": squares}


class Histories:
    """An objective whose examples are the histories that are not empty, one of each person.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
    loss : callable
        `loss(history, users) -> Tensor`, the mean over the rows of a CSR, which belong to these users. For private
        training it takes `reduction="none"`, too, and gives the loss of each row.
    """

    unit = "person"

    def __init__(self, rows: CSR, loss: Callable[..., Any]) -> None:
        self.rows = rows
        self.active = np.flatnonzero(rows.counts)
        self.n_units = len(self.active)
        self._loss = loss

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The histories, shuffled."""
        return shuffled(len(self.active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        users = self.active[batch]
        return self._loss(self.rows.rows(users), users)

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The loss of each of some histories.

        Raises
        ------
        UnsupportedError
            The loss takes no `reduction`.
        """
        users = self.active[units]
        try:
            signature(self._loss).bind(None, None, reduction="none")
        except TypeError as error:
            raise UnsupportedError("private training needs the loss of every person: let the loss of Histories take "
                                   "reduction='none', as objective.multinomial does.") from error
        return self._loss(self.rows.rows(users), users, reduction="none")


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

    unit = "person"

    def __init__(self, rows: CSR, network: VariationalAutoencoder, *, beta: float, anneal: int, rest: float) -> None:
        self.rows, self.network, self.beta, self.anneal, self.rest = rows, network, beta, anneal, rest
        self.active = np.flatnonzero(rows.counts)
        self.n_units = len(self.active)
        self._read = 0

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The histories, shuffled."""
        self._read = epoch * len(self.active)
        return shuffled(len(self.active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        wanted, scores, read, divergence = self._parts(batch, rng)
        return multinomial(scores, wanted, read) + self._share() * (divergence.sum() * (1 / len(batch)))

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The loss of each of some histories."""
        wanted, scores, read, divergence = self._parts(units, rng)
        return multinomial(scores, wanted, read, "none") + self._share() * divergence.sum(axis=1)

    def _parts(self, batch: np.ndarray, rng: np.random.Generator) -> tuple[CSR, Any, CSR | None, Any]:
        """What is wanted of some histories, what is scored, what was read, and the divergences, (B, latent)."""
        wanted, read = self.rows.rows(self.active[batch]), None
        history = wanted
        if self.rest:
            history, wanted = apart(wanted, np.full(len(batch), 1 - self.rest), rng)
            read = history
        self._read += len(batch)
        mean, log_variance = self.network.encode(history)
        scores = self.network.decode(self.network.draw(mean, log_variance))
        return wanted, scores, read, 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1)

    def _share(self) -> float:
        """The weight of the divergence now."""
        return self.beta * min(1.0, self._read / max(self.anneal * len(self.active), 1))
