"""Factorization machines: models of ids and features, from linear ones to DeepFM."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, ClassVar

import numpy as np

from minidl import no_grad
from recsys import losses
from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import DataError, DataWarning, UnsupportedError
from recsys.models.base import Can
from recsys.models.factors import FactorModel
from recsys.models.pairs import CanByLoss, PairModel
from recsys.models.parameters import Check, between, one_of, sizes
from recsys.models.refining import refine
from recsys.models.sparse import expect, pack, unpack
from recsys.networks.features import FactorizationNetwork, Fields, assemble
from recsys.networks.vocabulary import Vocabulary

__all__ = ["DeepFM", "FactorizationMachine", "LinearRegression", "LogisticRegression"]


class CanByFeatures(CanByLoss):
    """Users and items without events are scored by their features, if there are any."""

    def __get__(self, model: Any, owner: Any) -> Can:
        can = super().__get__(model, owner)
        if model is None or not model.fitted:
            return can
        return dataclasses.replace(can, cold_user=bool(model.has_features[0]),
                                   cold_item=bool(model.has_features[1]))


class FeatureModel(PairModel):
    """What the models of ids and features share.

    The row of a user or an item has its id, its attributes and its genres; `recsys.networks.features.encode` says how.
    An id that never occurs in training counts nothing, so the features of a cold item make its score.

    `partial_fit` takes users and items by their features alone, which are read as in the training, or with events: then
    the weights and vectors of their ids are learned, and those of known users and items that the events touch. Those of
    features, and layers, stay.

    Attributes
    ----------
    has_features : ndarray, bool, shape (2,)
        Whether there were features of users, of items.
    """

    factors: int = 0
    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    init_std: float = 0.0
    has_features: np.ndarray
    _sides: tuple[Fields, Fields]
    _words: tuple[Vocabulary, Vocabulary]

    def _prepare_training(self, data: Interactions) -> None:
        given = data.user_features, data.item_features
        present = np.bincount(data.user, minlength=len(data.users)) > 0, self.item_counts > 0
        self._words = Vocabulary.learn(given[0], present[0]), Vocabulary.learn(given[1], present[1])
        users, items = (assemble(words.read(features, len(there))[0], there)
                        for words, features, there in zip(self._words, given, present, strict=True))
        self._keep(users, items)

    def _keep(self, users: Fields, items: Fields) -> None:
        self._sides = users, items
        self.has_features = np.array([side.count > 1 for side in self._sides])

    @property
    def reads_features(self) -> tuple[bool, bool]:
        """Whether there were features of users, of items."""
        return bool(self.has_features[0]), bool(self.has_features[1])

    def _partial_fit(self, data: Interactions) -> None:
        if self.network is None:
            raise UnsupportedError(f"{type(self).__name__}.partial_fit needs the trained network, and the file of this "
                                   f"model is of an earlier version without it; fit it again.")
        old, sides = self.network, self._sides
        known = tuple(side.rows.shape[0] // side.count for side in sides)
        present = self.require_seen("partial_fit").counts > 0, self.item_counts > 0
        given = data.user_features, data.item_features
        grown = [side.grown(self._read(number, features, n, len(there)), there) for number, (side, features, n, there)
                 in enumerate(zip(sides, given, known, present, strict=True))]
        self._keep(grown[0], grown[1])
        self.network = self._network(np.random.default_rng((self.seed, *map(len, present))))
        self.network.load_from(old, known)
        tables = [[bag.weight for bag in (side.weights, side.vectors) if bag is not None]
                  for side in (self.network.users, self.network.items)]
        refine(self, data, (known[0], known[1]), (tables[0], tables[1]))
        self._settle()

    def _read(self, number: int, features: Features | None, known: int, n: int) -> list[CSR]:
        """The fields of new users (number 0) or items (1); a warning says what of them is not known."""
        new = None if features is None else features.take(np.arange(known, n))
        try:
            fields, said = self._words[number].read(new, n - known)
        except DataError as error:
            raise DataError(f"{type(self).__name__}.partial_fit: {('user', 'item')[number]} {error}.") from error
        if said and n > known:
            warnings.warn(f"{type(self).__name__}.partial_fit: of {n - known:,} new {('users', 'items')[number]}, "
                          f"{'; '.join(said)}; this counts nothing, until the model is fitted again.", DataWarning,
                          stacklevel=5)
        return fields

    def _state(self) -> dict[str, np.ndarray]:
        state = super()._state()
        for name, side in zip(("user", "item"), self._sides, strict=True):
            state |= pack(f"fields.{name}", side.rows)
            state[f"fields.{name}.sizes"] = np.array([side.count, side.rows.shape[1]])
        return state | self._words[0].state("words.user") | self._words[1].state("words.item")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        sides = []
        for name, n in (("user", len(self.users)), ("item", len(self.items))):
            count, columns = expect(state, f"fields.{name}.sizes", (2,), np.int64).tolist()
            sides.append(Fields(unpack(f"fields.{name}", state, (n * count, columns)), count))
        self._keep(sides[0], sides[1])
        super()._restore(state)
        if "words.user.attributes" in state:
            self._words = Vocabulary.restore("words.user", state), Vocabulary.restore("words.item", state)

    def _known_users(self) -> np.ndarray:
        return super()._known_users() | bool(self.has_features[0])

    def _network(self, rng: np.random.Generator) -> FactorizationNetwork:
        return FactorizationNetwork(*self._sides, self.factors, self.hidden, self.init_std, self.dropout, rng)

    def _encoded(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Biases and vectors (the sums over the fields) of all users, and of all items."""
        with no_grad():
            sides = (self.network.users, len(self.users)), (self.network.items, len(self.items))
            return [(bias.data, np.asarray(getattr(sums, "data", sums)))
                    for bias, sums, _ in (side(np.arange(n)) for side, n in sides)]


