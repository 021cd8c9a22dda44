"""Generalised matrix factorisation: the product of two embeddings, weighted, as a small neural network."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from minidl import nn, no_grad, ops, optim
from recsys.data.interactions import Interactions
from recsys.data.sampling import NegativeSampler
from recsys.epochs import batches
from recsys.errors import DataError
from recsys.models.base import Can
from recsys.models.factors import MappedFactorModel
from recsys.models.parameters import Check, above, at_least, one_of, optional, whole
from recsys.training import Trainer

__all__ = ["GMF", "GMFNetwork"]

FULL_SOFTMAX = 20_000
"""With more items than this, the softmax is over the items of the batch."""


class GMFNetwork(nn.Module):
    """`h . (p_u * q_i) + b_i`: two embeddings, an output weight and an item bias.

    Parameters
    ----------
    n_users, n_items, factors : int
    std : float
        Standard deviation of the initial embeddings; the output weight starts at 1, the bias at 0.
    generator : numpy.random.Generator
    """

    def __init__(self, n_users: int, n_items: int, factors: int, std: float, generator: np.random.Generator) -> None:
        self.users = nn.Embedding(n_users, factors)
        self.items = nn.Embedding(n_items, factors)
        self.bias = nn.Embedding(n_items, 1)
        self.output = nn.Parameter(np.ones(factors, np.float32))
        nn.init.normal_(self.users.weight, 0, std, generator)
        nn.init.normal_(self.items.weight, 0, std, generator)
        nn.init.zeros_(self.bias.weight)

    def forward(self, users: np.ndarray, items: np.ndarray) -> Any:
        """Scores of a few items for each user: int (B,), (B, k) -> (B, k)."""
        p = self.users(users) * self.output  # (B, f)
        q = self.items(items)  # (B, k, f)
        return (q * p[:, None, :]).sum(axis=2) + self.bias(items)[:, :, 0]

    def scores_of(self, users: np.ndarray, items: np.ndarray | None = None) -> Any:
        """Scores of the same items (None: of all) for every user: int (B,), (k,) -> (B, k)."""
        q, b = (self.items.weight, self.bias.weight) if items is None else (self.items(items), self.bias(items))
        return (self.users(users) * self.output) @ q.T + b[:, 0]


class _CanByLoss:
    """`can`: with the loss "mse" a model predicts ratings."""

    def __get__(self, model: GMF | None, owner: type[GMF]) -> Can:
        can = Can(fold_in=True, explain=True, embeddings=True)
        return dataclasses.replace(can, ratings=True) if model is not None and model.loss == "mse" else can


class GMF(MappedFactorModel):
    """Score = `h . (p_u * q_i) + b_i`, trained by Adam with one of four losses.

    - "softmax": cross entropy of the item among all items (among the batch's items, corrected for how often they are
      there, if there are more than 20,000). A user's items share one softmax, so a batch consists of whole users.
    - "bce": logistic loss of the item against `negatives` random ones that the user has not met.
    - "bpr": `-log sigmoid` of how much the item scores above each of the random ones.
    - "mse": squared error of ratings, around their mean; needs values, and then `predict` gives ratings.

    The embeddings of the rows in a batch are the only ones that a step touches. Once trained, `q_i * h` are the item
    factors. A new user's vector is a linear function of the mean of the items' vectors, learned on the
    known users.

    Parameters
    ----------
    factors, epochs : int
    lr : float
    reg : float
        Times the mean squared norm of the vectors in a batch, added to the loss.
    batch_size : int
        Pairs of user and item.
    loss : {"softmax", "bce", "bpr", "mse"}
    negatives : int
        For "bce" and "bpr".
    init_std : float
    patience : int, optional
        With validation data the weights of the best epoch are kept; stop after so many epochs without a better one.
    seed : int

    Attributes
    ----------
    history_ : dict of list of float
        `"loss"`, and `"valid"`: minus the validation data's loss.

    References
    ----------
    He et al., Neural Collaborative Filtering, WWW 2017, section 3.2 (there without the item bias, and with "bce").

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> GMF(factors=4, epochs=100, lr=0.02).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can = _CanByLoss()
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "epochs": whole(1), "lr": above(0), "reg": at_least(0), "batch_size": whole(1),
        "loss": one_of("softmax", "bce", "bpr", "mse"), "negatives": whole(1), "init_std": at_least(0),
        "patience": optional(whole(1)), "seed": whole(0)}

    def __init__(self, *, factors: int = 32, epochs: int = 60, lr: float = 0.02, reg: float = 0.2,
                 batch_size: int = 8192, loss: str = "softmax", negatives: int = 4, init_std: float = 0.1,
                 patience: int | None = None, seed: int = 0) -> None:
        self.factors = factors
        self.epochs = epochs
        self.lr = lr
        self.reg = reg
        self.batch_size = batch_size
        self.loss = loss
        self.negatives = negatives
        self.init_std = init_std
        self.patience = patience
        self.seed = seed

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        network = GMFNetwork(len(data.users), len(data.items), self.factors, self.init_std,
                             np.random.default_rng(self.seed))
        objective = _OBJECTIVES[self.loss](self, network, data)
        trainer = Trainer(epochs=self.epochs, batch_size=objective.batch_size, patience=self.patience, seed=self.seed,
                          name=type(self).__name__)
        validate = None if valid is None else _OBJECTIVES[self.loss](self, network, valid).minus_error
        self.history_ = trainer.fit(network, optim.Adam(network.parameters(), lr=self.lr), objective,
                                    validate=validate, progress=progress)
        self._take(network, data)

    def _take(self, network: GMFNetwork, data: Interactions) -> None:
        """From the trained network to vectors that answer."""
        self.user_factors = network.users.weight.data
        self.item_factors = network.items.weight.data * network.output.data
        self.item_bias = network.bias.weight.data[:, 0] + np.float32(self._offset)
        self._learn_map(data.csr.unique())

    @property
    def _offset(self) -> float:
        return self.mean_value if self.loss == "mse" else 0.0


