"""Autoencoders of ratings: a row of ratings, of an item or a user, to a complete one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from minidl import no_grad, ops
from minidl.nn import init
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.models.base import Can
from recsys.models.bias import Biases, fit_biases, fold_user_bias, known_biases, require_values
from recsys.models.factors import FactorModel
from recsys.models.history import KeepsHistories
from recsys.models.neural import NeuralRecommender
from recsys.models.parameters import Check, at_least, one_of, optional, sizes, whole
from recsys.models.sparse import blocks, distinct, expect
from recsys.networks.bags import ACTIVATIONS, Autoencoder
from recsys.networks.kernelised import KernelAutoencoder

__all__ = ["AutoRec", "KernelAutoRec"]

_LOWEST, _SPREAD = 1.0, 4.0  # of the ratings that go in
_BIAS_EPOCHS = 10
_REG_ITEMS, _REG_USERS = (40.0, 100.0), 30.0


class RatingAutoencoder(KeepsHistories, NeuralRecommender, FactorModel):
    """Rows of ratings through a network with `encode(rows)` and `decoder()`, to ratings less the baseline.

    The range of the ratings is stretched to 4, whatever it is, so that the hyper-parameters always mean the same. What
    comes out is added to the baseline of `Bias`. Rows of items go in from 1 to 5, and as no rating is 0, a code also
    knows who rated at all. Rows of users go in less the baseline: how many somebody has rated hides how, and the
    network would learn by heart.
    A prediction is the product of the row's code and the column's output weights: of an item's code and a user's
    weights (`side="items"`), or of a user's code and an item's weights (`side="users"`). So the trained network is a
    factor model. A new user is the ridge regression of the given ratings on the items' codes, or the code of the
    given ratings.

    A subclass writes `_penalty()`, what its weights cost beside half the squared errors of all ratings.
    """

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, explain=True, embeddings=True)
    checks: ClassVar[dict[str, Check]] = {"side": one_of("items", "users"), "hidden": sizes(),
                                          "reg": optional(at_least(0))}

    side: str
    hidden: tuple[int, ...]
    reg: float | None
    scale_: float  # of the ratings that go in
    shift_: float
    baseline: Any  # Biases, or None in a model of a file from before there was a baseline

    def _prepare_training(self, data: Interactions) -> None:
        rows = self.history = distinct(data.csr)
        low, high = self.rating_range or (0.0, 0.0)
        self.scale_ = _SPREAD / (high - low) if high > low else 1.0
        self.shift_ = _LOWEST - self.scale_ * low if high > low else 0.0
        self.baseline = fit_biases(rows, self.mean_value, _BIAS_EPOCHS, None, None)
        self._training = self._deviations(rows, self.baseline) if self.side == "users" else self._scaled(rows).T

    def _scaled(self, rows: CSR) -> CSR:
        """Ratings from 1 to 5."""
        return _with(rows, rows.weights * np.float32(self.scale_) + np.float32(self.shift_))

    def _deviations(self, rows: CSR, baseline: Biases) -> CSR:
        """Ratings less the baseline, their range stretched."""
        assumed = known_biases(self.mean_value, baseline.user, baseline.item, rows.row_of_entry, rows.indices)
        return _with(rows, (rows.weights - assumed) * self.scale_)

    @property
    def _columns(self) -> int:
        return len(self.items) if self.side == "users" else len(self.users)

    @property
    def _strength(self) -> float:
        """The penalty of the weights."""
        if self.reg is not None:
            return self.reg
        if self.side == "users":
            return _REG_USERS
        ratings = int(self.item_counts.sum())
        return float(np.clip(ratings ** 0.5 / 3, *_REG_ITEMS))

    def _penalty(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define _penalty.")

    def _objective(self, data: Interactions) -> _Entries:
        if self.side == "users":
            return _Entries(self, self._training)
        return _Entries(self, self._deviations(distinct(data.csr), self.baseline).T)

    def _settle(self) -> None:
        rows, columns = self._training, np.bincount(self._training.indices, minlength=self._columns)
        with no_grad():
            weights, bias = (part.data.copy() for part in self.network.decoder())
            codes = np.zeros((rows.shape[0], weights.shape[1]), np.float32)
            for block in blocks(rows.shape[0], weights.shape[1]):
                codes[block] = self.network.encode(rows.rows(np.arange(block.start, block.stop))).data
        codes[rows.counts == 0] = 0  # nothing is known of them
        weights[columns == 0], bias[columns == 0] = 0, 0
        weights, bias = weights / np.float32(self.scale_), bias / np.float32(self.scale_)
        ones = np.ones((len(codes), 1), np.float32)
        of_rows, of_columns = np.hstack([codes, ones]), np.hstack([weights, bias[:, None]])
        of_rows[rows.counts == 0] = 0
        self.item_bias = (self.mean_value + self.baseline.item).astype(np.float32)
        self.user_factors, self.item_factors = (of_rows, of_columns) if self.side == "users" else (of_columns, of_rows)
        self.user_factors = np.hstack([self.user_factors, self.baseline.user[:, None].astype(np.float32)])
        self.item_factors = np.hstack([self.item_factors, np.ones((len(self.items), 1), np.float32)])

    def _item_vectors(self) -> np.ndarray:
        return self.item_factors if self.baseline is None else self.item_factors[:, :-1]

    def _user_vectors(self) -> np.ndarray:
        return self.user_factors if self.baseline is None else self.user_factors[:, :-1]

    def _fold_vectors(self, history: CSR) -> np.ndarray:
        require_values(self, history.data)
        rows = distinct(history)
        if self.baseline is None:  # a file of before
            if self.side == "users":
                return self._with_one(rows)
            return self._ridges(rows, self.item_factors, rows.weights - np.float32(self.mean_value))
        bias = fold_user_bias(rows, self.mean_value, self.baseline.item, self.baseline.reg_user)
        deviations = self._deviations(rows, self.baseline._replace(user=bias))
        if self.side == "items":
            vectors = self._ridges(rows, self.item_factors[:, :-1], deviations.weights / np.float32(self.scale_))
        else:
            vectors = self._with_one(deviations)
            vectors[rows.counts == 0] = 0
        return np.hstack([vectors, bias[:, None].astype(np.float32)])

    def _ridges(self, rows: CSR, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The vectors that take the codes of each row's items to its values: (B, width + 1)."""
        return np.stack([_ridge(codes[rows.indices[a:b]], values[a:b], self._strength)
                         for a, b in pairwise(rows.indptr)])

    def _with_one(self, rows: CSR) -> np.ndarray:
        """Codes, and the factor of the columns' biases: (B, width + 1)."""
        with no_grad():
            codes = self.network.encode(rows).data
        return np.hstack([codes, np.ones((len(codes), 1), np.float32)])

    def _state(self) -> dict[str, np.ndarray]:
        state = super()._state()
        if self.baseline is None:
            return state
        return state | {"baseline.item": self.baseline.item, "baseline.reg_user": np.array(self.baseline.reg_user),
                        "baseline.scale": np.array(self.scale_)}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self.baseline = None
        if "baseline.item" in state:
            item = expect(state, "baseline.item", (len(self.items),), np.float64)
            self.scale_ = float(expect(state, "baseline.scale", (), np.float64))
            reg_user = float(expect(state, "baseline.reg_user", (), np.float64))
            self.baseline = Biases(self.user_factors[:, -1].astype(np.float64), item, reg_user, 0.0)


