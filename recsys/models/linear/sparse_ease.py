"""A linear autoencoder for many items."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, whole
from recsys.estimator.scorers.similarities import SparseSimilarities
from recsys.kernels import regressions
from recsys.models.linear.forms import CHECKS, penalties, popularity, to_others, weighted
from recsys.models.linear.local import Given, local_weights
from recsys.models.noise import noise

__all__ = ["SparseEASE"]


class SparseEASE(Recommender):
    """`EASE` for catalogues of any size: ridge regression of each item on its nearest items, in closed form.

    With N the items of which j has the highest cosines, column j of B minimises
    `|x_j - X_N b|**2 + sum over i in N of penalty_i b_i**2`; all other weights are 0. With as many neighbours as there
    are items it is `EASE`. Memory grows with items times neighbours, time with items times the cube of the neighbours;
    the products of the items of each list are counted where they are needed, and never all at once. `partial_fit`
    gives what `fit` of all events gives, at its cost.

    Parameters
    ----------
    neighbours : int
    reg, dropout, diagonal, user_power, item_power, recent, weights
        As of `EASE`.
    max_gib : float
        `fit` refuses data whose table of weights might need more memory than this.

    Attributes
    ----------
    reg_ : float
        What was taken.

    References
    ----------
    Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, and the other papers of `EASE`. Ning, Karypis,
    SLIM, ICDM 2011, section 4 (regressions on nearest items alone, its fsSLIM).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> SparseEASE(reg=1).fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {**CHECKS, "neighbours": whole(1)}

    neighbours: int
    reg: float | None
    dropout: float
    diagonal: float
    user_power: float
    item_power: float
    recent: int | None
    weights: str
    max_gib: float

    def __init__(self, *, neighbours: int = 256, reg: float | None = None, dropout: float = 0.0,
                 diagonal: float = 0.0, user_power: float = 0.0, item_power: float = 0.0, recent: int | None = None,
                 weights: str = "binary", max_gib: float = 4.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The weights of the nearest items of each item."""
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        histories = histories.storing(data.csr, context.facts.seen)
        plain = histories.plain(data.csr)
        rows = weighted(plain, self.user_power)
        squares = np.bincount(rows.indices, rows.weights.astype(np.float64) ** 2, rows.shape[1])
        reg = noise(rows) ** 2 if self.reg is None else float(self.reg)
        penalty, popular = penalties(squares, reg, self.dropout), popularity(plain, self.item_power)

        def regress(given: Given, targets: np.ndarray, lists: CSR) -> np.ndarray:
            weights, left = regressions.ridge(*given, targets, lists.indptr, lists.indices, penalty)
            scale = to_others(penalty[targets], left, self.diagonal) / popular[targets]
            return np.asarray(weights * scale[lists.row_of_entry] * popular[lists.indices], np.float32)

        near = local_weights("SparseEASE", rows, self.neighbours, regress, self.max_gib)
        return Learned(SparseSimilarities(self.can, histories, near), {"reg_": reg})
