"""What of a history would have to be missing for an item not to be listed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from recsys.data.csr import numbered
from recsys.explanation.person import Person
from recsys.explanation.results import Counterfactual

__all__ = ["without"]

Taken = tuple[int, ...]
Ask = Callable[[list[Taken]], tuple[np.ndarray, np.ndarray]]

_CANDIDATES = 24  # items that speak most for the item, of which some are taken out
_PAIRED = 10  # of these, as pairs, where one by one takes three or more


def without(person: Person, item: int, events: np.ndarray, k: int, most: int, called: Callable[[int], str]
            ) -> Counterfactual | None:
    """A small set of items of a history without which the model, asked again, does not list an item.

    Items are taken out one by one, always the one without which the item loses most against the last of the list; where
    that takes three or more, all pairs of the strongest are tried, and what is not needed is put back. Each set that is
    named was verified by asking the model. What the person has seen stays out of the list all the same.

    Parameters
    ----------
    person : Person
    item : int
    events : ndarray of float64, shape (n,)
        What each event adds, by which candidates are chosen.
    k : int
        Length of the list.
    most : int
        So many items at most.
    called : callable
        What an item is called, by its number.

    Returns
    -------
    Counterfactual or None
        None where the item is not in the list anyway.
    """
    before, calls = int(person.places(person.whole[None], item)[0]), person.calls
    if not person.open[item] or before > k:
        return None
    distinct, place = numbered(person.indices)
    order = np.argsort(-np.bincount(place, events, len(distinct)), kind="stable")[:_CANDIDATES]

    def ask(sets: list[Taken]) -> tuple[np.ndarray, np.ndarray]:
        keep = np.array([~np.isin(place, chosen) for chosen in sets]).reshape(len(sets), person.n)
        scores = person.scores(keep)
        return person.places(scores, item, np.asarray(~keep.any(axis=1))), _leads(person, scores, item, k)

    chosen: Taken = ()
    after, alone = before, np.zeros(0)
    while len(chosen) < min(most, len(order)) and after <= k:
        sets = [(*chosen, int(one)) for one in order if one not in chosen]
        places, leads = ask(sets)
        alone = alone if len(alone) else leads
        best = int(np.argmin(np.where(places > k, -np.inf, leads) if (places > k).any() else leads))
        chosen, after = sets[best], int(places[best])
    if len(chosen) > 2 or (after <= k and most > 1 and len(order) > 1):
        pairs = [tuple(map(int, pair)) for pair in combinations(order[np.argsort(alone, kind="stable")[:_PAIRED]], 2)]
        places, _ = ask(pairs)
        if (places > k).any():
            best = int(np.argmax(places))
            chosen, after = pairs[best], int(places[best])
    if after > k:
        chosen, after = _pruned(ask, chosen, after, k)
    fitted, found = person.fitted, after > k
    numbers = distinct[list(chosen)]
    return Counterfactual(fitted.items.ids[numbers].tolist(), [called(number) for number in numbers.tolist()], found,
                          before, after, k, min(most, len(order)), person.calls - calls)


def _leads(person: Person, scores: np.ndarray, item: int, k: int) -> np.ndarray:
    """By how much an item is ahead of the first that is not listed: (B, n_items) -> (B,)."""
    others = np.where(person.open, scores, -np.inf)
    others[:, item] = -np.inf
    last = -np.partition(-others, min(k, others.shape[1]) - 1, axis=1)[:, min(k, others.shape[1]) - 1]
    with np.errstate(invalid="ignore"):
        lead = scores[:, item].astype(np.float64) - last
    return np.asarray(np.nan_to_num(lead, nan=np.inf, posinf=np.inf, neginf=-np.inf))


def _pruned(ask: Ask, chosen: Taken, after: int, k: int) -> tuple[Taken, int]:
    """Without those items that are not needed, one after the other."""
    while len(chosen) > 1:
        fewer = [chosen[:i] + chosen[i + 1:] for i in range(len(chosen))]
        places, _ = ask(fewer)
        if not (places > k).any():
            break
        best = int(np.argmax(places))
        chosen, after = fewer[best], int(places[best])
    return chosen, after
