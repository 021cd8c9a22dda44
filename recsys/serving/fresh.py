"""Items that a model does not know, by those of its own that they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsys.events import Item
from recsys.serving.content import Likeness, said_of

__all__ = ["Fresh"]

_NEAR = 10  # items of the model that a new one is compared with


@dataclass(frozen=True, eq=False)
class Fresh:
    """Items that the model does not know, and those of its own that they are like, by their contents.

    Attributes
    ----------
    items : sequence of Item
    near : ndarray of int32, shape (n, m)
        Numbers of the model's items, those most alike first; -1 where there are fewer.
    likeness : ndarray of float32, shape (n, m)
        From 0 to 1.
    """

    items: Sequence[Item]
    near: np.ndarray
    likeness: np.ndarray

    @classmethod
    def of(cls, items: Sequence[Item], known: Likeness) -> Self:
        """New items, and what is said of the model's."""
        return cls(items, *known.nearest([said_of(item, item.title) for item in items], _NEAR))

    def scores(self, known: np.ndarray) -> np.ndarray:
        """Scores of the new items from the model's scores of its own, (n_items,): float32 (n,).

        The mean of those that an item is like, by likeness; -inf for an item that is like none.
        """
        weight = np.where(self.near >= 0, self.likeness, 0)
        total = weight.sum(axis=1)
        finite = np.where(np.isfinite(known), known, 0)
        sums = (weight * finite[np.maximum(self.near, 0)]).sum(axis=1)
        return np.where(total > 0, sums / np.maximum(total, 1e-12), -np.inf).astype(np.float32)

    def stand_ins(self) -> dict[int | str, int]:
        """For each item the number of the model's that it is most like, if it is like any."""
        nearest = zip(self.items, self.near[:, 0].tolist(), strict=True)
        return {item.id: number for item, number in nearest if number >= 0}

    def score(self, item: int | str, known: np.ndarray) -> tuple[float, list[tuple[int, float]]]:
        """The score of an item, as `scores` has it, and what each of the model's items that it is like adds to that.

        The numbers of the model's items come with their shares, the largest first; there are none for an item that is
        like none, or is not here.
        """
        like = self.like(item)
        total = sum(likeness for _, likeness in like)
        shares = [(number, likeness * float(known[number]) / total) for number, likeness in like
                  if np.isfinite(known[number])]
        place = next(place for place, one in enumerate(self.items) if one.id == item) if like else None
        score = -np.inf if place is None else float(self.scores(known)[place])
        return score, sorted(shares, key=lambda share: -abs(share[1]))

    def like(self, item: int | str) -> list[tuple[int, float]]:
        """Numbers of the model's items that an item is like, and how much, the most alike first."""
        for place, one in enumerate(self.items):
            if one.id == item:
                pairs = zip(self.near[place].tolist(), self.likeness[place].tolist(), strict=True)
                return [(number, likeness) for number, likeness in pairs if number >= 0]
        return []
