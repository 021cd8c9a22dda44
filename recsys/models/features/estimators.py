"""Factorization machines: models of ids and features, from linear ones to DeepFM."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from minidl import no_grad
from recsys.data.interactions import Interactions
from recsys.errors import UnsupportedError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, one_of
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.networks import PairNetwork
from recsys.estimator.training import Training
from recsys.models.features.network import FactorizationNetwork, Fields, assemble
from recsys.models.features.vocabulary import Vocabulary, read_new
from recsys.models.pairs.estimators import LAYER_CHECKS, PAIR_CHECKS, rates_by_loss
from recsys.models.pairs.objective import log_popularity, pair_objective
from recsys.models.refining import refine
from recsys.training import Objective, losses

__all__ = ["DeepFM", "FactorizationMachine", "LinearRegression", "LogisticRegression"]

_SIDES = ("user", "item")


class FeatureModel(Recommender):
    """What the models of ids and features share.

    The row of a user or an item has its id, its attributes and its genres; `recsys.models.features.network.encode`
    says how.
    An id that never occurs in training counts nothing, so the features of a cold item make its score.

    `partial_fit` takes users and items by their features alone, which are read as in the training, or with events: then
    the weights and vectors of their ids are learned, and those of known users and items that the events touch. Those of
    features, and layers, stay.

    Without layers, a score is a product of a user's and an item's vector, and so it is answered.

    Attributes
    ----------
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`: NDCG@10, or minus the RMSE.
    """

    trains: ClassVar[bool] = True
    reads: ClassVar[Any] = ("item_features", "user_features")
    renamed: ClassVar[dict[str, str]] = {"alpha": "negatives_power"}
    checks: ClassVar[dict[str, Check]] = PAIR_CHECKS

    loss: str
    negatives: int
    reg: float
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    patience: int | None
    seed: int
    negatives_power: float = 0.0
    factors: int = 0
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    init_std: float = 0.0

    @property
    def keeps_events(self) -> bool:
        """The ratings."""
        return self.loss == "mse"

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on pairs, with the words of the features fixed."""
        facts, given = context.facts, (data.user_features, data.item_features)
        present = facts.pairs.counts > 0, facts.item_counts > 0
        words = tuple(Vocabulary.learn(features, there) for features, there in zip(given, present, strict=True))
        sides = [assemble(each.read(features, len(there))[0], there)
                 for each, features, there in zip(words, given, present, strict=True)]
        architecture = self._architecture(sides)
        network = architecture.build(len(facts.users), len(facts.items), np.random.default_rng(self.seed))
        if self.loss == "softmax" and not self.hidden:  # its optimum without vectors
            network.items.weights.weight.data[:len(facts.items), 0] = log_popularity(facts.item_counts)

        def finish() -> Learned:
            return self._learned(network, architecture, words, facts)

        return Training.of(self, data, context, network, self._objective(network, data, facts), finish)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """Columns for new ids, which are learned alone, and then those of all that new events touch."""
        facts, (before, words) = context.facts, self._remembered(fitted)
        known = before.users.fields.n, before.items.fields.n
        present = facts.pairs.counts > 0, facts.item_counts > 0
        sides = [side.fields.grown(read_new(type(self).__name__, name, own, features, n, len(there)), there)
                 for name, own, side, features, n, there in zip(
                     _SIDES, words, (before.users, before.items), (data.user_features, data.item_features), known,
                     present, strict=True)]
        architecture = self._architecture(sides)
        shape = len(facts.users), len(facts.items)
        network = architecture.build(*shape, np.random.default_rng((self.seed, *shape)))
        network.load_from(before, known)
        users, items = ([bag.weight for bag in (side.weights, side.vectors) if bag is not None]
                        for side in (network.users, network.items))
        refine(self, network, data, known, (users, items), facts,
               lambda events: self._objective(network, events, facts))
        network.eval()
        learned = self._learned(network, architecture, words, facts)
        return dataclasses.replace(learned, taken={**fitted.learned.taken, **learned.taken})

    def _remembered(self, fitted: Fitted) -> tuple[FactorizationNetwork, tuple[Vocabulary, Vocabulary]]:
        """What was trained, as large as it was."""
        settings, arrays = fitted.learned.memory
        words = (Vocabulary.restore("words.user", arrays), Vocabulary.restore("words.item", arrays)) if arrays else None
        if words is not None and isinstance(fitted.scorer, PairNetwork):
            return fitted.scorer.network, words
        if words is None:
            raise UnsupportedError(f"{fitted.name}.partial_fit needs the trained network, and the file of this model "
                                   f"is of an earlier version without it; fit it again.")
        architecture = Architecture.restore(settings["network"], arrays)
        return architecture.load(arrays, len(fitted.facts.users), len(fitted.facts.items)), words

    @property
    def network(self) -> FactorizationNetwork:
        """The trained network, out of what is kept of it."""
        return self._remembered(self.require("network"))[0]

    def options(self) -> dict[str, Any]:
        """Of the network."""
        return {"factors": self.factors, "hidden": self.hidden, "init_std": self.init_std, "dropout": self.dropout}

    def _architecture(self, sides: list[Fields]) -> Architecture:
        return Architecture("factorization", self.options(), sides[0].state("user") | sides[1].state("item"))

    def _objective(self, network: FactorizationNetwork, data: Interactions, facts: Facts) -> Objective:
        return pair_objective(self, network, network, data, facts)

    def _learned(self, network: FactorizationNetwork, architecture: Architecture,
                 words: tuple[Vocabulary, ...], facts: Facts) -> Learned:
        described = network.users.fields.count > 1, network.items.fields.count > 1
        can = dataclasses.replace(self.can, cold_user=described[0], cold_item=described[1])
        offset = facts.mean_value if self.loss == "mse" else 0.0
        arrays = words[0].state("words.user") | words[1].state("words.item")
        if self.hidden:
            return Learned(PairNetwork(can, network, architecture, len(facts.items), offset=offset,
                                       described=described), memory=({}, arrays))
        return Learned(_product(can, network, offset, described),
                       memory=({"network": architecture.settings()}, arrays | architecture.arrays(network)))


def _product(can: Can, network: FactorizationNetwork, offset: float, described: tuple[bool, bool]) -> Factors:
    """A machine without layers: the bias of a user is a column of its vector."""
    with no_grad():
        (user_bias, p), (item_bias, q) = network.encoded()
    return Factors(can, np.hstack([p, user_bias[:, None]]), np.hstack([q, np.ones((len(q), 1), np.float32)]),
                   item_bias + np.float32(offset), carried=1, described=described)


class LinearRegression(FeatureModel):
    """Rating = `m + sum_j w_j x_j`, x the ids and features of user and item: least squares.

    With `reg`, `reg sum_j (w_j x_j != 0)` of the squared weights is added to each rating's squared error. The parts of
    user and item are added, so all users get the items in one order: a floor for models that know better.

    Parameters
    ----------
    epochs, batch_size, seed : int
    lr, weight_decay, reg : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Rendle, Factorization Machines, ICDM 2010, equation 1 without its last sum.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"], [5, 1, 5, 1, 4])
    >>> bool(LinearRegression(epochs=200, lr=0.05).fit(data).predict(3, "jam") < 2)
    True
    """

    can: ClassVar[Any] = rates_by_loss(Can(ratings=True, cold_user=True, cold_item=True, partial_fit=True))
    loss = "mse"
    negatives = 1

    def __init__(self, *, epochs: int = 50, batch_size: int = 1024, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.01, patience: int | None = 5, seed: int = 0) -> None:
        self.store_parameters(locals())


class LogisticRegression(FeatureModel):
    """Score = `sum_j w_j x_j`, x the ids and features of user and item: events against random other items.

    As `LinearRegression` it has one order of items for all users.

    Parameters
    ----------
    loss : {"bce", "bpr", ...}
        "softmax" or a name in `recsys.training.losses.SAMPLED`.
    negatives : int
        How many are drawn for each item.
    epochs, batch_size, seed : int
    lr, weight_decay, reg : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Rendle, Factorization Machines, ICDM 2010, equation 1 without its last sum, and section III-D on classification.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> LogisticRegression(lr=0.05).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(cold_user=True, cold_item=True, partial_fit=True))
    checks: ClassVar[dict[str, Check]] = {**PAIR_CHECKS, "loss": one_of("softmax", *losses.SAMPLED)}

    def __init__(self, *, loss: str = "bce", negatives: int = 4, epochs: int = 50, batch_size: int = 1024,
                 lr: float = 0.01, weight_decay: float = 0.0, reg: float = 0.001, patience: int | None = 5,
                 seed: int = 0) -> None:
        self.store_parameters(locals())


class FactorizationMachine(FeatureModel):
    """Score = `sum_j w_j x_j + sum_{j<k} v_j . v_k x_j x_k`, x the ids and features of user and item.

    Once trained, it is a product of a user's and an item's vector, features included, and answers as fast.

    Parameters
    ----------
    factors : int
        Length of the vectors v.
    loss : str
        "softmax", "mse", or a name in `recsys.training.losses.SAMPLED`. For ratings take `loss="mse"`, `factors=64`,
        `lr=2e-3`, `batch_size=512`, `reg=0.05`, `epochs=7`.
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    negatives_power : float
        They are drawn in proportion to `count ** negatives_power`.
    init_std : float
        Of the initial vectors.
    epochs, batch_size, seed : int
        A batch is of pairs of user and item.
    lr, weight_decay : float
    reg : float
        Times the mean over pairs of the squared weights and vectors of the entries of x, added to the loss.
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Rendle, Factorization Machines, ICDM 2010, equation 1 and lemma 3.1.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> FactorizationMachine(factors=4, loss="softmax", lr=0.05).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(cold_user=True, cold_item=True, partial_fit=True, embeddings=True))

    def __init__(self, *, factors: int = 32, loss: str = "softmax", negatives: int = 4, negatives_power: float = 0.0,
                 init_std: float = 0.1, epochs: int = 60, batch_size: int = 8192, lr: float = 0.02,
                 weight_decay: float = 0.0, reg: float = 0.05, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())


class DeepFM(FeatureModel):
    """Score = a factorization machine's, plus layers over the vectors of all fields, which both share.

    A field is the id, an attribute, or the genres; its vector is `sum_j v_j x_j` over its entries.

    Parameters
    ----------
    factors : int
        Length of the vectors v.
    hidden : tuple of int
        Widths of the layers.
    dropout : float
        Of what the layers give, in training.
    loss, negatives, negatives_power, init_std, epochs, batch_size, lr, weight_decay, reg, patience, seed
        As in `FactorizationMachine`.

    References
    ----------
    Guo et al., DeepFM: A Factorization-Machine based Neural Network for CTR Prediction, IJCAI 2017, equations 1 to 4.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> DeepFM(factors=4, hidden=(8,), loss="softmax", lr=0.05).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(cold_user=True, cold_item=True, partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = LAYER_CHECKS

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (64, 32), dropout: float = 0.2,
                 loss: str = "softmax", negatives: int = 4, negatives_power: float = 0.0, init_std: float = 0.1,
                 epochs: int = 60, batch_size: int = 4096, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.05, patience: int | None = 5, seed: int = 0) -> None:
        self.store_parameters(locals())
