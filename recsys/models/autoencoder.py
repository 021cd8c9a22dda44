"""Autoencoders of histories for ranking: linear, denoising, with a vector for each user, variational."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import no_grad, ops
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.data.sampling import apart
from recsys.models.base import Can
from recsys.models.neural import HistoryNetwork
from recsys.models.parameters import Check, at_least, between, flag, one_of, sizes, whole
from recsys.networks import bags as networks
from recsys.networks.bags import ACTIVATIONS, Autoencoder, VariationalAutoencoder
from recsys.training import Objective

__all__ = ["CDAE", "LinearAutoencoder", "MultDAE", "MultVAE"]


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


_LOSSES = {"multinomial": multinomial, "bce": bce, "mse": squares}


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

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of histories."""
        return len(self.active)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        users = self.active[batch]
        return self._loss(self.rows.rows(users), users)


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

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True)
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "dropout": between(0, 0.99)}

    hidden: tuple[int, ...]
    dropout: float

    def __init__(self, *, hidden: tuple[int, ...] = (200,), dropout: float = 0.5, epochs: int = 100,
                 batch_size: int = 100, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> Autoencoder:
        return Autoencoder(len(self.items), self.hidden, normalise=True, dropout=self.dropout, generator=rng)

    def _objective(self, data: Interactions) -> Histories:
        return Histories(self._training, lambda history, users: multinomial(self.network(history), history))


class CDAE(HistoryNetwork):
    """Collaborative denoising autoencoder: as a denoising autoencoder, with a vector for each user.

    `h = g(W x + V_u + b)` and the scores `W' h + b'`, x with a share of its entries dropped in training. A user whose
    history is given instead of known has the vector 0, where all users' vectors started.

    Parameters
    ----------
    hidden : tuple of int
    activation : {"tanh", "sigmoid", "relu", "selu", "identity"}
    loss : {"multinomial", "bce", "mse"}
        Over all items.
    dropout : float
        Share of a history that training leaves out.
    epochs, batch_size, seed : int
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Wu et al., Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, WSDM 2016, equations 6 to 9; there
    with sampled negatives.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> CDAE(hidden=(8,), epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True)
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "activation": one_of(*ACTIVATIONS),
                                          "loss": one_of(*_LOSSES), "dropout": between(0, 0.99)}

    hidden: tuple[int, ...]
    activation: str
    loss: str
    dropout: float

    def __init__(self, *, hidden: tuple[int, ...] = (200,), activation: str = "sigmoid", loss: str = "bce",
                 dropout: float = 0.5, epochs: int = 100, batch_size: int = 50, lr: float = 3e-3,
                 weight_decay: float = 0.0, patience: int | None = 10, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> Autoencoder:
        return Autoencoder(len(self.items), self.hidden, activation=self.activation, dropout=self.dropout,
                           n_users=len(self.users), generator=rng)

    def _objective(self, data: Interactions) -> Histories:
        loss = _LOSSES[self.loss]
        return Histories(self._training, lambda history, users: loss(self.network(history, users), history))

    def _score(self, users: np.ndarray) -> np.ndarray:
        history = self._history_of(users)
        with no_grad():
            return np.asarray(self.network(history, users).data)


class LinearAutoencoder(HistoryNetwork):
    """`V W' x`, with V and W chosen to minimise `|x - V W' x|^2` over all histories x.

    If they are tied, `V = W`, the minimum spans the first principal directions of the histories. Without dropout that
    is what it learns, and with it, to say from a part of a history what the rest is, which ranks better.

    Parameters
    ----------
    factors : int
    tied : bool
    dropout : float
        Share of a history that training leaves out.
    epochs, batch_size, seed : int
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Baldi and Hornik, Neural Networks and Principal Component Analysis, Neural Networks 2(1), 1989.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> LinearAutoencoder(factors=1, epochs=200, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, embeddings=True)
    checks: ClassVar[dict[str, Check]] = {"factors": whole(1), "tied": flag(), "dropout": between(0, 0.99)}

    factors: int
    tied: bool
    dropout: float

    def __init__(self, *, factors: int = 64, tied: bool = True, dropout: float = 0.8, epochs: int = 100,
                 batch_size: int = 500, lr: float = 3e-3, weight_decay: float = 0.0, patience: int | None = None,
                 seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> networks.LinearAutoencoder:
        return networks.LinearAutoencoder(len(self.items), self.factors, tied=self.tied, dropout=self.dropout,
                                          generator=rng)

    def _objective(self, data: Interactions) -> Histories:
        return Histories(self._training, lambda history, users: squares(self.network(history), history))

    def _item_vectors(self) -> np.ndarray:
        return np.asarray(self.network.bag.table.weight.data)

    def _user_vectors(self) -> np.ndarray:
        with no_grad():
            return np.asarray(self.network.bag(self._history_of(np.arange(len(self.users)))).data)


class MultVAE(HistoryNetwork):
    """Variational autoencoder with a multinomial likelihood.

    The encoder gives the mean m and the variance s^2 of a latent vector z, the decoder scores of all items; the loss
    is `-sum_i x_i log softmax(decode(z))_i + beta KL(N(m, s^2) | N(0, 1))` with z drawn in training and m in
    answering. The weight beta rises evenly to `beta` over the first `anneal` epochs.

    By default encoder and decoder are linear, which ranks better on sets up to the size of ML-1M; `hidden=(600,)` and
    `latent=200` are the paper's widths.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's layers, with tanh; the decoder has them backwards.
    latent : int
    dropout : float
        Share of a history that training leaves out.
    rest : bool
        Learn what was left out alone, among the items that were not read (Steck 2020), instead of the whole history.
        The scores of items that were read then mean nothing.
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
    Liang et al., Variational Autoencoders for Collaborative Filtering, WWW 2018, equations 3 to 6 (Mult-VAE). Steck,
    Autoencoders that don't overfit towards the Identity, NeurIPS 2020.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MultVAE(hidden=(16,), latent=8, epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True)
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(0), "latent": whole(1), "dropout": between(0, 0.99),
                                          "rest": flag(), "beta": at_least(0), "anneal": whole(0)}

    hidden: tuple[int, ...]
    latent: int
    dropout: float
    rest: bool
    beta: float
    anneal: int

    def __init__(self, *, hidden: tuple[int, ...] = (), latent: int = 600, dropout: float = 0.3,
                 rest: bool = False, beta: float = 0.2, anneal: int = 50, epochs: int = 200, batch_size: int = 200,
                 lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = 20, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> VariationalAutoencoder:
        dropout = 0.0 if self.rest else self.dropout  # the objective cuts histories itself
        return VariationalAutoencoder(len(self.items), self.hidden, self.latent, dropout=dropout, generator=rng)

    def _objective(self, data: Interactions) -> Objective:
        return _Evidence(self, self._training)


class _Evidence:
    """Minus the lower bound of the evidence, with the divergence's weight on the rise."""

    def __init__(self, model: MultVAE, rows: CSR) -> None:
        self.model, self.rows = model, rows
        self.active = np.flatnonzero(rows.counts)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        self.seen = epoch * len(self.active)
        return len(self.active)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of some histories."""
        history = self.rows.rows(self.active[batch])
        if not self.model.rest:
            return self._bound(history, history, None)
        read, rest = apart(history, np.full(len(batch), 1 - self.model.dropout), rng)
        return self._bound(read, rest, read)

    def _bound(self, history: CSR, wanted: CSR, read: CSR | None) -> Any:
        model, network = self.model, self.model.network
        self.seen += history.shape[0]
        share = min(1.0, self.seen / max(model.anneal * len(self.active), 1))
        mean, log_variance = network.encode(history)
        scores = network.decode(network.draw(mean, log_variance))
        divergence = 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1).sum() * (1 / history.shape[0])
        return multinomial(scores, wanted, read) + model.beta * share * divergence
