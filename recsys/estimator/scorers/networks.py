"""Scores that a network gives: of histories, of pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from minidl import no_grad
from recsys.data.csr import CSR
from recsys.errors import ArtifactError
from recsys.estimator.arrays import Arrays, blocks
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.histories import Histories
from recsys.estimator.networks import Architecture
from recsys.estimator.scorers.base import HistoryScorer, Queries, Scorer, State

__all__ = ["HistoryNetwork", "PairNetwork", "pairs_at_once", "scores_of"]

_AT_ONCE = 1 << 24  # numbers a layer computes at a time


class HistoryNetwork(HistoryScorer):
    """Scores are what a network makes of a history.

    Parameters
    ----------
    can : Can
    histories : Histories
    network : minidl.nn.Module
        `network(history)` takes a CSR (B, n_items) to a Tensor (B, n_items); with `can.embeddings` it has
        `item_vectors()`, and `user_vectors(history)`. If its scores are products, it may have `products()`, vectors
        (n_items, f) and biases (n_items,) or None, and `queries(history)`, a Tensor (B, f).
    architecture : Architecture or None
        What a file rebuilds the network from; None for one of your own, which no file can hold.
    n_items : int
    personal : bool
        The network knows users of the training by vectors of their own: `network(history, users)`, and
        `queries(history, users)`.
    """

    plainly = ("A network of weights, trained on what people did, reads what you had and guesses what comes next; "
               "the best guesses are shown first.")

    def __init__(self, can: Can, histories: Histories, network: Any, architecture: Architecture | None, n_items: int, *,
                 personal: bool = False) -> None:
        super().__init__(can, histories, n_items)
        self.network, self.architecture, self.personal = network, architecture, personal
        self.alone = not hasattr(network, "products")

    def score_histories(self, history: CSR) -> np.ndarray:
        """Scores of all items for transformed histories: CSR (B, n_items) -> (B, n_items)."""
        scores = np.empty(history.shape, np.float32)
        with no_grad():
            for block in blocks(*history.shape):
                scores[block] = self.network(history.rows(np.arange(block.start, block.stop))).data
        return scores

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        if not self.personal:
            return super().score(users)
        with no_grad():
            return np.asarray(self.network(self.stored(users), users).data)

    def vectors(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Those of the network's products, if its scores are some."""
        if not hasattr(self.network, "products"):
            return None
        vectors, bias = self.network.products()
        return np.asarray(vectors, np.float32), None if bias is None else np.asarray(bias, np.float32)

    def queries(self, users: np.ndarray) -> Queries:
        """What the network makes of the histories of users, one at a time."""
        return self._queries(self.stored(users), users if self.personal else None)

    def fold_queries(self, history: CSR) -> Queries:
        """What the network makes of histories, one at a time."""
        return self._queries(self.transform_history(history), None)

    def _queries(self, history: CSR, users: np.ndarray | None) -> Queries:
        """Row by row: the last bits of what a network computes depend on the other rows, and on their lengths."""
        with no_grad():
            found = [self.network.queries(history.rows(row), *([] if users is None else [users[row]])).data
                     for row in np.arange(history.shape[0])[:, None]]
        return Queries(np.concatenate(found))

    def item_vectors(self) -> np.ndarray | None:
        """(n_items, d), if the network has any."""
        with no_grad():
            return np.asarray(self.network.item_vectors()) if self.can.embeddings else None

    def user_vectors(self) -> np.ndarray | None:
        """(n_users, d): those of the stored histories, if the network has any."""
        stored = self.histories.stored
        if not self.can.embeddings or stored is None:
            return None
        with no_grad():
            return np.asarray(self.network.user_vectors(stored))

    def state(self) -> State:
        """The network and the histories."""
        architecture = _named(self.architecture)
        settings = {"histories": self.histories.settings(), "network": architecture.settings(),
                    "personal": self.personal}
        return settings, self.histories.arrays() | architecture.arrays(self.network)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        architecture = Architecture.restore(settings["network"], arrays)
        return cls(settings["can"], Histories.restore(settings["histories"], arrays, facts),
                   architecture.load(arrays, len(facts.users), len(facts.items)), architecture, len(facts.items),
                   personal=settings["personal"])


