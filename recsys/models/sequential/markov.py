"""Markov chain of items: what comes after the last ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, above, between, optional, whole
from recsys.estimator.scorers.transitions import Transitions
from recsys.models.refining import grow

__all__ = ["Markov"]


class Markov(Recommender):
    """Smoothed transitions between items, summed over the last items of the history.

    `P(i | j) = (T[j, i] + smoothing * q(i)) / (T[j] + smoothing)`, where `T[j, i]` counts how often i
    came within `window` events after j (the d-th with weight `window_decay ** (d - 1)`), `T[j]` is the sum
    of a row and q the share of each item in all events. The score of i is
    `sum over the d-th last item j of the history of decay ** (d - 1) * P(i | j)`, over the `recent` last items.

    The order of a history is the order of time, and of the rows where times tie. `partial_fit` counts all again, new
    events after the old ones, in one pass: it gives what `fit` of all events gives.

    Parameters
    ----------
    recent : int, optional
        How many of the last events count; None for all.
    decay : float
        Weight of an event relative to the one after it.
    window : int
        How far apart two events may be to count as a transition.
    window_decay : float
        Weight of a transition relative to one that is one event shorter.
    smoothing : float
        Events by popularity that every row of transitions is given.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam", "tea", "jam", "jam", "bun"])
    >>> Markov().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    renamed: ClassVar[dict[str, str]] = {"order": "recent"}
    can: ClassVar[Can] = Can(fold_in=True, sequence=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "recent": optional(whole(1)), "decay": between(0, 1), "window": whole(1), "window_decay": between(0, 1),
        "smoothing": above(0)}

    recent: int | None
    decay: float
    window: int
    window_decay: float
    smoothing: float

    def __init__(self, *, recent: int | None = None, decay: float = 0.6, window: int = 5, window_decay: float = 0.7,
                 smoothing: float = 10.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The transitions, counted."""
        return self._counted(Histories("events").storing(data.csr, context.facts.seen), context.facts)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """New events follow the old ones; counting all again is one pass and gives what `learn` would."""
        return self._counted(grow(fitted, data), context.facts)

    def _counted(self, histories: Histories, facts: Facts) -> Learned:
        scorer = Transitions(self.can, histories, self._transitions(histories.rows), facts.item_counts,
                             smoothing=self.smoothing, decay=self.decay, recent=self.recent)
        return Learned(scorer)

    def _transitions(self, history: CSR) -> CSR:
        n = history.shape[1]
        user, item = history.row_of_entry, history.indices
        keys, weights = [], []
        farthest = max(int(history.counts.max(initial=0)) - 1, 1)
        for distance in range(1, min(self.window, farthest) + 1):
            same = user[distance:] == user[:-distance]
            keys.append(item[:-distance][same] * np.int64(n) + item[distance:][same])
            weights.append(np.full(len(keys[-1]), self.window_decay ** (distance - 1)))
        pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
        rows, columns = np.divmod(pairs, n)
        counts = np.bincount(place, np.concatenate(weights), len(pairs))
        return CSR.from_pairs(rows, columns, counts, (n, n))
