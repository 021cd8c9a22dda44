"""What is known of items besides the model: titles, attributes, availability, and items that are new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from recsys.events import EventLog, Item
from recsys.serving.content import Likeness, said_of
from recsys.serving.deployment import Deployed
from recsys.serving.fresh import Fresh
from recsys.serving.numbering import encode, encode_any, kind_of
from recsys.serving.schemas import ItemOut

__all__ = ["Catalogue", "View"]

Key = int | str
Where = Mapping[str, Iterable[str]]
_AT_ONCE = 5_000  # items whose likeness is worked out while an answer waits; that of more is, beside the answers


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
        put = self._log.items_since(self._change)
        self.entries |= {item.id: item for _, item in put}
        for view in self._views.values():
            view.put([item for _, item in put])
        self._change = max([change, *(number for number, _ in put)])

    def view(self, model: Deployed) -> View:
        """The items beside a model's."""
        found = self._views.get(model.variant.name)
        if found is None or found.model is not model:
            found = self._views[model.variant.name] = View(self.entries.values(), model)
        return found

    def settle(self) -> None:
        """Work out anew what new items are like, where something was put since; from any thread, beside the answers."""
        for view in list(self._views.values()):
            view.settle()


class View:
    """The catalogue as one model needs it: by its numbers.

    Parameters
    ----------
    entries : iterable of Item
    model : Deployed
    """

    def __init__(self, entries: Iterable[Item], model: Deployed) -> None:
        self.model, self.ids = model, model.fitted.items
        self._own: dict[int, Item] = {}
        self._new: dict[Key, Item] = {}
        self.available: np.ndarray | None = None
        self._labelled: dict[str, dict[str, set[Key]]] = {}  # ids by name and value of an attribute
        self._masks: dict[tuple[str, str], tuple[np.ndarray, set[Key]]] = {}
        self._likeness: Likeness | None = None
        self._fresh: Fresh | None = None
        self._settled = True
        self.put(list(entries))

    def put(self, entries: Sequence[Item]) -> None:
        """Take in items, each as it is now."""
        kind = kind_of(self.ids)
        entries = [entry for entry in entries if type(entry.id) is kind]
        for entry, number in zip(entries, encode(self.ids, [entry.id for entry in entries]).tolist(), strict=True):
            before = self._own.get(number) if number >= 0 else self._new.get(entry.id)
            self._label(before, entry)
            if number >= 0:
                self._own[number] = entry
                self._open(number, entry.available)
                if "_lower" in self.__dict__:
                    self._lower[number] = self._searched(number)
            else:
                self._new[entry.id] = entry
        if entries:
            self._masks.clear()
            self._fresh, self._settled = None, False
            self.__dict__.pop("stand_ins", None)

    def _open(self, number: int, available: bool) -> None:
        if self.available is None and not available:
            self.available = np.ones(len(self.ids), np.bool_)
        if self.available is not None:
            self.available[number] = available

    def _label(self, before: Item | None, now: Item) -> None:
        for name, values in {} if before is None else before.attributes.items():
            for value in values:
                self._labelled[name][value].discard(now.id)
        for name, values in now.attributes.items():
            for value in values:
                self._labelled.setdefault(name, {}).setdefault(value, set()).add(now.id)

    # --------------------------------------------------------------------------------------- looking up
    def title(self, index: int) -> str | None:
        """What an item of the model is called."""
        entry = self._own.get(index)
        if entry is not None and entry.title is not None:
            return entry.title
        return None if self.model.titles is None else str(self.model.titles[index]) or None

    def title_of(self, item: Key) -> str | None:
        """What an item is called."""
        number = encode_any(self.ids, item)
        entry = self._new.get(item)
        return self.title(number) if number >= 0 else None if entry is None else entry.title

    def is_new(self, item: Key) -> bool:
        """Whether an item was put that the model does not know."""
        return item in self._new

    def item(self, id: Key) -> ItemOut | None:
        """What is known of an item; None if nothing is."""
        number = encode_any(self.ids, id)
        entry = self._own.get(number) if number >= 0 else self._new.get(id)
        if entry is None and number < 0:
            return None
        title = self.title_of(id)
        if entry is None:
            return ItemOut(id, title, None, {}, None, True, True)
        return ItemOut(id, title, entry.text, entry.attributes, entry.image, entry.available, number >= 0)

    def search(self, text: str, limit: int) -> tuple[list[ItemOut], int]:
        """The items with all words of a text in their titles, those with the most events first, and their number."""
        words = text.lower().split()
        places = [place for place, title in enumerate(self._lower) if all(word in title for word in words)]
        counts = self.model.counts[places]
        own = [places[rank] for rank in np.argsort(-counts, kind="stable")[:limit].tolist()]
        new = [entry for entry in list(self._new.values())
               if all(word in (entry.title or str(entry.id)).lower() for word in words)]
        ids = [self.ids.ids[place].item() for place in own] + [entry.id for entry in new]
        return [item for item in map(self.item, ids[:limit]) if item is not None], len(places) + len(new)

    @cached_property
    def _lower(self) -> list[str]:
        """The titles of the model's items in small letters."""
        return [self._searched(number) for number in range(len(self.ids))]

    def _searched(self, number: int) -> str:
        """The title of an item in small letters; its id, if it has none."""
        return (self.title(number) or str(self.ids.ids[number])).lower()

    # ---------------------------------------------------------------------------------------- attributes
    def where(self, wanted: Where) -> tuple[np.ndarray, set[Key]]:
        """The items with one of the values of every attribute: of the model, bool (n_items,), and new ones by id."""
        allowed, fresh = np.ones(len(self.ids), np.bool_), set(self._new)
        for name, values in wanted.items():
            one, new = np.zeros(len(self.ids), np.bool_), set()
            for value in values:
                own, others = self._having(name, value)
                one[own] = True
                new |= others
            allowed &= one
            fresh &= new
        return allowed, fresh

    def _having(self, name: str, value: str) -> tuple[np.ndarray, set[Key]]:
        """The items with a value of an attribute: numbers of the model's, ids of new ones."""
        found = self._masks.get((name, value))
        if found is None:
            ids = list(self._labelled.get(name, {}).get(value, ()))
            numbers = encode(self.ids, ids)
            found = numbers[numbers >= 0], {item for item in ids if item in self._new}
            self._masks[name, value] = found
        return found

    def counted(self) -> dict[str, dict[str, int]]:
        """How many items have each value of each attribute."""
        return {name: {value: len(ids) for value, ids in sorted(values.items()) if ids}
                for name, values in sorted(self._labelled.items())}

    # ---------------------------------------------------------------------------------------- new items
    @property
    def fresh(self) -> Fresh | None:
        """The new items that are available, with what they are like; None if there are none."""
        if self._fresh is None and self._new:
            if self._likeness is None and len(self.ids) > _AT_ONCE:
                return None  # `settle` will see to it
            self._gather()
        return self._fresh

    @cached_property
    def stand_ins(self) -> dict[Key, int]:
        """For each new item the number of the model's item that it is most like, if it is like any."""
        return {} if self.fresh is None else self.fresh.stand_ins()

    def settle(self) -> None:
        """Work out anew what new items are like, if something was put."""
        if self._new and not self._settled:
            self._settled = True
            self._likeness = self._said()
            self._gather()
            self.__dict__.pop("stand_ins", None)

    def _gather(self) -> None:
        if self._likeness is None:
            self._likeness = self._said()
        open_ones = [entry for entry in list(self._new.values()) if entry.available]
        self._fresh = Fresh.of(open_ones, self._likeness) if open_ones else None

    def _said(self) -> Likeness:
        """What is said of the model's items."""
        return Likeness([said_of(self._own.get(number), self.title(number)) for number in range(len(self.ids))])
