"""Short walks on the graph of users and items."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, at_least, flag, one_of, optional, whole
from recsys.estimator.scorers.neighbours import strongest
from recsys.estimator.scorers.similarities import SparseSimilarities
from recsys.kernels import neighbours as kernels

__all__ = ["RP3beta"]

_LEAST, _OF_ITEMS = 50, 400  # neighbours by default, and how many items there are for each

class RP3beta(Recommender):
    """Walks of three steps, from the user to an item of the history, to one of its users, to one of their items.

    With the values x, `W[j, i] = sum_u (x_uj / sum_v x_vj) ** power * (x_ui / sum_l x_ul) ** power`, divided by
    `n_i ** popularity_power`, n_i being the number of users of i: the probability of two steps from item j to item i,
    which popular items would have most of. `W[j, j] = 0`. Of each row the largest entries are kept, and the row then
    divided by its sum; and of these the largest of each column. The score of i is `sum over j in history of
    x_uj W[j, i]`.

    Memory grows with items times neighbours. `partial_fit` gives what `fit` of all events gives, at its cost.

    Parameters
    ----------
    neighbours : int, optional
        Entries that are kept of each row, and of each column. By default 50, or the 400th part of the items if that is
        more.
    power : float
        0 counts paths, 1 is the probability; more prefers steps that are likely.
    popularity_power : float
        The more, the fewer popular items.
    normalise : bool
        Whether the entries that are kept of a row are divided by their sum, so that all items of a history say equally
        much.
    recent : int or None
        Score only so many last events of a history (training uses all): what came last says most where
        interests move.
    weights : {"binary", "value"}
        Whether x is 1 or the value of an interaction (the last one, where a pair is repeated), above 0.

    Attributes
    ----------
    neighbours_ : int
        What was taken.

    References
    ----------
    Paudel, Christoffel, Newell, Bernstein, Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive
    Applications, TiiS 2017, equations 4 and 8. Cooper, Lee, Radzik, Siantos, Random Walks in Recommender Systems:
    Exact Computation and Simulations, WWW 2014 (the power). Ferrari Dacrema, Cremonesi, Jannach, Are We Really Making
    Much Progress?, RecSys 2019 (what is kept and divided, in its code).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> RP3beta().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": optional(whole(1)), "power": at_least(0), "popularity_power": at_least(0), "normalise": flag(),
        "recent": optional(whole(1)), "weights": one_of("binary", "value")}

    neighbours: int | None
    power: float
    popularity_power: float
    normalise: bool
    recent: int | None
    weights: str

    def __init__(self, *, neighbours: int | None = None, power: float = 0.5, popularity_power: float = 0.2,
                 normalise: bool = True, recent: int | None = None, weights: str = "binary") -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The strongest ways between items."""
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        histories = histories.storing(data.csr, context.facts.seen)
        rows = histories.plain(data.csr)
        if rows.weights.min(initial=1) <= 0:
            raise DataError("RP3beta.fit: weights='value' needs values above 0, of which a walk's probabilities are "
                            "made; take weights='binary', or drop the events with other values.")
        columns, n = rows.T, rows.shape[1]
        neighbours = max(_LEAST, n // _OF_ITEMS) if self.neighbours is None else self.neighbours
        scale = np.maximum(columns.counts, 1.0) ** self.popularity_power
        steps = strongest(_steps(columns, self.power), _steps(rows, self.power), np.ones(n), scale, neighbours,
                          own=np.arange(n))
        if self.normalise:
            sums = np.bincount(steps.row_of_entry, steps.weights, n)
            steps = CSR(steps.indptr, steps.indices, (steps.weights / sums[steps.row_of_entry]).astype(np.float32),
                        steps.shape)
        into = steps.T
        indptr, indices, weights = kernels.largest(into.indptr, into.indices, into.weights, neighbours)
        near = CSR(indptr, indices, weights, into.shape)
        return Learned(SparseSimilarities(self.can, histories, near), {"neighbours_": neighbours})


def _steps(rows: CSR, power: float) -> CSR:
    """The probability of each step from a row to a column, to a power."""
    sums = np.bincount(rows.row_of_entry, rows.weights, rows.shape[0])
    chances = (rows.weights / sums[rows.row_of_entry]) ** power
    return CSR(rows.indptr, rows.indices, chances.astype(np.float32), rows.shape)
