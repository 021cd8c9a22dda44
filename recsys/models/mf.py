"""Matrix factorisation of ratings by stochastic gradient descent: SVD and SVD++."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.epochs import EarlyStopping, run_epochs
from recsys.errors import DataError
from recsys.models.base import Can
from recsys.models.bias import fit_biases, known_biases, require_values
from recsys.models.factors import FactorModel, draw
from recsys.models.history import KeepsHistories
from recsys.models.parameters import Check, above, at_least, flag, optional, whole
from recsys.models.sparse import distinct, expect, numbers, restore_numbers
from recsys.models.updating import all_but, behind, grown, members

__all__ = ["MatrixFactorization"]

_TOUCHED_EPOCHS = 5  # of `partial_fit`, for what new ratings touch
_RANGE = 5.0  # of ratings that are learned as they are
_BIAS_EPOCHS = 10


class MatrixFactorization(KeepsHistories, FactorModel):
    """Rating = mean + biases + product of factors.

    `r_ui = m + b_u + b_i + q_i . (p_u + sum_{j in I_u} y_j / sqrt(|I_u|))`; the sum, over the items that the
    user has rated, is there with `implicit_feedback=True` (SVD++). SGD on
    `(r - r_ui)**2 + reg * (squares of all parameters of r_ui)`, users in an order drawn anew every epoch, the
    ratings of a user one after the other. Of repeated pairs the last counts.

    The biases are those of `Bias`, which come first and stay; what they leave is for the factors to explain. So a user
    with three ratings is predicted as well as there, which biases learned by SGD from 0 do not reach. With a number as
    `reg_bias` they are learned along with the factors.

    Of a new user, `p_u` solves the same regularised least squares exactly, items held fixed, and so does `b_u`, or it
    is that of `Bias`.

    `partial_fit` learns new users and items alone for as many epochs as `fit`, then all users and items of the new
    ratings for 5, over all of their ratings; the others stay. Updated, it predicts better than before and nearly as a
    refit, see `tests/recsys/models/test_partial_distance.py`.

    The hyper-parameters are meant for ratings of 1 to 5 or the like. So ratings that range wider than 5 are divided by
    `scale`, the fifth part of their range, to learn from them, and what is predicted is multiplied by it.

    Parameters
    ----------
    factors : int
    epochs : int
        With validation data, the epoch with the least error there is kept.
    lr : float
    reg : float
    reg_bias : float, optional
        Learn the biases by SGD, with this penalty, instead.
    init_std : float
        Standard deviation of the initial factors. Surprise starts from 0.1, which leaves noise in the predictions.
    biased : bool
        Without, there is no mean, and no bias.
    implicit_feedback : bool
    seed : int

    Attributes
    ----------
    user_factors : ndarray, float32, shape (n_users, factors)
        `p_u`, the sum of implicit factors included.
    implicit_factors : ndarray, float32, shape (n_items, factors) or (0, factors)
        `y_j`.
    user_bias : ndarray, float32, shape (n_users,)
    scale : float
        1 or more; of all parameters, the mean included.
    history_ : dict of list of float
        `"rmse"` in training, and with validation data `"valid"`, minus the RMSE there.

    References
    ----------
    Funk, Netflix Update: Try This at Home, 2006. Koren, Factorization Meets the Neighborhood, KDD 2008,
    eq. 15.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"], [5, 1, 5, 1, 5])
    >>> model = MatrixFactorization(factors=4, epochs=300).fit(data)
    >>> model.predict(3, "tea") > 4 > 2 > model.predict(3, "jam")
    True
    """

    reg_user_: float | None  # of the biases, if they are those of `Bias`
    user_bias: np.ndarray
    implicit_factors: np.ndarray

    can: ClassVar[Can] = Can(ratings=True, fold_in=True, cold_user=True, partial_fit=True, explain=True,
                             embeddings=True)
    checks: ClassVar[dict[str, Check]] = {
        "factors": whole(1), "epochs": whole(1), "lr": above(0), "reg": at_least(0),
        "reg_bias": optional(at_least(0)), "init_std": at_least(0),
        "biased": flag(), "implicit_feedback": flag(), "seed": whole(0)}

    factors: int
    epochs: int
    lr: float
    reg: float
    reg_bias: float | None
    init_std: float
    biased: bool
    implicit_feedback: bool
    seed: int

    def __init__(self, *, factors: int = 100, epochs: int = 50, lr: float = 0.005, reg: float = 0.05,
                 reg_bias: float | None = None, init_std: float = 0.05, biased: bool = True,
                 implicit_feedback: bool = False, seed: int = 0) -> None:
        self._store(locals())

    # ------------------------------------------------------------------------------------- learning
    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        if data.value is None:
            raise DataError(f"{type(self).__name__}.fit: the data has no values, and this model learns ratings; "
                            f"give values, or use ALS or BPR.")
        rows = self.history = self._query(data.csr)
        ratings = rows.weights / np.float32(self.scale)
        n_users, n_items = rows.shape
        self._initialise(np.random.default_rng(self.seed), n_users, n_items)
        self.reg_user_ = self._settle_biases(rows) if self.biased and self.reg_bias is None else None
        stopping = EarlyStopping(lambda: [part.copy() for part in self._parts()])

        def step(epoch: int) -> dict[str, float]:
            report = {"rmse": self._epoch(epoch, rows, ratings)}
            if valid is not None:
                report["valid"] = -self._rmse(valid, rows)
                stopping.update(report["valid"])
            return report

        self.history_ = run_epochs(type(self).__name__, self.epochs, step, progress, remedy=self.remedy())
        if stopping.best_state is not None:
            for part, best in zip(self._parts(), stopping.best_state, strict=True):
                part[:] = best
        self.user_factors += self._implicit_sums(rows)

    def _grow(self, data: Interactions) -> Interactions:
        """Parameters follow where new ratings widen the range, and so the scale."""
        before = self.scale
        data = super()._grow(data)
        shrink = np.float32(before / self.scale)
        self.user_bias, self.item_bias = self.user_bias * shrink, self.item_bias * shrink
        self.user_factors, self.item_factors, self.implicit_factors = (
            part * np.sqrt(shrink) for part in (self.user_factors, self.item_factors, self.implicit_factors))
        return data

    def _partial_fit(self, data: Interactions) -> None:
        """New rows alone, then all that new ratings touch, by SGD over all of their ratings; the others stay."""
        known, before = (len(self.user_factors), len(self.item_factors)), self.history_of_all()
        self.user_factors -= self._implicit_sums(before)
        rows = self.history = self._query(behind(before, data.csr))
        n_users, n_items = rows.shape
        rng = np.random.default_rng((self.seed, n_users, n_items))
        added = [draw(rng, n, self.factors, self.init_std) for n in (n_users - known[0], n_items - known[1])]
        self.user_factors = np.concatenate([self.user_factors, added[0]])
        self.item_factors = np.concatenate([self.item_factors, added[1]])
        self.user_bias, self.item_bias = grown(self.user_bias, n_users), grown(self.item_bias, n_items)
        if self.implicit_feedback:
            added = [draw(rng, n_items - known[1], self.factors, self.init_std)]
            self.implicit_factors = np.concatenate([self.implicit_factors, *added])
        if self.biased and self.reg_bias is None:
            self.reg_user_ = self._settle_biases(rows)
        self._steps(rows, np.arange(n_users) >= known[0], np.arange(n_items) >= known[1], self.epochs)
        self._steps(rows, members(data.user, n_users), members(data.item, n_items), _TOUCHED_EPOCHS)
        self.user_factors += self._implicit_sums(rows)

    def _steps(self, rows: CSR, users: np.ndarray, items: np.ndarray, epochs: int) -> None:
        """Epochs over the ratings of some users and items, bool (n,), that change these alone."""
        part = rows.where(users[rows.row_of_entry] | items[rows.indices])
        if not part.nnz:
            return
        of = [users, items, users, items, items[:len(self.implicit_factors)]]
        put_back = all_but(zip(self._parts(), of, strict=True))
        for epoch in range(self.epochs, self.epochs + epochs):
            self._epoch(epoch, part, part.weights / np.float32(self.scale))
            put_back()

    def _initialise(self, rng: np.random.Generator, n_users: int, n_items: int) -> None:
        self.user_bias, self.item_bias = np.zeros(n_users, np.float32), np.zeros(n_items, np.float32)
        self.user_factors = draw(rng, n_users, self.factors, self.init_std)
        self.item_factors = draw(rng, n_items, self.factors, self.init_std)
        self.implicit_factors = draw(rng, n_items if self.implicit_feedback else 0, self.factors, self.init_std)

    def _settle_biases(self, rows: CSR) -> float:
        """Biases as `Bias` has them -> its `reg_user_`."""
        found = fit_biases(rows, self.mean_value, _BIAS_EPOCHS, None, None)
        self.user_bias[:], self.item_bias[:] = found.user / self.scale, found.item / self.scale
        return found.reg_user

    def _parts(self) -> tuple[np.ndarray, ...]:
        return self.user_bias, self.item_bias, self.user_factors, self.item_factors, self.implicit_factors

    def _epoch(self, epoch: int, rows: CSR, ratings: np.ndarray) -> float:
        """One pass over the ratings, divided by `scale` -> root mean squared error on the way."""
        order = np.random.default_rng((self.seed, epoch)).permutation(rows.shape[0])
        learned = self.biased and self.reg_bias is not None
        squares = kernels.mf.epoch(order, rows.indptr, rows.indices, ratings, self._mean, *self._parts(), self.lr,
                                   self.reg, self.lr if learned else 0.0, self.reg_bias or 0.0)
        return float(np.sqrt(squares / rows.nnz)) * self.scale

    @property
    def scale(self) -> float:
        """What ratings are divided by."""
        low, high = self.rating_range or (0, 0)
        return max(1.0, (high - low) / _RANGE)

    @property
    def _mean(self) -> float:
        return self.mean_value / self.scale if self.biased else 0.0

    def _rmse(self, data: Interactions, rows: CSR) -> float:
        if data.value is None:
            raise DataError(f"{type(self).__name__}.fit: the validation data has no values.")
        vectors = self.user_factors + self._implicit_sums(rows)
        dots = np.einsum("nf,nf->n", vectors[data.user], self.item_factors[data.item])
        predicted = (dots + self._biases(data.user, data.item)) * self.scale
        predicted = np.clip(predicted, *self.rating_range or (None, None))
        return float(np.sqrt(np.mean(np.square(predicted - data.value, dtype=np.float64))))

    def _implicit_sums(self, rows: CSR) -> np.ndarray:
        """`sum_j y_j / sqrt(n)` of each row, -> (B, factors)."""
        out = np.zeros((rows.shape[0], self.factors), np.float32)
        if self.implicit_feedback:
            for row in np.flatnonzero(rows.counts).tolist():
                items = rows.row(row)[0]
                out[row] = self.implicit_factors[items].sum(axis=0) / np.sqrt(len(items))
        return out

    # ------------------------------------------------------------------------------------ answering
    def _biases(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return known_biases(self._mean, self.user_bias, self.item_bias, users, items)

    def _score(self, users: np.ndarray) -> np.ndarray:
        scores = self._scores(self.user_factors[users]) + (self._mean + self.user_bias[users, None])
        return np.asarray(scores * np.float32(self.scale))

    def _predict(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return np.asarray(super()._predict(users, items) + (self._mean + self.user_bias[users])) * self.scale

    def _predict_unknown(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        return self._biases(users, items) * self.scale

    def _fold(self, history: CSR) -> np.ndarray:
        history = self._query(history)
        values = require_values(self, history.data) / np.float32(self.scale)
        vectors, bias = self._implicit_sums(history), np.zeros((history.shape[0], 1), np.float32)
        for row in np.flatnonzero(history.counts).tolist():
            own = slice(history.indptr[row], history.indptr[row + 1])
            p, bias[row] = self._solve(history.indices[own], values[own], vectors[row])
            vectors[row] += p
        return np.asarray((self._scores(vectors) + (self._mean + bias)) * self.scale, np.float32)

    def _solve(self, items: np.ndarray, ratings: np.ndarray, implicit: np.ndarray) -> tuple[np.ndarray, float]:
        """A user's `p` and bias from ratings, items and the sum of implicit factors held fixed."""
        target = ratings - self._mean - self.item_bias[items] - self.item_factors[items] @ implicit
        bias = 0.0 if self.reg_user_ is None else float((ratings - self._mean - self.item_bias[items]).sum()
                                                        / max(len(items) + self.reg_user_, 1e-12))
        design = np.ones((len(items), self.factors + 1))
        design[:, 1:] = self.item_factors[items]
        if not self.biased or self.reg_user_ is not None:
            design[:, 0] = 0
        gram = design.T @ design
        gram[np.diag_indices(len(gram))] += max(self.reg * len(items), 1e-6)  # SGD pays the penalty per rating
        solution = np.linalg.solve(gram, design.T @ (target - bias)).astype(np.float32)
        return solution[1:], float(solution[0]) + bias

    def _query(self, history: CSR) -> CSR:
        return distinct(history)

    def _state(self) -> dict[str, np.ndarray]:
        own = {"user_bias": self.user_bias, "implicit_factors": self.implicit_factors} | numbers(self, "reg_user_")
        return super()._state() | own

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        n_items, factors = self.item_factors.shape
        rows = n_items if self.implicit_feedback else 0
        self.user_bias = expect(state, "user_bias", (len(self.users),), np.float32)
        self.implicit_factors = expect(state, "implicit_factors", (rows, factors), np.float32)
        restore_numbers(self, state, reg_user_=None)
