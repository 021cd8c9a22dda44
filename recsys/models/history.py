"""Models that keep the training histories; of most, the score is a function of the user's history alone."""

from __future__ import annotations

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import UnsupportedError
from recsys.models.base import Recommender
from recsys.models.sparse import distinct, pack, unpack_if

__all__ = ["HistoryRecommender", "KeepsHistories", "SumsOfHistories", "faded", "without_histories"]


class KeepsHistories(Recommender):
    """Keeps the training histories in `fit`, in the form that the model wants.

    Attributes
    ----------
    history : CSR, shape (n_users, n_items), or None
        None where `seen` says the same, and in a model that was saved without seen items.
    """

    history: CSR | None

    def history_of_all(self) -> CSR:
        """The histories of all users, or UnsupportedError if they were not saved."""
        rows = self.seen if self.history is None else self.history
        if rows is None:
            raise without_histories(self)
        return rows

    def _history_of(self, users: np.ndarray) -> CSR:
        return self.history_of_all().rows(users)

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | pack("seen.history", self.history)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self.history = unpack_if("seen.history", state, (len(self.users), len(self.items)))


class HistoryRecommender(KeepsHistories):
    """Scores the training histories as it would score anyone's: a fold-in is the user's score.

    A subclass writes `_score_histories(history)`: CSR (B, n_items) -> float32 (B, n_items), calls
    `_keep(data)` in `_fit`, and may override `_prepare`, which brings any history (trained on or
    given) into the form that the model wants; by default the distinct items without values. If it has a
    parameter `recent`, only so many last events of a history are scored. If it sets `decay_`, below 1, before `_keep`,
    an item of a history that is scored weighs `decay_ ** age` times as much, age being the number of events after its
    last one.
    """

    recent: int | None = None
    decay_: float  # a class attribute would hide what the fitted copy has learned

    @property
    def _fading(self) -> float:
        return float(vars(self).get("decay_", 1.0))

    def _keep(self, data: Interactions) -> CSR:
        """Keep the histories to score, and return all of them to learn from."""
        history, seen = self._query(data.csr), self.seen
        if history.data is None and seen is not None and np.array_equal(history.indices, seen.indices):
            history = seen  # the same pairs in the same order: kept once
        self.history = history
        return history if self.recent is None and self._fading == 1 else self._prepare(data.csr)

    def _query(self, history: CSR) -> CSR:
        recent = history if self.recent is None else history.tail(self.recent)
        prepared = self._prepare(recent)
        return prepared if self._fading == 1 else faded(recent, prepared, self._fading)

    def _prepare(self, history: CSR) -> CSR:
        return history.unique()

    def _score_histories(self, history: CSR) -> np.ndarray:
        raise NotImplementedError(f"{type(self).__name__} does not define _score_histories.")

    def _score(self, users: np.ndarray) -> np.ndarray:
        return self._score_histories(self._history_of(users))

    def _fold(self, history: CSR) -> np.ndarray:
        return self._score_histories(self._query(history))


class SumsOfHistories(HistoryRecommender):
    """The score of an item is a sum over the items of the history that speak for it."""

    def _evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.asarray(scores != 0)  # else the sum was empty


def faded(history: CSR, prepared: CSR, decay: float) -> CSR:
    """`prepared`, the distinct items of `history`, with weights times `decay` to the power of the events since.

    Examples
    --------
    >>> history = CSR.from_pairs([0, 0, 0, 0], [2, 1, 2, 0], shape=(1, 3))
    >>> faded(history, history.unique(), 0.5).toarray()
    array([[1.  , 0.25, 0.5 ]], dtype=float32)
    """
    age = np.repeat(history.indptr[1:], history.counts) - 1 - np.arange(history.nnz)
    last = distinct(CSR(history.indptr, history.indices, age.astype(np.float32), history.shape))
    weights = prepared.weights * np.float32(decay) ** last.weights
    return CSR(prepared.indptr, prepared.indices, weights, prepared.shape)


def without_histories(model: Recommender) -> UnsupportedError:
    """What to raise when a user is asked for whose history was not saved."""
    way = "pass a history instead of a user" if model.can.fold_in else "save it with seen=True"
    return UnsupportedError(f"{type(model).__name__} was saved with seen=False, without its users' histories; {way}.")
