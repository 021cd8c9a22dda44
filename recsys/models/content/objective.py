"""What networks of content learn: items, each with all who interacted with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from recsys.data.csr import CSR, distinct
from recsys.data.interactions import Interactions
from recsys.data.sampling import NegativeSampler
from recsys.models.content.network import ContentNetwork
from recsys.training import losses, shuffled

__all__ = ["ItemBatches"]


class ItemBatches:
    """An objective whose examples are items; the pairs of a batch are all events of its items.

    Parameters
    ----------
    data : Interactions
    network : ContentNetwork
    content_of : callable
        `content_of(items)`: what the network takes of items, content (m, ...), and which have any, bool (n,).
    loss : str
        "mse", or a name in `recsys.training.losses.SAMPLED`.
    negatives : int
        For each event, items of the batch that the user has not interacted with.
    mean : float
        Of the ratings.
    """

    def __init__(self, data: Interactions, network: ContentNetwork,
                 content_of: Callable[[np.ndarray], tuple[Any, np.ndarray]], loss: str, negatives: int,
                 mean: float) -> None:
        self.network, self.content_of, self._loss, self.negatives, self.mean = (
            network, content_of, loss, negatives, mean)
        self.users_of = distinct(data.csr).T  # (n_items, n_users)
        self.items = np.flatnonzero(self.users_of.counts)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """The items with events, shuffled."""
        return shuffled(len(self.items), size, rng)

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the events of the items `items[batch]`."""
        items = self.items[batch]
        rows = self.users_of.rows(items)
        users, user = np.unique(rows.indices, return_inverse=True)  # all in the batch; of each event
        item = rows.row_of_entry
        scores = self.network(users, items, *self.content_of(items))  # (U, I)
        if self._loss == "mse":
            return losses.mse(scores[user, item], rows.weights - np.float32(self.mean))
        sampler = NegativeSampler(CSR.from_pairs(user, item, None, (len(users), len(items))))
        possible = sampler.unseen[user] > 0
        if not possible.any():  # nobody has an item of the batch left
            return scores.sum() * 0
        user, item = user[possible], item[possible]
        negative = sampler.sample(user, self.negatives, rng)  # (events, negatives)
        loss = losses.of_draws(self._loss, sampler.log_q, item, negative)
        return loss(scores[user, item], scores[user[:, None], negative])
