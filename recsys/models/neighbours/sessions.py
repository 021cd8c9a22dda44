"""Nearest neighbours for sequences: sessions like this one, and what came next in them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.histories import Histories, inverse_frequency
from recsys.estimator.parameters import Check, above, at_least, between, flag, one_of, optional, whole
from recsys.estimator.scorers.sessions import SessionNeighbours
from recsys.estimator.staying import Staying
from recsys.models.neighbours.implicit import repeating
from recsys.models.refining import grow

__all__ = ["VSTAN"]


class VSTAN(Recommender):
    """What came next in sessions like this one; a session is what a user of the data has done, in its order.

    The history is the distinct items of a user, each with the age of its last event (events since). It is compared with
    a session v by a cosine that fades, `s(v) = sum over the items j in common of decay ** age(j) f(j)**2 /
    (|history| ** (2 asymmetry) |v| ** (2 (1 - asymmetry)))`, times `2 ** (-age of v / half_life)` if there is a
    half-life. f is 1 or the inverse frequency of an item; the norms are of the weights `decay ** age f` and f. Of the
    `neighbours` sessions with the largest s, each has a place p, the last one of the item in common that is newest
    in the history, whose age is a. The score of i sums `s(v) match_decay ** a w(v, i)`, where q is the last place of i
    in v, and w is `window_decay ** (q - p - 1)` behind p, 1 at p, and `backward window_decay ** (p - q - 1)` before.
    Without `repeats`, items of the history have no score.

    STAN has `match_decay=1, backward=1, weights="binary"`, V-SKNN besides `window_decay=1`, and S-KNN `decay=1` too.
    `partial_fit` gives what `fit` of all events gives; events without times count as the newest.

    Parameters
    ----------
    neighbours : int
    pool : int
        Sessions, the newest, that are looked at for each item of a history; it bounds what an answer costs.
    decay : float
        Weight of an event of the history relative to the one after it, when sessions are compared; 1 is none.
    match_decay : float
        Weight of a session whose newest item in common is one event older, when the scores are summed.
    window_decay : float
        Weight of what is one event further from that item.
    backward : float
        Weight of what came before it, relative to what came after.
    asymmetry : float
        1/2 is the cosine; more divides less by the size of the session.
    weights : {"binary", "idf"}
        What an item in common counts: 1, or the square of its inverse frequency.
    repeats : bool, optional
        Whether items of the history are recommended, too. By default, whether at least a twentieth of the events are of
        a pair that was there before.
    half_life : float, optional
        Age at which a session counts half, in the unit of the times (seconds, as a rule). Needs data with times.

    Attributes
    ----------
    repeats_ : bool
        What was taken.

    References
    ----------
    Garg et al., Sequence and Time Aware Neighborhood for Session-based Recommendations, SIGIR 2019 (STAN, equations 1
    to 5). Ludewig et al., Empirical Analysis of Session-Based Recommendation Algorithms, UMUAI 2021 (V-STAN; its code,
    `rn5l/session-rec`, weighs what is before and after the common item alike, and inverse frequencies at the end).
    Kersbergen et al., Serenade, SIGMOD 2022 (the newest sessions of each item as an index).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3], ["tea", "jam", "tea", "jam", "jam", "bun"])
    >>> VSTAN().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, sequence=True, partial_fit=True, explain=True, explain_exact=True)
    checks: ClassVar[dict[str, Check]] = {
        "neighbours": whole(1), "pool": whole(1), "decay": between(0, 1), "match_decay": between(0, 1),
        "window_decay": between(0, 1), "backward": at_least(0), "asymmetry": between(0, 1),
        "weights": one_of("binary", "idf"), "repeats": optional(flag()), "half_life": optional(above(0))}

    neighbours: int
    pool: int
    decay: float
    match_decay: float
    window_decay: float
    backward: float
    asymmetry: float
    weights: str
    repeats: bool | None
    half_life: float | None

    def __init__(self, *, neighbours: int = 500, pool: int = 1000, decay: float = 0.8, match_decay: float = 0.8,
                 window_decay: float = 0.8, backward: float = 0.1, asymmetry: float = 0.75, weights: str = "idf",
                 repeats: bool | None = None, half_life: float | None = None) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The sessions are all there is."""
        histories = Histories("events").storing(data.csr, context.facts.seen)
        return self._of(histories, context.facts, self._ends(data, np.full(data.n_users, _NEVER)))

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """The sessions grow, and new ones follow."""
        ends = np.full(data.n_users, _NEVER)
        before = fitted.answers_by(SessionNeighbours).moments
        ends[:len(before)] = before
        return self._of(grow(fitted, data), context.facts, self._ends(data, ends))

    @property
    def looks_at_times(self) -> bool:
        """When each session ended is kept."""
        return False

    def unlearn(self, data: Interactions, fitted: Fitted, staying: Staying, context: Context
                ) -> tuple[Learned, str, float]:
        """The sessions that are left."""
        before = fitted.answers_by(SessionNeighbours)
        stored = before.histories.storing(data.csr, context.facts.seen)
        return self._of(stored, context.facts, staying.table(before.moments)), "sessions taken out", 0.0

    def _ends(self, data: Interactions, before: np.ndarray) -> np.ndarray:
        """When each session ended, as it was known and by new events: int64 (n_users,)."""
        if self.half_life is not None and data.time is None:
            raise DataError("VSTAN: half_life needs data with times; give times, or set half_life=None.")
        time = data.time if data.time is not None else np.arange(len(data)) + 1 + max(int(before.max(initial=0)), 0)
        ends = before.copy()
        np.maximum.at(ends, data.user, time)
        return ends

    def _of(self, histories: Histories, facts: Facts, moments: np.ndarray) -> Learned:
        frequency = inverse_frequency(facts.item_counts, len(facts.users)) if self.weights == "idf" else None
        repeats = repeating(histories.rows) if self.repeats is None else self.repeats
        scorer = SessionNeighbours(
            self.can, Histories("events", frequency=frequency, stored=histories.stored), moments,
            neighbours=self.neighbours, pool=self.pool, asymmetry=self.asymmetry, decay=self.decay,
            match_decay=self.match_decay, window_decay=self.window_decay, backward=self.backward, repeats=repeats,
            half_life=self.half_life)
        return Learned(scorer, {"repeats_": repeats})


_NEVER = -(1 << 62)  # the end of a session without events
