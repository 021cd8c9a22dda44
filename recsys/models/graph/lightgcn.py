"""The graph network whose layers are sums over neighbours, and nothing else."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minidl import no_grad
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.parameters import Check, between, flag, number, one_of, optional, whole
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.sums import Sums
from recsys.estimator.training import Training
from recsys.models.graph.network import GraphNetwork
from recsys.models.pairs.estimators import PAIR_CHECKS
from recsys.models.pairs.objective import pair_objective
from recsys.training import Objective, losses

__all__ = ["LightGCN"]


class LightGCN(Recommender):
    """Score = `u . i` of vectors that users and items have passed on to each other along their interactions.

    With a table of vectors `e^0` of users and items, layer k + 1 is

        e_u^(k+1) = |N_u| ** -receiver_power * sum_{i in N_u} |N_i| ** -sender_power * e_i^k

    and the same of items, N being who a user or an item interacted with; with `normalise`, `e_i^k` is divided by its
    length before it is passed on. A vector is `own * e^0 + (1 - own) * mean(e^1, ..., e^layers)`. By default both
    powers are 1/2 and all layers weigh alike: LightGCN. LightGCN++ has `normalise=True, receiver_power=0.6,
    sender_power=-0.1, own=0.2`.

    A step of training propagates the vectors of all users and items once, whatever the batch, and goes back through
    the same products: so batches are large. The paper has the loss "bpr"; the softmax over all items, which costs about
    as much a step, needs far fewer steps.

    A user who comes later has no `e^0`. With the history H, the layers give

        |H| ** -receiver_power * sum_{j in H} z_j,   z_j = (1 - own) / layers * |N_j| ** -sender_power * sum_k e_j^k

    so a score of a given history is a sum over its items, and `explain` of one is exact; of a known user it leaves out
    what the user's own vector adds. `partial_fit` gives what `fit` of all events gives, at its cost.

    Parameters
    ----------
    factors : int
        Length of the vectors.
    layers : int
    normalise : bool
    receiver_power, sender_power : float
    own : float, optional
        By default `1 / (layers + 1)`.
    loss : str
        "softmax" over all items, or a name in `recsys.training.losses.SAMPLED`, such as "bpr".
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    negatives_power : float
        They are drawn in proportion to `count ** negatives_power`.
    reg : float
        Times the mean squared norm of the vectors `e^0` of the pairs in a batch, added to the loss.
    init_std : float
        Of `e^0`.
    epochs, batch_size, seed : int
        A batch is of pairs of user and item.
    lr, weight_decay : float
    patience : int, optional
        With validation data the weights of the best epoch are kept; stop after so many epochs without a better one.

    Attributes
    ----------
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`: NDCG@10.

    References
    ----------
    He et al., LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, SIGIR 2020, equations 3
    to 5 and 15. Lee et al., Revisiting LightGCN: Unexpected Inflexibility, Inconsistency, and A Remedy Towards Improved
    Recommendation, RecSys 2024 (LightGCN++).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> LightGCN(factors=4, epochs=60, lr=0.05).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, embeddings=True)
    trains: ClassVar[bool] = True
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {
        **PAIR_CHECKS, "loss": one_of("softmax", *losses.SAMPLED), "layers": whole(1), "normalise": flag(),
        "receiver_power": number(), "sender_power": number(), "own": optional(between(0, 1))}

    factors: int
    layers: int
    normalise: bool
    receiver_power: float
    sender_power: float
    own: float | None
    init_std: float
    seed: int

    def __init__(self, *, factors: int = 64, layers: int = 2, normalise: bool = False, receiver_power: float = 0.5,
                 sender_power: float = 0.5, own: float | None = None, loss: str = "softmax", negatives: int = 4,
                 negatives_power: float = 0.0, reg: float = 0.02, init_std: float = 0.1, epochs: int = 60,
                 batch_size: int = 8192, lr: float = 0.01, weight_decay: float = 0.0, patience: int | None = 10,
                 seed: int = 0) -> None:
        self.store_parameters(locals())

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the tables, through the graph."""
        own = 1 / (self.layers + 1) if self.own is None else float(self.own)
        network = GraphNetwork(context.facts.pairs, self.factors, self.layers, self.init_std, self.normalise,
                               self.receiver_power, self.sender_power, own, np.random.default_rng(self.seed))
        objective = _Propagated(network, pair_objective(self, network, network, data, context.facts))
        return Training.of(self, data, context, network, objective, lambda: self._learned(network))

    def _learned(self, network: GraphNetwork) -> Learned:
        with no_grad():
            users, items = (np.asarray(x.data) for x in network.propagated())
            fold_in = Sums(network.passed_on(), self.receiver_power)
        return Learned(Factors(self.can, users, items, np.zeros(len(items), np.float32), fold_in))


class _Propagated:
    """An objective whose batches share one propagation each."""

    def __init__(self, network: GraphNetwork, objective: Objective) -> None:
        self.network, self.batches, self._loss = network, objective.batches, objective.loss

    def loss(self, batch: np.ndarray, rng: np.random.Generator) -> Any:
        """Mean loss of the examples of a batch."""
        with self.network.held():
            return self._loss(batch, rng)
