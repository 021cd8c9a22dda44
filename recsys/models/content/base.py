"""What recommenders share that know items by their content."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, ClassVar, Protocol

import numpy as np

from minidl import no_grad
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import DataWarning
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.arrays import Arrays
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, at_least, between, one_of, whole
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.folding import FoldIn
from recsys.estimator.training import CHECKS, Training
from recsys.estimator.updating import grown
from recsys.models.content.network import ContentNetwork
from recsys.models.content.objective import ItemBatches
from recsys.models.factorisation.factors import learn_map
from recsys.models.pairs.estimators import rates_by_loss
from recsys.models.refining import regrow
from recsys.training import losses

__all__ = ["CONTENT_CHECKS", "ContentModel", "Reader"]

_BLOCK = 256  # items whose content is in the network at a time, when nothing is learned
CONTENT_CHECKS: dict[str, Check] = {
    **CHECKS, "factors": whole(1), "loss": one_of("mse", *losses.SAMPLED), "negatives": whole(1),
    "dropout": between(0, 0.99), "init_std": at_least(0)}


class Reader(Protocol):
    """How the content of items becomes what a tower takes; `TextReader`, `VectorReader` and `ImageReader` are some.

    Content is an array (n, ...), or anything whose rows are picked in the same way, as `Several` contents are.
    """

    def read(self, features: Features | None, who: str) -> tuple[Any, np.ndarray]:
        """Content of all items, (n, ...), and which items have any, bool (n,)."""

    def prepare(self, rows: Any) -> Any:
        """Some rows of it, as the tower takes them."""

    def state(self) -> dict[str, np.ndarray]:
        """What it has learned, as arrays."""


class ContentModel(Recommender):
    """Items by their content, users by a vector: a `ContentNetwork`, what it learns, and how it answers.

    An example is an item with interactions, and a batch goes through the tower once: all its users are in the batch
    with it, and their negatives are other items of the batch that they have not interacted with. So cold items are
    no negatives, which would teach the tower to dislike their content.

    Once trained, the vectors of all items are computed, and the model is a factor model. A cold item, without
    interactions, has the vector of its content and the mean bias; an item without content has a vector that is learned
    for all such.

    `partial_fit` takes items by their content, with events or without; known items stay. A user's vector becomes the
    mean of itself and the fold-in of the new events, weighted by how many there are: the fold-in, for a new user.

    A subclass has the hyper-parameters in `checks` and writes `_content_needed(features)`, `_blank(features, n)`,
    `_learn_reader(data, facts)`, `restore_reader(arrays)` and `_tower(reader)`, and `_width` and `_own` if they differ.

    Parameters
    ----------
    loss : str
        "mse" (ratings), or a name in `recsys.training.losses.SAMPLED`, such as "bce" and "bpr".
    negatives : int
        For each event, items of the batch that the user has not interacted with.
    init_std : float
        Of the initial vectors of users, and of items' own.
    epochs, batch_size, seed : int
        A batch is of items: so many contents are in the network at a time.
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    Attributes
    ----------
    missing_ : int
        How many items have no content.
    """

    can: ClassVar[Any] = rates_by_loss(Can(fold_in=True, cold_item=True, partial_fit=True, explain=True,
                                           embeddings=True))
    trains: ClassVar[bool] = True
    reads: ClassVar[Any] = ("item_features",)
    checks: ClassVar[dict[str, Check]] = CONTENT_CHECKS

    factors: int
    dropout: float
    loss: str
    negatives: int
    init_std: float
    seed: int

    def _content_needed(self, features: Features) -> str:
        """The content that the model reads and the items do not have, in words; empty if they have it."""
        raise NotImplementedError(f"{type(self).__name__} does not define _content_needed.")

    def _blank(self, features: Features, n_items: int) -> Features:
        """The features with content that none of the items has."""
        raise NotImplementedError(f"{type(self).__name__} does not define _blank.")

    def _learn_reader(self, data: Interactions, facts: Facts) -> Reader:
        raise NotImplementedError(f"{type(self).__name__} does not define _learn_reader.")

    def restore_reader(self, arrays: Arrays) -> Any:
        """The reader whose `state` is among the arrays."""
        raise NotImplementedError(f"{type(self).__name__} does not define restore_reader.")

    def _tower(self, reader: Any) -> dict[str, Any]:
        """Name and options of the tower."""
        raise NotImplementedError(f"{type(self).__name__} does not define _tower.")

    def architecture(self, reader: Any) -> Architecture:
        """Of the network for what a reader gives."""
        return Architecture("content", {**self._tower(reader), "factors": self._width, "own": self._own,
                                        "init_std": self.init_std})

    @property
    def _width(self) -> int:
        """Length of the tower's vectors."""
        return self.factors

    @property
    def _own(self) -> int:
        """Length of the vectors that items have besides."""
        return 0

    @property
    def network(self) -> ContentNetwork:
        """The trained network, out of what is kept of it."""
        return self._of_the_fit("network")[1]

    @property
    def reader(self) -> Any:
        """How the fitted model reads content."""
        return self._of_the_fit("reader")[2]

    def _of_the_fit(self, name: str) -> tuple[Architecture, ContentNetwork, Any]:
        fitted = self.require(name)
        return type(self)(**fitted.parameters)._remembered(fitted)

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have; empty if nothing."""
        return super().lacks(data) or self._content_needed(data.item_features or Features())

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data, and if its items lack the content, with content that all of them miss: they share a vector."""
        features = data.item_features or Features()
        if not self._content_needed(features):
            return data
        return dataclasses.replace(data, item_features=self._blank(features, data.n_items))

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on items with all who interacted with them."""
        facts, reader = context.facts, self._learn_reader(data, context.facts)
        content, given = reader.read(data.item_features, f"{type(self).__name__}.fit")
        architecture = self.architecture(reader)
        network = architecture.build(len(facts.users), len(facts.items), np.random.default_rng(self.seed))
        missing = int(np.count_nonzero(~given))

        def finish() -> Learned:
            factors = self._factors(network, _vectors(network, reader, content, given, self._width), facts)
            return self._learned(factors, network, architecture, reader, missing)

        def content_of(items: np.ndarray) -> tuple[Any, np.ndarray]:
            return reader.prepare(content[items[given[items]]]), given[items]

        objective = ItemBatches(data, network, content_of, self.loss, self.negatives, facts.mean_value)
        return Training.of(self, data, context, network, objective, finish)

    def _factors(self, network: ContentNetwork, vectors: np.ndarray, facts: Facts) -> Factors:
        """The vectors of the content beside what was learned of users, and of items with interactions."""
        warm = facts.item_counts > 0
        own = np.zeros((len(warm), 0), np.float32) if network.own is None else network.own.weight.data * warm[:, None]
        item_factors = np.hstack([vectors, own, np.ones((len(warm), 1), np.float32)], dtype=np.float32)
        user_factors = np.hstack([network.users.weight.data, network.user_bias.weight.data])
        user_factors[facts.pairs.counts == 0] = 0  # nothing is known of them
        bias = network.item_bias.weight.data[:, 0]
        offset = facts.mean_value if self.loss == "mse" else 0.0
        item_bias = np.where(warm, bias, bias[warm].mean()) + np.float32(offset)
        return self._product(user_factors, item_factors, item_bias, learn_map(facts.pairs, user_factors, item_factors))

    def _product(self, user_factors: np.ndarray, item_factors: np.ndarray, item_bias: np.ndarray,
                 fold_in: Any) -> Factors:
        return Factors(self.can, user_factors, item_factors, item_bias, fold_in, carried=1, described=(False, True))

    def _learned(self, factors: Factors, network: ContentNetwork, architecture: Architecture, reader: Reader,
                 missing: int) -> Learned:
        return Learned(factors, {"missing_": missing, **self._found(network, reader)},
                       ({"network": architecture.settings()}, architecture.arrays(network) | reader.state()))

    def _found(self, network: ContentNetwork, reader: Any) -> dict[str, Any]:
        """What else there is to say of the trained network, by the names of attributes."""
        return {}

    def _remembered(self, fitted: Fitted) -> tuple[Architecture, ContentNetwork, Any]:
        """The trained network, what it is made from, and the reader."""
        settings, arrays = fitted.learned.memory
        architecture = Architecture.restore(settings["network"], arrays)
        network = architecture.load(arrays, len(fitted.facts.users), len(fitted.facts.items))
        return architecture, network, self.restore_reader(arrays)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """New items get the vector of their content, and users move towards the fold-in of the new events."""
        facts, before = context.facts, fitted.answers_by(Factors)
        architecture, old, reader = self._remembered(fitted)
        known, n_items = before.n_items, len(facts.items)
        vectors, given = grown(before.item_factors, n_items), np.zeros(0, bool)
        if n_items > known:
            content, given = self._read_new(data, reader, known)
            vectors[known:, :self._width], vectors[known:, -1] = _vectors(old, reader, content, given, self._width), 1
        warm = facts.item_counts[:known] > np.bincount(data.item, minlength=n_items)[:known]  # in training
        usual = np.full(n_items - known, before.item_bias[warm].mean(), np.float32)
        factors = self._product(before.user_factors, vectors, np.concatenate([before.item_bias, usual]),
                                before.fold_in)
        moved = _moved(factors, data.csr.unique(), facts)
        network = architecture.build(len(facts.users), n_items,
                                     np.random.default_rng((self.seed, len(facts.users), n_items)))
        regrow(network, old)
        network.users.weight.data[:] = moved[:, :-1]
        network.user_bias.weight.data[:] = moved[:, -1:]
        network.eval()
        missing = fitted.learned.taken["missing_"] + int(np.count_nonzero(~given))
        learned = self._learned(self._product(moved, vectors, factors.item_bias, before.fold_in), network, architecture,
                                reader, missing)
        return dataclasses.replace(learned, taken={**fitted.learned.taken, **learned.taken})

    def _read_new(self, data: Interactions, reader: Reader, known: int) -> tuple[Any, np.ndarray]:
        """The content of items from `known` on, and which have any."""
        who, features = f"{type(self).__name__}.partial_fit", data.item_features or Features()
        if self._content_needed(features):
            features = self._blank(features, data.n_items)
        content, given = reader.read(features.take(np.arange(known, data.n_items)), who)
        if not given.all():
            warnings.warn(f"{who}: {np.count_nonzero(~given):,} of {len(given):,} new items have no content, or none "
                          f"that the model can read; they share a vector.", DataWarning, stacklevel=5)
        return content, given

    def add_vectors(self, data: Interactions, name: str = "vectors") -> Interactions:
        """The data with the vectors of its items' content, as the trained tower gives them, as an attribute.

        Parameters
        ----------
        data : Interactions
            Any, also of other items; they need content like that of the training.
        name : str
            Of the attribute, float32 (n_items, d); NaN where an item has no content.

        Returns
        -------
        Interactions

        Raises
        ------
        DataError
            The items have no such content.
        """
        _, network, reader = self._of_the_fit("add_vectors")
        content, given = reader.read(data.item_features, f"{type(self).__name__}.add_vectors")
        vectors = _vectors(network, reader, content, given, network.users.embedding_dim - self._own)
        vectors[~given] = np.nan
        features = data.item_features or Features()
        return dataclasses.replace(data, item_features=dataclasses.replace(
            features, attributes={**features.attributes, name: vectors}))


def _vectors(network: ContentNetwork, reader: Reader, content: Any, given: np.ndarray, width: int) -> np.ndarray:
    """The tower's vectors of items, a block at a time: (n, ...), bool (n,) -> (n, width)."""
    vectors = np.empty((len(given), width), np.float32)
    with no_grad():
        for start in range(0, len(given), _BLOCK):
            rows, own = content[start:start + _BLOCK], given[start:start + _BLOCK]
            vectors[start:start + _BLOCK] = network.vectors(reader.prepare(rows[own]), own).data
    return vectors


def _moved(factors: Factors, new: CSR, facts: Facts) -> np.ndarray:
    """Users at the mean of what was learned and the fold-in of the new pairs, weighted by how many there are."""
    users = np.flatnonzero(new.counts)
    share = (new.counts / np.maximum(facts.pairs.counts, 1))[users, None].astype(np.float32)
    moved = grown(factors.user_factors, new.shape[0])
    moved[users] += share * (factors.folded_by(FoldIn).vectors(new.rows(users), factors)[0] - moved[users])
    return moved
