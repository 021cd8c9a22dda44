"""Generalised matrix factorisation: the product of two embeddings, weighted, as a small neural network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.estimator import Can, Facts, Fitted, Learned
from recsys.estimator.arrays import expect
from recsys.estimator.networks import Architecture
from recsys.estimator.scorers.factors import Factors
from recsys.models.factorisation.factors import learn_map
from recsys.models.pairs.estimators import PairModel, rates_by_loss
from recsys.models.pairs.network import GMFNetwork

__all__ = ["GMF"]


class GMF(PairModel):
    """Score = `h . (p_u * q_i) + b_i`: the product of a user's and an item's vector, weighted, and an item bias.

    Once trained, `q_i * h` are the item factors: it answers as fast as any factor model. A new user's vector is a
    linear function of the mean of the items' vectors, learned on the known users.

    `partial_fit` is that of `PairModel`.

    Parameters
    ----------
    factors, epochs : int
    lr : float
    reg : float
        Times the mean squared norm of the vectors in a batch, added to the loss.
    batch_size : int
        Pairs of user and item.
    loss : str
        "softmax" over all items, "mse" (ratings), or a name in `recsys.losses.SAMPLED`, such as "bce" and "bpr".
    negatives : int
        How many are drawn for each item; for the losses in `SAMPLED`.
    init_std : float
    patience : int, optional
        With validation data the weights of the best epoch are kept; stop after so many epochs without a better one.
    seed : int

    Attributes
    ----------
    curves_ : dict of list of float
        `"loss"`, and with validation data `"valid"`: NDCG@10, or with the loss "mse" minus the RMSE.

    References
    ----------
    He et al., Neural Collaborative Filtering, WWW 2017, section 3.2 (there without the item bias, and with "bce").

    Examples
    --------
    >>> from recsys import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> GMF(factors=4, epochs=100, lr=0.02).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Any] = rates_by_loss(Can(fold_in=True, partial_fit=True, explain=True, embeddings=True))

    factors: int
    init_std: float

    def __init__(self, *, factors: int = 64, epochs: int = 60, lr: float = 0.02, reg: float = 0.3,
                 batch_size: int = 8192, loss: str = "softmax", negatives: int = 4, init_std: float = 0.1,
                 patience: int | None = None, seed: int = 0) -> None:
        self.store_parameters(locals())

    def architecture(self) -> Architecture:
        """Of the network."""
        return Architecture("gmf", {"factors": self.factors, "init_std": self.init_std})

    @property
    def network(self) -> GMFNetwork:
        """The trained network, out of the factors."""
        fitted = self.require("network")
        return type(self)(**fitted.parameters)._trained(fitted)

    def _trained(self, fitted: Fitted) -> GMFNetwork:
        """The network out of the factors, which are all that is kept of it but `h`."""
        factors = fitted.answers_by(Factors)
        network: GMFNetwork = self.build(len(fitted.facts.users), len(fitted.facts.items), np.random.default_rng(0))
        output = expect(fitted.learned.memory[1], "output", (self.factors,), np.float32)
        network.load_state_dict({
            "users.weight": factors.user_factors,
            "items.weight": factors.item_factors / np.where(output == 0, np.float32(1), output),
            "bias.weight": factors.item_bias[:, None] - np.float32(self._offset(fitted.facts)), "output": output})
        return network

    def _learned(self, network: Any, facts: Facts) -> Learned:
        output = network.output.data
        user_factors, item_factors = network.users.weight.data, network.items.weight.data * output
        item_bias = network.bias.weight.data[:, 0] + np.float32(self._offset(facts))
        scorer = Factors(self.can, user_factors, item_factors, item_bias,
                         learn_map(facts.pairs, user_factors, item_factors))
        return Learned(scorer, memory=({}, {"output": output}))
