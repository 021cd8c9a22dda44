"""What is known of items besides the model: titles, attributes, availability, and items that are new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recsys.events import EventLog, Item
from recsys.serving.content import Likeness
from recsys.serving.deployment import Deployed
from recsys.serving.numbering import encode_any
from recsys.serving.schemas import ItemOut

__all__ = ["Catalogue", "View"]

Key = int | str
Where = Mapping[str, Iterable[str]]


class Catalogue:
    """The items that were put, never older than the log; `follow` reads what is new.

    Parameters
    ----------
    log : EventLog
        A connection for this thread alone.
    """

    def __init__(self, log: EventLog) -> None:
        self._log, self._change = log, 0
        self.entries: dict[Key, Item] = {}
        self._views: dict[str, View] = {}
        self.follow(log.last_change())

    def follow(self, change: int) -> None:
        """Take in the changes up to a number, which `EventLog.state` gave."""
        if change == self._change:
            return
        for number, item in self._log.items_since(self._change):
            self.entries[item.id] = item
            self._change = max(self._change, number)
        self._change = max(self._change, change)
        self._views.clear()

    def view(self, model: Deployed) -> View:
        """The items beside a model's."""
        found = self._views.get(model.variant.name)
        if found is None or found.model is not model:
            found = self._views[model.variant.name] = View(self.entries, model)
        return found

    def title(self, model: Deployed, item: Key) -> str | None:
        """What an item is called."""
        entry = self.entries.get(item)
        if entry is not None and entry.title is not None:
            return entry.title
        index = model.fitted.items.encode([item], "skip")[0]
        return None if index < 0 or model.titles is None else str(model.titles[index]) or None


@dataclass(frozen=True, eq=False)
class Fresh:
    """Items that the model does not know, and those of its own that they are like, by their contents.

    Attributes
    ----------
    ids : list of ids
    near : ndarray of int, shape (n, m)
        -1 where there are fewer.
    likeness : ndarray of float32, shape (n, m)
        From 0 to 1.
    """

    ids: list[Key]
    near: np.ndarray
    likeness: np.ndarray

    def scores(self, known: np.ndarray) -> np.ndarray:
        """Scores of the new items, float32 (n,), from the model's of its own, (n_items,): the mean of those alike.

        An item that is like none has -inf.
        """
        weight = np.where(self.near >= 0, self.likeness, 0)
        total = weight.sum(axis=1)
        finite = np.where(np.isfinite(known), known, 0)
        sums = (weight * finite[np.maximum(self.near, 0)]).sum(axis=1)
        return np.where(total > 0, sums / np.maximum(total, 1e-12), -np.inf).astype(np.float32)


