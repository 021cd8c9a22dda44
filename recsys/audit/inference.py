"""Can somebody tell who was in the training data? People of it against strangers who are answered in the same way.

All are answered from a history, *folded in*: who was trained on and who was not get their lists by the same path. (An
attack on people who are answered from stored vectors, against others who are shown popular items, tells these two
apart, not members from strangers.) The signals that an attacker has who knows a person's history and sees all scores:

- `own items`: how far above the others the scores of the items of the history are;
- `hidden items`: a fifth of the history is kept from the model, and looked for in what it answers to the rest; a random
  one, or of models that read the order the last;
- `likeness`: how much the list is like the history, by who had both among all people asked;
- `all together`: a linear discriminant of the three, learned from half of the people and tried on the others.

The area under the curve (AUC) is the chance that a member looks more like one than a stranger: .5 is no better than a
guess. Signals point one way, chosen beforehand, so that chance is .5 and not above. The first three are by ranks, so
that they do not depend on the scale of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError, UnsupportedError

__all__ = ["Attack", "Membership", "auc", "membership"]

_HIDDEN = 0.2  # of a history
_LEAST = 5  # events of who is asked: a fifth of them is one
_BLOCK = 256  # people who are scored at once
_LIST = 20
_FEWEST = 10  # members, and strangers


@dataclass(frozen=True)
class Attack:
    """One signal's power.

    Attributes
    ----------
    signal : str
    auc, low, high : float
        With its bootstrap interval over members and strangers.
    popular : float
        The same signal of a model that ranks by the members' numbers of events alone: what the two kinds of people
        differ by already, and that everybody's own events count among all.
    shuffled : float
        The AUC when it is shuffled who was a member.
    """

    signal: str
    auc: float
    low: float
    high: float
    popular: float
    shuffled: float


@dataclass(frozen=True)
class Membership:
    """What the attacks found.

    Attributes
    ----------
    members, strangers : int
        How many of each were asked.
    attacks : list of Attack
        The last one is all signals together.
    chance : (float, float)
        Where 95 % of the AUCs lie when it is shuffled who was a member.
    """

    members: int
    strangers: int
    attacks: list[Attack]
    chance: tuple[float, float]

    @property
    def worst(self) -> Attack:
        """The signal with the largest AUC."""
        return max(self.attacks, key=lambda each: each.auc)

    def to_record(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"members": self.members, "strangers": self.strangers, "chance": list(self.chance),
                "attacks": [asdict(each) for each in self.attacks]}


def membership(model: Any, members: Interactions, strangers: Interactions, *, people: int = 1000, samples: int = 2000,
               level: float = 0.95, seed: int = 0) -> Membership:
    """How well people of the training data can be told from strangers.

    Parameters
    ----------
    model : Recommender
        Fitted; it folds in.
    members : Interactions
        People of the training data, with the events that it was trained on.
    strangers : Interactions
        People who were not in it, numbered over the model's items; ids of users may be any.
    people : int
        At most so many of each are asked, drawn with the seed; those with fewer than five different items are not.
    samples : int
        Of the bootstrap.
    level : float
        Of the intervals.
    seed : int

    Returns
    -------
    Membership

    Raises
    ------
    UnsupportedError
        The model does not fold in: strangers have no stored vector and members do, so that the two are answered in
        different ways, and to tell them apart would say nothing.
    DataError
        There are fewer than ten members or strangers with five different items, or items are numbered otherwise.
    """
    name = type(model).__name__
    if not model.can.fold_in:
        raise UnsupportedError(
            f"membership: {name} does not fold in: it has stored numbers for the people of its training data and "
            f"nothing for strangers, so the two would be answered in different ways, and telling these apart would say "
            f"nothing of who was trained on; audit a model that answers from a history.")
    for data in (members, strangers):
        if data.items is not model.items and data.items != model.items:
            raise DataError(f"membership: {name} numbers items otherwise than the data; take data.reindex(data.users, "
                            f"model.items, 'skip').")
    generator = np.random.default_rng((seed, 4))
    rows = [_drawn(data, people, generator, what) for data, what in ((members, "members"), (strangers, "strangers"))]
    histories = _both(rows, values=getattr(model, "looks_at_values", True))
    member = np.arange(histories.shape[0]) < rows[0].shape[0]
    hidden = _hidden(histories, generator, last=bool(model.can.sequence))
    alike = _alike(histories)
    counts = np.bincount(members.item, minlength=members.n_items).astype(np.float32)
    found = _signals(model.score_block, histories, hidden, alike)
    plain = _signals(lambda users, _: np.tile(counts, (len(users), 1)), histories, hidden, alike)
    half = generator.permutation(len(member)) % 2 == 0
    labels = generator.permutation(member)
    attacks = []
    for signal in [*found, "all together"]:
        alone = None if signal in found else half  # values of the two halves are of two discriminants
        ours, of_popular, shuffled = (each[signal] if signal in each else _together(each, who, half)
                                      for each, who in ((found, member), (plain, member), (found, labels)))
        low, high = _interval(ours, member, alone, samples, level, seed)
        attacks.append(Attack(signal, _auc(ours, member, alone), low, high, _auc(of_popular, member, alone),
                              _auc(shuffled, labels, alone)))
    chance = [auc(found["own items"], generator.permutation(member)) for _ in range(200)]
    low, high = np.percentile(chance, (2.5, 97.5))
    return Membership(int(member.sum()), int((~member).sum()), attacks, (float(low), float(high)))


def auc(values: np.ndarray, member: np.ndarray) -> float:
    """The chance that a member's value is above a stranger's, ties counting half.

    >>> auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    0.875
    """
    ordered, place = np.unique(values, return_inverse=True)
    strangers = np.bincount(place[~member], minlength=len(ordered)).astype(np.float64)
    below = np.cumsum(strangers) - strangers / 2
    return float(below[place[member]].mean() / max(strangers.sum(), 1))


def _auc(values: np.ndarray, member: np.ndarray, half: np.ndarray | None) -> float:
    """Of one half each, if values of different halves cannot be compared."""
    if half is None:
        return auc(values, member)
    return 0.5 * (auc(values[half], member[half]) + auc(values[~half], member[~half]))


def _interval(values: np.ndarray, member: np.ndarray, half: np.ndarray | None, samples: int, level: float, seed: int
              ) -> tuple[float, float]:
    """Members and strangers drawn with replacement, each among themselves (and in their half)."""
    generator = np.random.default_rng((seed, 5))
    parts = [np.ones_like(member)] if half is None else [half, ~half]
    drawn = np.mean([_resampled(values[part], member[part], samples, generator) for part in parts], axis=0)
    low, high = np.percentile(drawn, (50 * (1 - level), 50 * (1 + level)))
    return float(low), float(high)


def _resampled(values: np.ndarray, member: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    """AUCs of members and strangers drawn with replacement: (samples,)."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, "left")
    last = np.searchsorted(ordered, ordered, "right")
    ours, theirs = np.flatnonzero(member[order]), np.flatnonzero(~member[order])
    found = np.empty(samples)
    for i in range(samples):
        times = np.bincount(generator.choice(theirs, len(theirs)), minlength=len(order))
        below = np.concatenate([[0], np.cumsum(times)])
        drawn = generator.choice(ours, len(ours))
        found[i] = (below[first[drawn]] + below[last[drawn]]).mean() / (2 * len(theirs))
    return found


