"""Scores of several scorers, mixed by how much there is to go by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import ParameterError
from recsys.estimator.arrays import Arrays, expect, prefixed, within
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.staying import Staying

__all__ = ["Blend", "together"]


class Blend(Scorer):
    """Score = `sum_k w_k z_k / sum_k w_k` over the scorers k that know the item, with weights by length of history.

    `z_k` is the score of k less its mean over the items that k knows, divided by their standard deviation, in each row.
    A scorer knows the items with training events, and all others too if it scores items by their content: what it does
    not know is left out, and counts neither for an item nor against it. An item that none with a weight knows has the
    mean `z_k` of those that do.

    Parameters
    ----------
    parts : sequence of Scorer
        Of the same users and items.
    weights : ndarray of float, shape (K,) or (L, K)
        At least 0, above 0 for one scorer at least; a row for each class of histories by their length.
    trained : ndarray of bool, shape (n_items,)
        Which items have training events.
    lengths : ndarray of int32, shape (n_users,)
        Of the users' histories.
    limits : sequence of int, shape (L - 1,)
        The largest length of each class but the last, ascending.
    candidates : int, optional
        Only so many best items of the first scorer, besides those that a history has, are mixed; the others follow in
        its order.
    """

    of_users: ClassVar[tuple[str, ...]] = ("lengths",)

    def __init__(self, parts: Sequence[Scorer], weights: Any, trained: np.ndarray, lengths: np.ndarray, *,
                 limits: Sequence[int] = (), candidates: int | None = None) -> None:
        self.weights = np.atleast_2d(np.asarray(weights, np.float32))
        if not parts or self.weights.shape != (len(limits) + 1, len(parts)):
            raise ParameterError(f"Blend: one weight for each of one or more scorers and each class of histories, not "
                                 f"{self.weights.shape} for {len(limits) + 1} classes and {len(parts)} scorers.")
        if not ((self.weights >= 0).all() and (self.weights > 0).any(axis=1).all()):
            raise ParameterError("Blend: weights must be 0 or more, and one of each class above 0.")
        self.parts, self.trained, self.lengths, self.n_items = tuple(parts), trained, lengths, parts[0].n_items
        self.limits, self.candidates = tuple(map(int, limits)), candidates
        self.can = together([part.can for part in parts])
        self.needs_values = any(part.needs_values for part in parts)
        self.needs_histories = any(part.needs_histories for part in parts)
        self.personalised = any(part.personalised for part in parts)
        self.alone = any(part.alone or part.vectors() is not None for part in parts)
        self.plainly = " ".join(["Several ways of choosing are weighed together.",
                                 *dict.fromkeys(part.plainly for part in parts if part.plainly)])

    @property
    def knows_users(self) -> bool:
        """Whether all parts do."""
        return all(part.knows_users for part in self.parts)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        return self._mixed(lambda part, rows: part.score(users[rows]), self.lengths[users])

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        return self._mixed(lambda part, rows: part.fold(history.rows(rows)), history.counts)

    def _mixed(self, score: Callable[[Scorer, np.ndarray], np.ndarray], lengths: np.ndarray) -> np.ndarray:
        weights = self._weights(lengths)
        total, share = np.zeros((2, len(lengths), self.n_items), np.float32)
        first = np.zeros_like(total)
        for k, part in enumerate(self.parts):
            always = (part.can.cold_item and not self.trained.all()) or (k == 0 and self.candidates is not None)
            rows = np.flatnonzero((weights[:, k] > 0) | always)
            if not len(rows):
                continue
            known = self._known(part)
            scores = standardised(np.asarray(score(part, rows), np.float32), known)
            if k == 0:
                first[rows] = np.where(known, scores, -np.inf)
            weight = np.where(weights[rows] @ self._knowing > 0, weights[rows, k, None], 1) * known  # (B, n_items)
            total[rows] += weight * scores
            share[rows] += weight
        mixed = np.where(share > 0, total / np.where(share > 0, share, 1), np.float32(-np.inf))
        return mixed if self.candidates is None else _behind(mixed, first, self.candidates + lengths)

    @cached_property
    def _knowing(self) -> np.ndarray:
        """Which items each part knows: float32 (K, n_items)."""
        return np.stack([self._known(part) for part in self.parts]).astype(np.float32)

    def _weights(self, lengths: np.ndarray) -> np.ndarray:
        """Of rows with histories of some lengths: (B, K)."""
        found: np.ndarray = self.weights[np.searchsorted(self.limits, lengths)]
        return found

    def _known(self, part: Scorer) -> np.ndarray:
        return np.ones_like(self.trained) if part.can.cold_item else self.trained

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Scores of items that a part knows."""
        return np.asarray(scores > -np.inf)

    def sources(self, users: np.ndarray, history: CSR | None, items: np.ndarray) -> np.ndarray:
        """The only part that speaks for an item in a row, or "model" where several do: str (B, k)."""
        lengths = np.append(self.lengths, 0)[users]  # -1 is nobody
        if history is not None:
            lengths = np.where(history.counts > 0, history.counts, lengths)
        knows = self._knowing[:, items] > 0  # (K, B, k)
        speaks = knows & (self._weights(lengths).T[:, :, None] > 0)
        speaks = np.where(speaks.any(axis=0), speaks, knows)
        names = np.array([_kind(part) for part in self.parts])
        return np.where(speaks.sum(axis=0) == 1, names[speaks.argmax(axis=0)], "model")

    def state(self) -> State:
        """Those of the parts."""
        from recsys.estimator.scorers import state_of

        states = [state_of(part) for part in self.parts]
        arrays = {name: array for i, (_, own) in enumerate(states) for name, array in _numbered(i, own).items()}
        settings = {"parts": [settings for settings, _ in states], "limits": self.limits, "candidates": self.candidates}
        return settings, arrays | {"weights": self.weights, "trained": self.trained, "lengths": self.lengths}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        from recsys.estimator.scorers import restore

        parts = [restore(own, within(f"part{i}", arrays) | _private(i, arrays), facts)
                 for i, own in enumerate(settings["parts"])]
        return cls(parts, expect(arrays, "weights", (None, len(parts)), np.float32),
                   expect(arrays, "trained", (len(facts.items),), np.bool_),
                   expect(arrays, "lengths", (len(facts.users),), np.int32), limits=settings["limits"],
                   candidates=settings["candidates"])

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """Of the parts without these users."""
        parts = [part.without_users(staying, facts) for part in self.parts]
        return type(self)(parts, self.weights, self.trained, staying.table(self.lengths), limits=self.limits,
                          candidates=self.candidates)