class View:
    """The catalogue as one model needs it: by its numbers.

    Parameters
    ----------
    entries : mapping of id to Item
    model : Deployed
    """

    def __init__(self, entries: Mapping[Key, Item], model: Deployed) -> None:
        self.model, self.entries, self.ids = model, entries, model.fitted.items
        same_kind = [item for item in entries if isinstance(item, int) == self.ids.integers]
        numbers = self.ids.encode(np.array(same_kind, self.ids.ids.dtype if self.ids.integers else np.str_), "skip") \
            if same_kind else np.zeros(0, np.int32)
        self._own = {int(number): entries[item] for item, number in zip(same_kind, numbers, strict=True) if number >= 0}
        self._new = [entries[item] for item, number in zip(same_kind, numbers, strict=True)
                     if number < 0 and entries[item].available]
        closed = [number for number, entry in self._own.items() if not entry.available]
        self.available: np.ndarray | None = None
        if closed:
            self.available = np.ones(len(self.ids), np.bool_)
            self.available[closed] = False
        self._attributes: dict[str, dict[str, tuple[np.ndarray, set[Key]]]] | None = None
        self._fresh: Fresh | None = None

    def title(self, index: int) -> str | None:
        """What an item of the model is called."""
        entry = self._own.get(index)
        if entry is not None and entry.title is not None:
            return entry.title
        return None if self.model.titles is None else str(self.model.titles[index]) or None

    @property
    def attributes(self) -> dict[str, dict[str, tuple[np.ndarray, set[Key]]]]:
        """By name and value: the model's items by number, and the new ones by id."""
        if self._attributes is None:
            found: dict[str, dict[str, tuple[list[int], set[Key]]]] = {}
            for number, entry in self._own.items():
                for name, values in entry.attributes.items():
                    for value in values:
                        found.setdefault(name, {}).setdefault(value, ([], set()))[0].append(number)
            for entry in self._new:
                for name, values in entry.attributes.items():
                    for value in values:
                        found.setdefault(name, {}).setdefault(value, ([], set()))[1].add(entry.id)
            self._attributes = {name: {value: (np.array(own, np.int64), new) for value, (own, new) in values.items()}
                                for name, values in found.items()}
        return self._attributes

    def where(self, wanted: Where) -> tuple[np.ndarray, set[Key]]:
        """The items with one of the values of every attribute: of the model, bool (n_items,), and new ones by id."""
        allowed, fresh = np.ones(len(self.ids), np.bool_), {entry.id for entry in self._new}
        for name, values in wanted.items():
            held = self.attributes.get(name, {})
            one, new = np.zeros(len(self.ids), np.bool_), set()
            for value in values:
                own, others = held.get(value, (np.zeros(0, np.int64), set()))
                one[own] = True
                new |= others
            allowed &= one
            fresh &= new
        return allowed, fresh

    @cached_property
    def stand_ins(self) -> dict[Key, int]:
        """For each new item the number of the model's item that it is most like, if it is like any."""
        fresh = self.fresh
        if fresh is None:
            return {}
        return {item: number for item, number in zip(fresh.ids, fresh.near[:, 0].tolist(), strict=True) if number >= 0}

    def item(self, id: Key) -> ItemOut | None:
        """What is known of an item; None if nothing is."""
        entry = self.entries.get(id)
        number = encode_any(self.ids, id)
        if entry is None and number < 0:
            return None
        title = self.title(number) if number >= 0 else None if entry is None else entry.title
        if entry is None:
            return ItemOut(id, title, None, {}, None, True, True)
        return ItemOut(id, title, entry.text, entry.attributes, entry.image, entry.available, number >= 0)

    def search(self, text: str, limit: int) -> tuple[list[ItemOut], int]:
        """The items with all words of a text in their titles, those with the most events first, and their number."""
        words = text.lower().split()
        found = [place for place, title in enumerate(self._lower) if all(word in title for word in words)]
        counts = self.model.counts
        n = len(self.ids)
        found.sort(key=lambda place: (-float(counts[place]) if place < n else 0.0, place))
        ids = [self.ids.ids[place].item() if place < n else self._new[place - n].id for place in found[:limit]]
        return [item for item in map(self.item, ids) if item is not None], len(found)

    @cached_property
    def _lower(self) -> list[str]:
        """The titles of the model's items, then of new ones, in small letters; an id where there is no title."""
        names = [(self.title(number) or str(self.ids.ids[number])).lower() for number in range(len(self.ids))]
        return names + [(entry.title or str(entry.id)).lower() for entry in self._new]

    def counted(self) -> dict[str, dict[str, int]]:
        """How many items have each value of each attribute."""
        return {name: {value: len(own) + len(new) for value, (own, new) in sorted(values.items())}
                for name, values in sorted(self.attributes.items())}

    @property
    def fresh(self) -> Fresh | None:
        """The new items that are available, with what they are like; None if there are none."""
        if self._fresh is None and self._new:
            texts = [_words(self._own.get(index), self.title(index)) for index in range(len(self.ids))]
            likeness = Likeness(texts)
            near, how = likeness.nearest([_words(entry, entry.title) for entry in self._new], 10)
            self._fresh = Fresh([entry.id for entry in self._new], near, how)
        return self._fresh


def _words(entry: Item | None, title: str | None) -> Any:
    """What there is to compare: free text, and attributes as words of their own."""
    if entry is None:
        return title or "", ()
    said = [f"{name}={value}" for name, values in entry.attributes.items() for value in values]
    return " ".join(part for part in (title, entry.text) if part), tuple(said)
