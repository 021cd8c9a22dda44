"""Weighted sums of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import ParameterError
from recsys.estimator.arrays import Arrays, prefixed, within
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.base import Scorer, State
from recsys.estimator.staying import Staying

__all__ = ["Blend"]


class Blend(Scorer):
    """Score = `sum_k w_k s_k`, over scorers of the same users and items.

    It can what all of them can.

    Parameters
    ----------
    parts : sequence of Scorer
    weights : sequence of float
        One a scorer.
    """

    def __init__(self, parts: Sequence[Scorer], weights: Sequence[float]) -> None:
        if not parts or len(parts) != len(weights):
            raise ParameterError(f"Blend: one weight for each of one or more scorers, not {len(weights)} for "
                                 f"{len(parts)}.")
        self.parts, self.weights, self.n_items = tuple(parts), tuple(map(float, weights)), parts[0].n_items
        cans = [vars(part.can) for part in parts]
        every = Can(**{name: all(can[name] for can in cans) for name in cans[0]})
        explained = every.fold_in and every.explain
        self.can = replace(every, sequence=any(can["sequence"] for can in cans), embeddings=False,
                           explain=explained, explain_exact=False)
        self.needs_values = any(part.needs_values for part in parts)
        self.needs_histories = any(part.needs_histories for part in parts)
        self.personalised = any(part.personalised for part in parts)
        self.alone = any(part.alone or part.vectors() is not None for part in parts)

    @property
    def knows_users(self) -> bool:
        """Whether all parts do."""
        return all(part.knows_users for part in self.parts)

    def score(self, users: np.ndarray) -> np.ndarray:
        """Scores of all items for users: int (B,) -> (B, n_items)."""
        return self._sum([part.score(users) for part in self.parts])

    def fold(self, history: CSR) -> np.ndarray:
        """Scores of all items for histories: CSR (B, n_items) -> (B, n_items)."""
        return self._sum([part.fold(history) for part in self.parts])

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Scores of pairs: (n,)."""
        return self._sum([part.pairs(users, items) for part in self.parts])

    def _sum(self, scores: list[np.ndarray]) -> np.ndarray:
        return np.asarray(sum(np.float32(w) * s for w, s in zip(self.weights, scores, strict=True)), np.float32)

    def evident(self, items: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """Scores other than 0, where all parts are sums that may be empty."""
        said = [part.evident(items, scores) for part in self.parts]
        return None if any(each is None for each in said) else np.asarray(scores != 0)

    def state(self) -> State:
        """Those of the parts."""
        from recsys.estimator.scorers import state_of

        states = [state_of(part) for part in self.parts]
        arrays = {name: array for i, (_, own) in enumerate(states) for name, array in _numbered(i, own).items()}
        return {"parts": [settings for settings, _ in states], "weights": self.weights}, arrays

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Self:
        """The scorer that `state` described."""
        from recsys.estimator.scorers import restore

        return cls([restore(own, within(f"part{i}", arrays) | _private(i, arrays), facts)
                    for i, own in enumerate(settings["parts"])], settings["weights"])

    def without_users(self, staying: Staying, facts: Facts) -> Self:
        """Of the parts without these users."""
        return type(self)([part.without_users(staying, facts) for part in self.parts], self.weights)


def _numbered(i: int, arrays: Arrays) -> dict[str, np.ndarray]:
    """The arrays of a part; what is private stays named so."""
    private = {name: array for name, array in arrays.items() if name.startswith("seen.")}
    public = {name: array for name, array in arrays.items() if name not in private}
    return prefixed(f"part{i}", public) | {f"seen.part{i}.{name.removeprefix('seen.')}": array
                                           for name, array in private.items()}


def _private(i: int, arrays: Arrays) -> dict[str, np.ndarray]:
    return prefixed("seen", within(f"seen.part{i}", arrays))
