"""Sparse linear methods."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, at_least, optional, whole
from recsys.estimator.scorers.similarities import SparseSimilarities
from recsys.kernels import regressions
from recsys.models.linear.forms import CHECKS
from recsys.models.linear.local import Given, local_weights
from recsys.models.noise import noise

__all__ = ["SLIM"]

_OF_NOISE = 0.1
_SWEEPS = 2000
_CLOSE = 1e-6  # a pass that moves no weight further is the last


class SLIM(Recommender):
    """Sparse linear method: an elastic net of each item on others, with weights that are not negative.

    Column j of W minimises `|x_j - X w|**2 / 2 + reg |w|**2 / 2 + reg_l1 |w|_1` under `w >= 0` and `w_j = 0`, and the
    scores are `X W`. An item that nobody has together with j has the weight 0 where values are not negative, so that
    with as many `neighbours` as there are items these are the weights among all; with fewer, the items with the highest
    cosines are candidates. The optimum is found by coordinate descent. `partial_fit` gives what `fit` of all events
    gives, at its cost.

    Parameters
    ----------
    neighbours : int
        Memory grows with it, and time with its square.
    reg : float, optional
        By default a tenth of that of `EASE`: weights that are not negative fit less noise.
    reg_l1 : float, optional
        The larger, the fewer weights are above 0: with X of ones, items that fewer users have together with j have
        none. By default the mean of the squares of the entries of X, which is then 1.
    recent, weights
        As of `EASE`.
    max_gib : float
        `fit` refuses data whose table of weights might need more memory than this.

    Attributes
    ----------
    reg_ : float
    reg_l1_ : float
        What was taken.

    References
    ----------
    Ning, Karypis, SLIM: Sparse Linear Methods for Top-N Recommender Systems, ICDM 2011, equation 3 and section 4
    (candidates, its fsSLIM). Friedman, Hastie, Tibshirani, Regularization Paths for Generalized Linear Models via
    Coordinate Descent, Journal of Statistical Software 2010.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> SLIM(reg=1).fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {"neighbours": whole(1), "reg_l1": optional(at_least(0)), **{
        name: CHECKS[name] for name in ("reg", "recent", "weights", "max_gib")}}

    neighbours: int
    reg: float | None
    reg_l1: float | None
    recent: int | None
    weights: str
    max_gib: float

    def __init__(self, *, neighbours: int = 256, reg: float | None = None, reg_l1: float | None = None,
                 recent: int | None = None, weights: str = "binary", max_gib: float = 4.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The weights of each item among its nearest."""
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        histories = histories.storing(data.csr, context.facts.seen)
        rows = histories.plain(data.csr)
        reg = _OF_NOISE * noise(rows) ** 2 if self.reg is None else float(self.reg)
        lasso = float(np.mean(rows.weights.astype(np.float64) ** 2)) if self.reg_l1 is None else float(self.reg_l1)
        penalty = np.full(rows.shape[1], reg)

        def regress(given: Given, targets: np.ndarray, lists: CSR) -> np.ndarray:
            return np.asarray(regressions.elastic_net(*given, targets, lists.indptr, lists.indices, penalty,
                                                      lasso, _SWEEPS, _CLOSE))

        near = local_weights("SLIM", rows, self.neighbours, regress, self.max_gib)
        return Learned(SparseSimilarities(self.can, histories, near), {"reg_": reg, "reg_l1_": lasso})
