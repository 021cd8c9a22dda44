"""Nearest neighbours for ratings: deviations from the baseline, averaged over neighbours."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, at_least, optional, whole
from recsys.estimator.scorers.rated import Averaging, Baseline, ItemRatings, UserRatings, correlated
from recsys.models.baselines import fit_biases

__all__ = ["ItemKNNBaseline", "UserKNNBaseline"]


class _RatingNeighbours(Recommender):
    """What the two share: parameters and the baseline."""

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": whole(1), "min_neighbours": whole(1), "shrink": at_least(0),
        "prior": at_least(0), "pool": whole(1), "epochs": whole(1), "reg_user": optional(at_least(0)),
        "reg_item": optional(at_least(0))}

    neighbours: int
    min_neighbours: int
    shrink: float
    prior: float
    pool: int
    epochs: int
    reg_user: float | None
    reg_item: float | None

    def __init__(self, *, neighbours: int = 40, min_neighbours: int = 1, shrink: float = 100.0, prior: float = 0.3,
                 pool: int = 1000, epochs: int = 10, reg_user: float | None = None,
                 reg_item: float | None = None) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The baseline, and what the scorer adds."""
        histories = Histories("values").storing(data.csr, context.facts.seen)
        mean = context.facts.mean_value
        user, item, reg_user, reg_item = fit_biases(histories.rows, mean, self.epochs, self.reg_user, self.reg_item)
        averaging = Averaging(self.neighbours, self.min_neighbours, self.prior)
        scorer = self._scorer(histories, Baseline(mean, user, item, reg_user), averaging)
        return Learned(scorer, {"reg_user_": reg_user, "reg_item_": reg_item})

    def _scorer(self, histories: Histories, baseline: Baseline, averaging: Averaging) -> ItemRatings | UserRatings:
        raise NotImplementedError(f"{type(self).__name__} does not define _scorer.")


class ItemKNNBaseline(_RatingNeighbours):
    """Ratings from the user's ratings of similar items.

    `r(u, i) = b(u, i) + sum s(i, j) (r(u, j) - b(u, j)) / (sum s(i, j) + prior)`, over the (at most `neighbours`) items
    j most similar to i that the user has rated. b is the baseline of `Bias`; s is the correlation of deviations
    from it over the c users in common, times `(c - 1) / (c - 1 + shrink)`; only s > 0 counts. `partial_fit`
    gives what `fit` of all ratings gives, at its cost.

    Parameters
    ----------
    neighbours : int
    min_neighbours : int
        With fewer, the answer is the baseline.
    shrink : float
        Lowers similarities that few users support.
    prior : float
        Similarity that the baseline itself is given: one neighbour that is hardly alike moves it little. 0 takes the
        neighbours' mean as it is.
    pool : int
        How many similar items are stored for each item, from which the rated ones are taken; memory grows
        with items times pool.
    epochs, reg_user, reg_item
        Of the baseline.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.2.
    """

    def _scorer(self, histories: Histories, baseline: Baseline, averaging: Averaging) -> ItemRatings:
        rows = baseline.deviations(histories.rows, baseline.user_bias)
        near = correlated(rows.T, rows, np.arange(rows.shape[1]), self.pool, self.shrink)
        return ItemRatings(self.can, histories, baseline, averaging, shrink=self.shrink, pool=self.pool, near=near)


class UserKNNBaseline(_RatingNeighbours):
    """Ratings from what similar users gave the item.

    `r(u, i) = b(u, i) + sum s(u, v) (r(v, i) - b(v, i)) / (sum s(u, v) + prior)`, over the (at most `neighbours`)
    users v most similar to u who have rated i; b and s as in `ItemKNNBaseline`, with users and items exchanged.
    Similar users are looked up when they are needed: `fit` keeps the ratings and the baseline. `partial_fit` gives what
    `fit` of all ratings gives.

    Parameters
    ----------
    neighbours, min_neighbours, shrink, prior, epochs, reg_user, reg_item
        As for `ItemKNNBaseline`.
    pool : int
        How many similar users are looked at for each user.

    References
    ----------
    Koren, Factor in the Neighbors, TKDD 2010, section 2.2.
    """

    def _scorer(self, histories: Histories, baseline: Baseline, averaging: Averaging) -> UserRatings:
        return UserRatings(self.can, histories, baseline, averaging, shrink=self.shrink, pool=self.pool)