def _with(rows: CSR, values: np.ndarray) -> CSR:
    return CSR(rows.indptr, rows.indices, values.astype(np.float32), rows.shape)


def _ridge(codes: np.ndarray, values: np.ndarray, reg: float) -> np.ndarray:
    """The vector w that minimises `|codes w - values|^2 + reg |w|^2`, by whichever of the two systems is smaller."""
    n, width = codes.shape
    reg = max(reg, 1e-3)
    if n < width:
        return np.asarray(codes.T @ np.linalg.solve(codes @ codes.T + reg * np.eye(n, dtype=np.float32), values))
    return np.asarray(np.linalg.solve(codes.T @ codes + reg * np.eye(width, dtype=np.float32), codes.T @ values))


class _Entries:
    """Half the squared error of the given ratings of some rows, and the batch's share of the penalty, a rating."""

    def __init__(self, model: RatingAutoencoder, wanted: CSR) -> None:
        self.model, self.rows, self.wanted = model, model._training, wanted
        self.active = np.flatnonzero(self.rows.counts)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of rows with ratings."""
        return len(self.active)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Of the rows `active[batch]`."""
        rows, target = (each.rows(self.active[batch]) for each in (self.rows, self.wanted))
        network = self.model.network
        weights, bias = network.decoder()
        found = ops.sampled_matmul(network.encode(rows), weights, rows.indices, rows.indptr) + bias[rows.indices]
        squares = 0.5 * ops.square(found - target.weights).sum()
        return (squares + self.model._penalty() * (rows.nnz / self.rows.nnz)) * (1 / rows.nnz)


