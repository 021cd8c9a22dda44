"""What every fitted model keeps of its training data, whatever it has learned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.data.csr import CSR, appended
from recsys.data.features import Features
from recsys.data.ids import IdMap

if TYPE_CHECKING:
    from recsys.data.interactions import Interactions

__all__ = ["HIDDEN", "Facts", "chained", "kept_once"]

HIDDEN = "private"
"""The fingerprint of facts that tell nothing of the data but which users and items there are."""


@dataclass(frozen=True, eq=False)
class Facts:
    """Ids and counts of the training data, and what its users have seen.

    Attributes
    ----------
    users, items : IdMap
        External ids.
    seen : CSR, shape (n_users, n_items), or None
        Training pairs, each once, sorted by item; None in a model that was saved without them.
    events : CSR, shape (n_users, n_items), or None
        All training events with their values, in the order of time, in models that `partial_fit` needs them for.
    item_counts : ndarray, int64, shape (n_items,)
        Training events of each item.
    item_features : Features or None
        The items' titles, where the data had some; nothing else of the data's features is kept here.
    rating_range : (float, float) or None
        Smallest and largest value of the training data; predicted ratings stay inside.
    mean_value : float
        Mean value of the training data (1 if it has no values).
    fingerprint : str
        Of the training data; after `partial_fit`, of all its parts in turn.
    """

    users: IdMap
    items: IdMap
    seen: CSR | None
    events: CSR | None
    item_counts: np.ndarray
    item_features: Features | None
    rating_range: tuple[float, float] | None
    mean_value: float
    fingerprint: str

    @property
    def pairs(self) -> CSR:
        """What users have seen, while there is learning: then it is always there."""
        if self.seen is None:
            raise ValueError("these facts were saved without what users have seen")
        return self.seen

    @classmethod
    def of(cls, data: Interactions, keep_events: bool) -> Facts:
        """The facts of some training data."""
        titles = None if data.item_features is None else data.item_features.titles
        span, mean = None, 1.0
        if data.value is not None:
            span, mean = _span(data), float(data.value.mean(dtype=np.float64))
        seen = data.csr.unique()
        return cls(data.users, data.items, seen, kept_once(data.csr, seen) if keep_events else None,
                   np.bincount(data.item, minlength=data.n_items), None if titles is None else Features(titles=titles),
                   span, mean, data.fingerprint())

    def grown(self, data: Interactions) -> Facts:
        """The facts of this training data and of more, which is numbered by extended id maps."""
        seen = self.pairs
        n_users, n_items = data.n_users, data.n_items
        pairs = np.concatenate([seen.row_of_entry, data.user]), np.concatenate([seen.indices, data.item])
        counts = np.bincount(data.item, minlength=n_items)
        counts[:len(self.item_counts)] += self.item_counts
        span, mean = self.rating_range, self.mean_value
        if data.value is not None and len(data) and span is not None:
            low, high = _span(data)
            span = min(span[0], low), max(span[1], high)
            before = int(self.item_counts.sum())
            mean = (mean * before + float(data.value.sum(dtype=np.float64))) / (before + len(data))
        return Facts(data.users, data.items, CSR.from_pairs(*pairs, shape=(n_users, n_items)).unique(),
                     None if self.events is None else appended(self.events, data.csr), counts, self.titles_with(data),
                     span, mean, chained(self.fingerprint, data.fingerprint()))

    def titles_with(self, data: Interactions) -> Features | None:
        """Titles of these and of new items, numbered by extended id maps; None if there were none."""
        if self.item_features is None or self.item_features.titles is None:
            return self.item_features
        new = np.full(data.n_items - len(self.items), "", np.str_)
        if data.item_features is not None and data.item_features.titles is not None:
            new = data.item_features.titles[len(self.items):]
        return Features(titles=np.concatenate([self.item_features.titles, new]))


def _span(data: Interactions) -> tuple[float, float]:
    value = np.asarray(data.value)
    return float(value.min()), float(value.max())


def kept_once(rows: CSR, seen: CSR | None) -> CSR:
    """`seen`, if it is the same as the rows, so that files and memory hold it once; else these, without their cache."""
    if seen is not None and rows.data is None and np.array_equal(rows.indices, seen.indices):
        return seen
    return CSR(rows.indptr, rows.indices, rows.data, rows.shape)


def chained(*fingerprints: str) -> str:
    """One fingerprint of several parts in turn: 16 hex digits."""
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]
