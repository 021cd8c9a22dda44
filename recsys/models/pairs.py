"""Networks that score pairs of a user and an item, and what they learn from: ratings, sampled negatives, all items."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from minidl import nn, no_grad
from recsys import losses
from recsys.data.interactions import Interactions
from recsys.data.sampling import NegativeSampler
from recsys.models.base import Can
from recsys.models.neural import NeuralRecommender
from recsys.models.parameters import Check, at_least, between, one_of, sizes, whole
from recsys.models.refining import refine, regrow
from recsys.networks.pairs import ConvNCFNetwork, MLPNetwork, NeuMFNetwork
from recsys.training import Objective

__all__ = ["CanByLoss", "ConvNCF", "LOSSES", "MLP", "NeuMF", "PairModel", "PairRecommender"]

_BLOCK = 1 << 24  # numbers a layer computes at a time
LOSSES = ("softmax", "mse", *losses.SAMPLED)


class CanByLoss:
    """What a model can; with the loss "mse" it predicts ratings, too."""

    def __init__(self, can: Can) -> None:
        self.can = can

    def __get__(self, model: PairModel | None, owner: type[PairModel]) -> Can:
        rates = model is not None and (model._learned or model).loss == "mse"
        return dataclasses.replace(self.can, ratings=True) if rates else self.can


class PairModel(NeuralRecommender):
    """A module that gives scores (B, K) of users (B,) and items (B, K), and the losses it may learn with.

    - "softmax": cross entropy of a user's items among all items, whose biases start at their log popularity. If these
      are too many for a batch's users, some users at a time share the items that they have, corrected for how often
      items are there.
    - "mse": squared error of ratings, less their mean; needs values, and then `predict` gives ratings.
    - All of `recsys.losses.SAMPLED`: against `negatives` items that the user has not met, drawn anew for every batch in
      proportion to `count ** alpha`.

    `partial_fit` learns vectors and biases of new users and items alone for a third of the epochs, then those of all
    users and items of the new events for as many, over all events of these users; the others stay, and so do layers.
    Updated, it ranks better than before and nearly as a refit, see `tests/recsys/models/test_partial_distance.py`.

    A subclass has the hyper-parameters in `checks` and writes `_network(rng)`.
    """

    can: ClassVar[Any] = CanByLoss(Can())
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "loss": one_of(*LOSSES), "negatives": whole(1), "alpha": at_least(0), "reg": at_least(0),
        "init_std": at_least(0)}

    loss: str
    negatives: int
    reg: float
    alpha: float = 0.0
    weight_decay: float = 0.0

    def _objective(self, data: Interactions) -> Objective:
        kinds: dict[str, type[_Pairs]] = {"softmax": _Softmax, "mse": _Ratings}
        return kinds.get(self.loss, _Negatives)(self, data)

    @property
    def _keeps_events(self) -> bool:
        return self.loss == "mse"

    def _start(self) -> None:
        """Where a softmax without vectors has its optimum: few steps of little data do not get there from 0."""
        if self.loss == "softmax":
            for bias in self._item_biases():
                bias[:] = log_popularity(self.item_counts)

    def _item_biases(self) -> list[np.ndarray]:
        """Views of the network's numbers, each of shape (n_items,)."""
        return [table.weight.data[:, 0] for table in getattr(self.network, "biases", list)()]

    def _partial_fit(self, data: Interactions) -> None:
        old = self._trained()
        (users, items), *_ = old.tables()
        known = len(users.weight), len(items.weight)
        self.network = self._network(np.random.default_rng((self.seed, len(self.users), len(self.items))))
        regrow(self.network, old)
        of_users, of_items = zip(*self.network.tables(), strict=True)
        refine(self, data, known, ([table.weight for table in of_users],
                                   [table.weight for table in (*of_items, *self.network.biases())]))
        self._settle()

    def _trained(self) -> Any:
        """The network, as large as it was when it was trained."""
        return self.network

    @property
    def _offset(self) -> np.float32:
        return np.float32(self.mean_value if self.loss == "mse" else 0.0)

    def scores_of(self, users: np.ndarray, items: np.ndarray | None) -> Any:
        """What the network gives, for int (B,) and int (B, K), (K,) or None (all items): a Tensor (B, K)."""
        return self.network(users, items)

    @property
    def _at_once(self) -> int:
        """Pairs whose numbers fit into memory."""
        return max(1, _BLOCK // getattr(self.network, "width", 256))

    def _blocks(self, n: int) -> range:
        """Starts of blocks of so many pairs as fit into memory; the step is their length."""
        return range(0, n, self._at_once)

    def _score(self, users: np.ndarray) -> np.ndarray:
        n_items = len(self.items)
        scores = np.empty((len(users), n_items), np.float32)
        columns = min(n_items, self._blocks(n_items).step)
        rows = max(1, self._blocks(n_items).step // columns)
        with no_grad():
            for i in range(0, len(users), rows):
                for j in range(0, n_items, columns):
                    items = np.arange(j, min(j + columns, n_items))
                    scores[i:i + rows, j:j + columns] = self.scores_of(users[i:i + rows], items).data
        scores += self._offset
        return scores

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        scores, blocks = np.empty(len(users), np.float32), self._blocks(len(users))
        with no_grad():
            for i in blocks:
                part = slice(i, i + blocks.step)
                scores[part] = self.scores_of(users[part], items[part, None]).data[:, 0]
        return scores + self._offset

    def _item_vectors(self) -> np.ndarray | None:
        return np.hstack([items.weight.data for _, items in self.network.tables()]) if self.can.embeddings else None

    def _user_vectors(self) -> np.ndarray | None:
        return np.hstack([users.weight.data for users, _ in self.network.tables()]) if self.can.embeddings else None


def log_popularity(counts: np.ndarray) -> np.ndarray:
    """`log(count + 1)` of items, less the mean of those with events.

    Examples
    --------
    >>> log_popularity(np.array([3, 1])).round(2)
    array([ 0.35, -0.35], dtype=float32)
    """
    logs = np.log1p(counts)
    centred: np.ndarray = logs - logs[counts > 0].mean()
    return centred.astype(np.float32)


class _Pairs:
    """An objective whose examples are the pairs of a data set."""

    def __init__(self, model: PairModel, data: Interactions) -> None:
        self.model = model
        self.user, self.item = data.user, data.item
        self._penalty = getattr(model.network, "penalty", None) if model.reg else None

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Number of examples."""
        return len(self.user)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Loss of some examples, and `reg` times the mean squared norm of their vectors."""
        user, item = self.user[batch], self.item[batch]
        return self.error(batch, user, item, rng) + self.penalty(user, item, len(batch))

    def penalty(self, user: np.ndarray, item: np.ndarray, count: int) -> Any:
        """`reg` times the squared norms of the pairs' vectors, divided by `count`."""
        return 0.0 if self._penalty is None else self._penalty(user, item) * (self.model.reg / count)

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the pairs `batch`, which are of these users and items."""
        raise NotImplementedError(f"{type(self).__name__} does not define error.")


class _Ratings(_Pairs):
    """Squared error of ratings, less their mean."""

    def __init__(self, model: PairModel, data: Interactions) -> None:
        super().__init__(model, data)
        self.target = (np.asarray(data.value) - np.float32(model.mean_value))[:, None]

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        return losses.mse(self.model.scores_of(user, item[:, None]), self.target[batch])


class _Negatives(_Pairs):
    """Items against random ones that the user has not met; who has met everything is left out."""

    def __init__(self, model: PairModel, data: Interactions) -> None:
        super().__init__(model, data)
        sampler = self.sampler = NegativeSampler(model.require_seen("fit"), model.item_counts, model.alpha)
        possible = sampler.unseen[self.user] > 0
        self.user, self.item = self.user[possible], self.item[possible]
        self._loss = losses.SAMPLED[model.loss]

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        negative, log_q = self.sampler.sample(user, self.model.negatives, rng), self.sampler.log_q
        scores = self.model.scores_of(user, np.concatenate([item[:, None], negative], axis=1))  # (B, 1 + negatives)
        loss = self._loss
        if loss is losses.sampled_softmax:
            loss = partial(loss, log_q=(log_q[item], log_q[negative]))
        return loss(scores[:, 0], scores[:, 1:])


class _Softmax(_Pairs):
    """All items of a user share one softmax: a batch is of the users whose first pairs are in it.

    Scores are of all pairs of users and items, so that k groups of users with the items that they have take the k-th
    part of the memory.
    """

    def __init__(self, model: PairModel, data: Interactions) -> None:
        super().__init__(model, data)
        self.rows = data.csr
        active = np.flatnonzero(self.rows.counts)
        self.first = np.full(len(data), -1)
        self.first[self.rows.indptr[active]] = active  # the user of each first pair
        self.log_share = np.log(np.maximum(model.item_counts, 1) / len(data)).astype(np.float32)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        users = self.first[batch]
        users = users[users >= 0]
        rows, most = self.rows.rows(users), self.model._at_once
        if len(users) * rows.shape[1] <= most:
            total = losses.softmax(self.model.scores_of(users, None), rows.indices, rows.indptr)
        else:
            groups = -(-len(users) * len(np.unique(rows.indices)) // most)
            total = sum(map(self._among_their_items, np.array_split(users, min(groups, len(users)))))
        return total * (1 / len(batch)) + self.penalty(users[rows.row_of_entry], rows.indices, len(batch))

    def _among_their_items(self, users: np.ndarray) -> Any:
        rows = self.rows.rows(users)
        items, target = np.unique(rows.indices, return_inverse=True)
        return losses.softmax(self.model.scores_of(users, items) - self.log_share[items], target, rows.indptr)


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
        "softmax", "mse", or a name in `recsys.losses.SAMPLED`; `PairModel` says more.
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    alpha : float
        They are drawn in proportion to `count ** alpha`.
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

    checks: ClassVar[dict[str, Check]] = {"scorer": Check(callable, "callable")}

    scorer: Callable[[int, int, np.random.Generator], nn.Module]

    def __init__(self, *, scorer: Callable[[int, int, np.random.Generator], nn.Module], loss: str = "bpr",
                 negatives: int = 4, alpha: float = 0.0, reg: float = 0.0, epochs: int = 50, batch_size: int = 1024,
                 lr: float = 1e-3, weight_decay: float = 0.0, patience: int | None = 5, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> nn.Module:
        return self.scorer(len(self.users), len(self.items), rng)

    def scores_of(self, users: np.ndarray, items: np.ndarray | None) -> Any:
        """As a `PairModel`; the module always gets items (B, K)."""
        items = np.arange(len(self.items)) if items is None else items
        return self.network(users, np.broadcast_to(items, (len(users), items.shape[-1])))


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
    loss, negatives, alpha
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

    can: ClassVar[Any] = CanByLoss(Can(partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = {"hidden": sizes(), "dropout": between(0, 0.99)}

    factors: int
    hidden: tuple[int, ...]
    dropout: float
    init_std: float

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (32, 16), dropout: float = 0.1,
                 loss: str = "softmax", negatives: int = 4, alpha: float = 0.0, init_std: float = 0.2,
                 epochs: int = 60, batch_size: int = 4096, lr: float = 0.01, weight_decay: float = 0.0,
                 reg: float = 0.2, patience: int | None = None, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> nn.Module:
        return MLPNetwork(len(self.users), len(self.items), self.factors, self.hidden, self.init_std, self.dropout, rng)


class NeuMF(MLP):
    """Score = `h . (p_u * q_i) + b_i + MLP(p'_u, q'_i)`: the sum of `GMF` and `MLP`, with vectors for each.

    Parameters
    ----------
    factors, hidden, dropout, loss, negatives, alpha, init_std
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

    def __init__(self, *, factors: int = 32, hidden: tuple[int, ...] = (32, 16), dropout: float = 0.3,
                 loss: str = "softmax", negatives: int = 4, alpha: float = 0.0, init_std: float = 0.3,
                 epochs: int = 60, batch_size: int = 8192, lr: float = 0.02, weight_decay: float = 0.0,
                 reg: float = 0.2, patience: int | None = 10, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> nn.Module:
        return NeuMFNetwork(len(self.users), len(self.items), self.factors, self.hidden, self.init_std, self.dropout,
                            rng)


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
    loss, negatives, alpha, init_std, epochs, batch_size, lr, weight_decay, reg, patience, seed
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

    can: ClassVar[Any] = CanByLoss(Can(partial_fit=True, embeddings=True))
    checks: ClassVar[dict[str, Check]] = {
        "factors": Check(lambda n: whole(1).accepts(n) and n & (n - 1) == 0, "a power of 2"), "channels": whole(1)}

    factors: int
    channels: int
    init_std: float

    def __init__(self, *, factors: int = 8, channels: int = 32, loss: str = "bpr", negatives: int = 4,
                 alpha: float = 0.0, init_std: float = 0.1, epochs: int = 20, batch_size: int = 128, lr: float = 5e-3,
                 weight_decay: float = 0.0, reg: float = 0.01, patience: int | None = 5, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> nn.Module:
        return ConvNCFNetwork(len(self.users), len(self.items), self.factors, self.channels, self.init_std, rng)