def together(cans: Sequence[Can]) -> Can:
    """What a blend can: what all parts can, and what needs one alone."""
    every = Can(**{name: all(getattr(can, name) for can in cans) for name in vars(cans[0])})
    some = {name: any(getattr(can, name) for can in cans) for name in ("cold_user", "cold_item", "sequence")}
    return replace(every, ratings=False, ranking=True, partial_fit=False, embeddings=False, explain=every.fold_in,
                   explain_exact=False, **some)


def standardised(scores: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and variance 1 over the known items, 0 for all others: float32 (B, n), bool (n,) -> (B, n)."""
    own = scores if known.all() else np.ascontiguousarray(scores[:, known])
    mean = own.mean(axis=1, dtype=np.float64, keepdims=True)
    spread = own.std(axis=1, dtype=np.float64, keepdims=True)
    apart = (scores - mean) / np.where(spread > 0, spread, 1)
    return np.where(known, apart, 0).astype(np.float32)


def _behind(mixed: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows in which all but some best items by `first` come behind these, in its order: (B, n), (B, n), (B,) -> (B, n).
    """
    out = mixed.copy()
    for row, count in enumerate(counts.tolist()):
        order = np.argsort(-first[row], kind="stable")
        rest = order[count:]
        out[row, rest] = -np.inf
        rest = rest[first[row, rest] > -np.inf]
        if len(rest):
            lowest = mixed[row, order[:count]].min(initial=0)
            out[row, rest] = first[row, rest] - first[row, rest[0]] + (lowest - 1)
    return out


def _kind(part: Scorer) -> str:
    if not part.personalised:
        return "popular"
    return "content" if part.can.cold_item else "model"


def _numbered(i: int, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a part; what is private stays named so."""
    private = {name: array for name, array in arrays.items() if name.startswith("seen.")}
    public = {name: array for name, array in arrays.items() if name not in private}
    return prefixed(f"part{i}", public) | {f"seen.part{i}.{name.removeprefix('seen.')}": array
                                           for name, array in private.items()}


def _private(i: int, arrays: Arrays) -> dict[str, np.ndarray]:
    return prefixed("seen", within(f"seen.part{i}", arrays))
