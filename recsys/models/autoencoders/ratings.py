"""Autoencoders of ratings: a row of ratings, of an item or a user, to a complete one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import no_grad, ops
from minidl.nn import init
from recsys.data.csr import CSR, distinct
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Facts, Learned, Recommender
from recsys.estimator.arrays import blocks
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check, at_least, one_of, optional, sizes, whole
from recsys.estimator.scorers.codes import Codes, deviations
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.training import CHECKS, Training
from recsys.models.autoencoders.kernelised import GlobalKernel
from recsys.models.autoencoders.network import ACTIVATIONS
from recsys.models.baselines import Biases, fit_biases
from recsys.training import shuffled

__all__ = ["AutoRec", "KernelAutoRec"]

_LOWEST, _SPREAD = 1.0, 4.0  # of the ratings that go in
_BIAS_EPOCHS = 10
_REG_ITEMS, _REG_USERS = (40.0, 100.0), 30.0
_CHECKS = {**CHECKS, "side": one_of("items", "users"), "hidden": sizes(), "reg": optional(at_least(0))}


@dataclass(frozen=True, eq=False)
class _Ratings:
    """The ratings of the training, each pair once, their baseline, and the unit of the network."""

    history: CSR
    baseline: Biases
    mean: float
    scale: float
    shift: float

    @classmethod
    def of(cls, data: Interactions, facts: Facts) -> _Ratings:
        """Those of some data."""
        rows, (low, high) = distinct(data.csr), facts.rating_range or (0.0, 0.0)
        scale = _SPREAD / (high - low) if high > low else 1.0
        shift = _LOWEST - scale * low if high > low else 0.0
        return cls(rows, fit_biases(rows, facts.mean_value, _BIAS_EPOCHS, None, None), facts.mean_value, scale, shift)

    def scaled(self) -> CSR:
        """Ratings from 1 to 5."""
        rows = self.history
        values = rows.weights * np.float32(self.scale) + np.float32(self.shift)
        return CSR(rows.indptr, rows.indices, values.astype(np.float32), rows.shape)

    def deviations(self) -> CSR:
        """Ratings less the baseline, their range stretched."""
        return deviations(self.history, self.mean, self.baseline.user, self.baseline.item, self.scale)


class RatingAutoencoder(Recommender):
    """Rows of ratings through a network with `encode(rows)` and `decoder()`, to ratings less the baseline.

    The range of the ratings is stretched to 4, whatever it is, so that the hyper-parameters always mean the same. What
    comes out is added to the baseline of `Bias`. Rows of items go in from 1 to 5, and as no rating is 0, a code also
    knows who rated at all. Rows of users go in less the baseline: how many somebody has rated hides how, and the
    network would learn by heart.
    A prediction is the product of the row's code and the column's output weights: of an item's code and a user's
    weights (`side="items"`), or of a user's code and an item's weights (`side="users"`). So the trained network is a
    factor model. A new user is the ridge regression of the given ratings on the items' codes, or the code of the
    given ratings.

    A subclass writes `architecture()`, and `_penalty(network, strength)`, what its weights cost beside half the squared
    errors of all ratings.
    """

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, explain=True, embeddings=True)
    trains: ClassVar[bool] = True

    side: str
    hidden: tuple[int, ...]
    reg: float | None
    seed: int

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on rows of items, or of users."""
        facts, ratings = context.facts, _Ratings.of(data, context.facts)
        architecture = self.architecture()
        network = architecture.build(len(facts.users), len(facts.items), np.random.default_rng(self.seed))
        if self.side == "users":
            rows = wanted = ratings.deviations()
        else:
            rows, wanted = ratings.scaled().T, ratings.deviations().T
        self._begin(network, rows)
        strength = self.strength(facts)

        def finish() -> Learned:
            return Learned(self._scorer(network, architecture, rows, ratings, strength))

        def begin_epoch(epoch: int) -> None:
            self._begin_epoch(epoch, network, rows, ratings)

        objective = _Entries(rows, wanted, network, self._encode, lambda: self._penalty(network, strength), begin_epoch)
        return Training.of(self, data, context, network, objective, finish)

    def architecture(self) -> Architecture:
        """Of the network."""
        raise NotImplementedError(f"{type(self).__name__} does not define architecture.")

    def _begin(self, network: Any, rows: CSR) -> None:
        """Give a new network other numbers than those of the generator, or more of them."""

    def _begin_epoch(self, epoch: int, network: Any, rows: CSR, ratings: _Ratings) -> None:
        """What is done before an epoch, counted from 0."""

    def _encode(self, network: Any, rows: CSR, which: np.ndarray) -> Any:
        """The codes of some rows: int (B,) -> (B, width)."""
        return network.encode(rows.rows(which))

    def _penalty(self, network: Any, strength: float) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define _penalty.")

    @property
    def _of(self) -> str:
        """What a row has a column for: a row of a user, each item."""
        return "items" if self.side == "users" else "users"

    def strength(self, facts: Facts) -> float:
        """The penalty of the weights."""
        if self.reg is not None:
            return self.reg
        if self.side == "users":
            return _REG_USERS
        return float(np.clip(int(facts.item_counts.sum()) ** 0.5 / 3, *_REG_ITEMS))

    def _scorer(self, network: Any, architecture: Architecture, rows: CSR, ratings: _Ratings,
                strength: float) -> Factors:
        """Products of codes and output weights, with a constant for the biases, and the baseline beside them."""
        of_rows, of_columns = self._codes(network, rows, ratings.scale)
        users, items = (of_rows, of_columns) if self.side == "users" else (of_columns, of_rows)
        baseline = ratings.baseline
        fold_in = Codes(ratings.mean, strength, baseline.item, baseline.reg_user, ratings.scale,
                        architecture if self.side == "users" else None, network if self.side == "users" else None,
                        ratings.history)
        return Factors(self.can, np.hstack([users, baseline.user[:, None].astype(np.float32)]),
                       np.hstack([items, np.ones((len(items), 1), np.float32)]),
                       (ratings.mean + baseline.item).astype(np.float32), fold_in, carried=1)

    def _codes(self, network: Any, rows: CSR, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of rows and of columns whose products are the network's outputs, (n, width + 1) each."""
        columns = np.bincount(rows.indices, minlength=rows.shape[1])
        with no_grad():
            weights, bias = (part.data.copy() for part in network.decoder())
            codes = np.zeros((rows.shape[0], weights.shape[1]), np.float32)
            for block in blocks(rows.shape[0], weights.shape[1]):
                codes[block] = self._encode(network, rows, np.arange(block.start, block.stop)).data
        codes[rows.counts == 0] = 0  # nothing is known of them
        weights[columns == 0], bias[columns == 0] = 0, 0
        weights, bias = weights / np.float32(scale), bias / np.float32(scale)
        ones = np.ones((len(codes), 1), np.float32)
        of_rows, of_columns = np.hstack([codes, ones]), np.hstack([weights, bias[:, None]])
        of_rows[rows.counts == 0] = 0
        return of_rows, of_columns


class _Entries:
    """Half the squared error of the given ratings of some rows, and the batch's share of the penalty, a rating.

    Parameters
    ----------
    rows, wanted : CSR, of one shape
        What goes in, and what is to come out, at the same entries.
    network : minidl.nn.Module
    encode : callable
        `encode(network, rows, which)`: the codes of some rows.
    penalty, begin_epoch : callable
    """

    def __init__(self, rows: CSR, wanted: CSR, network: Any, encode: Callable[[Any, CSR, np.ndarray], Any],
                 penalty: Callable[[], Any], begin_epoch: Callable[[int], None]) -> None:
        self.rows, self.wanted, self.network, self.encode = rows, wanted, network, encode
        self.penalty, self.begin_epoch = penalty, begin_epoch
        self.active = np.flatnonzero(rows.counts)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The rows with ratings, shuffled."""
        self.begin_epoch(epoch)
        return shuffled(len(self.active), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Of the rows `active[batch]`."""
        target, (weights, bias) = self.wanted.rows(self.active[batch]), self.network.decoder()
        codes = self.encode(self.network, self.rows, self.active[batch])
        found = ops.sampled_matmul(codes, weights, target.indices, target.indptr) + bias[target.indices]
        squares = 0.5 * ops.square(found - target.weights).sum()
        return (squares + self.penalty() * (target.nnz / self.rows.nnz)) * (1 / target.nnz)


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

    checks: ClassVar[dict[str, Check]] = {**_CHECKS, "activation": one_of(*ACTIVATIONS)}

    activation: str

    def __init__(self, *, side: str = "items", hidden: tuple[int, ...] = (500,), activation: str = "sigmoid",
                 reg: float | None = None, epochs: int = 55, batch_size: int = 4096, lr: float = 3e-3,
                 weight_decay: float = 0.0, patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("autoencoder", {"of": self._of, "hidden": self.hidden, "activation": self.activation})

    def _begin(self, network: Any, rows: CSR) -> None:
        init.zeros_(network.output.weight)  # begins with the baseline

    def _penalty(self, network: Any, strength: float) -> Any:
        layers = [network.bag.table, *network.inner, network.output]
        return 0.5 * strength * sum((ops.square(layer.weight).sum() for layer in layers), 0.0)


class KernelAutoRec(RatingAutoencoder):
    """AutoRec with layers whose weights a kernel of finite support thins out.

    Each weight between input i and output j is multiplied by `max(0, 1 - |u_i - v_j|^2)` with learned vectors u and
    v, and `reg / 2` times the squared weights plus `reg_kernel / 2` times the squared kernels is added to half the
    squared errors. The defaults are for 100,000 ratings, all items in one batch; the row `kernel-1m` of
    `benchmarks/accuracy_rows.py` has what is taken for a million.

    After `local_epochs`, as in GLocal-K, rows of items are convolved with a global kernel of 3 x 3 before they go in,
    which is learned from the mean output of each item, and begins as the one that changes nothing. What it gains rests
    on the order of the ids: it mixes the ratings of items, and of users, with numbers next to each other.

    Parameters
    ----------
    side : {"items", "users"}
    hidden : tuple of int
    dimensions : int
        Of the vectors u and v.
    reg, reg_kernel : float
    local_epochs : int, optional
        Of the epochs the first ones, which the global kernel has no part in; by default all. For `side="items"`.
    epochs, batch_size, seed : int
        A batch is of rows.
    lr, weight_decay : float
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Muller, Martel and Indiveri, Kernelized Synaptic Weight Matrices, ICML 2018 (SparseFC); Han et al., GLocal-K,
    CIKM 2021.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"], [5, 1, 5, 1, 4])
    >>> model = KernelAutoRec(side="users", hidden=(8,), epochs=200, reg=0.01, reg_kernel=1e-4, lr=0.02)
    >>> bool(model.fit(data).predict(3, "jam") < 3)
    True
    """

    checks: ClassVar[dict[str, Check]] = {**_CHECKS, "dimensions": whole(1), "reg": at_least(0),
                                          "reg_kernel": at_least(0), "local_epochs": optional(whole(0))}

    dimensions: int
    reg_kernel: float
    local_epochs: int | None

    def __init__(self, *, side: str = "items", hidden: tuple[int, ...] = (500, 500), dimensions: int = 3,
                 reg: float = 20.0, reg_kernel: float = 0.006, local_epochs: int | None = None, epochs: int = 110,
                 batch_size: int = 4096, lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = None,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on rows of items, or of users."""
        if self.local_epochs is not None and self.side == "users":
            raise ParameterError("KernelAutoRec: local_epochs is for side='items', as a new user has no neighbours in "
                                 "the order of ids; set local_epochs=None, or side='items'.")
        return super().training(data, context)

    def _begin(self, network: Any, rows: CSR) -> None:
        if self.local_epochs is not None:
            network.convolve = GlobalKernel(rows.shape[0])

    def _begin_epoch(self, epoch: int, network: Any, rows: CSR, ratings: _Ratings) -> None:
        if self.local_epochs is None or epoch < self.local_epochs or network.convolve.means.any():
            return
        of_rows, of_columns = self._codes(network, rows, 1.0)
        baseline = ratings.mean + ratings.baseline.user.mean() + ratings.baseline.item
        means = of_rows @ of_columns.mean(axis=0) + ratings.scale * baseline + ratings.shift
        network.convolve.means[:] = means

    def _encode(self, network: Any, rows: CSR, which: np.ndarray) -> Any:
        if self.local_epochs is None:
            return super()._encode(network, rows, which)
        return network.encode(network.convolve(rows, which))

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("kernel autoencoder", {"of": self._of, "hidden": self.hidden,
                                                   "dimensions": self.dimensions})

    def _penalty(self, network: Any, strength: float) -> Any:
        return network.penalty(strength, self.reg_kernel)