class Product(FactorModel, FeatureModel):
    """Without layers, a score is a product of a user's and an item's vector, and so it is answered and saved."""

    def _item_biases(self) -> list[np.ndarray]:
        return [self.network.items.weights.weight.data[:len(self.items), 0]]  # of the ids

    def _settle(self) -> None:
        (user_bias, p), (item_bias, q) = self._encoded()
        self.item_bias = item_bias + self._offset
        self.user_factors = np.hstack([p, user_bias[:, None]])
        self.item_factors = np.hstack([q, np.ones((len(q), 1), np.float32)])

    def _item_vectors(self) -> Any:
        return self.item_factors[:, :-1] if self.can.embeddings else None

    def _user_vectors(self) -> Any:
        return self.user_factors[:, :-1] if self.can.embeddings else None

    def _state(self) -> dict[str, np.ndarray]:
        network = {} if self.network is None else FeatureModel._state(self)
        return FactorModel._state(self) | network | {"has_features": self.has_features}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        FactorModel._restore(self, state)
        self.has_features = expect(state, "has_features", (2,), np.bool_)
        self.network = None
        if "fields.user.sizes" in state:  # not in files from before `partial_fit`
            FeatureModel._restore(self, state)


class LinearRegression(Product):
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

    can: ClassVar[Any] = CanByFeatures(Can(ratings=True, cold_user=True, cold_item=True, partial_fit=True))
    loss = "mse"
    negatives = 1

    def __init__(self, *, epochs: int = 50, batch_size: int = 1024, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.01, patience: int | None = 5, seed: int = 0) -> None:
        self._store(locals())


class LogisticRegression(Product):
    """Score = `sum_j w_j x_j`, x the ids and features of user and item: events against random other items.

    As `LinearRegression` it has one order of items for all users.

    Parameters
    ----------
    loss : {"bce", "bpr", ...}
        "softmax" or a name in `recsys.losses.SAMPLED`.
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

    can: ClassVar[Any] = CanByFeatures(Can(cold_user=True, cold_item=True, partial_fit=True))
    checks: ClassVar[dict[str, Check]] = {"loss": one_of("softmax", *losses.SAMPLED)}

    def __init__(self, *, loss: str = "bce", negatives: int = 4, epochs: int = 50, batch_size: int = 1024,
                 lr: float = 0.01, weight_decay: float = 0.0, reg: float = 0.001, patience: int | None = 5,
                 seed: int = 0) -> None:
        self._store(locals())


class FactorizationMachine(Product):
    """Score = `sum_j w_j x_j + sum_{j<k} v_j . v_k x_j x_k`, x the ids and features of user and item.

    Once trained, it is a product of a user's and an item's vector, features included, and answers as fast.

    Parameters
    ----------
    factors : int
        Length of the vectors v.
    loss : str
        "softmax", "mse", or a name in `recsys.losses.SAMPLED`. For ratings take `loss="mse"`, `factors=64`, `lr=2e-3`,
        `batch_size=512`, `reg=0.05`, `epochs=7`.
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    alpha : float
        They are drawn in proportion to `count ** alpha`.
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

    can: ClassVar[Any] = CanByFeatures(Can(cold_user=True, cold_item=True, partial_fit=True, embeddings=True))

    def __init__(self, *, factors: int = 32, loss: str = "softmax", negatives: int = 4, alpha: float = 0.0,
                 init_std: float = 0.1, epochs: int = 60, batch_size: int = 8192, lr: float = 0.02,
                 weight_decay: float = 0.0, reg: float = 0.05, patience: int | None = None, seed: int = 0) -> None:
        self._store(locals())


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
    loss, negatives, alpha, init_std, epochs, batch_size, lr, weight_decay, reg, patience, seed
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

    can: ClassVar[Any] = CanByFeatures(Can(cold_user=True, cold_item=True, partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "dropout": between(0, 0.99)}

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (64, 32), dropout: float = 0.2,
                 loss: str = "softmax", negatives: int = 4, alpha: float = 0.0, init_std: float = 0.1,
                 epochs: int = 60, batch_size: int = 4096, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.05, patience: int | None = 5, seed: int = 0) -> None:
        self._store(locals())

    def _item_vectors(self) -> np.ndarray:
        return self._encoded()[1][1]

    def _user_vectors(self) -> np.ndarray:
        return self._encoded()[0][1]
