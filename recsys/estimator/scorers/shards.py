"""A scorer that has learned from some of the users, and answers all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.data.ids import IdMap
from recsys.estimator.arrays import Arrays, expect, pack, prefixed, unpack_if, within
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.staying import Staying

__all__ = ["Shard"]

_SEEN = "seen."


class Shard(Scorer):
    """Scores of a part that was trained on some users: theirs as they were trained, and others' from their histories.

    A part that does not fold in has nothing to say of others: their scores are 0.

    Parameters
    ----------
    part : Scorer
        Its users are the members, in their order.
    members : ndarray of bool, shape (n_users,)
    item_counts : ndarray of int64, shape (n_items,)
        Events of the members.
    history : CSR, shape (n_users, n_items), or None
        All events of all users, in their order; None in a model that was saved without them.
    """

    of_users: ClassVar[tuple[str, ...]] = ("members",)

    def __init__(self, part: Scorer, members: np.ndarray, item_counts: np.ndarray, history: CSR | None) -> None:
        self.part, self.members, self.item_counts, self.history = part, members, item_counts, history
        self.can, self.n_items, self.needs_values = part.can, part.n_items, part.needs_values
        self.needs_histories = part.needs_histories or part.can.fold_in
        self.plainly = (f"{part.plainly} People were divided into groups for that, and each group has a model of "
                        f"its own.")
        self.personalised, self.alone = part.personalised, part.alone or part.vectors() is not None
        self._number = np.cumsum(members) - 1

    @property
    def knows_users(self) -> bool:
        """Whether histories are there for those that it has not learned from."""
        return self.part.knows_users and (self.history is not None or not self.can.fold_in)

    @property
    def order_matters(self) -> bool:
        """Whether it does to the part."""
        return self.part.order_matters

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        out = np.zeros((len(users), self.n_items), np.float32)
        mine = self.members[users]
        if mine.any():
            out[mine] = self.part.score(self._number[users[mine]])
        if self.can.fold_in and self.history is not None and not mine.all():
            out[~mine] = self.part.fold(self.history.rows(users[~mine]))
        return out

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        return self.part.fold(history)

    def similar_items(self, items: np.ndarray) -> np.ndarray | None:
        """As the part has it."""
        return self.part.similar_items(items)

    def state(self) -> State:
        """Those of the part, and who its users are."""
        from recsys.estimator.scorers import state_of

        settings, arrays = state_of(self.part)
        private = {name.removeprefix(_SEEN): array for name, array in arrays.items() if name.startswith(_SEEN)}
        public = {name: array for name, array in arrays.items() if not name.startswith(_SEEN)}
        return {"part": settings}, {**prefixed("part", public), **prefixed("seen.part", private),
                                    **pack("seen.history", self.history), "members": self.members,
                                    "item_counts": self.item_counts}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        from recsys.estimator.scorers import restore

        shape = len(facts.users), len(facts.items)
        members = expect(arrays, "members", shape[:1], np.bool_)
        counts = expect(arrays, "item_counts", shape[1:], np.int64)
        own = within("part", arrays) | prefixed("seen", within("seen.part", arrays))
        part = restore(settings["part"], own, facts_of(facts, members, counts))
        return cls(part, members, counts, unpack_if("seen.history", arrays, shape))

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """Of the part without those of them who are members."""
        members = staying.table(self.members)
        part = self.part.without_users(Staying(staying.keep[self.members]), facts_of(facts, members, self.item_counts))
        return type(self)(part, members, self.item_counts,
                          None if self.history is None else staying.rows(self.history))


def facts_of(facts: Facts, members: np.ndarray, item_counts: np.ndarray) -> Facts:
    """The facts of some users."""
    rows = np.flatnonzero(members)
    seen, events = (None if each is None else each.rows(rows) for each in (facts.seen, facts.events))
    return replace(facts, users=IdMap(facts.users.ids[rows]), seen=seen, events=events, item_counts=item_counts)
