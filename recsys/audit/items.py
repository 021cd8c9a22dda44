"""Groups of items: by popularity, by labels such as genres, by attributes, by how long they have been there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError

__all__ = ["ItemGroups", "grouped_items", "labels_of", "long_tail"]

_BANDS = 5  # of popularity, with as many events each, and of age, with about as many items each
_HEAD = 0.8  # of the events are of the short head; all other items are the long tail
_LABELS = 30  # of which a table can be read; the rarer ones are one group
_OTHERS = "all others"
_DATES = 10**8  # seconds since 1970 from which times are taken for dates; smaller ones just order


@dataclass(frozen=True, eq=False)
class ItemGroups:
    """Groups that items belong to, wholly or in parts.

    Attributes
    ----------
    name : str
    names : tuple of str
    mix : ndarray of float64, shape (n_items, G)
        Rows sum to 1, or to 0 for items of which nothing is known.
    """

    name: str
    names: tuple[str, ...]
    mix: np.ndarray

    def of_lists(self, items: np.ndarray) -> np.ndarray:
        """What lists (U, k), filled with -1, are made of: (U, G); rows sum to 1, or to 0."""
        padded = np.append(self.mix, np.zeros((1, self.mix.shape[1])), axis=0)
        found = np.zeros((len(items), self.mix.shape[1]))
        for place in range(items.shape[1]):
            found += padded[items[:, place]]
        return _shares(found)

    def of_rows(self, rows: CSR) -> np.ndarray:
        """What histories (U, n_items) are made of: (U, G)."""
        users = rows.row_of_entry
        return _shares(np.column_stack([np.bincount(users, column[rows.indices], rows.shape[0])
                                        for column in self.mix.T]))


def grouped_items(data: Interactions, counts: np.ndarray, names: Sequence[str] = ()) -> list[ItemGroups]:
    """The groups that can be made: popularity always, genres where there are some, age where there are times.

    Parameters
    ----------
    data : Interactions
        What was learned from.
    counts : ndarray of int, shape (n_items,)
        How often each item occurs in it.
    names : sequence of str
        Further attributes of items to group them by.

    Raises
    ------
    ParameterError
        Items have no such attribute.
    """
    found = [_by_popularity(counts)]
    labels = labels_of(data)
    found += [] if labels is None else [labels]
    found += [] if data.time is None else _by_age(data, counts)
    return found + [_by_attribute(data, name) for name in names]


def long_tail(counts: np.ndarray) -> np.ndarray:
    """Which items are not of the short head, the most popular items that make 80 % of the events: bool (n_items,).

    >>> long_tail(np.array([1, 8, 0, 1])).tolist()
    [True, False, True, True]
    """
    return np.asarray(_events_before(counts) >= _HEAD)


def labels_of(data: Interactions) -> ItemGroups | None:
    """The items by their genres, those with most events by name and the rarer ones together; None if there are none."""
    features = data.item_features
    if features is None or features.genres is None or not features.genres.nnz:
        return None
    genres, names = features.genres, np.asarray(features.genre_names)
    counts = np.bincount(data.item, minlength=data.n_items)
    events = np.bincount(genres.indices, counts[genres.row_of_entry], len(names))
    kept = np.sort(np.argsort(-events, kind="stable")[:_LABELS])
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    mix = np.zeros((data.n_items, len(kept) + (len(kept) < len(names))))
    np.add.at(mix, (genres.row_of_entry, place[genres.indices]), np.abs(genres.weights))
    others = [_OTHERS] if len(kept) < len(names) else []
    return ItemGroups("genre", (*names[kept].tolist(), *others), _shares(mix))


def _by_popularity(counts: np.ndarray) -> ItemGroups:
    """Five bands of items, each of a fifth of all events; the last is the long tail."""
    band = np.minimum((_events_before(counts) * _BANDS + 1e-9).astype(np.int64), _BANDS - 1)
    sizes = np.bincount(band, minlength=_BANDS)
    told = ("most popular", "second", "third", "fourth", "long tail")
    kept = np.flatnonzero(sizes)
    names = tuple(f"{told[i]} ({sizes[i]:,} items)" for i in kept)
    return ItemGroups("popularity", names, np.eye(_BANDS)[band][:, kept])


def _events_before(counts: np.ndarray) -> np.ndarray:
    """The share of events of items that are more popular: (n_items,)."""
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(counts))
    before[order] = (np.cumsum(counts[order]) - counts[order]) / max(int(counts.sum()), 1)
    return before


def _by_age(data: Interactions, counts: np.ndarray) -> list[ItemGroups]:
    """Bands of items by their first event, the newest last; none if all came at once."""
    first = np.full(data.n_items, np.iinfo(np.int64).max)
    np.minimum.at(first, data.item, np.asarray(data.time))
    known = counts > 0
    cuts = np.unique(np.quantile(first[known], np.linspace(0, 1, _BANDS + 1)[1:-1], method="lower"))
    band = np.searchsorted(cuts, first, side="left")
    held = np.unique(band[known])
    if len(held) < 2:
        return []
    begins = [first[known & (band == i)].min() for i in held]
    names = tuple(f"first seen {text} or later" for text in _moments(begins))
    mix = (band[:, None] == held).astype(np.float64) * known[:, None]
    return [ItemGroups("age", names, mix)]


def _moments(seconds: Sequence[int]) -> list[str]:
    """Times as days, or where these are the same, as minutes; small ones as numbers."""
    if min(seconds) < _DATES:
        return [f"{each:,}" for each in seconds]
    dates = [datetime.datetime.fromtimestamp(int(each), datetime.UTC) for each in seconds]
    days = [each.strftime("%Y-%m-%d") for each in dates]
    return days if len(set(days)) == len(days) else [each.strftime("%Y-%m-%d %H:%M:%S") for each in dates]


def _by_attribute(data: Interactions, name: str) -> ItemGroups:
    known = {} if data.item_features is None else dict(data.item_features.attributes)
    values = known.get(name)
    if values is None or values.ndim != 1 or values.dtype.kind not in "biufUT":
        have = ", ".join(each for each, of in known.items() if of.ndim == 1) or "none"
        raise ParameterError(f"audit: items_by names {name!r}, which is no attribute with a number or word for each "
                             f"item; there are: {have}.")
    if values.dtype.kind in "iuf":
        numbers = values.astype(np.float64)
        said = ~np.isnan(numbers) & ((numbers != -1) | (values.dtype.kind != "i"))
        cuts = np.unique(np.quantile(numbers[said], np.linspace(0, 1, _BANDS + 1)[1:-1])) if said.any() else np.zeros(0)
        band = np.searchsorted(cuts, numbers, side="left")
        held = np.unique(band[said])
        names = [f"{numbers[said & (band == i)].min():.6g} to {numbers[said & (band == i)].max():.6g}" for i in held]
        return ItemGroups(name, tuple(names), (band[:, None] == held) * said[:, None].astype(np.float64))
    texts = np.array([str(value) for value in values.tolist()], np.str_)
    words, of = np.unique(texts, return_inverse=True)
    counts = np.bincount(of.ravel()[data.item], minlength=len(words)).astype(np.float64)
    counts[words == ""] = -1
    kept = np.sort(np.argsort(-counts, kind="stable")[:min(_LABELS, int((words != "").sum()))])
    mix = (of.ravel()[:, None] == kept).astype(np.float64)
    rest = (mix.sum(1) == 0) & (texts != "")
    if rest.any():
        return ItemGroups(name, (*words[kept].tolist(), _OTHERS), np.column_stack([mix, rest]))
    return ItemGroups(name, tuple(words[kept].tolist()), mix)


def _shares(amounts: np.ndarray) -> np.ndarray:
    totals = amounts.sum(1, keepdims=True)
    return np.asarray(amounts / np.where(totals > 0, totals, 1))