class _Objective:
    """The pairs of a data set, and the loss of a batch of examples; here an example is a pair."""

    def __init__(self, model: GMF, network: GMFNetwork, data: Interactions) -> None:
        self.model, self.network = model, network
        self.user, self.item = data.user, data.item
        self.batch_size = model.batch_size

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of examples."""
        return len(self.user)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Loss and penalty of some examples."""
        return self.error(batch) + self.penalty(self.user[batch], self.item[batch], len(batch))

    def error(self, batch: np.ndarray) -> Any:
        """Mean loss of some examples, without the penalty."""
        raise NotImplementedError(f"{type(self).__name__} does not define error.")

    def penalty(self, user: np.ndarray, item: np.ndarray, count: float) -> Any:
        """`reg` times the squared norms of the pairs' vectors, divided by `count`."""
        if not self.model.reg:
            return 0.0
        p, q = self.network.users(user), self.network.items(item)
        return (ops.square(p).sum() + ops.square(q).sum()) * (self.model.reg / count)

    def minus_error(self) -> float:
        """Minus the mean loss of all examples, for validation; the same negatives every time."""
        n = self.begin(0, np.random.default_rng(self.model.seed))
        with no_grad():
            parts = [len(batch) * float(self.error(batch).data) for batch in batches(np.arange(n), self.batch_size)]
        return -sum(parts) / n


class _Squares(_Objective):
    """Squared error of ratings, less their mean."""

    def __init__(self, model: GMF, network: GMFNetwork, data: Interactions) -> None:
        super().__init__(model, network, data)
        if data.value is None:
            raise DataError(f"{type(model).__name__}.fit: the loss 'mse' needs data with values; give values, or use "
                            f"another loss.")
        self.target = (data.value - np.float32(model.mean_value))[:, None]

    def error(self, batch: np.ndarray) -> Any:
        return ops.mse_loss(self.network(self.user[batch], self.item[batch, None]), self.target[batch])


class _Sampled(_Objective):
    """Items against random ones that the user has not met, drawn anew in every epoch."""

    def __init__(self, model: GMF, network: GMFNetwork, data: Interactions) -> None:
        super().__init__(model, network, data)
        self.sampler = NegativeSampler(model.require_seen("fit"))
        possible = self.sampler.unseen[self.user] > 0  # who has met everything has no negatives
        self.user, self.item = self.user[possible], self.item[possible]

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        self.negative = self.sampler.sample(self.user, self.model.negatives, rng)
        return len(self.user)

    def error(self, batch: np.ndarray) -> Any:
        items = np.concatenate([self.item[batch, None], self.negative[batch]], axis=1)  # (B, 1 + negatives)
        scores = self.network(self.user[batch], items)
        positive, negative = scores[:, :1], scores[:, 1:]
        if self.model.loss == "bpr":
            return ops.softplus(negative - positive).mean()
        return (ops.softplus(-positive).sum() + ops.softplus(negative).sum()) * (1 / len(batch))


class _Softmax(_Objective):
    """All items of a user at once: an example is a user, whose pairs have their scores from one softmax."""

    def __init__(self, model: GMF, network: GMFNetwork, data: Interactions) -> None:
        super().__init__(model, network, data)
        self.rows = data.csr
        self.active = np.flatnonzero(self.rows.counts)
        self.pairs = self.rows.nnz / len(self.active)  # of a user, on average
        self.batch_size = max(1, round(model.batch_size / self.pairs))
        self.log_share = np.log(np.maximum(model.item_counts, 1) / len(data)).astype(np.float32)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        return len(self.active)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        rows = self.rows.rows(self.active[batch])
        user = self.active[batch][rows.row_of_entry]
        return self.error(batch) + self.penalty(user, rows.indices, len(batch) * self.pairs)

    def error(self, batch: np.ndarray) -> Any:
        users = self.active[batch]
        rows = self.rows.rows(users)
        target = rows.indices
        if len(self.log_share) <= FULL_SOFTMAX:
            scores = self.network.scores_of(users)
        else:
            candidates, target = np.unique(rows.indices, return_inverse=True)
            scores = self.network.scores_of(users, candidates) - self.log_share[candidates]
        given = scores[rows.row_of_entry, target].sum()
        counts = rows.counts.astype(np.float32)
        return ((counts * ops.logsumexp(scores, axis=1)).sum() - given) * (1 / (len(batch) * self.pairs))


_OBJECTIVES: dict[str, type[_Objective]] = {"softmax": _Softmax, "bce": _Sampled, "bpr": _Sampled, "mse": _Squares}