class PairNetwork(Scorer):
    """Scores are what a network makes of pairs of a user and an item.

    Parameters
    ----------
    can : Can
    network : minidl.nn.Module
        `network(users, items)`, int (B,) and int (B, K), (K,) or None for all items, gives a Tensor (B, K); with
        `can.embeddings` it has `item_vectors()` and `user_vectors()`.
    architecture : Architecture or None
        What a file rebuilds the network from; None for one of your own, which no file can hold.
    n_items : int
    offset : float
        Added to all scores.
    described : (bool, bool)
        Whether users, and items, are known by their features.
    """

    plainly = ("A network of weights, trained on what people had, judges how well you and an item go together; the "
               "best are shown first.")

    alone = True

    def __init__(self, can: Can, network: Any, architecture: Architecture | None, n_items: int, *, offset: float = 0.0,
                 described: tuple[bool, bool] = (False, False)) -> None:
        self.can, self.network, self.architecture, self.n_items = can, network, architecture, n_items
        self.offset, self.described = np.float32(offset), described
        self._scores = scores_of(network, architecture, n_items)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        scores = np.empty((len(users), self.n_items), np.float32)
        step = pairs_at_once(self.network)
        columns = min(self.n_items, step)
        rows = max(1, step // max(columns, 1))
        with no_grad():
            for i in range(0, len(users), rows):
                for j in range(0, self.n_items, columns):
                    items = np.arange(j, min(j + columns, self.n_items))
                    scores[i:i + rows, j:j + columns] = self._scores(users[i:i + rows], items).data
        scores += self.offset
        return scores

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs: (n,)."""
        scores, step = np.empty(len(users), np.float32), pairs_at_once(self.network)
        with no_grad():
            for i in range(0, len(users), step):
                part = slice(i, i + step)
                scores[part] = self._scores(users[part], items[part, None]).data[:, 0]
        return scores + self.offset

    def item_vectors(self) -> np.ndarray | None:
        """(n_items, d), if the network has any."""
        with no_grad():
            return np.asarray(self.network.item_vectors()) if self.can.embeddings else None

    def user_vectors(self) -> np.ndarray | None:
        """(n_users, d), if the network has any."""
        with no_grad():
            return np.asarray(self.network.user_vectors()) if self.can.embeddings else None

    def state(self) -> State:
        """The network."""
        architecture = _named(self.architecture)
        settings = {"network": architecture.settings(), "offset": float(self.offset), "described": self.described}
        return settings, architecture.arrays(self.network)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        architecture = Architecture.restore(settings["network"], arrays)
        return cls(settings["can"], architecture.load(arrays, len(facts.users), len(facts.items)), architecture,
                   len(facts.items), offset=settings["offset"], described=tuple(settings["described"]))


def pairs_at_once(network: Any) -> int:
    """Pairs whose numbers fit into memory, by the network's `width`: how many it computes for a pair."""
    return max(1, _AT_ONCE // getattr(network, "width", 256))


def scores_of(network: Any, architecture: Architecture | None, n_items: int) -> Callable[..., Any]:
    """How a network of pairs scores: `scores(users, items)`, int (B,) and int (B, K), (K,) or None for all items.

    One of your own, which has no architecture, is always given items (B, K).
    """
    if architecture is not None:
        direct: Callable[..., Any] = network
        return direct

    def scores(users: np.ndarray, items: np.ndarray | None) -> Any:
        items = np.arange(n_items) if items is None else items
        return network(users, np.broadcast_to(items, (len(users), items.shape[-1])))

    return scores


def _named(architecture: Architecture | None) -> Architecture:
    if architecture is None:
        raise ArtifactError("a network of your own cannot be stored; keep its state_dict() with minidl.io.save, and "
                            "its code")
    return architecture
