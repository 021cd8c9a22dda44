"""GRU4Rec: sessions read side by side, one event at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from minidl import optim
from recsys.data.csr import CSR, ranges
from recsys.data.sampling import NegativeSampler
from recsys.estimator import Facts
from recsys.estimator.parameters import Check, between, one_of
from recsys.models.sequential.estimators import SequenceModel
from recsys.models.sequential.network import SequenceNetwork
from recsys.models.sequential.objective import against, item_sampler
from recsys.training.losses import SAMPLED

__all__ = ["GRU4Rec", "ParallelSessions"]


class GRU4Rec(SequenceModel):
    """Gated recurrent units over sessions (here, the `users`), trained on sessions in parallel.

    With h_t the GRU's state after the t-th event of a session and v the vectors of the items, which are its input too,
    an item's score is `h_t . v_i + b_i`. A batch is the next event of `batch_size` sessions; the states are carried
    over from batch to batch, and start at 0 where a session has ended and another takes its place. Gradients do not
    reach back beyond the batch. The other targets of the batch and `negatives` more items, drawn in proportion to
    `count ** negatives_power`, are the negatives of each target; none of them is the target itself.

    Parameters
    ----------
    factors : int
        Length of the vectors and of the state.
    layers : int
    recent : int
        How many of the last events of a session count when it is answered.
    dropout : float
        Of the item vectors and of the state.
    loss : {"sampled_softmax", "gbce", "bpr_max", "bpr", "hinge", "adaptive_hinge", "warp", "bce"}
        "sampled_softmax" takes the logarithm of how often an item is drawn off its score.
    negatives : int
        Drawn for every batch.
    negatives_power : float
        From 0, all items alike, to 1, by popularity.
    epochs, batch_size, seed : int
    lr, weight_decay : float
        Of Adagrad. "bpr_max" needs a lower one than the default, such as 0.02, or its penalty draws all scores to 0.
    patience : int, optional
        With validation data, stop after so many epochs without a better one.

    References
    ----------
    Hidasi et al., Session-based Recommendations with Recurrent Neural Networks, ICLR 2016; Hidasi and Karatzoglou,
    Recurrent Neural Networks with Top-k Gains for Session-based Recommendations, CIKM 2018.

    Examples
    --------
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = GRU4Rec(factors=8, epochs=60, negatives=8, dropout=0).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    checks: ClassVar[dict[str, Check]] = {"loss": one_of(*SAMPLED), "negatives_power": between(0, 1)}

    def __init__(self, *, factors: int = 100, layers: int = 1, recent: int = 50, dropout: float = 0.3,
                 loss: str = "sampled_softmax", negatives: int = 512, negatives_power: float = 0.5, epochs: int = 12,
                 batch_size: int = 128, lr: float = 0.05, weight_decay: float = 0.0, patience: int | None = 3,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    encoder = "gru"

    def _optimizer(self, network: SequenceNetwork, anew: bool = False) -> optim.Optimizer:
        """The first steps of Adagrad are its longest, so that a network that goes on gets shorter ones."""
        return optim.Adagrad(network.parameters(), lr=0.3 * self.lr if anew else self.lr,
                             weight_decay=self.weight_decay)

    def _objective(self, network: SequenceNetwork, rows: CSR, history: CSR | None, moments: np.ndarray | None,
                   facts: Facts) -> ParallelSessions:
        expected = self.batch_size * facts.item_counts / facts.item_counts.sum()  # how often an item is in a batch
        sampler = item_sampler(facts.item_counts, self.negatives_power)
        return ParallelSessions(rows, network, self.loss, sampler, self.negatives, expected)


class ParallelSessions:
    """An objective whose batches are the steps of sessions that are read side by side, in this order.

    Parameters
    ----------
    rows : CSR, shape (n_sessions, n_items)
        In time order; sessions of one event are not used.
    network : SequenceNetwork
        With recurrent layers.
    loss : str
        A name in `recsys.training.losses.SAMPLED`.
    sampler : NegativeSampler
    negatives : int
        Drawn for every batch.
    expected : ndarray, shape (n_items,)
        How often an item is a target in a batch, on average.
    """

    def __init__(self, rows: CSR, network: SequenceNetwork, loss: str, sampler: NegativeSampler, negatives: int,
                 expected: np.ndarray) -> None:
        self.rows, self.network, self._loss, self._sampler, self._negatives = rows, network, loss, sampler, negatives
        self._encoder: Any = network.encoder
        self._log_q = np.log(expected + negatives * np.exp(sampler.log_q)).astype(np.float32)
        self._active = np.flatnonzero(rows.counts > 1)

    def batches(self, epoch: int, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
        """Shuffle the sessions and lay them out in `size` slots; the events of each step."""
        sessions = rng.permutation(self._active)
        n = self.rows.counts[sessions] - 1  # events that are predicted
        slot, start = side_by_side(n, size)
        place = ranges(np.zeros(len(n), np.int64), n)
        step = np.repeat(start, n) + place
        order = np.argsort(step, kind="stable")
        self._entries = (np.repeat(self.rows.indptr[sessions], n) + place)[order]
        self._slots, self._first = np.repeat(slot, n)[order], (place == 0)[order]
        layers = self._encoder.layers
        self._states = np.zeros((layers.num_layers, size, layers.hidden_size), np.float32)
        ends = np.cumsum(np.bincount(step))
        return (np.arange(end - count, end) for end, count in zip(ends, np.diff(ends, prepend=0), strict=True))

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of a step."""
        network, slots = self.network, self._slots[batch]
        self._states[:, slots[self._first[batch]]] = 0
        vectors = network.dropout(network.vectors(self.rows.indices[self._entries[batch]]))  # (B, factors)
        states, after = self._encoder.layers(vectors[None], self._states[:, slots])  # (1, B, d), (layers, B, d)
        self._states[:, slots] = after.data
        targets = self.rows.indices[self._entries[batch] + 1]
        drawn = self._sampler.sample(np.zeros(1, np.int64), self._negatives, rng)[0]
        return against(self._loss, network, self._encoder.dropout(states[0]), targets, None,
                       np.concatenate([targets, drawn]), self._log_q)


def side_by_side(lengths: np.ndarray, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Each session to the slot that is free first: the slots, and the steps at which they start.

    Examples
    --------
    >>> side_by_side(np.array([3, 1, 1, 2]), 2)
    (array([0, 1, 1, 1]), array([0, 0, 1, 2]))
    """
    free = [(0, slot) for slot in range(slots)]
    found = np.empty((2, len(lengths)), np.int64)
    for session, length in enumerate(lengths.tolist()):
        step, slot = free[0]
        found[:, session] = slot, step
        heapq.heapreplace(free, (step + length, slot))
    return found[0], found[1]
