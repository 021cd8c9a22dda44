"""Networks that score pairs of a user and an item."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minidl import nn
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Depends, Facts, Fitted, Learned, Recommender
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, at_least, between, one_of, sizes, whole
from recsys.estimator.scorers import Scorer
from recsys.estimator.scorers.networks import PairNetwork, scores_of
from recsys.estimator.training import CHECKS, Training
from recsys.models.pairs.objective import LOSSES, log_popularity, pair_objective
from recsys.models.refining import refine, regrow
from recsys.training import Objective

__all__ = ["ConvNCF", "LAYER_CHECKS", "MLP", "NeuMF", "PAIR_CHECKS", "PairModel", "PairRecommender", "rates_by_loss"]

PAIR_CHECKS: dict[str, Check] = {
    **CHECKS, "factors": whole(1), "loss": one_of(*LOSSES), "negatives": whole(1), "negatives_power": at_least(0),
    "reg": at_least(0), "init_std": at_least(0)}
LAYER_CHECKS: dict[str, Check] = {**PAIR_CHECKS, "hidden": sizes(), "dropout": between(0, 0.99)}


def rates_by_loss(can: Can) -> Depends:
    """What a model can; with the loss "mse" it predicts ratings, too."""
    return Depends(can, lambda can, model: dataclasses.replace(can, ratings=True) if model.loss == "mse" else can)


class PairModel(Recommender):
    """A module that gives scores (B, K) of users (B,) and items (B, K), and the losses it may learn with.

    - "softmax": cross entropy of a user's items among all items, whose biases start at their log popularity. If these
      are too many for a batch's users, some users at a time share the items that they have, corrected for how often
      items are there.
    - "mse": squared error of ratings, less their mean; needs values, and then `predict` gives ratings.
    - All of `recsys.training.losses.SAMPLED`: against `negatives` items that the user has not interacted with,
      drawn anew for every batch in proportion to `count ** negatives_power`.

    `partial_fit` learns vectors and biases of new users and items alone for a third of the epochs, then those of all
    users and items of the new events for as many, over all events of these users; the others stay, and so do layers.
    Updated, it ranks better than before and nearly as a refit, see `tests/recsys/models/test_partial_distance.py`.

    A subclass has the hyper-parameters in `checks` and writes `architecture()` or, for a network of its own,
    `build(n_users, n_items, rng)`.

    Attributes
    ----------
    network : minidl.nn.Module
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`: NDCG@10, or minus the RMSE.
    """

    can: ClassVar[Any] = rates_by_loss(Can())
    trains: ClassVar[bool] = True
    renamed: ClassVar[dict[str, str]] = {"alpha": "negatives_power"}
    checks: ClassVar[dict[str, Check]] = PAIR_CHECKS

    loss: str
    negatives: int
    reg: float
    epochs: int
    batch_size: int
    lr: float
    patience: int | None
    seed: int
    negatives_power: float = 0.0
    weight_decay: float = 0.0

    @property
    def keeps_events(self) -> bool:
        """The ratings."""
        return self.loss == "mse"

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on pairs."""
        facts = context.facts
        network = self.build(len(facts.users), len(facts.items), np.random.default_rng(self.seed))
        if self.loss == "softmax":  # its optimum without vectors: few steps of little data do not get there
            for table in _biases(network):
                table.weight.data[:, 0] = log_popularity(facts.item_counts)

        def finish() -> Learned:
            return self._learned(network, facts)

        return Training.of(self, data, context, network, self._objective(network, data, facts), finish)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """New rows of the tables alone, then all that new events touch."""
        facts, old = context.facts, self._trained(fitted)
        (users, items), *_ = old.tables()
        known = len(users.weight), len(items.weight)
        shape = len(facts.users), len(facts.items)
        network = self.build(*shape, np.random.default_rng((self.seed, *shape)))
        regrow(network, old)
        of_users, of_items = zip(*network.tables(), strict=True)
        tables = [table.weight for table in of_users], [table.weight for table in (*of_items, *network.biases())]
        refine(self, network, data, known, tables, facts, lambda events: self._objective(network, events, facts))
        network.eval()
        learned = self._learned(network, facts)
        return dataclasses.replace(learned, taken={**fitted.learned.taken, **learned.taken})

    def _trained(self, fitted: Fitted) -> Any:
        """The network, as large as it was when it was trained."""
        return fitted.answers_by(PairNetwork).network

    def architecture(self) -> Architecture | None:
        """By which a file names the network; by default, this class and its hyper-parameters."""
        return Architecture(type(self).__name__, self.get_params())

    def build(self, n_users: int, n_items: int, rng: np.random.Generator) -> Any:
        """A new network of pairs."""
        architecture = self.architecture()
        return None if architecture is None else architecture.build(n_users, n_items, rng)

    def _objective(self, network: Any, data: Interactions, facts: Facts) -> Objective:
        scores = scores_of(network, self.architecture(), len(facts.items))
        return pair_objective(self, network, scores, data, facts)

    def _offset(self, facts: Facts) -> float:
        return facts.mean_value if self.loss == "mse" else 0.0

    def _learned(self, network: Any, facts: Facts) -> Learned:
        scorer: Scorer = PairNetwork(self.can, network, self.architecture(), len(facts.items),
                                     offset=self._offset(facts))
        return Learned(scorer)


def _biases(network: Any) -> list[nn.Embedding]:
    """The biases of items, as tables of one column."""
    found: list[nn.Embedding] = getattr(network, "biases", list)()
    return found


class PairRecommender(PairModel):
    """A scorer of your own.

    Parameters
    ----------
    scorer : callable
        `scorer(n_users, n_items, generator)` makes the module. Called with users, int (B,), and items, int (B, K), it
        gives scores (B, K). If it has a method `penalty(users, items)` of pairs, the sum of squared norms or whatever
        you like, `reg` times its mean is added to the loss. Such a model cannot be saved by `save`; keep its
        `network.state_dict()` with `minidl.io.save`, and the module's code.
    loss : str
        "softmax", "mse", or a name in `recsys.training.losses.SAMPLED`; `PairModel` says more.
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    negatives_power : float
        They are drawn in proportion to `count ** negatives_power`.
    epochs, batch_size, seed : int
        A batch is of pairs of user and item.
    lr, weight_decay, reg : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    Examples
    --------
    >>> class Distance(nn.Module):
    ...     def __init__(self, n_users, n_items, generator):
    ...         self.users = nn.Embedding(n_users, 4, generator=generator)
    ...         self.items = nn.Embedding(n_items, 4, generator=generator)
    ...     def forward(self, users, items):
    ...         return -((self.items(items) - self.users(users)[:, None]) ** 2).sum(axis=2)
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> PairRecommender(scorer=Distance, loss="softmax", lr=0.05).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    checks: ClassVar[dict[str, Check]] = {**PAIR_CHECKS, "scorer": Check(callable, "callable")}

    scorer: Callable[[int, int, np.random.Generator], nn.Module]

    def __init__(self, *, scorer: Callable[[int, int, np.random.Generator], nn.Module], loss: str = "bpr",
                 negatives: int = 4, negatives_power: float = 0.0, reg: float = 0.0, epochs: int = 50,
                 batch_size: int = 1024, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = 5,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> None:
        """A network of one's own has none that a file could name."""

    def build(self, n_users: int, n_items: int, rng: np.random.Generator) -> Any:
        """What `scorer` makes."""
        return self.scorer(n_users, n_items, rng)


class MLP(PairModel):
    """Score = `h . relu(... relu(W_1 [p_u, q_i] + b_1) ...)`: a user's and an item's vector through layers.

    Parameters
    ----------
    factors : int
        Length of the vectors.
    hidden : tuple of int
        Widths of the layers.
    dropout : float
        Of what the layers give, in training.
    loss, negatives, negatives_power
        As in `PairRecommender`; the paper has the loss "bce".
    init_std : float
        Of the initial vectors.
    epochs, batch_size, seed : int
        A batch is of pairs of user and item.
    lr, weight_decay : float
    reg : float
        Times the mean squared norm of the vectors in a batch, added to the loss.
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    He et al., Neural Collaborative Filtering, WWW 2017, section 3.3. Rendle et al., Neural Collaborative Filtering vs.
    Matrix Factorization Revisited, RecSys 2020: layers do not learn what a plain product gives for free.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> MLP(factors=4, hidden=(8,), epochs=200, lr=0.02).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = LAYER_CHECKS

    factors: int
    hidden: tuple[int, ...]
    dropout: float
    init_std: float

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (32, 16), dropout: float = 0.1,
                 loss: str = "softmax", negatives: int = 4, negatives_power: float = 0.0, init_std: float = 0.2,
                 epochs: int = 60, batch_size: int = 4096, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.2, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("mlp", {"factors": self.factors, "hidden": self.hidden, "init_std": self.init_std,
                                    "dropout": self.dropout})


class NeuMF(PairModel):
    """Score = `h . (p_u * q_i) + b_i + MLP(p'_u, q'_i)`: the sum of `GMF` and `MLP`, with vectors for each.

    Parameters
    ----------
    factors, hidden, dropout, loss, negatives, negatives_power, init_std
        As in `MLP`.
    epochs, batch_size, lr, weight_decay, reg, patience, seed
        As in `MLP`.

    References
    ----------
    He et al., Neural Collaborative Filtering, WWW 2017, equation 12 (there with the loss "bce", and started from a GMF
    and an MLP that are trained before). Rendle et al., RecSys 2020, and Ferrari Dacrema et al., A Troubling Analysis,
    TOIS 2021: EASE, iALS and a tuned product are as good or better; compare with them.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> NeuMF(factors=4, hidden=(8,), epochs=200, lr=0.02).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = LAYER_CHECKS

    factors: int
    hidden: tuple[int, ...]
    dropout: float
    init_std: float

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (32, 16), dropout: float = 0.3,
                 loss: str = "softmax", negatives: int = 4, negatives_power: float = 0.0, init_std: float = 0.3,
                 epochs: int = 60, batch_size: int = 8192, lr: float = 0.02, weight_decay: float = 0.0,
                 reg: float = 0.2, patience: int | None = 10, seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("neumf", {"factors": self.factors, "hidden": self.hidden, "init_std": self.init_std,
                                      "dropout": self.dropout})


class ConvNCF(PairModel):
    """Score = convolutions over the outer product `p_u q_i'`, 2 x 2 with stride 2, until one cell is left.

    The outer product is no image: nothing is close to anything in it. Ferrari Dacrema et al. permute the vectors'
    elements and find that ConvNCF learns as much; and on Yelp its HR@10 of .306 stays behind .367 of ItemKNN with the
    cosine (TOIS 2021, table 72). Look at `ItemKNN` first. It is also slow, about `channels * factors ** 2 / 3` numbers
    for each pair: twice the factors take four times as long (the paper has 64). With the loss "softmax" take small
    batches.

    Parameters
    ----------
    factors : int
        Length of the vectors, a power of 2.
    channels : int
        Of each convolution.
    loss, negatives, negatives_power, init_std, epochs, batch_size, lr, weight_decay, reg, patience, seed
        As in `MLP`.

    References
    ----------
    He et al., Outer Product-based Neural Collaborative Filtering, IJCAI 2018. Ferrari Dacrema et al., Critically
    Examining the Claimed Value of Convolutions over User-Item Embedding Maps for Recommender Systems, CIKM 2020.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> ConvNCF(factors=4, channels=8, epochs=200, lr=0.01).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = {**PAIR_CHECKS,
        "factors": Check(lambda n: whole(1).accepts(n) and n & (n - 1) == 0, "a power of 2"), "channels": whole(1)}

    factors: int
    channels: int
    init_std: float

    def __init__(self, *, factors: int = 8, channels: int = 32, loss: str = "bpr", negatives: int = 4,
                 negatives_power: float = 0.0, init_std: float = 0.1, epochs: int = 20, batch_size: int = 128,
                 lr: float = 5e-3, weight_decay: float = 0.0, reg: float = 0.01, patience: int | None = 5,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("convncf", {"factors": self.factors, "channels": self.channels,
                                        "init_std": self.init_std})
