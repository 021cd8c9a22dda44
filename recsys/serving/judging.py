"""What an experiment has shown, and what a model that was never shown would have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recsys.events import EventLog, EventTypes
from recsys.events.records import Shown
from recsys.serving import asking
from recsys.serving.catalogue import View
from recsys.serving.engine import rank
from recsys.serving.people import live

__all__ = ["lists_of", "positives"]

Key = int | str
_AT_ONCE = 256


def positives(log: EventLog, types: EventTypes, mean: float | None) -> Iterator[tuple[str, Key]]:
    """(request id, item) of all positive events that name the list they came from.

    Parameters
    ----------
    log : EventLog
    types : EventTypes
    mean : float or None
        Of the values that the model has learned from, if there were any.
    """
    after = 0
    while events := log.since(after, 10_000):
        for event in events:
            kind = types.by_name.get(event.type)
            if event.request_id is not None and kind is not None and kind.likes(event.value, mean):
                yield event.request_id, event.item
        after = events[-1].seq


def lists_of(view: View, shown: Sequence[Shown], log: EventLog, types: EventTypes) -> list[list[Key]]:
    """What a model would have shown instead of each list: to the same person, after the same events.

    Parameters
    ----------
    view : View
        Of the model's items.
    shown : sequence of Shown
        Each with its user.
    log : EventLog
    types : EventTypes
    """
    lists: list[list[Key]] = []
    for start in range(0, len(shown), _AT_ONCE):
        part = shown[start:start + _AT_ONCE]
        rows = [_row(view, each, log, types) for each in part]
        items, scores, _ = rank(view.model, rows, max(len(each.items) for each in part), None)
        ids = view.ids.ids
        lists += [ids[row[(row >= 0) & (best > float("-inf"))][:len(each.items)]].tolist()
                  for row, best, each in zip(items, scores, part, strict=True)]
    return lists


def _row(view: View, shown: Shown, log: EventLog, types: EventTypes) -> asking.Row:
    """What the model is asked for a person, as the log was when the list was shown."""
    if shown.user is None:
        raise ValueError("a list without a user has no history to ask the model for")
    before = [(event.item, event.type, event.value, event.seq) for event in log.of_user(shown.user)
              if event.time < shown.time]
    return asking.row_of_user(shown.user, view, live(before, types, view.model.fitted, view.model.learned_to))
