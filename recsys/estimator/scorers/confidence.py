"""The fold-in of implicit feedback: a user's normal equations, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.errors import DataError
from recsys.estimator.arrays import Arrays, pack, unpack_if
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.folding import FoldIn

if TYPE_CHECKING:
    from recsys.estimator.scorers.factors import Factors

__all__ = ["Confidence", "summed"]


@dataclass(frozen=True, eq=False)
class Confidence(FoldIn):
    """Preference 1 for the items of a history, with confidence `c_ui = 1 + alpha * value`, and 0 for the rest.

    The vector minimises `sum_i c_ui (p_ui - x_u . y_i)**2 + reg (sum_i c_ui) ** reg_exponent |x_u|**2`.

    Parameters
    ----------
    alpha, reg, reg_exponent : float
    unit : (float, float), optional
        Of values: their mean m, and the mean of log(1 + value / m). A value v then counts as `log(1 + v / m)` divided
        by its mean.
    history : CSR, shape (n_users, n_items), or None
        The values of the training, each pair once, where it had values.
    """

    needs_gram: ClassVar[bool] = True
    alpha: float
    reg: float
    reg_exponent: float
    unit: tuple[float, float] | None = None
    history: CSR | None = None

    def transform_history(self, history: CSR) -> CSR:
        """Each pair once, sorted, its values added up; where there are none, what counts 1."""
        return summed(history, 1.0 if self.unit is None else self.unit[0] * np.expm1(self.unit[1]))

    def extra(self, values: np.ndarray) -> np.ndarray:
        """What values add to the confidence of 1: float64 (n,)."""
        values = values.astype(np.float64)
        return self.alpha * (values if self.unit is None else np.log1p(values / self.unit[0]) / self.unit[1])

    def vectors(self, history: CSR, factors: Factors) -> tuple[np.ndarray, None]:
        """(B, f); each row's does not depend on the others."""
        history = self.transform_history(history)
        extra = np.full(history.nnz, float(self.alpha)) if history.data is None else self.extra(history.data)
        vectors = np.empty((history.shape[0], len(factors.gram)), np.float32)
        kernels.als.fold(factors.gram, history.indptr, history.indices, extra, self._ridge(history, extra, factors),
                         factors.item_factors, vectors)
        return vectors, None

    def _ridge(self, history: CSR, extra: np.ndarray, factors: Factors) -> np.ndarray:
        """The penalty of each row: float64 (B,)."""
        total = factors.n_items + np.bincount(history.row_of_entry, extra, history.shape[0])
        return np.asarray(np.maximum(self.reg * total ** self.reg_exponent, 1e-9))

    def _equations(self, items: np.ndarray, values: np.ndarray | None,
                   factors: Factors) -> tuple[np.ndarray, np.ndarray, float]:
        """Matrix (f, f) and right side, item by item (n, f), of a user's normal equations, and the penalty."""
        history = CSR(np.array([0, len(items)]), items, values, (1, factors.n_items))
        extra = np.full(len(items), float(self.alpha)) if values is None else self.extra(values)
        rows = factors.item_factors[items].astype(np.float64)
        system = factors.gram + (rows.T * extra) @ rows
        ridge = float(self._ridge(history, extra, factors)[0])
        system[np.diag_indices(len(system))] += ridge
        return system, (1 + extra)[:, None] * rows, ridge

    def contributions(self, indices: np.ndarray, values: np.ndarray | None, item: int, factors: Factors) -> np.ndarray:
        """`y_i' A^-1 c_j y_j` (Hu et al. 2008, section 5): the parts of a score, linear in the preferences: (n,)."""
        system, weighted, _ = self._equations(indices, values, factors)
        return np.asarray(weighted @ np.linalg.solve(system, factors.item_factors[item].astype(np.float64)))

    def with_history(self, history: CSR | None) -> Self:
        """The same, with other values of the training."""
        return replace(self, history=history)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The numbers, and the values of the training."""
        settings = {"alpha": self.alpha, "reg": self.reg, "reg_exponent": self.reg_exponent, "unit": self.unit}
        return settings, pack("seen.history", self.history)

    @classmethod
    def restore(cls, settings: dict[str, Any], arrays: Arrays, facts: Facts, width: int) -> Self:
        """What `state` described."""
        unit = settings["unit"]
        return cls(settings["alpha"], settings["reg"], settings["reg_exponent"], None if unit is None else tuple(unit),
                   unpack_if("seen.history", arrays, (len(facts.users), len(facts.items))))


def summed(history: CSR, one: float = 1.0) -> CSR:
    """Each pair once, sorted, its values added up; without values, each pair with the value `one`.

    Raises
    ------
    DataError
        A value is negative.
    """
    pattern = history.unique()
    if history.data is None:
        return CSR(pattern.indptr, pattern.indices, np.full(pattern.nnz, one, np.float32), pattern.shape)
    if history.nnz and history.data.min() < 0:
        raise DataError(f"ALS: values must not be negative, and one is {history.data.min()}; they add confidence. Use "
                        f"clean(negative=...), filter(min_value=...) or binarise(...) first.")
    if pattern.nnz == history.nnz and np.array_equal(pattern.indices, history.indices):
        return CSR(pattern.indptr, pattern.indices, history.data, pattern.shape)
    sums = np.bincount(np.searchsorted(pattern.keys, history.keys), history.data, pattern.nnz)
    return CSR(pattern.indptr, pattern.indices, sums.astype(np.float32), pattern.shape)
