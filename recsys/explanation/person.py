"""Somebody whom a model answers, and the model asked again about parts of the history."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from minidl import no_grad
from recsys.data import asked
from recsys.data.csr import CSR
from recsys.data.ids import IdMap, is_one
from recsys.errors import ParameterError, UnknownIdError
from recsys.estimator.arrays import blocks
from recsys.estimator.fitted import Fitted
from recsys.estimator.scorers.base import HistoryScorer
from recsys.estimator.scorers.blend import Blend
from recsys.estimator.scorers.networks import HistoryNetwork, PairNetwork
from recsys.explanation.vectors import HistoryMap

__all__ = ["Person", "number_of"]


class Person:
    """A user of the training data, or anybody with a history.

    Parameters
    ----------
    fitted : Fitted
    user : int
        The user's number; -1 for somebody of whom there is only a history.
    indices : ndarray of int32, shape (n,)
        The history in the form in which the model scores it.
    values : ndarray of float32, shape (n,), or None
    seen : ndarray of int
        Items that lists leave out.

    Attributes
    ----------
    calls : int
        Histories that the model was asked about so far.
    """

    def __init__(self, fitted: Fitted, user: int, indices: np.ndarray, values: np.ndarray | None,
                 seen: np.ndarray) -> None:
        self.fitted, self.user, self.indices, self.values = fitted, user, indices, values
        self.seen, self.calls = np.unique(seen), 0

    @classmethod
    def of_user(cls, fitted: Fitted, user: Any) -> Person:
        """A user of the training data, by external id.

        Raises
        ------
        UnknownIdError
        UnsupportedError
            The model was saved without its users' histories.
        """
        if not is_one(user):
            raise ParameterError(f"{fitted.name}: user must be one id; give a history as history=.")
        number = _number(fitted, "user", fitted.users, user,
                         "; give their history instead" if fitted.can.fold_in else "")
        seen = fitted.require_seen("explain").rows(number)
        rows = seen
        if fitted.can.fold_in and not _split_apart(fitted):
            rows = fitted.stored(number)
        elif fitted.facts.events is not None:
            rows = fitted.facts.events.rows(number)
        return cls(fitted, int(number[0]), *rows.row(0), seen.indices)

    @classmethod
    def of_history(cls, fitted: Fitted, history: Any, values: Any = None) -> Person:
        """Anybody, by the external ids of items.

        Raises
        ------
        UnknownIdError
        UnsupportedError
            The model does not fold in.
        """
        rows, single = fitted.encode_history("explain", history, values, "raise")
        if not single:
            raise ParameterError(f"{fitted.name}.explain takes one history, not {rows.shape[0]}.")
        if rows.nnz:
            fitted.require_values(rows)
        held = rows if _split_apart(fitted) else fitted.scorer.transform_history(rows)
        return cls(fitted, -1, *held.row(0), rows.indices)

    # ------------------------------------------------------------------------------------------ asking
    @property
    def n(self) -> int:
        """Length of the history."""
        return len(self.indices)

    @property
    def reads_history(self) -> bool:
        """Whether another history would have other scores."""
        scorer = self.fitted.scorer
        return scorer.personalised and (self.fitted.can.fold_in or self.map is not None)

    @cached_property
    def map(self) -> HistoryMap | None:
        """How the vectors of users follow from histories, for networks of pairs that fold nobody in."""
        scorer = self.fitted.scorer
        if self.fitted.can.fold_in or self.user < 0 or not isinstance(scorer, PairNetwork):
            return None
        return HistoryMap.of(scorer, self.fitted.require_seen("explain"), self.user)

    def known(self) -> bool:
        """Whether the model has anything to go by."""
        if self.user >= 0:
            return bool(self.fitted.has_evidence(np.array([self.user]))[0])
        return self.n > 0 or self.fitted.can.cold_user

    def scores(self, keep: np.ndarray | None = None) -> np.ndarray:
        """Scores of all items from parts of the history: bool (B, n), by default the whole -> float32 (B, n_items)."""
        if keep is None:
            return self.whole[None]
        out = np.empty((len(keep), self.fitted.scorer.n_items), np.float32)
        for block in blocks(*out.shape):
            out[block] = self._asked(keep[block])
        return np.asarray(out + self._beyond)

    @cached_property
    def whole(self) -> np.ndarray:
        """Scores of all items as the model gives them, float32 (n_items,)."""
        self.calls += 1
        if self.user >= 0:
            return np.asarray(self.fitted.score_block(np.array([self.user], np.int32))[0])
        return np.asarray(self._asked(np.ones((1, self.n), bool))[0])

    @cached_property
    def _beyond(self) -> np.ndarray:
        """What training learned of a user beyond what the history says: float32 (n_items,)."""
        if not self.has_vector:
            return np.zeros(len(self.whole), np.float32)
        more = self.whole - self._asked(np.ones((1, self.n), bool))[0]
        return np.where(np.isfinite(more), more, 0).astype(np.float32)

    @property
    def has_vector(self) -> bool:
        """Whether training has numbers of this user besides the history."""
        return self.user >= 0 and self.reads_history and not isinstance(self.fitted.scorer, HistoryScorer)

    def beyond(self, item: int) -> float:
        """That part of one score."""
        return float(self._beyond[item])

    def _asked(self, keep: np.ndarray) -> np.ndarray:
        self.calls += len(keep)
        scorer = self.fitted.scorer
        if not self.reads_history and self.user >= 0:
            return np.repeat(self.whole[None], len(keep), axis=0)
        if self.map is not None:
            return self.map.scores(keep, self.indices)
        rows = self.rows(keep)
        if isinstance(scorer, HistoryNetwork) and scorer.personal and self.user >= 0:
            with no_grad():
                return np.asarray(scorer.network(rows, np.full(len(keep), self.user)).data)
        if isinstance(scorer, HistoryScorer):
            return np.asarray(scorer.score_histories(rows))
        return np.asarray(scorer.fold(rows))

    def rows(self, keep: np.ndarray) -> CSR:
        """Parts of the history: bool (B, n) -> CSR (B, n_items)."""
        which = np.nonzero(keep)[1]
        indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64)
        values = None if self.values is None else self.values[which]
        return CSR(indptr, self.indices[which], values, (len(keep), self.fitted.scorer.n_items))

    # ------------------------------------------------------------------------------------------ places
    @cached_property
    def open(self) -> np.ndarray:
        """Which items lists may hold: bool (n_items,)."""
        may = self.fitted.known_items().copy()
        may[self.seen] = False
        return may

    def places(self, scores: np.ndarray, item: int, empty: np.ndarray | None = None) -> np.ndarray:
        """The place of an item among what lists may hold, from 1: (B, n_items) -> int (B,).

        As in lists, what the model has no evidence of stands behind all else, the most popular first; that is all of
        the rows that bool (B,) marks as those of histories without items, if the model has nothing else to go by.
        """
        counts, before = self.fitted.facts.item_counts, np.arange(scores.shape[1]) < item  # ties go by number
        evident = self.fitted.evident(np.arange(scores.shape[1]), scores) & np.isfinite(scores)
        if empty is not None and not self.has_vector and not self.fitted.can.cold_user:
            evident = evident & ~empty[:, None]
        own = evident[:, [item]]
        higher = (scores > scores[:, [item]]) | ((scores == scores[:, [item]]) & before)
        better_known = (counts > counts[item]) | ((counts == counts[item]) & before)
        more = np.where(own, evident & higher, evident | better_known)
        return np.asarray((more & self.open).sum(axis=1) + 1)

    def standing(self, scores: np.ndarray, item: int) -> np.ndarray:
        """How many standard deviations an item stands above the mean item: (B, n_items) -> float64 (B,).

        In this unit models can be compared, whatever theirs is. 0 where all items score the same.
        """
        with np.errstate(invalid="ignore"):
            held = np.where(self.fitted.known_items() & np.isfinite(scores), scores.astype(np.float64), np.nan)
            mean, spread = np.nanmean(held, axis=1), np.nanstd(held, axis=1)
            own = np.where(np.isfinite(scores[:, item]), scores[:, item], np.nanmin(held, axis=1))
        return np.where(spread > 0, (own - mean) / np.where(spread > 0, spread, 1), 0.0)


def _number(fitted: Fitted, what: str, ids: IdMap, given: Any, advice: str = "") -> np.ndarray:
    """The number of one id: int (1,); UnknownIdError in a sentence where the model does not know it."""
    found = ids.encode(asked.one_id(f"{fitted.name}.explain", what, given), "skip")
    if not len(found) or found[0] < 0:
        raise UnknownIdError(f"{fitted.name} does not know {what} {given}{advice}.")
    return found


def number_of(fitted: Fitted, item: Any) -> int:
    """The number of an item, by external id.

    Raises
    ------
    UnknownIdError
    """
    return int(_number(fitted, "item", fitted.items, item)[0])


def _split_apart(fitted: Fitted) -> bool:
    """Whether several scorers answer, each of which brings a history into a form of its own."""
    return isinstance(fitted.scorer, Blend)
