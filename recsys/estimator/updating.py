"""How a fitted model takes new events: what is news, on which ids, beside which events of before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from recsys.data.csr import appended
from recsys.data.interactions import Interactions
from recsys.errors import DataError, UnsupportedError
from recsys.estimator.facts import Facts, chained
from recsys.estimator.fitted import Fitted

__all__ = ["all_but", "grown", "is_news", "members", "renumbered", "together"]


def is_news(fitted: Fitted, data: Interactions) -> bool:
    """Whether a fitted model can learn anything of the data; DataError if the data does not go with its training."""
    name = f"{fitted.name}.partial_fit"
    if len(data):
        if (data.value is None) != (fitted.facts.rating_range is None):
            had = "no values, and these have some; give data.binarise()" if fitted.facts.rating_range is None else (
                "values, and these have none; give values")
            raise DataError(f"{name}: the events before had {had}.")
        return True
    news = False
    for side, known, given, reads in (("users", fitted.facts.users, data.users, fitted.scorer.described[0]),
                                      ("items", fitted.facts.items, data.items, fitted.scorer.described[1])):
        new = len(known.add(given.ids)) - len(known)
        if new and not reads:
            raise DataError(f"{name}: the data has no rows, but {new:,} new {side}, and this {fitted.name} "
                            f"reads no features of {side}; give events, or take a model that does, such as "
                            f"FactorizationMachine, fitted on data with features.")
        news = news or new > 0
    return news


def renumbered(facts: Facts, data: Interactions) -> Interactions:
    """The data on the model's id maps, its new users and items after the known ones."""
    return data.reindex(facts.users.add(data.users.ids), facts.items.add(data.items.ids))


def together(fitted: Fitted, new: Interactions) -> tuple[Interactions, Facts]:
    """All events, those of before first, and their facts; `new` is on extended id maps."""
    facts = fitted.facts
    if facts.events is None:
        raise UnsupportedError(f"{fitted.name}.partial_fit needs the events of the training, and the file of this "
                               f"model is of an earlier version without them; fit it again.")
    rows = appended(facts.events, new.csr)
    everything = Interactions(new.users, new.items, rows.row_of_entry, rows.indices, rows.data, name=new.name)
    return everything, replace(Facts.of(everything, keep_events=True), item_features=facts.titles_with(new),
                               fingerprint=chained(facts.fingerprint, new.fingerprint()))


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
