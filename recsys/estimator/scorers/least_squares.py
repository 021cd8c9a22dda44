"""The fold-in of ratings: a user's vector and bias by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recsys.data.csr import CSR, distinct
from recsys.estimator.arrays import Arrays, expect, pack, unpack_if
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.folding import FoldIn

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["LeastSquares", "implicit_sums"]


@dataclass(frozen=True, eq=False)
class LeastSquares(FoldIn):
    """Vector and bias that minimise the squared errors of a history's ratings, as SGD would with all else held fixed.

    Parameters
    ----------
    reg : float
        Penalty of the squares, a rating.
    biased : bool
        Whether there are biases.
    reg_user : float or None
        Ratings that draw a user's bias to 0, if it is found before the vector; None finds both together.
    implicit_factors : ndarray of float32, shape (n_items, f) or (0, f)
        Vectors y whose sum over a history's items, divided by its root length, is a part of the user's.
    history : CSR, shape (n_users, n_items), or None
        The ratings of the training, each pair once.
    """

    reg: float
    biased: bool
    reg_user: float | None
    implicit_factors: np.ndarray
    history: CSR | None = None
    needs_values = True

    def transform_history(self, history: CSR) -> CSR:
        """Each pair once, with its last rating."""
        return distinct(history)

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, np.ndarray]:
        """(B, f) and (B, 1)."""
        history = self.transform_history(history)
        values = history.weights / np.float32(factors.scale)
        vectors = implicit_sums(history, self.implicit_factors, factors.item_factors.shape[1])
        bias = np.zeros((history.shape[0], 1), np.float32)
        for row in np.flatnonzero(history.counts).tolist():
            own = slice(history.indptr[row], history.indptr[row + 1])
            p, bias[row] = self._solve(history.indices[own], values[own], vectors[row], factors)
            vectors[row] += p
        return vectors, bias

    def _solve(self, items: np.ndarray, ratings: np.ndarray, implicit: np.ndarray,
               factors: Factors) -> tuple[np.ndarray, float]:
        """A user's `p` and bias from ratings, items and the sum of implicit factors held fixed."""
        mean, item_bias, item_factors = factors.mean, factors.item_bias, factors.item_factors
        target = ratings - mean - item_bias[items] - item_factors[items] @ implicit
        bias = 0.0 if self.reg_user is None else float((ratings - mean - item_bias[items]).sum()
                                                       / max(len(items) + self.reg_user, 1e-12))
        design = np.ones((len(items), item_factors.shape[1] + 1))
        design[:, 1:] = item_factors[items]
        if not self.biased or self.reg_user is not None:
            design[:, 0] = 0
        gram = design.T @ design
        gram[np.diag_indices(len(gram))] += max(self.reg * len(items), 1e-6)  # SGD pays the penalty per rating
        solution = np.linalg.solve(gram, design.T @ (target - bias)).astype(np.float32)
        return solution[1:], float(solution[0]) + bias

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The numbers, the implicit factors and the ratings of the training."""
        settings = {"reg": self.reg, "biased": self.biased, "reg_user": self.reg_user}
        return settings, {"implicit_factors": self.implicit_factors} | pack("seen.history", self.history)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        implicit = expect(arrays, "implicit_factors", (None, width), np.float32)
        return cls(settings["reg"], settings["biased"], settings["reg_user"], implicit,
                   unpack_if("seen.history", arrays, (len(facts.users), len(facts.items))))


def implicit_sums(rows: CSR, implicit_factors: np.ndarray, width: int) -> np.ndarray:
    """`sum_j y_j / sqrt(n)` of each row, 0 where there are no implicit factors: (B, width)."""
    out = np.zeros((rows.shape[0], width), np.float32)
    if len(implicit_factors):
        for row in np.flatnonzero(rows.counts).tolist():
            items = rows.row(row)[0]
            out[row] = implicit_factors[items].sum(axis=0) / np.sqrt(len(items))
    return out
