"""How a history is brought into the form in which it is scored, and the histories that are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR, distinct
from recsys.estimator.arrays import Arrays, expect, pack, unpack_if
from recsys.estimator.facts import Facts, kept_once

__all__ = ["Histories", "ages", "faded", "inverse_frequency"]


@dataclass(frozen=True, eq=False)
class Histories:
    """What counts of a history, in what form, and the histories of the training data in this form.

    Parameters
    ----------
    form : {"items", "values", "frequency", "events"}
        The distinct items alone, with their last value, or with their inverse frequency; or all events in their order,
        without values.
    recent : int, optional
        Only so many last events count.
    decay : float
        An item weighs `decay ** age` times as much, age being the number of events after its last one.
    frequency : ndarray of float32, shape (n_items,), optional
        Of the form "frequency".
    stored : CSR, shape (n_users, n_items), or None
        None in a model that was saved without them.
    """

    form: str = "items"
    recent: int | None = None
    decay: float = 1.0
    frequency: np.ndarray | None = None
    stored: CSR | None = None

    def plain(self, history: CSR) -> CSR:
        """All of a history in the form, none of it faded."""
        if self.form == "events":
            return CSR(history.indptr, history.indices, None, history.shape)
        if self.form == "values":
            return distinct(history)
        rows = history.unique()
        if self.frequency is None:
            return rows
        return CSR(rows.indptr, rows.indices, self.frequency[rows.indices], rows.shape)

    def transform(self, history: CSR) -> CSR:
        """A history as it is scored: CSR (B, n_items) -> (B, n_items)."""
        recent = history if self.recent is None else history.tail(self.recent)
        rows = self.plain(recent)
        return rows if self.decay == 1 else faded(recent, rows, self.decay)

    def storing(self, events: CSR, seen: CSR | None) -> Self:
        """With the histories of the training data, from all its events; what `seen` has already is kept once."""
        return replace(self, stored=kept_once(self.transform(events), seen))

    @property
    def rows(self) -> CSR:
        """The stored histories, where they are known to be there."""
        if self.stored is None:
            raise ValueError("the histories were not stored")
        return self.stored

    def settings(self) -> dict[str, Any]:
        """What JSON holds of it."""
        return {"form": self.form, "recent": self.recent, "decay": self.decay}

    def arrays(self) -> dict[str, np.ndarray]:
        """The stored histories, which are private, and the frequencies, which are of all users there ever were."""
        return pack("seen.history", self.stored) | ({} if self.frequency is None else {"frequency": self.frequency})

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """What `settings` and `arrays` described."""
        shape = len(facts.users), len(facts.items)
        frequency = None
        if "frequency" in arrays:
            frequency = expect(arrays, "frequency", (shape[1],), np.float32)
        elif settings["form"] == "frequency":  # in files of before
            frequency = inverse_frequency(facts.item_counts, shape[0])
        return cls(settings["form"], settings["recent"], settings["decay"], frequency,
                   unpack_if("seen.history", arrays, shape))


def faded(history: CSR, rows: CSR, decay: float) -> CSR:
    """`rows`, the distinct items of `history`, with weights times `decay` to the power of the events since.

    Examples
    --------
    >>> history = CSR.from_pairs([0, 0, 0, 0], [2, 1, 2, 0], shape=(1, 3))
    >>> faded(history, history.unique(), 0.5).toarray()
    array([[1.  , 0.25, 0.5 ]], dtype=float32)
    """
    weights = rows.weights * np.float32(decay) ** ages(history).weights
    return CSR(rows.indptr, rows.indices, weights, rows.shape)


def ages(history: CSR) -> CSR:
    """The distinct items of a history, with the events since the last one of each.

    Examples
    --------
    >>> ages(CSR.from_pairs([0, 0, 0, 0], [2, 1, 2, 0], shape=(1, 3))).toarray()
    array([[0., 2., 1.]], dtype=float32)
    """
    since = np.repeat(history.indptr[1:], history.counts) - 1 - np.arange(history.nnz)
    return distinct(CSR(history.indptr, history.indices, since.astype(np.float32), history.shape))


def inverse_frequency(counts: np.ndarray, n_users: int) -> np.ndarray:
    """`log(1 + n_users / count)` of every item: float32 (n_items,)."""
    return np.asarray(np.log1p(n_users / np.maximum(counts, 1)), np.float32)
