"""Weighted matrix factorisation of implicit feedback by alternating least squares."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from minidl import runtime
from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.epochs import run_epochs
from recsys.errors import DataError
from recsys.models.base import Can
from recsys.models.factors import FactorModel, draw
from recsys.models.history import KeepsHistories
from recsys.models.parameters import Check, at_least, optional, whole
from recsys.models.sparse import expect, noise, numbers, pair_keys, restore_numbers
from recsys.models.updating import behind, grown

__all__ = ["ALS"]

_SPARSER = 0.6  # exponent of the density
_OF_NOISE = 0.45  # the penalty, relative to the noise
_SWEEPS = 2  # of what new events touch


class ALS(KeepsHistories, FactorModel):
    """Preference 1 for what a user has met and 0 for the rest, fitted with confidence `c_ui = 1 + alpha * value`.

    Minimises `sum_{u,i} c_ui (p_ui - x_u . y_i)**2 + sum_u reg_u |x_u|**2 + sum_i reg_i |y_i|**2` over all pairs,
    with `reg_u = reg * (sum_i c_ui) ** reg_exponent`. The users' vectors and the items' are solved for in turn, each by
    a few steps of conjugate gradients from where it stands: a product of matrices for the zeros, and a
    pass over the stored pairs for the rest. Values of repeated pairs are added; without values a pair counts 1.

    The defaults follow from the data, whatever its size, density and unit; a number means what the formulas say.

    Parameters
    ----------
    factors : int
    epochs : int
    reg : float, optional
        By default .45 times the noise, the largest singular value that chance alone gives a matrix with independent
        entries as large as `c_ui / (sum_i c_ui sum_u c_ui) ** (reg_exponent / 2)` at the pairs that are there: with S
        the sum of their squares, `sqrt(S / n_users) + sqrt(S / n_items)`. What is not above it is not learned.
    alpha : float, optional
        Confidence that a unit of value adds. 1 / alpha is the "unobserved weight" of other formulations. By default
        `density ** -0.6`, density being the share of pairs that are there: the sparser, the more a pair says. A value v
        then counts as `log(1 + v / m)`, m being the mean value, divided by its mean: 1 on average, in any unit, and
        hundreds of plays no hundred times as much as one.
    reg_exponent : float, optional
        0 is the same penalty for all, and then `reg` has to grow with the data (some tens for MovieLens); 1 makes it
        proportional to a user's, or item's, total confidence. By default 1, and 0.5 if `reg` is a number.
    cg_steps : int
        Steps of conjugate gradients in each half epoch, twice as many for the users in the end; `factors` of them
        solve exactly.
    seed : int

    Attributes
    ----------
    alpha_, reg_, reg_exponent_ : float
        What was taken.
    history_ : dict of list of float
        `"loss"`: the objective, between the two halves of each epoch.

    Notes
    -----
    The score of a new user, or an explanation, solves the user's equations exactly. A user's own vector has
    converged to the same up to the steps taken.

    `partial_fit` makes two sweeps over the users and items of the new events, all their events counting, and leaves the
    others; new ones start as in `fit`. Updated, it ranks better than before and nearly as a refit, see
    `tests/recsys/models/test_partial_distance.py`.

    References
    ----------
    Hu, Koren, Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008. Takács, Pilászy,
    Tikk, Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering, RecSys
    2011. Bai, Yin, Limit of the Smallest Eigenvalue of a Large Dimensional Sample Covariance Matrix, Annals of
    Probability 1993 (the noise, for entries of one variance). Rendle et al., Revisiting the Performance of iALS on Item
    Recommendation Benchmarks, RecSys 2022 (`reg_exponent`).

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 4], ["tea", "jam", "tea", "jam", "tea", "oil"])
    >>> ALS(factors=2).fit(data).recommend(3, k=1).items
    array(['jam'], dtype='<U3')
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True, embeddings=True)
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "epochs": whole(1), "reg": optional(at_least(0)), "alpha": optional(at_least(0)),
        "reg_exponent": optional(at_least(0)),
        "cg_steps": whole(1), "seed": whole(0)}

    factors: int
    epochs: int
    reg: float | None
    alpha: float | None
    reg_exponent: float | None
    cg_steps: int
    seed: int
    alpha_: float
    reg_: float
    reg_exponent_: float
    _unit: tuple[float, float] | None  # of values: their mean, and the mean of log(1 + value / mean)

    def __init__(self, *, factors: int = 64, epochs: int = 15, reg: float | None = None, alpha: float | None = None,
                 reg_exponent: float | None = None, cg_steps: int = 3, seed: int = 0) -> None:
        self._store(locals())

    # ------------------------------------------------------------------------------------- learning
    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        self._unit = None
        events = self._query(data.csr)
        self._take(events)
        sides = self._side(events), self._side(events.T)
        rng = np.random.default_rng(self.seed)
        n_users, n_items = events.shape
        X = draw(rng, n_users, self.factors, 0.1 / np.sqrt(self.factors))
        Y = draw(rng, n_items, self.factors, 0.1 / np.sqrt(self.factors))
        total = float(events.nnz + sides[0].extra.sum(dtype=np.float64))

        def step(epoch: int) -> dict[str, float]:
            self._half_epoch(sides[0], X, Y, self.cg_steps)
            penalty = sides[0].ridge @ np.einsum("uf,uf->u", X, X)
            return {"loss": total - self._half_epoch(sides[1], Y, X, self.cg_steps) + float(penalty)}

        self.history_ = run_epochs(type(self).__name__, self.epochs, step, progress, remedy=self.remedy())
        self._half_epoch(sides[0], X, Y, 2 * self.cg_steps)  # users agree with the final items, as a fold-in does
        self.history = None if data.value is None else events
        self.user_factors, self.item_factors = X, Y
        self.item_bias = np.zeros(n_items, np.float32)

    def _looks_at_values(self) -> bool:
        return True

    def _take(self, events: CSR) -> None:
        """What follows from the data for parameters that are None."""
        active = [max(int((side.counts > 0).sum()), 1) for side in (events, events.T)]
        self.alpha_ = (events.nnz / (active[0] * active[1])) ** -_SPARSER if self.alpha is None else float(self.alpha)
        if self.alpha is None and events.weights.max(initial=0) > 0:
            mean = float(events.weights.mean(dtype=np.float64))
            self._unit = mean, float(np.log1p(events.weights / mean).mean(dtype=np.float64))
        self.reg_exponent_ = (1.0 if self.reg is None else 0.5) if self.reg_exponent is None else self.reg_exponent
        if self.reg is not None:
            self.reg_ = float(self.reg)
            return
        extra = self._extra(events.weights)
        of_users = _totals(events, extra)[events.row_of_entry]
        of_items = events.shape[0] + np.bincount(events.indices, extra, events.shape[1])[events.indices]
        entries = (1 + extra) / (of_users * of_items) ** (self.reg_exponent_ / 2)
        self.reg_ = _OF_NOISE * noise(CSR(events.indptr, events.indices, entries, events.shape))

    def _extra(self, values: np.ndarray) -> np.ndarray:
        """What values add to the confidence of 1: float64 (n,)."""
        values = values.astype(np.float64)
        return self.alpha_ * (values if self._unit is None else np.log1p(values / self._unit[0]) / self._unit[1])

    def _partial_fit(self, data: Interactions) -> None:
        """A few sweeps over the users and items of the new events, all their events counting; the others stay."""
        seen = self.require_seen("partial_fit")
        events = self._query(seen if self.history is None else behind(self.history, data.csr))
        columns = events.T
        rng, std = np.random.default_rng((self.seed, len(self.item_factors))), 0.1 / np.sqrt(self.factors)
        X = grown(self.user_factors, events.shape[0])
        Y = grown(self.item_factors, events.shape[1])
        new = np.flatnonzero(columns.counts[len(self.item_factors):]) + len(self.item_factors)
        Y[new] = draw(rng, len(new), self.factors, std)  # or a new user of new items would stay at 0
        users, items = np.unique(data.user), np.unique(data.item)
        of_users, of_items = self._side(events.rows(users)), self._side(columns.rows(items))
        for sweep in range(_SWEEPS + 1):
            last = sweep == _SWEEPS
            X[users] = self._improved(of_users, X[users], Y, (1 + last) * self.cg_steps)
            if not last:
                Y[items] = self._improved(of_items, Y[items], X, self.cg_steps)
        self.history = None if self.history is None else events
        self.user_factors, self.item_factors = X, Y
        self.item_bias = grown(self.item_bias, len(Y))

    def _improved(self, side: _Side, X: np.ndarray, Y: np.ndarray, steps: int) -> np.ndarray:
        self._half_epoch(side, X, Y, steps)
        return X

    def _query(self, events: CSR) -> CSR:
        """Each pair once, sorted, its values added up; where there are none, what counts 1."""
        pattern = events.unique()
        if events.data is None:
            one = 1.0 if self._unit is None else self._unit[0] * np.expm1(self._unit[1])
            return CSR(pattern.indptr, pattern.indices, np.full(pattern.nnz, one, np.float32), pattern.shape)
        if events.nnz and events.data.min() < 0:
            raise DataError(f"{type(self).__name__}: values must not be negative, and one is {events.data.min()}; they "
                            f"add confidence. Use clean(negative=...), filter(min_value=...) or binarise(...) first.")
        sums = np.bincount(np.searchsorted(pair_keys(pattern), pair_keys(events)), events.data, pattern.nnz)
        return CSR(pattern.indptr, pattern.indices, sums.astype(np.float32), pattern.shape)

    def _side(self, events: CSR) -> _Side:
        extra = self._extra(events.weights).astype(np.float32)
        ridge = (self.reg_ * _totals(events, extra) ** self.reg_exponent_).astype(np.float32)
        return _Side(np.argsort(-events.counts, kind="stable"), events.indptr, events.indices, extra, ridge)

    def _half_epoch(self, side: _Side, X: np.ndarray, Y: np.ndarray, steps: int) -> float:
        """Better X in place, Y held fixed -> by how much the loss was below that of X = 0 before."""
        gram = runtime.matmul(Y.T, Y)
        R = runtime.matmul(X, gram)
        gain = np.empty(len(X), X.dtype)
        kernels.als.residual(*side, Y, X, R, gain)
        P, AP = R.copy(), np.empty_like(R)
        for _ in range(steps):
            runtime.matmul(P, gram, out=AP)
            kernels.als.step(*side, Y, X, R, P, AP)
        return float(gain.sum(dtype=np.float64))

    # ------------------------------------------------------------------------------------ answering
    def _fold_vectors(self, history: CSR) -> np.ndarray:
        history = self._query(history)
        gram = self._gram()
        vectors = np.zeros((history.shape[0], self.factors), np.float32)
        for row in np.flatnonzero(history.counts).tolist():
            items, values = history.row(row)
            system, weighted = self._equations(gram, items, values)
            vectors[row] = np.linalg.solve(system, weighted.sum(axis=0))
        return vectors

    def _gram(self) -> np.ndarray:
        return np.asarray(runtime.matmul(self.item_factors.T, self.item_factors), np.float64)

    def _equations(self, gram: np.ndarray, items: np.ndarray,
                   values: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (f, f) and right side, item by item (n, f), of a user's normal equations."""
        extra = np.full(len(items), self.alpha_) if values is None else self._extra(values)
        rows = self.item_factors[items].astype(np.float64)
        system = gram + (rows.T * extra) @ rows
        total = len(self.items) + extra.sum()
        system[np.diag_indices(len(system))] += max(self.reg_ * total ** self.reg_exponent_, 1e-9)
        return system, (1 + extra)[:, None] * rows

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        """`y_i' A^-1 c_j y_j` (Hu et al., section 5): the parts of a score, linear in the preferences."""
        system, weighted = self._equations(self._gram(), indices, values)
        return np.asarray(weighted @ np.linalg.solve(system, self.item_factors[item].astype(np.float64)))

    def _state(self) -> dict[str, np.ndarray]:
        unit = {} if self._unit is None else {"unit": np.array(self._unit)}
        taken = numbers(self, "alpha_", "reg_", "reg_exponent_")
        return super()._state() | taken | unit

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        restore_numbers(self, state, alpha_=self.alpha, reg_=self.reg, reg_exponent_=self.reg_exponent)
        self._unit = tuple(expect(state, "unit", (2,), np.float64).tolist()) if "unit" in state else None


def _totals(events: CSR, extra: np.ndarray) -> np.ndarray:
    """Confidence of each row, that of the zeros included: float64 (n_rows,)."""
    return np.asarray(events.shape[1] + np.bincount(events.row_of_entry, extra, events.shape[0]))


class _Side(NamedTuple):
    """Users or items, as the kernels take them."""

    order: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    extra: np.ndarray
    ridge: np.ndarray