class AutoRec(RatingAutoencoder):
    """Rating = baseline + `c_u + V_u . g(W r_i + b)`: an item's ratings through one hidden layer, and back.

    The network minimises `sum (r - prediction)^2 + reg (|W|^2 + |V|^2)` over the given ratings; with
    `side="users"` it takes rows of users instead.

    Parameters
    ----------
    side : {"items", "users"}
    hidden : tuple of int
        Widths of the hidden layers; one in the paper.
    activation : {"sigmoid", "tanh", "relu", "selu", "identity"}
        The paper's g.
    reg : float, optional
        By default 30 for users, and for items a third of the root of the number of ratings, from 40 to 100.
    epochs, batch_size, seed : int
        A batch is of rows.
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Sedhain et al., AutoRec: Autoencoders Meet Collaborative Filtering, WWW 2015, equation 2.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"], [5, 1, 5, 1, 4])
    >>> model = AutoRec(side="users", hidden=(4,), epochs=200, reg=0.01, lr=0.02)
    >>> bool(model.fit(data).predict(3, "jam") < 3)
    True
    """

    checks: ClassVar[dict[str, Check]] = {"activation": one_of(*ACTIVATIONS)}

    activation: str

    def __init__(self, *, side: str = "items", hidden: tuple[int, ...] = (500,), activation: str = "sigmoid",
                 reg: float | None = None, epochs: int = 55, batch_size: int = 4096, lr: float = 3e-3,
                 weight_decay: float = 0.0, patience: int | None = None, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> Autoencoder:
        network = Autoencoder(self._columns, self.hidden, activation=self.activation, generator=rng)
        init.zeros_(network.output.weight)  # begins with the baseline
        return network

    def _penalty(self) -> Any:
        network = self.network
        layers = [network.bag.table, *network.inner, network.output]
        return 0.5 * self._strength * sum((ops.square(layer.weight).sum() for layer in layers), 0.0)


class KernelAutoRec(RatingAutoencoder):
    """AutoRec with layers whose weights a kernel of finite support thins out.

    Each weight between input i and output j is multiplied by `max(0, 1 - |u_i - v_j|^2)` with learned vectors u and
    v, and `reg / 2` times the squared weights plus `reg_kernel / 2` times the squared kernels is added to half the
    squared errors. The defaults are for 100,000 ratings, all items in one batch; the row `kernel-1m` of
    `benchmarks/accuracy_rows.py` has what is taken for a million.

    Parameters
    ----------
    side : {"items", "users"}
    hidden : tuple of int
    dimensions : int
        Of the vectors u and v.
    reg, reg_kernel : float
    epochs, batch_size, seed : int
        A batch is of rows.
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Muller, Martel and Indiveri, Kernelized Synaptic Weight Matrices, ICML 2018 (SparseFC); Han et al., GLocal-K,
    CIKM 2021, whose first stage this is.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"], [5, 1, 5, 1, 4])
    >>> model = KernelAutoRec(side="users", hidden=(8,), epochs=200, reg=0.01, reg_kernel=1e-4, lr=0.02)
    >>> bool(model.fit(data).predict(3, "jam") < 3)
    True
    """

    checks: ClassVar[dict[str, Check]] = {"dimensions": whole(1), "reg": at_least(0), "reg_kernel": at_least(0)}

    dimensions: int
    reg_kernel: float

    def __init__(self, *, side: str = "items", hidden: tuple[int, ...] = (500, 500), dimensions: int = 3,
                 reg: float = 20.0, reg_kernel: float = 0.006, epochs: int = 110, batch_size: int = 4096,
                 lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = None, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> KernelAutoencoder:
        return KernelAutoencoder(self._columns, self.hidden, self.dimensions, rng)

    def _penalty(self) -> Any:
        return self.network.penalty(self._strength, self.reg_kernel)
