"""Generalised matrix factorisation: the product of two embeddings, weighted, as a small neural network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys.models.base import Can
from recsys.models.factors import MappedFactorModel
from recsys.models.pairs import CanByLoss, PairModel
from recsys.models.sparse import expect
from recsys.networks.pairs import GMFNetwork

__all__ = ["GMF"]


class GMF(MappedFactorModel, PairModel):
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
    history_ : dict of list of float
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

    can: ClassVar[Any] = CanByLoss(Can(fold_in=True, partial_fit=True, explain=True, embeddings=True))

    factors: int
    init_std: float
    output: np.ndarray  # h

    def __init__(self, *, factors: int = 32, epochs: int = 60, lr: float = 0.02, reg: float = 0.2,
                 batch_size: int = 8192, loss: str = "softmax", negatives: int = 4, init_std: float = 0.1,
                 patience: int | None = None, seed: int = 0) -> None:
        self._store(locals())

    def _network(self, rng: np.random.Generator) -> GMFNetwork:
        return GMFNetwork(len(self.users), len(self.items), self.factors, self.init_std, rng)

    def _trained(self) -> GMFNetwork:
        """The network out of the factors, as a model that was loaded has these alone."""
        n_items = len(self.item_factors)
        network = GMFNetwork(len(self.user_factors), n_items, self.factors, self.init_std, np.random.default_rng(0))
        output = np.where(self.output == 0, np.float32(1), self.output)
        network.load_state_dict({
            "users.weight": self.user_factors, "items.weight": self.item_factors / output,
            "bias.weight": self.item_bias[:, None] - self._offset, "output": output})
        return network

    def _settle(self) -> None:
        network = self.network
        self.output = network.output.data
        self.user_factors = network.users.weight.data
        self.item_factors = network.items.weight.data * network.output.data
        self.item_bias = network.bias.weight.data[:, 0] + self._offset
        self._learn_map(self.require_seen("fit"))

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | {"output": self.output}

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        whole = np.ones(self.factors, np.float32)  # of files from before `partial_fit`
        self.output = expect(state, "output", (self.factors,), np.float32) if "output" in state else whole