def _drawn(data: Interactions, people: int, generator: np.random.Generator, what: str) -> CSR:
    """The histories of some people, each pair once, in their order."""
    first = data.clean(duplicates="first").csr
    able = np.flatnonzero(first.counts >= _LEAST)
    if len(able) < _FEWEST:
        raise DataError(f"membership: {len(able)} {what} have {_LEAST} different items that the model knows; it takes "
                        f"{_FEWEST} such people.")
    return first.rows(np.sort(generator.choice(able, min(people, len(able)), replace=False)))


def _both(rows: list[CSR], values: bool) -> CSR:
    users = [part.row_of_entry + start for part, start in zip(rows, (0, rows[0].shape[0]), strict=True)]
    data = np.concatenate([part.weights for part in rows]) if values and all(
        part.data is not None for part in rows) else None
    return CSR.from_pairs(np.concatenate(users), np.concatenate([part.indices for part in rows]), data,
                          (sum(part.shape[0] for part in rows), rows[0].shape[1]))


def _hidden(histories: CSR, generator: np.random.Generator, last: bool) -> np.ndarray:
    """A random fifth of each history, or its last, one event at least: bool (nnz,)."""
    keys = -np.arange(histories.nnz, dtype=np.float64) if last else generator.random(histories.nnz)
    order = np.lexsort((keys, histories.row_of_entry))
    place = np.empty(histories.nnz, np.int64)
    place[order] = np.arange(histories.nnz) - histories.indptr[histories.row_of_entry[order]]
    return np.asarray(place < np.maximum(histories.counts * _HIDDEN, 1).astype(np.int64)[histories.row_of_entry])


