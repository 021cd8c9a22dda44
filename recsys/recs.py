"""`Recs`: ranked lists for one or many queries, with external ids, each exactly as long as it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Reason", "Recs"]


@dataclass(frozen=True)
class Reason:
    """One part of a score: an item of the history, and what it adds.

    Attributes
    ----------
    item : int, str or None
        External id of the history item; None is the part that no item of the history explains.
    title : str or None
        The item's title, where the data had titles.
    contribution : float
        What the score would lack without it (exact for linear models).
    """

    item: Any
    title: str | None
    contribution: float


@dataclass(frozen=True)
class Recs:
    """Ranked lists, best first.

    One query gives 1-D arrays of exactly `counts` entries. Several give 2-D arrays: row `b` holds
    `counts[b]` entries, and what is behind them is filling (-1 or an empty string, score -inf).

    Attributes
    ----------
    users : scalar or ndarray, shape (B,)
        The queries' external ids: users, or the items of `similar_items`; positions 0 ... B-1 for
        queries that were histories.
    items : ndarray, shape (n,) or (B, n)
        External ids of what is recommended (users, for `similar_users`).
    scores : ndarray, float32, shape of `items`
        The model's; in lists without any entry of the model, the items' numbers of training events.
    counts : int or ndarray of int64, shape (B,)
        How many entries each list has: k, or fewer where there were fewer candidates.
    source : ndarray of str, shape of `items`
        Of each entry: `"model"`, or `"popular"` where the model has no evidence and the most popular items stand
        in, behind the model's own.

    Examples
    --------
    >>> recs = Recs(np.array([7, 9]), np.array([[1, 2], [3, -1]]),
    ...             np.array([[.9, .5], [.7, -np.inf]], np.float32), np.array([2, 1]),
    ...             np.array([["model", "model"], ["popular", ""]]))
    >>> [(one.users, one.items.tolist()) for one in recs]
    [(7, [1, 2]), (9, [3])]
    >>> recs[1].to_records()
    [{'user': 9, 'rank': 1, 'item': 3, 'score': 0.7, 'source': 'popular'}]
    """

    users: Any
    items: np.ndarray
    scores: np.ndarray
    counts: Any
    source: np.ndarray

    @property
    def single(self) -> bool:
        """Whether this answers one query, with 1-D arrays."""
        return self.items.ndim == 1

    def __len__(self) -> int:
        """The number of lists; for one query, the number of entries."""
        return len(self.items)

    def __getitem__(self, row: int) -> Recs:
        """The list of one query, 1-D and without filling."""
        if self.single:
            raise TypeError("Recs of one query has no rows; read its items and scores.")
        n = int(self.counts[row])
        return Recs(_plain(self.users[row]), self.items[row, :n], self.scores[row, :n], n, self.source[row, :n])

    def __iter__(self) -> Iterator[Any]:
        """One-query `Recs`, query by query; for one query, its pairs (item, score)."""
        if self.single:
            return iter(zip(self.items.tolist(), self.scores.tolist(), strict=True))
        return (self[row] for row in range(len(self.items)))

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary an entry: user, rank (from 1), item, score, source."""
        if not self.single:
            return [record for one in self for record in one.to_records()]
        user = _plain(self.users)
        return [{"user": user, "rank": rank, "item": item, "score": round(score, 6), "source": source}
                for rank, ((item, score), source) in enumerate(zip(self, self.source.tolist(), strict=True), 1)]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
