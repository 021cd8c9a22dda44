"""What recommenders share that know items by their content."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np

from minidl import nn, no_grad
from recsys import losses
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.data.sampling import NegativeSampler
from recsys.errors import DataWarning
from recsys.models.base import Can
from recsys.models.factors import MappedFactorModel
from recsys.models.hooks import answers
from recsys.models.neural import NeuralRecommender
from recsys.models.pairs import CanByLoss
from recsys.models.parameters import Check, at_least, between, one_of, whole
from recsys.models.refining import regrow
from recsys.models.sparse import distinct, expect
from recsys.models.updating import grown
from recsys.networks.content import ContentNetwork

__all__ = ["ContentModel", "Reader"]

_BLOCK = 256  # items whose content is in the network at a time, when nothing is learned


class Reader(Protocol):
    """How the content of items becomes what a tower takes; `recsys.data.images` and `recsys.data.texts` have some."""

    def read(self, features: Features | None, who: str) -> tuple[np.ndarray, np.ndarray]:
        """Content of all items, shape (n, ...), and which items have any, bool (n,)."""

    def prepare(self, rows: np.ndarray) -> np.ndarray:
        """Some rows of it, as the tower takes them."""

    def state(self) -> dict[str, np.ndarray]:
        """What it has learned, as arrays."""


class ContentModel(NeuralRecommender, MappedFactorModel):
    """Items by their content, users by a vector: a `ContentNetwork`, what it learns, and how it answers.

    An example is an item that somebody has met, and a batch goes through the tower once: all its users are in the batch
    with it, and their negatives are other items of the batch that they have not met. So items that nobody has met are
    no negatives, which would teach the tower to dislike their content.

    Once trained, the vectors of all items are computed, and the model is a factor model. An item that nobody has met
    has the vector of its content and the mean bias; an item without content has a vector that is learned for all such.

    `partial_fit` takes items by their content, with events or without; known items stay. A user's vector becomes the
    mean of itself and the fold-in of the new events, weighted by how many there are: the fold-in, for a new user.

    A subclass has the hyper-parameters in `checks` and writes `_content_needed(features)`, `_blank(features, n)`,
    `_learn_reader(data)`, `_restore_reader(state)` and `_tower(rng)`, and `_width` and `_own` if they differ.

    Parameters
    ----------
    loss : str
        "mse" (ratings), or a name in `recsys.losses.SAMPLED`, such as "bce" and "bpr".
    negatives : int
        For each event, items of the batch that the user has not met.
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

    can: ClassVar[Any] = CanByLoss(Can(fold_in=True, cold_item=True, partial_fit=True, explain=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "loss": one_of("mse", *losses.SAMPLED), "negatives": whole(1), "dropout": between(0, 0.99),
        "init_std": at_least(0)}

    factors: int
    dropout: float
    loss: str
    negatives: int
    init_std: float
    reader: Any
    missing_: int

    def _content_needed(self, features: Features) -> str:
        """The content that the model reads and the items do not have, in words; empty if they have it."""
        raise NotImplementedError(f"{type(self).__name__} does not define _content_needed.")

    def _blank(self, features: Features, n_items: int) -> Features:
        """The features with content that none of the items has."""
        raise NotImplementedError(f"{type(self).__name__} does not define _blank.")

    def _learn_reader(self, data: Interactions) -> Reader:
        raise NotImplementedError(f"{type(self).__name__} does not define _learn_reader.")

    def _restore_reader(self, state: dict[str, np.ndarray]) -> Reader:
        raise NotImplementedError(f"{type(self).__name__} does not define _restore_reader.")

    def _tower(self, rng: np.random.Generator) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} does not define _tower.")

    @property
    def _width(self) -> int:
        """Length of the tower's vectors."""
        return self.factors

    @property
    def _own(self) -> int:
        """Length of the vectors that items have besides."""
        return 0

    def lacks(self, data: Interactions) -> str:
        """What the model needs and the data does not have; empty if nothing."""
        return super().lacks(data) or self._content_needed(data.item_features or Features())

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data, and if its items lack the content, with content that all of them miss: they share a vector."""
        features = data.item_features or Features()
        if not self._content_needed(features):
            return data
        return replace(data, item_features=self._blank(features, data.n_items))

    def _prepare_training(self, data: Interactions) -> None:
        self.reader = self._learn_reader(data)
        self._training = self.reader.read(data.item_features, f"{type(self).__name__}.fit")
        self.missing_ = int(np.count_nonzero(~self._training[1]))

    def _network(self, rng: np.random.Generator) -> ContentNetwork:
        return ContentNetwork(self._tower(rng), len(self.users), len(self.items), self._width, self._own,
                              self.init_std, rng)

    def _objective(self, data: Interactions) -> _ItemBatches:
        return _ItemBatches(self, data)

    def content_of(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the network takes of some items of the training: content (m, ...), and which have any, bool (n,)."""
        content, given = self._training
        own = given[items]
        return self.reader.prepare(content[items[own]]), own

    def _settle(self) -> None:
        network, met = self.network, self.item_counts > 0
        own = np.zeros((len(met), 0), np.float32) if network.own is None else network.own.weight.data * met[:, None]
        vectors = self._vectors(*self._training)
        self.item_factors = np.hstack([vectors, own, np.ones((len(met), 1), np.float32)], dtype=np.float32)
        self.user_factors = np.hstack([network.users.weight.data, network.user_bias.weight.data])
        self.user_factors[self.require_seen("fit").counts == 0] = 0  # nothing is known of them
        bias = network.item_bias.weight.data[:, 0]
        offset = self.mean_value if self.loss == "mse" else 0.0
        self.item_bias = np.where(met, bias, bias[met].mean()) + np.float32(offset)
        self._learn_map(self.require_seen("fit"))

    @property
    def reads_features(self) -> tuple[bool, bool]:
        """Of items."""
        return False, True

    def _partial_fit(self, data: Interactions) -> None:
        (known, n_items), n_users = (len(self.item_factors), len(self.items)), len(self.users)
        vectors, given = grown(self.item_factors, n_items), np.zeros(0, bool)
        if n_items > known:
            content, given = self._read_new(data, known)
            vectors[known:, :self._width], vectors[known:, -1] = self._vectors(content, given), 1
        met = self.item_counts[:known] > np.bincount(data.item, minlength=n_items)[:known]  # in training
        usual = np.full(n_items - known, self.item_bias[met].mean(), np.float32)
        self.item_factors, self.item_bias = vectors, np.concatenate([self.item_bias, usual])
        self.missing_ += int(np.count_nonzero(~given))
        self._move_users(data.csr.unique())
        old = self.network
        self.network = self._network(np.random.default_rng((self.seed, n_users, n_items)))
        regrow(self.network, old)
        self.network.users.weight.data[:] = self.user_factors[:, :-1]
        self.network.user_bias.weight.data[:] = self.user_factors[:, -1:]
        self.network.eval()

    def _read_new(self, data: Interactions, known: int) -> tuple[np.ndarray, np.ndarray]:
        """The content of items from `known` on, and which have any."""
        who, features = f"{type(self).__name__}.partial_fit", data.item_features or Features()
        if self._content_needed(features):
            features = self._blank(features, len(self.items))
        content, given = self.reader.read(features.take(np.arange(known, len(self.items))), who)
        if not given.all():
            warnings.warn(f"{who}: {np.count_nonzero(~given):,} of {len(given):,} new items have no content, or none "
                          f"that the model can read; they share a vector.", DataWarning, stacklevel=5)
        return content, given

    def _move_users(self, new: CSR) -> None:
        """To the mean of what was learned and the fold-in of the new pairs, weighted by how many there are."""
        users = np.flatnonzero(new.counts)
        share = (new.counts / np.maximum(self.require_seen("partial_fit").counts, 1))[users, None].astype(np.float32)
        self.user_factors = grown(self.user_factors, new.shape[0])
        self.user_factors[users] += share * (self._fold_vectors(new.rows(users)) - self.user_factors[users])

    def _vectors(self, content: np.ndarray, given: np.ndarray) -> np.ndarray:
        """The tower's vectors of items, a block at a time: (n, ...), bool (n,) -> (n, width)."""
        vectors = np.empty((len(given), self._width), np.float32)
        with no_grad():
            for start in range(0, len(given), _BLOCK):
                rows, own = content[start:start + _BLOCK], given[start:start + _BLOCK]
                vectors[start:start + _BLOCK] = self.network.vectors(self.reader.prepare(rows[own]), own).data
        return vectors

    @answers
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
        content, given = self.reader.read(data.item_features, f"{type(self).__name__}.add_vectors")
        vectors = self._vectors(content, given)
        vectors[~given] = np.nan
        features = data.item_features or Features()
        return replace(data, item_features=replace(features, attributes={**features.attributes, name: vectors}))

    def _item_vectors(self) -> np.ndarray:
        return self.item_factors[:, :-1]  # the last one goes with the user's bias

    def _user_vectors(self) -> np.ndarray:
        return self.user_factors[:, :-1]

    def _state(self) -> dict[str, np.ndarray]:
        learned: dict[str, np.ndarray] = self.reader.state()
        return super()._state() | learned | {"content.missing": np.array([self.missing_])}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.reader = self._restore_reader(state)
        self.missing_ = int(expect(state, "content.missing", (1,))[0])
        super()._restore(state)


class _ItemBatches:
    """An objective whose examples are items; the pairs of a batch are all events of its items."""

    def __init__(self, model: ContentModel, data: Interactions) -> None:
        self.model = model
        self.users_of = distinct(data.csr).T  # (n_items, n_users)
        self.items = np.flatnonzero(self.users_of.counts)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of items with events."""
        return len(self.items)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the events of the items `items[batch]`."""
        model, items = self.model, self.items[batch]
        rows = self.users_of.rows(items)
        users, user = np.unique(rows.indices, return_inverse=True)  # all in the batch; of each event
        item = rows.row_of_entry
        scores = model.network(users, items, *model.content_of(items))  # (U, I)
        if model.loss == "mse":
            return losses.mse(scores[user, item], rows.weights - np.float32(model.mean_value))
        sampler = NegativeSampler(CSR.from_pairs(user, item, None, (len(users), len(items))))
        possible = sampler.unseen[user] > 0
        if not possible.any():  # nobody has an item of the batch left
            return scores.sum() * 0
        user, item = user[possible], item[possible]
        negative = sampler.sample(user, model.negatives, rng)  # (events, negatives)
        return losses.SAMPLED[model.loss](scores[user, item], scores[user[:, None], negative])
