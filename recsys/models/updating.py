"""What models share that learn from new events without starting again: the private half of `partial_fit`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.interactions import Interactions
from recsys.errors import DataError

if TYPE_CHECKING:
    from recsys.models.hooks import Hooks

__all__ = ["all_but", "all_titles", "behind", "chained", "grown", "events_of", "is_news", "members", "renumbered"]


def is_news(model: Hooks, data: Interactions) -> bool:
    """Whether a fitted model can learn anything of the data; DataError if the data does not go with its training."""
    name = f"{type(model).__name__}.partial_fit"
    if len(data):
        if (data.value is None) != (model.rating_range is None):
            had = "no values, and these have some; give data.binarise()" if model.rating_range is None else (
                "values, and these have none; give values")
            raise DataError(f"{name}: the events before had {had}.")
        return True
    news = False
    for side, known, given, reads in (("users", model.users, data.users, model.reads_features[0]),
                                      ("items", model.items, data.items, model.reads_features[1])):
        new = len(known.add(given.ids)) - len(known)
        if new and not reads:
            raise DataError(f"{name}: the data has no rows, but {new:,} new {side}, and this {type(model).__name__} "
                            f"reads no features of {side}; give events, or take a model that does, such as "
                            f"FactorizationMachine, fitted on data with features.")
        news = news or new > 0
    return news


def events_of(data: Interactions) -> CSR:
    """The events in the order of time, with values, to be kept; those that are in `data.csr.unique()` are kept once."""
    events, seen = data.csr, data.csr.unique()
    if events.data is None and np.array_equal(events.indices, seen.indices):
        events = seen
    return CSR(events.indptr, events.indices, events.data, events.shape)  # without what it has cached


def renumbered(model: Hooks, data: Interactions) -> Interactions:
    """The data on the model's id maps, its new users and items behind the known ones."""
    return data.reindex(model.users.add(data.users.ids), model.items.add(data.items.ids))


def all_titles(model: Hooks, data: Interactions) -> Features | None:
    """Titles of the model's items and of the new ones of the data; None if the model has none."""
    if model.item_features is None or model.item_features.titles is None:
        return model.item_features
    ids = model.items.add(data.items.ids).ids[len(model.items):]
    new = np.full(len(ids), "", np.str_)
    if data.item_features is not None and data.item_features.titles is not None:
        new = data.item_features.titles[data.items.encode(ids)]
    return Features(titles=np.concatenate([model.item_features.titles, new]))


def chained(*fingerprints: str) -> str:
    """One fingerprint of several parts in turn: 16 hex digits."""
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]


def behind(old: CSR, new: CSR) -> CSR:
    """The entries of `new`, row by row behind those of `old`, which may have fewer rows and columns.

    Examples
    --------
    >>> old, new = CSR.from_pairs([0], [1], shape=(1, 2)), CSR.from_pairs([0, 1], [0, 2], shape=(2, 3))
    >>> behind(old, new).indices.tolist()
    [1, 0, 2]
    """
    values = None if old.data is None and new.data is None else np.concatenate([old.weights, new.weights])
    return CSR.from_pairs(np.concatenate([old.row_of_entry, new.row_of_entry]),
                          np.concatenate([old.indices, new.indices]), values, new.shape)


def grown(table: np.ndarray, rows: int) -> np.ndarray:
    """A table with as many rows, the new ones 0."""
    out = np.zeros((rows, *table.shape[1:]), table.dtype)
    out[:len(table)] = table
    return out


def members(numbers: np.ndarray, n: int) -> np.ndarray:
    """Which of n are among the numbers: bool (n,)."""
    return np.bincount(numbers, minlength=n) > 0


def all_but(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> Callable[[], None]:
    """Of tables, each with the rows, bool (n,), that may change: what puts back all others as they are now.

    Examples
    --------
    >>> table = np.zeros(2)
    >>> put_back = all_but([(table, np.array([True, False]))])
    >>> table += 1
    >>> put_back()
    >>> table
    array([1., 0.])
    """
    kept = [(table, ~rows, table[~rows]) for table, rows in parts]

    def put_back() -> None:
        for table, others, before in kept:
            table[others] = before

    return put_back
