"""Autoencoders of histories for ranking: denoising and variational, with the multinomial likelihood."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minidl import ops
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.models.base import Can
from recsys.models.neural import HistoryNetwork
from recsys.models.parameters import Check, at_least, between, sizes, whole
from recsys.networks.bags import Autoencoder, VariationalAutoencoder

__all__ = ["MultDAE", "MultVAE"]


class Histories:
    """An objective whose examples are the histories that are not empty.

    Parameters
    ----------
    rows : CSR, shape (n_users, n_items)
    loss : callable
        `loss(history) -> Tensor`, the mean over the rows of a CSR.
    """

    def __init__(self, rows: CSR, loss: Any) -> None:
        self.rows = rows
        self.active = np.flatnonzero(rows.counts)
        self._loss = loss

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of histories."""
        return len(self.active)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        return self._loss(self.rows.rows(self.active[batch]))


class MultDAE(HistoryNetwork):
    """Denoising autoencoder: from a history with items left out to the distribution of its items.

    With x the history scaled to length 1, half of its entries dropped in training, `h = tanh(W x + b)` and the
    scores `V h + c`; the loss is `-sum_i x_i log softmax(scores)_i` over the complete history.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the layers between the items.
    dropout : float
        Share of a history that training leaves out.
    epochs, batch_size, seed : int
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, section 2.3 (Mult-DAE).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MultDAE(hidden=(8,), epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, explain=True)
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "dropout": between(0, 0.99)}

    def __init__(self, *, hidden: tuple[int, ...] = (200,), dropout: float = 0.5, epochs: int = 100,
                 batch_size: int = 500, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = None,
                 seed: int = 0) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.seed = seed

    def _network(self, rng: np.random.Generator) -> Autoencoder:
        return Autoencoder(len(self.items), self.hidden, normalise=True, dropout=self.dropout, generator=rng)

    def _objective(self, data: Interactions) -> Histories:
        def loss(history: CSR) -> Any:
            return ops.multinomial_loss(self.network(history), history.indices, history.indptr)

        return Histories(self._training_rows, loss)


class MultVAE(HistoryNetwork):
    """Variational autoencoder with a multinomial likelihood.

    The encoder gives the mean m and the variance s^2 of a latent vector z, the decoder scores of all items; the loss
    is `-sum_i x_i log softmax(decode(z))_i + beta KL(N(m, s^2) | N(0, 1))` with z drawn in training and m in
    answering. The weight beta rises evenly to `beta` over the first `anneal` epochs.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's layers; the decoder has them backwards.
    latent : int
    dropout : float
        Share of a history that training leaves out.
    beta : float
        Weight of the divergence.
    anneal : int
        Epochs.
    epochs, batch_size, seed : int
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, equations 3 to 6 (Mult-VAE).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MultVAE(hidden=(16,), latent=8, epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, explain=True)
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "latent": whole(1), "dropout": between(0, 0.99),
                                          "beta": at_least(0), "anneal": whole(0)}

    def __init__(self, *, hidden: tuple[int, ...] = (600,), latent: int = 200, dropout: float = 0.5,
                 beta: float = 0.2, anneal: int = 50, epochs: int = 100, batch_size: int = 500, lr: float = 1e-3,
                 weight_decay: float = 0.0, patience: int | None = None, seed: int = 0) -> None:
        self.hidden = hidden
        self.latent = latent
        self.dropout = dropout
        self.beta = beta
        self.anneal = anneal
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.seed = seed

    def _network(self, rng: np.random.Generator) -> VariationalAutoencoder:
        return VariationalAutoencoder(len(self.items), self.hidden, self.latent, dropout=self.dropout, generator=rng)

    def _objective(self, data: Interactions) -> Histories:
        return _Evidence(self, self._training_rows)


class _Evidence(Histories):
    """Minus the lower bound of the evidence, with the divergence's weight on the rise."""

    def __init__(self, model: MultVAE, rows: CSR) -> None:
        super().__init__(rows, self._bound)
        self.model = model

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        self.seen = epoch * len(self.active)
        return len(self.active)

    def _bound(self, history: CSR) -> Any:
        model, network = self.model, self.model.network
        self.seen += history.shape[0]
        share = min(1.0, self.seen / max(model.anneal * len(self.active), 1))
        mean, log_variance = network.encode(history)
        scores = network.decode(network.draw(mean, log_variance))
        divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1).sum() * (1 / history.shape[0])
        return ops.multinomial_loss(scores, history.indices, history.indptr) + model.beta * share * divergence
