"""What people did since training, as the log has it this moment, in the form in which models take it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.fitted import Fitted
from recsys.events import EventLog, EventTypes

__all__ = ["Live", "People", "live", "trained_history"]

Key = int | str
Said = tuple[Key, str, float | None, int]
"""Item, type, value and seq of an event."""


class People:
    """The last events of the people who were asked for lately, never older than the log.

    Whoever answers calls `follow` first: it reads what is new of the log, and so each answer knows every event that was
    acknowledged before. An erasure empties it.

    Parameters
    ----------
    log : EventLog
        A connection for this thread alone.
    recent : int
        How many of a person's last events are looked at.
    most : int
        Events that are held; those of who was asked for longest ago go first.
    """

    def __init__(self, log: EventLog, recent: int, most: int) -> None:
        self._log, self._recent, self._most = log, recent, most
        self._held: OrderedDict[Key, list[Said]] = OrderedDict()
        self._size = 0  # events, and one for each of the people
        self._seq, _, _, self._epoch = log.state()

    def follow(self, seq: int, epoch: int) -> None:
        """Take in the events up to number `seq`, which `EventLog.state` gave."""
        if epoch != self._epoch:
            self._held.clear()
            self._epoch, self._seq, self._size = epoch, seq, 0
        while self._seq < seq:
            if not self._held:
                self._seq = seq
                return
            new = self._log.since(self._seq, 10_000)
            if not new:
                self._seq = seq  # the rest was erased
            for event in new:
                held = self._held.get(event.user)
                if held is not None:
                    held.append((event.item, event.type, event.value, event.seq))
                    self._size += 1 - len(held[:-self._recent])
                    del held[:-self._recent]
                self._seq = event.seq

    def events(self, user: Key) -> list[Said]:
        """A person's last events, oldest first: item, type, value, seq."""
        held = self._held.get(user)
        if held is None:
            held = self._held[user] = self._log.history(user, self._recent)
            if held and held[-1][3] > self._seq:  # come in since `follow`: the next one would take them in again
                held[:] = [event for event in held if event[3] <= self._seq]
            self._size += len(held) + 1
            while self._size > self._most and len(self._held) > 1:
                self._size -= len(self._held.popitem(last=False)[1]) + 1
        else:
            self._held.move_to_end(user)
        return held


@dataclass(eq=False)
class Live:
    """What the log says of a person to a model.

    Attributes
    ----------
    items : list of ids
        What the person liked since the model learned, in order; none that was taken back.
    values : list of float
        The weight of each, or its value, for models that predict ratings.
    hidden : set of ids
        What is not to be recommended again.
    disliked : set of ids
        What is no part of the history, though training may have seen it.
    undone : set of ids
        What was taken back last: it may be listed again, though training may have seen it.
    unrated : set of ids
        What the person liked without a value, which says nothing to a model that predicts ratings.
    """

    items: list[Key] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    hidden: set[Key] = field(default_factory=set)
    disliked: set[Key] = field(default_factory=set)
    undone: set[Key] = field(default_factory=set)
    unrated: set[Key] = field(default_factory=set)


def live(events: Iterable[Said], types: EventTypes, fitted: Fitted, learned_to: int) -> Live:
    """What a person's events, oldest first, say to a model that has learned from those up to number `learned_to`."""
    found, by_value = Live(), fitted.scorer.needs_values
    mean = None if fitted.facts.rating_range is None else fitted.facts.mean_value
    known = types.by_name
    for item, name, value, seq in events:
        kind = known.get(name)
        if kind is None:  # of a type that the settings have no more
            continue
        if kind.undoes:
            found.hidden.discard(item)
            found.undone.add(item)
            _drop(found, item)
            continue
        if kind.seen:
            found.hidden.add(item)
            found.undone.discard(item)
        rated = by_value and kind.weight is None  # a low rating, too, is something to learn a taste from
        if rated or kind.likes(value, mean):
            found.disliked.discard(item)
            worth = value if by_value or kind.weight is None else kind.weight
            if worth is None:
                found.unrated.add(item)
            elif seq > learned_to:
                found.items.append(item)
                found.values.append(worth)
        elif kind.seen:
            _drop(found, item)
    found.unrated.difference_update(found.items)
    return found


def _drop(found: Live, item: Key) -> None:
    """Take an item out of the history."""
    found.disliked.add(item)
    found.unrated.discard(item)
    if item in found.items:
        kept = [(each, value) for each, value in zip(found.items, found.values, strict=True) if each != item]
        found.items, found.values = [each for each, _ in kept], [value for _, value in kept]


def trained_history(fitted: Fitted, user: int) -> tuple[np.ndarray, np.ndarray | None]:
    """What training knows of a user, oldest first where the model keeps an order: indices (n,), values (n,) or None.

    A model that fades old events keeps their weights, from which the order follows.
    """
    facts, scorer = fitted.facts, fitted.scorer
    row = np.array([user])
    if facts.events is not None:
        return facts.events.row(user)
    histories = getattr(scorer, "histories", None)
    if histories is not None and histories.stored is not None:
        indices, weights = histories.stored.row(user)
        if histories.decay != 1 and weights is not None:
            order = np.argsort(weights, kind="stable")
            return indices[order], None
        return indices, weights if histories.form == "values" else None
    kept: CSR | None = scorer.stored(row) if scorer.can.explain else None
    if kept is not None:
        return kept.row(0)
    return (np.zeros(0, np.int32), None) if facts.seen is None else facts.seen.row(user)
