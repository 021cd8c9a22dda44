"""What networks of pairs learn from: ratings, sampled negatives, all items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl import ops
from recsys.data.interactions import Interactions
from recsys.data.sampling import NegativeSampler
from recsys.errors import UnsupportedError
from recsys.estimator import Facts
from recsys.estimator.scorers.networks import pairs_at_once
from recsys.training import Objective, losses, shuffled

__all__ = ["AllItems", "LOSSES", "Pairs", "Ratings", "Sampled", "log_popularity", "pair_objective"]

LOSSES = ("softmax", "mse", *losses.SAMPLED)

Scores = Callable[[np.ndarray, np.ndarray | None], Any]
"""`scores(users, items)`, int (B,) and int (B, K), (K,) or None for all items, gives a Tensor (B, K)."""


def pair_objective(model: Any, network: Any, scores: Scores, data: Interactions, facts: Facts) -> Objective:
    """The objective that a model's `loss` names.

    Parameters
    ----------
    model : Recommender
        For `loss`, `reg`, `negatives` and `negatives_power`.
    network : minidl.nn.Module
        If it has a method `penalty(users, items)`, `reg` times its mean is added.
    scores : callable
        How the network scores.
    data : Interactions
        What is learned.
    facts : Facts
        Of all that is known, for negatives.
    """
    penalty = getattr(network, "penalty", None) if model.reg else None
    shared = data, scores, penalty, model.reg
    if model.loss == "softmax":
        return AllItems(*shared, facts.item_counts, pairs_at_once(network))
    if model.loss == "mse":
        return Ratings(*shared, facts.mean_value)
    sampler = NegativeSampler(facts.pairs, facts.item_counts, getattr(model, "negatives_power", 0.0))
    return Sampled(*shared, model.loss, sampler, model.negatives)


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


class Pairs:
    """An objective whose examples are the pairs of a data set.

    Parameters
    ----------
    data : Interactions
    scores : callable
    penalty : callable, optional
        `penalty(users, items)` of pairs, the sum of their squared norms.
    reg : float
        Times its mean is added to the loss.
    """

    def __init__(self, data: Interactions, scores: Scores, penalty: Callable[..., Any] | None, reg: float) -> None:
        self.user, self.item, self.scores, self._penalty, self._reg = data.user, data.item, scores, penalty, reg

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The pairs, shuffled."""
        return shuffled(len(self.user), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Loss of some examples, and `reg` times the mean squared norm of their vectors."""
        user, item = self.user[batch], self.item[batch]
        return self.error(batch, user, item, rng) + self.penalty(user, item, len(batch))

    def penalty(self, user: np.ndarray, item: np.ndarray, count: int) -> Any:
        """`reg` times the squared norms of the pairs' vectors, divided by `count`."""
        return 0.0 if self._penalty is None else self._penalty(user, item) * (self._reg / count)

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the pairs `batch`, which are of these users and items."""
        raise NotImplementedError(f"{type(self).__name__} does not define error.")


class Ratings(Pairs):
    """Squared error of ratings, less their mean.

    Parameters
    ----------
    data, scores, penalty, reg
        As of `Pairs`.
    mean : float
    """

    def __init__(self, data: Interactions, scores: Scores, penalty: Callable[..., Any] | None, reg: float,
                 mean: float) -> None:
        super().__init__(data, scores, penalty, reg)
        self.target = (np.asarray(data.value) - np.float32(mean))[:, None]

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean squared error."""
        return losses.mse(self.scores(user, item[:, None]), self.target[batch])


class Sampled(Pairs):
    """Items against random ones that the user has not interacted with; who interacted with everything is left out.

    Parameters
    ----------
    data, scores, penalty, reg
        As of `Pairs`.
    loss : str
        A name in `recsys.training.losses.SAMPLED`.
    sampler : NegativeSampler
    negatives : int
        For each pair.
    """

    unit = "event"

    def __init__(self, data: Interactions, scores: Scores, penalty: Callable[..., Any] | None, reg: float, loss: str,
                 sampler: NegativeSampler, negatives: int) -> None:
        super().__init__(data, scores, penalty, reg)
        self.sampler, self.negatives, self._loss = sampler, negatives, loss
        self._every, self.n_units, self._n_items = (self.user, self.item), len(self.user), data.n_items
        possible = sampler.unseen[self.user] > 0
        self.user, self.item = self.user[possible], self.item[possible]

    def error(self, batch: np.ndarray, user: np.ndarray, item: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss against new negatives."""
        negative, log_q = self.sampler.sample(user, self.negatives, rng), self.sampler.log_q
        scores = self.scores(user, np.concatenate([item[:, None], negative], axis=1))  # (B, 1 + negatives)
        return losses.of_draws(self._loss, log_q, item, negative)(scores[:, 0], scores[:, 1:])

    def losses(self, units: np.ndarray, rng: np.random.Generator) -> Any:
        """The loss of each of some pairs, of all there are, against items drawn from all alike: those that the user has
        had as well, as an event is to tell nothing of the others.

        Raises
        ------
        UnsupportedError
            Of another loss than "bpr" and "bce", or with a penalty.
        """
        if self._loss not in ("bpr", "bce") or self._penalty is not None:
            raise UnsupportedError("private training of pairs learns by loss='bpr' or 'bce' with reg=0 alone; "
                                   "weight_decay takes the place of reg.")
        user, item = (side[units] for side in self._every)
        drawn = rng.integers(0, self._n_items, (len(units), self.negatives))
        scores = self.scores(user, np.concatenate([item[:, None], drawn], axis=1))  # (B, 1 + negatives)
        if self._loss == "bpr":
            return ops.softplus(scores[:, 1:] - scores[:, :1]).mean(axis=1)
        return ops.softplus(-scores[:, 0]) + ops.softplus(scores[:, 1:]).sum(axis=1)


class AllItems(Pairs):
    """All items of a user share one softmax: a batch is of the users whose first pairs are in it.

    Scores are of all pairs of users and items, so that k groups of users with the items that they have take the k-th
    part of the memory.

    Parameters
    ----------
    data, scores, penalty, reg
        As of `Pairs`.
    item_counts : ndarray, shape (n_items,)
    at_once : int
        Pairs whose numbers fit into memory.
    """

    def __init__(self, data: Interactions, scores: Scores, penalty: Callable[..., Any] | None, reg: float,
                 item_counts: np.ndarray, at_once: int) -> None:
        super().__init__(data, scores, penalty, reg)
        self.rows, self.at_once = data.csr, at_once
        active = np.flatnonzero(self.rows.counts)
        self.first = np.full(len(data), -1)
        self.first[self.rows.indptr[active]] = active  # the user of each first pair
        self.log_share = np.log(np.maximum(item_counts, 1) / len(data)).astype(np.float32)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Of the users whose first pairs are in the batch."""
        users = self.first[batch]
        users = users[users >= 0]
        rows = self.rows.rows(users)
        if len(users) * rows.shape[1] <= self.at_once:
            total = losses.softmax(self.scores(users, None), rows.indices, rows.indptr)
        else:
            groups = -(-len(users) * len(np.unique(rows.indices)) // self.at_once)
            total = sum(map(self._among_their_items, np.array_split(users, min(groups, len(users)))))
        return total * (1 / len(batch)) + self.penalty(users[rows.row_of_entry], rows.indices, len(batch))

    def _among_their_items(self, users: np.ndarray) -> Any:
        rows = self.rows.rows(users)
        items, target = np.unique(rows.indices, return_inverse=True)
        return losses.softmax(self.scores(users, items) - self.log_share[items], target, rows.indptr)
