"""GRU4Rec: sessions read side by side, one event at a time."""

from __future__ import annotations

import heapq
from typing import Any, ClassVar

import numpy as np

from minidl import nn, optim
from recsys.data.csr import CSR, ranges
from recsys.data.interactions import Interactions
from recsys.losses import SAMPLED
from recsys.models.parameters import Check, between, one_of
from recsys.models.sequence import SequenceModel
from recsys.networks.sequence_encoders import RecurrentEncoder
from recsys.networks.sequence_objective import against, item_sampler

__all__ = ["GRU4Rec"]


class GRU4Rec(SequenceModel):
    """Gated recurrent units over sessions (here, the `users`), trained on sessions in parallel.

    With h_t the GRU's state after the t-th event of a session and v the vectors of the items, which are its input too,
    an item's score is `h_t . v_i + b_i`. A batch is the next event of `batch_size` sessions; the states are carried
    over from batch to batch, and start at 0 where a session has ended and another takes its place. Gradients do not
    reach back beyond the batch. The other targets of the batch and `negatives` more items, drawn in proportion to
    `count ** alpha`, are the negatives of each target; none of them is the target itself.

    Parameters
    ----------
    factors : int
        Length of the vectors and of the state.
    layers : int
    max_length : int
        How many of the last events of a session count when it is answered.
    dropout : float
        Of the item vectors and of the state.
    loss : {"sampled_softmax", "bpr_max", "bpr", "hinge", "adaptive_hinge", "warp", "bce"}
        "sampled_softmax" takes the logarithm of how often an item is drawn off its score.
    negatives : int
        Drawn for every batch.
    alpha : float
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
    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2, 3, 3], ["tea", "jam", "bun", "jam", "bun", "tea", "jam"])
    >>> model = GRU4Rec(factors=8, epochs=60, negatives=8, dropout=0).fit(data)
    >>> model.recommend(history=["tea", "jam"], k=1).items.tolist()
    ['bun']
    """

    checks: ClassVar[dict[str, Check]] = {"loss": one_of(*SAMPLED), "alpha": between(0, 1)}

    def __init__(self, *, factors: int = 100, layers: int = 1, max_length: int = 50, dropout: float = 0.3,
                 loss: str = "sampled_softmax", negatives: int = 512, alpha: float = 0.5, epochs: int = 12,
                 batch_size: int = 128, lr: float = 0.05, weight_decay: float = 0.0, patience: int | None = 3,
                 seed: int = 0) -> None:
        self._store(locals())

    def _encoder(self, rng: np.random.Generator) -> nn.Module:
        return RecurrentEncoder("gru", self.factors, layers=self.layers, dropout=self.dropout, generator=rng)

    def _optimizer(self) -> optim.Optimizer:
        return optim.Adagrad(self.network.parameters(), lr=self.lr, weight_decay=self.weight_decay)

    def _optimizer_anew(self) -> optim.Optimizer:
        """The first steps of Adagrad are its longest."""
        return optim.Adagrad(self.network.parameters(), lr=0.3 * self.lr, weight_decay=self.weight_decay)

    def _objective(self, data: Interactions) -> ParallelSessions:
        return ParallelSessions(self, self._training)


class ParallelSessions:
    """An objective whose batches are the steps of sessions that are read side by side, in this order.

    Parameters
    ----------
    model : GRU4Rec
    rows : CSR, shape (n_sessions, n_items)
        In time order; sessions of one event are not used.
    """

    def __init__(self, model: GRU4Rec, rows: CSR) -> None:
        self.model, self.rows = model, rows
        self._sampler = item_sampler(model.item_counts, model.alpha)
        expected = model.batch_size * model.item_counts / model.item_counts.sum()  # how often an item is in a batch
        self._log_q = np.log(expected + model.negatives * np.exp(self._sampler.log_q)).astype(np.float32)
        self._active = np.flatnonzero(rows.counts > 1)

    def begin(self, epoch: int, rng: np.random.Generator) -> int:
        """Shuffle the sessions and lay them out; as many examples as make one batch of each step."""
        model, sessions = self.model, rng.permutation(self._active)
        n = self.rows.counts[sessions] - 1  # events that are predicted
        slot, start = side_by_side(n, model.batch_size)
        place = ranges(np.zeros(len(n), np.int64), n)
        step = np.repeat(start, n) + place
        order = np.argsort(step, kind="stable")
        self._entries = (np.repeat(self.rows.indptr[sessions], n) + place)[order]
        self._slots, self._first = np.repeat(slot, n)[order], (place == 0)[order]
        self._ends = np.cumsum(np.bincount(step))
        self._states = np.zeros((model.layers, model.batch_size, model.factors), np.float32)
        self._step = 0
        return len(self._ends) * model.batch_size

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the next step, whatever the batch: a session's events go in order."""
        step = self._step % len(self._ends)
        self._step += 1
        events = slice(self._ends[step - 1] if step else 0, self._ends[step])
        model, network = self.model, self.model.network
        entries, slots = self._entries[events], self._slots[events]
        self._states[:, slots[self._first[events]]] = 0
        vectors = network.dropout(network.vectors(self.rows.indices[entries]))  # (B, factors)
        states, after = network.encoder.layers(vectors[None], self._states[:, slots])  # (1, B, d), (layers, B, d)
        self._states[:, slots] = after.data
        targets = self.rows.indices[entries + 1]
        drawn = np.concatenate([targets, self._sampler.sample(np.zeros(1, np.int64), model.negatives, rng)[0]])
        return against(model.loss, network, network.encoder.dropout(states[0]), targets, None, drawn, self._log_q)


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
