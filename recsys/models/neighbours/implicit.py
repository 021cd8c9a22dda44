"""Nearest neighbours for implicit data: of items, of users."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Facts, Learned, Recommender
from recsys.estimator.arrays import blocks
from recsys.estimator.histories import Histories, faded, inverse_frequency
from recsys.estimator.parameters import Check, at_least, between, flag, one_of, optional, whole
from recsys.estimator.scorers.neighbours import UserNeighbours, nearest
from recsys.estimator.scorers.similarities import SparseSimilarities

__all__ = ["ItemKNN", "UserKNN", "histories_of", "repeating"]

_LEAST = 50  # neighbours of items by default
_OF_ITEMS = 600  # more of them, relative to the events of a user or an item
_ALL_ITEMS = 20_000  # more of them, relative to the number of items
_OF_USERS = 4000  # events of the neighbours of a user by default
_USUAL = 0.05  # share of events that repeat a pair
_ASKED = 1000  # users whose last events choose the decay
_DECAYS = (1.0, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2)
_FORMS = {"binary": "items", "value": "values", "idf": "frequency"}
_CHECKS = {"neighbours": optional(whole(1)), "shrink": at_least(0), "asymmetry": between(0, 1),
           "weights": one_of(*_FORMS)}


class ItemKNN(Recommender):
    """Items like those of the history, by cosine of their users.

    `s(i, j) = x_i . x_j / (|x_i| ** (2 asymmetry) * |x_j| ** (2 (1 - asymmetry)) + shrink)`; of each item i the
    nearest neighbours N(i) are kept, and the score of i is `sum over j in history and N(i) of x_uj s(i, j)`.
    Memory grows with items times neighbours. `partial_fit` gives what `fit` of all events gives, at its cost.

    Where people come back to items, as in sessions, an item is also like itself: `s(i, i)` is the same with `x_i . x_i`
    replaced by its part from users who interacted with i more than once. And the weight of j in a history is
    `decay ** (number of events since)`. Both are taken from the data.

    Parameters
    ----------
    neighbours : int, optional
        By default 50, or what is more of 600 divided by the mean number of events of a user, or of an item, and 20,000
        divided by the number of items: what says little by itself needs many neighbours, and few items can all be some.
    shrink : float
        Lowers similarities that few users support.
    asymmetry : float
        1/2 is the cosine; more divides by the size of the recommended item, less by that of the history's.
    recent : int or None
        Score only so many last events of a history (training uses all): what came last says most where
        interests move.
    weights : {"binary", "value", "idf"}
        What the entries of X are: 1, the interaction's (last) value, or the item's inverse frequency.
    repeats : bool, optional
        Whether an item is like itself, for `recommend(filter_seen=False)`. By default, whether at least a twentieth of
        the events are of a pair that was there before.
    decay : float, optional
        Weight of an event relative to the one after it; 1 is none. By default, without repeats 1, and else what places
        the last events of some users, who are then left out of the neighbours' search, best.

    Attributes
    ----------
    neighbours_ : int
    repeats_ : bool
    decay_ : float
        What was taken.

    References
    ----------
    Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Aiolli, Efficient
    top-N recommendation for very large scale binary rated datasets, RecSys 2013 (its alpha is `asymmetry`).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> ItemKNN().fit(data).similar_items("tea").items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    renamed: ClassVar[dict[str, str]] = {"alpha": "asymmetry"}
    checks: ClassVar[dict[str, Check]] = {**_CHECKS, "recent": optional(whole(1)), "repeats": optional(flag()),
                                          "decay": optional(between(0, 1))}

    neighbours: int | None
    shrink: float
    asymmetry: float
    recent: int | None
    weights: str
    repeats: bool | None
    decay: float | None

    def __init__(self, *, neighbours: int | None = None, shrink: float = 10.0, asymmetry: float = 0.3,
                 recent: int | None = None, weights: str = "binary", repeats: bool | None = None,
                 decay: float | None = None) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The neighbours of each item, and how fast a history fades."""
        events = data.csr
        repeats = repeating(events) if self.repeats is None else self.repeats
        histories = histories_of(self, context.facts)
        rows = histories.plain(events)
        neighbours = _enough(rows) if self.neighbours is None else self.neighbours
        decay = 1.0 if self.decay is None else float(self.decay)
        if self.decay is None and repeats:
            decay = self._best_decay(rows, events, neighbours, histories)
        histories = replace(histories, decay=decay).storing(events, context.facts.seen)
        scorer = self._scorer(rows, events, neighbours, repeats, histories)
        return Learned(scorer, {"neighbours_": neighbours, "repeats_": repeats, "decay_": decay})

    def _scorer(self, rows: CSR, events: CSR, neighbours: int, repeats: bool,
                histories: Histories) -> SparseSimilarities:
        """From the neighbours, and what an item has to do with itself."""
        near = nearest(rows.T, rows, neighbours, self.shrink, self.asymmetry, np.arange(rows.shape[1]))
        again = _again(rows, events, self.shrink) if repeats else None
        return SparseSimilarities(self.can, histories, near, again)

    def _best_decay(self, rows: CSR, events: CSR, neighbours: int, histories: Histories) -> float:
        """The decay by which others' neighbours rank the last events of some users best, by the mean of 1 / rank."""
        able = np.flatnonzero(events.counts > 1)
        asked = able[np.linspace(0, len(able) - 1, min(_ASKED, len(able) // 4)).astype(np.int64)]
        if not len(asked):
            return 1.0
        others = np.ones(len(rows.counts), bool)
        others[asked] = False
        scorer = self._scorer(rows.where(others[rows.row_of_entry]), events.where(others[events.row_of_entry]),
                              neighbours, True, histories)
        mine = events.rows(asked)
        last = mine.indptr[1:] - 1
        before = np.ones(mine.nnz, bool)
        before[last] = False
        history, target = mine.where(before), mine.indices[last]
        plain = histories.plain(history)
        return max(_DECAYS, key=lambda decay: _mean_reciprocal(scorer, faded(history, plain, decay), target))


def histories_of(model: Any, facts: Facts) -> Histories:
    """The form of the histories of a model with such `weights`, and `recent` if it has one."""
    frequency = inverse_frequency(facts.item_counts, len(facts.users)) if model.weights == "idf" else None
    return Histories(_FORMS[model.weights], getattr(model, "recent", None), frequency=frequency)


def _mean_reciprocal(scorer: SparseSimilarities, history: CSR, target: np.ndarray) -> float:
    total = 0.0
    for block in blocks(*history.shape):
        scores = scorer.score_histories(history.rows(np.arange(block.start, block.stop)))
        own = scores[np.arange(len(scores)), target[block]][:, None]
        total += float(((own[:, 0] > 0) / (1 + (scores > own).sum(axis=1))).sum())
    return total / len(target)


def _enough(rows: CSR) -> int:
    """How many neighbours of items there are by default."""
    fewest = min(_events_each(rows), _events_each(rows.T))
    return max(_LEAST, round(_OF_ITEMS / fewest), _ALL_ITEMS // max(int((rows.T.counts > 0).sum()), 1))


def _events_each(rows: CSR) -> float:
    """Mean number of events of a row that has any."""
    return max(rows.nnz, 1) / max(int((rows.counts > 0).sum()), 1)


def repeating(events: CSR) -> bool:
    """Whether it is usual that a pair comes again."""
    return events.nnz - events.unique().nnz >= _USUAL * events.nnz


def _again(rows: CSR, events: CSR, shrink: float) -> np.ndarray:
    """The similarity of items to themselves, by users who came back to them: float32 (n_items,)."""
    pattern, n = events.unique(), events.shape[1]
    place = np.searchsorted(pattern.keys, events.keys)
    twice = np.bincount(place, minlength=pattern.nnz) > 1  # of the distinct pairs, as in `rows`
    squares = rows.weights.astype(np.float64) ** 2
    whole = np.bincount(rows.indices, squares, n)
    return np.asarray(np.bincount(rows.indices, squares * twice, n) / np.maximum(whole + shrink, 1e-12), np.float32)


class UserKNN(Recommender):
    """Items of users like this one, by cosine of their items.

    `s(u, v) = x_u . x_v / (|x_u| ** (2 asymmetry) * |x_v| ** (2 (1 - asymmetry)) + shrink)`; the score of i is
    `sum over v in N(u) of s(u, v) x_vi`, where N(u) are the nearest neighbours of the history. They are looked
    up when they are needed: `fit` keeps the histories, and a user of the training data is a neighbour of itself.
    `partial_fit` gives what `fit` of all events gives.

    Parameters
    ----------
    neighbours : int, optional
        By default so many that they have 4000 events together, as users go on average.
    shrink, weights
        As for `ItemKNN`, of users.
    asymmetry : float
        1/2 is the cosine; less divides more by the size of the neighbour.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "bun", "bun"])
    >>> UserKNN().fit(data).recommend(1, k=1).items.tolist()
    ['bun']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    renamed: ClassVar[dict[str, str]] = {"alpha": "asymmetry"}
    checks: ClassVar[dict[str, Check]] = _CHECKS

    neighbours: int | None
    shrink: float
    asymmetry: float
    weights: str

    def __init__(self, *, neighbours: int | None = None, shrink: float = 0.0, asymmetry: float = 0.3,
                 weights: str = "binary") -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The histories are all there is."""
        histories = histories_of(self, context.facts).storing(data.csr, context.facts.seen)
        own = max(1, round(_OF_USERS / _events_each(histories.plain(data.csr))))
        neighbours = own if self.neighbours is None else self.neighbours
        scorer = UserNeighbours(self.can, histories, neighbours=neighbours, shrink=self.shrink,
                                asymmetry=self.asymmetry)
        return Learned(scorer, {"neighbours_": neighbours})