def _alike(histories: CSR) -> CSR:
    """All people asked, by item: rows of users, each divided by the root of how many had the item: (n_items, U)."""
    columns = histories.T
    scale = 1 / np.sqrt(np.maximum(columns.counts, 1))
    return CSR(columns.indptr, columns.indices, scale[columns.row_of_entry].astype(np.float32), columns.shape)


def _signals(score: Any, histories: CSR, hidden: np.ndarray, alike: CSR) -> dict[str, np.ndarray]:
    """A value a person for each signal; more means rather a member."""
    shown = histories.where(~hidden)
    secret = histories.where(hidden)
    parts: dict[str, list[np.ndarray]] = {"own items": [], "hidden items": [], "likeness": []}
    for start in range(0, histories.shape[0], _BLOCK):
        who = np.arange(start, min(start + _BLOCK, histories.shape[0]))
        own, rest, kept = histories.rows(who), shown.rows(who), secret.rows(who)
        nobody = np.full(len(who), -1, np.int32)
        scores = np.asarray(score(nobody, own), np.float64)
        parts["own items"].append(_place(scores, own, None))
        parts["hidden items"].append(_place(np.asarray(score(nobody, rest), np.float64), kept, rest))
        scores[own.row_of_entry, own.indices] = -np.inf
        lists = np.argsort(-scores, axis=1, kind="stable")[:, :_LIST]
        parts["likeness"].append(_likeness(lists, own, who, alike))
    return {name: np.concatenate(values) for name, values in parts.items()}


def _place(scores: np.ndarray, items: CSR, without: CSR | None) -> np.ndarray:
    """The mean share of other items that score below those of a row, ties counting half: (B,)."""
    scores = scores.copy()
    if without is not None:
        scores[without.row_of_entry, without.indices] = -np.inf
    found = np.empty(len(scores))
    for row in range(len(scores)):
        own = items.row(row)[0]
        others = np.delete(scores[row], own)
        others = np.sort(others[others > -np.inf])
        values = scores[row, own]
        below = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
        found[row] = below.mean() / max(2 * len(others), 1)
    return found


def _likeness(lists: np.ndarray, own: CSR, who: np.ndarray, alike: CSR) -> np.ndarray:
    """The mean cosine of a list's items and a history's, of the people who had them, the person left out: (B,)."""
    found = np.empty(len(who))
    for row, person in enumerate(who):
        sums = []
        for items in (lists[row], own.row(row)[0]):
            part = alike.rows(items)
            sums.append(np.bincount(part.indices, part.weights, alike.shape[1]))
            sums[-1][person] = 0
        found[row] = (sums[0] @ sums[1]) / (len(lists[row]) * max(own.counts[row], 1))
    return found


def _together(signals: Mapping[str, np.ndarray], member: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Fisher's discriminant of the signals, learned from the other half of the people."""
    x = np.column_stack(list(signals.values()))
    x = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    found = np.empty(len(x))
    for here in (half, ~half):
        ours, theirs = x[~here & member], x[~here & ~member]
        within = np.cov(np.vstack([ours - ours.mean(0), theirs - theirs.mean(0)]).T) + 1e-3 * np.eye(x.shape[1])
        found[here] = x[here] @ np.linalg.solve(within, ours.mean(0) - theirs.mean(0))
    return found
