"""The fold-in of graphs: a user's vector is what the items of the history pass on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.arrays import Arrays, expect
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.folding import FoldIn

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["Sums"]


class Sums(FoldIn):
    """The vector is `n ** -power sum_j z_j` over the n distinct items j of the history.

    So a score is a sum over the history, and what each item adds to it is exact.

    Parameters
    ----------
    passed_on : ndarray of float32, shape (n_items, f)
        The vectors z.
    power : float
    """

    def __init__(self, passed_on: np.ndarray, power: float) -> None:
        self.passed_on, self.power = passed_on, power

    def transform_history(self, history: CSR) -> CSR:
        """The distinct items."""
        return history.unique()

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, None]:
        """(B, f)."""
        rows = history.unique()
        weights = np.repeat(_shares(rows.counts, self.power), rows.counts)
        return replace(rows, data=weights).times(self.passed_on), None

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int, factors: Factors) -> np.ndarray:
        """The terms of the sum: (n,)."""
        share = _shares(np.array([len(np.unique(indices))]), self.power)[0]
        return np.asarray(share * (self.passed_on[indices] @ factors.item_factors[item]))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The power and the vectors."""
        return {"power": self.power}, {"passed_on": self.passed_on}

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        return cls(expect(arrays, "passed_on", (len(facts.items), width), np.float32), settings["power"])


def _shares(counts: np.ndarray, power: float) -> np.ndarray:
    return np.asarray(np.maximum(counts, 1) ** -float(power), np.float32)
