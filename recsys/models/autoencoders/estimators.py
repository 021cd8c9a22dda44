"""Autoencoders of histories for ranking: linear, denoising, with a vector for each user, variational."""

from __future__ import annotations

from typing import Any, ClassVar

from recsys.data.csr import CSR
from recsys.estimator import Can
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, at_least, between, flag, one_of, sizes, whole
from recsys.estimator.training import CHECKS
from recsys.models.autoencoders.network import ACTIVATIONS
from recsys.models.autoencoders.objective import LOSSES, Evidence, Histories, multinomial, squares
from recsys.models.histories import HistoryModel
from recsys.training import Objective

__all__ = ["CDAE", "LinearAutoencoder", "MultDAE", "MultVAE"]


class MultDAE(HistoryModel):
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
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MultDAE(hidden=(8,), epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    checks: ClassVar[dict[str, Check]] = {**CHECKS, "hidden": sizes(), "dropout": between(0, 0.99)}

    hidden: tuple[int, ...]
    dropout: float

    def __init__(self, *, hidden: tuple[int, ...] = (200,), dropout: float = 0.5, epochs: int = 100,
                 batch_size: int = 100, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("autoencoder", {"hidden": self.hidden, "normalise": True, "dropout": self.dropout})

    def objective(self, network: Any, rows: CSR) -> Objective:
        """The loss of histories."""
        return Histories(rows, lambda history, users, **how: multinomial(network(history), history, **how))


class CDAE(HistoryModel):
    """Collaborative denoising autoencoder: as a denoising autoencoder, with a vector for each user.

    `h = g(W x + V_u + b)` and the scores `W' h + b'`, x with a share of its entries dropped in training. A user whose
    history is given instead of known has the vector 0, where all users' vectors started.

    Parameters
    ----------
    hidden : tuple of int
    activation : {"tanh", "sigmoid", "relu", "selu", "identity"}
    loss : {"multinomial", "bce", "squares"}
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
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> CDAE(hidden=(8,), epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    personal = True
    renamed: ClassVar[dict[str, str]] = {"loss=mse": "loss=squares"}
    checks: ClassVar[dict[str, Check]] = {**CHECKS, "hidden": sizes(), "activation": one_of(*ACTIVATIONS),
                                          "loss": one_of(*LOSSES), "dropout": between(0, 0.99)}

    hidden: tuple[int, ...]
    activation: str
    loss: str
    dropout: float

    def __init__(self, *, hidden: tuple[int, ...] = (200,), activation: str = "sigmoid", loss: str = "bce",
                 dropout: float = 0.5, epochs: int = 100, batch_size: int = 50, lr: float = 3e-3,
                 weight_decay: float = 0.0, patience: int | None = 10, seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("autoencoder", {"hidden": self.hidden, "activation": self.activation,
                                            "dropout": self.dropout, "personal": True})

    def objective(self, network: Any, rows: CSR) -> Objective:
        """The loss of histories."""
        loss = LOSSES[self.loss]
        return Histories(rows, lambda history, users, **how: loss(network(history, users), history, **how))


class LinearAutoencoder(HistoryModel):
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
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> LinearAutoencoder(factors=1, epochs=200, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, embeddings=True)
    checks: ClassVar[dict[str, Check]] = {**CHECKS, "factors": whole(1), "tied": flag(), "dropout": between(0, 0.99)}

    factors: int
    tied: bool
    dropout: float

    def __init__(self, *, factors: int = 64, tied: bool = True, dropout: float = 0.8, epochs: int = 100,
                 batch_size: int = 500, lr: float = 3e-3, weight_decay: float = 0.0, patience: int | None = None,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("linear autoencoder", {"factors": self.factors, "tied": self.tied,
                                                   "dropout": self.dropout})

    def objective(self, network: Any, rows: CSR) -> Objective:
        """The loss of histories."""
        return Histories(rows, lambda history, users, **how: squares(network(history), history, **how))


class MultVAE(HistoryModel):
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
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MultVAE(hidden=(16,), latent=8, epochs=100, lr=0.02).fit(data).recommend(history=["tea"], k=1).items
    array(['jam'], dtype='<U3')
    """

    checks: ClassVar[dict[str, Check]] = {**CHECKS, "hidden": sizes(0), "latent": whole(1), "dropout": between(0, 0.99),
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
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        dropout = 0.0 if self.rest else self.dropout  # the objective cuts histories itself
        return Architecture("variational autoencoder", {"hidden": self.hidden, "latent": self.latent,
                                                        "dropout": dropout})

    def objective(self, network: Any, rows: CSR) -> Objective:
        """The loss of histories."""
        return Evidence(rows, network, beta=self.beta, anneal=self.anneal, rest=self.dropout if self.rest else 0.0)
