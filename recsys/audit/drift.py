"""How far one mix of items is from another, over the same people: with an interval, and what chance would give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Drift", "drift"]

_CELLS = 4_000_000  # random numbers held at once


@dataclass(frozen=True)
class Drift:
    """The share of the one mix that would have to move to other groups to become the other: total variation.

    Attributes
    ----------
    groups, one, other : str
        What the items are grouped by, and of which two mixes.
    value, low, high : float
        From 0 to 1, and its bootstrap interval over people.
    by_chance : float
        The 95th percentile of the distance when each person's two mixes are exchanged at random; a smaller `value` is
        within chance.
    p : float
        How often the distance is as large then.
    people : int
        Those who have both.
    """

    groups: str
    one: str
    other: str
    value: float
    low: float
    high: float
    by_chance: float
    p: float
    people: int


def drift(groups: str, one: str, other: str, mixes: tuple[np.ndarray, np.ndarray], *, level: float = 0.95,
          samples: int = 1000, seed: int = 0) -> Drift | None:
    """The distance between the mean mixes of people: `0.5 sum_g |mean_u a_ug - mean_u b_ug|`.

    The control exchanges the two mixes of each person at random: what is left is what this many people with these
    mixes differ by if neither is other than the other. An interval does not reach below 0, so a small distance is told
    from none by the control, not by its interval.

    Parameters
    ----------
    groups, one, other : str
    mixes : pair of ndarray of float64, shape (U, G)
        Rows sum to 1; people with an empty row are left out.
    level : float
    samples : int
        Bootstrap samples, and random exchanges.
    seed : int

    Returns
    -------
    Drift or None
        None if nobody has both.

    Examples
    --------
    >>> same = np.tile([0.5, 0.5], (40, 1))
    >>> found = drift("genre", "lists", "histories", (same, np.tile([0.8, 0.2], (40, 1))))
    >>> round(found.value, 2), found.p < 0.01
    (0.3, True)
    """
    a, b = mixes
    both = (a.sum(1) > 0) & (b.sum(1) > 0)
    people = int(both.sum())
    if not people:
        return None
    differences = a[both] - b[both]
    value = 0.5 * np.abs(differences.mean(0)).sum()
    generator = np.random.default_rng((seed, 3))
    drawn, swapped = [], []
    for size in map(len, _parts(samples, people)):
        rows = generator.integers(0, people, (size, people)) + np.arange(size)[:, None] * people
        counts = np.bincount(rows.ravel(), minlength=size * people).reshape(size, people).astype(np.float64)
        drawn.append(0.5 * np.abs(counts @ differences).sum(1) / people)
        signs = 2.0 * generator.integers(0, 2, (size, people), np.int8) - 1
        swapped.append(0.5 * np.abs(signs @ differences).sum(1) / people)
    low, high = np.percentile(np.concatenate(drawn), (50 * (1 - level), 50 * (1 + level)))
    chance = np.concatenate(swapped)
    p = (1 + int((chance >= value * (1 - 1e-12)).sum())) / (1 + len(chance))
    return Drift(groups, one, other, float(value), float(low), float(high), float(np.percentile(chance, 95)), p, people)


def _parts(total: int, people: int) -> list[range]:
    step = max(_CELLS // people, 1)
    return [range(start, min(start + step, total)) for start in range(0, total, step)]
