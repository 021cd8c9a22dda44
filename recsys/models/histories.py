"""What models share whose network takes the distinct items of a history to scores of all items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.networks import Architecture
from recsys.estimator.parameters import Check
from recsys.estimator.scorers.networks import HistoryNetwork
from recsys.estimator.training import CHECKS, Training, adam
from recsys.models.refining import go_on, grow, regrow
from recsys.training import Objective

__all__ = ["HistoryModel"]


class HistoryModel(Recommender):
    """A network of histories, and what it learns.

    A subclass has the hyper-parameters of all trainings, `epochs, batch_size, lr, weight_decay, patience, seed`, and
    writes `objective(network, rows)` and, for a network of its own, `build(n_users, n_items, rng)`.

    With `partial_fit` histories grow, and so do the tables: the biases of new items are the mean of all, their other
    numbers as at the start of a fit. Then come a fourth of the epochs of a fit, over the histories that have grown and
    as many others.

    Attributes
    ----------
    network : minidl.nn.Module
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`, NDCG@10.
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True)
    trains: ClassVar[bool] = True
    personal: ClassVar[bool] = False  # the network is given the numbers of users, too
    checks: ClassVar[dict[str, Check]] = CHECKS

    seed: int

    def architecture(self) -> Architecture:
        """By which a file names the network; by default, this class and its hyper-parameters."""
        return Architecture(type(self).__name__, self.get_params())

    def build(self, n_users: int, n_items: int, rng: np.random.Generator) -> Any:
        """A new network, which takes a CSR (B, n_items) to a Tensor (B, n_items)."""
        return self.architecture().build(n_users, n_items, rng)

    def objective(self, network: Any, rows: CSR) -> Objective:
        """What the network learns of histories, CSR (n_users, n_items)."""
        raise NotImplementedError(f"{type(self).__name__} does not define objective.")

    def training(self, data: Interactions, context: Context) -> Training:
        """Of the network on the distinct items of each user."""
        facts, kept = context.facts, Histories().storing(data.csr, context.facts.seen)
        network = self.build(len(facts.users), len(facts.items), np.random.default_rng(self.seed))

        def finish() -> Learned:
            return Learned(self._scorer(network, kept, facts))

        return Training.of(self, data, context, network, self.objective(network, kept.rows), finish)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """The histories and the network grow, and go on learning."""
        facts, kept = context.facts, grow(fitted, data)
        network = self.build(*data.csr.shape, np.random.default_rng((self.seed, *data.csr.shape)))
        regrow(network, fitted.answers_by(HistoryNetwork).network)
        go_on(self, network, data, kept.rows, adam(self, network.parameters()),
              lambda part, events: self.objective(network, part))
        return Learned(self._scorer(network, kept, facts), fitted.learned.taken)

    def _scorer(self, network: Any, kept: Histories, facts: Facts) -> HistoryNetwork:
        return HistoryNetwork(self.can, kept, network, self.architecture(), len(facts.items), personal=self.personal)
