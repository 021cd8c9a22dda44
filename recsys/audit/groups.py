"""Groups of people: by what is known of them, by how much they did, and by whether they like what most like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.errors import ParameterError

__all__ = ["Grouping", "by_activity", "by_attribute", "by_taste"]

_DISTINCT = 10  # numbers of an attribute that are groups each; of more, quarters are
_UNSAID = "not said"
_SIDES = 0.2  # of all people have the most niche, and as many the most mainstream taste (Abdollahpouri et al. 2021)


@dataclass(frozen=True, eq=False)
class Grouping:
    """People in groups that share nobody.

    Attributes
    ----------
    name : str
    names : tuple of str
        Of the groups; fewer than two where the people cannot be told apart.
    of : ndarray of int, shape (U,)
        The group of each.
    note : str
        What was merged, if anything was.
    """

    name: str
    names: tuple[str, ...]
    of: np.ndarray
    note: str = ""

    @property
    def sizes(self) -> np.ndarray:
        """People of each group."""
        return np.asarray(np.bincount(self.of, minlength=len(self.names)))

    def member(self) -> np.ndarray:
        """Who is in which group: float64 (G, U)."""
        return np.asarray(self.of == np.arange(len(self.names))[:, None], np.float64)


def by_attribute(features: Features | None, name: str, users: np.ndarray, smallest: int) -> Grouping:
    """People by an attribute of theirs; of a number with more than ten values, by quarters of the people.

    Groups of fewer than `smallest` people are merged, neighbours with neighbours where the attribute is a number, and
    with the next larger ones where that is not enough, so that no group is that small, and nobody can be worked out by
    subtracting groups from all.

    Parameters
    ----------
    features : Features or None
        Of all users.
    name : str
    users : ndarray of int, shape (U,)
    smallest : int

    Raises
    ------
    ParameterError
        There is no such attribute, or it has no single value for each person.
    """
    known = {} if features is None else dict(features.attributes)
    if name not in known:
        have = f"there are {', '.join(known)}" if known else "the data says nothing of its users; give user features"
        raise ParameterError(f"audit: by names the attribute {name!r}, which users do not have; {have}.")
    values = known[name]
    if values.ndim != 1 or values.dtype.kind not in "biufUT":
        raise ParameterError(f"audit: by names {name!r}, which is no single number or word for each user; name another "
                             f"attribute.")
    values = values[users]
    found = _of_words(name, values) if values.dtype.kind in "bUT" else _of_numbers(name, values)
    return _merged(found, smallest, ordered=values.dtype.kind in "iuf")


def by_activity(history: CSR, smallest: int) -> Grouping:
    """People by the number of events in their histories (U, n_items), a quarter in each group."""
    counts = history.counts
    return _merged(_bands("activity", counts, (0.25, 0.5, 0.75), lambda low, high: f"{_span(low, high)} events"),
                   smallest, ordered=True)


def by_taste(history: CSR, counts: np.ndarray, smallest: int) -> Grouping:
    """The fifth whose histories hold the least popular items on average, the fifth with the most popular, the others.

    Where a fifth would be fewer than `smallest` people, it is more than a fifth.

    Parameters
    ----------
    history : CSR, shape (U, n_items)
        Of people; those without events are with the others.
    counts : ndarray, shape (n_items,)
        How popular each item is.
    """
    rank = np.argsort(np.argsort(counts, kind="stable"), kind="stable") / max(len(counts) - 1, 1)
    sums = np.bincount(history.row_of_entry, rank[history.indices], history.shape[0])
    mean = np.where(history.counts > 0, sums / np.maximum(history.counts, 1), np.nan)
    side = min(max(_SIDES, 1.1 * smallest / max(len(mean), 1)), 0.35)
    low, high = np.nanquantile(mean, (side, 1 - side)) if (history.counts > 0).any() else (0.0, 0.0)
    of = 1 + (mean >= high).astype(np.int64) - (mean <= low)
    names = (f"niche ({side:.0%})", "in between", f"mainstream ({side:.0%})")
    return _merged(Grouping("taste", names, of), smallest, ordered=True)


def _of_words(name: str, values: np.ndarray) -> Grouping:
    texts = np.array([str(value) or _UNSAID for value in values.tolist()], np.str_)
    names, of = np.unique(texts, return_inverse=True)
    return Grouping(name, tuple(names.tolist()), of.ravel())


def _of_numbers(name: str, values: np.ndarray) -> Grouping:
    numbers = values.astype(np.float64)
    unsaid = np.isnan(numbers) | (numbers == -1 if values.dtype.kind == "i" else False)
    said = np.unique(numbers[~unsaid])
    if not len(said):
        return Grouping(name, (_UNSAID,), np.zeros(len(values), np.int64))
    if len(said) <= _DISTINCT:
        found = Grouping(name, tuple(f"{each:g}" for each in said), np.searchsorted(said, numbers))
    else:
        filled = np.where(unsaid, said[0], numbers)
        cuts = np.unique(np.quantile(numbers[~unsaid], (0.25, 0.5, 0.75)))
        found = _cut(name, filled, cuts, _span)
    if unsaid.any():
        last = len(found.names)
        found = Grouping(name, (*found.names, _UNSAID), np.where(unsaid, last, found.of))
    return found


def _bands(name: str, values: np.ndarray, shares: Sequence[float], told: Callable[[float, float], str]) -> Grouping:
    return _cut(name, values, np.unique(np.quantile(values, shares)), told)


def _cut(name: str, values: np.ndarray, cuts: np.ndarray, told: Callable[[float, float], str]) -> Grouping:
    """Groups of values up to and with each cut, and of those above; a name says its smallest and largest value."""
    numbers, of = np.unique(np.searchsorted(cuts, values, side="left"), return_inverse=True)
    of = of.ravel()
    names = tuple(told(values[of == i].min(), values[of == i].max()) for i in range(len(numbers)))
    return Grouping(name, names, of)


def _span(low: float, high: float) -> str:
    return f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"


def _merged(found: Grouping, smallest: int, *, ordered: bool) -> Grouping:
    """Without groups of fewer people than `smallest`."""
    parts = [[i] for i in range(len(found.names)) if found.sizes[i]]
    sizes = [int(found.sizes[part[0]]) for part in parts]
    before = len(parts)
    while len(parts) > 1 and min(sizes) < smallest:
        small = int(np.argmin(sizes))
        near = ([i for i in (small - 1, small + 1) if 0 <= i < len(parts)] if ordered else
                [i for i in range(len(parts)) if i != small])
        other = min(near, key=sizes.__getitem__)
        keep, gone = sorted((small, other))
        parts[keep], sizes[keep] = [*parts[keep], *parts[gone]], sizes[keep] + sizes[gone]
        del parts[gone], sizes[gone]
    place = np.zeros(len(found.names), np.int64)
    for new, part in enumerate(parts):
        place[part] = new
    names = tuple(_together([found.names[i] for i in part], ordered) for part in parts)
    note = "" if len(parts) == before else (
        f"{found.name}: {before} groups were merged into {len(parts)}, so that none has fewer than {smallest} people.")
    return replace(found, names=names, of=place[found.of], note=note)


def _together(names: Sequence[str], ordered: bool) -> str:
    if len(names) == 1:
        return names[0]
    return f"{names[0]} to {names[-1]}" if ordered else f"{len(names)} small groups together"
