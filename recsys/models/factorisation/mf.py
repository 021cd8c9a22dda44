"""Matrix factorisation for ratings by stochastic gradient descent (SVD and SVD++)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from recsys import kernels
from recsys.data.csr import CSR, appended, distinct
from recsys.data.interactions import Interactions
from recsys.errors import DataError
from recsys.estimator import Can, Context, Facts, Fitted, Learned, Recommender
from recsys.estimator.parameters import Check, above, at_least, flag, optional, whole
from recsys.estimator.scorers.biases import known_biases
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.least_squares import LeastSquares, implicit_sums
from recsys.estimator.updating import all_but, grown, members
from recsys.models.baselines import fit_biases
from recsys.models.factorisation.factors import draw
from recsys.training.epochs import EarlyStopping, run_epochs

__all__ = ["MatrixFactorization", "Parts", "compressed", "implicit"]

_TOUCHED_EPOCHS = 5  # of `partial_fit`, for what new ratings touch
_NARROW, _WIDE = 1.0, 5.0  # ranges of ratings between which they are learned as they are
_BIAS_EPOCHS = 10


class Parts(NamedTuple):
    """What is learned, in the order of the kernel; `user_factors` are without the sums."""

    user_bias: np.ndarray
    item_bias: np.ndarray
    user_factors: np.ndarray
    item_factors: np.ndarray
    summed: np.ndarray  # what sums of them are a part of users' vectors: of items the implicit factors

    def copy(self) -> Parts:
        """As it is now."""
        return Parts(*(part.copy() for part in self))

    def vectors(self, sums: CSR) -> np.ndarray:
        """`p_u + sum_j c_uj y_j` of all users, the weights c being `sums`: (n_users, factors)."""
        return np.asarray(self.user_factors + sums.times(self.summed))


@dataclass(frozen=True)
class Unit:
    """What ratings and their mean are divided by to learn from them."""

    scale: float
    mean: float  # divided already; 0 without biases

    @classmethod
    def of(cls, facts: Facts, biased: bool) -> Unit:
        """That of some training data."""
        low, high = facts.rating_range or (0, 0)
        scale = max((high - low) / _WIDE, min(high - low, _NARROW)) or 1.0
        return cls(scale, facts.mean_value / scale if biased else 0.0)


class MatrixFactorization(Recommender):
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
    `scale`, the fifth part of their range, to learn from them, and such that range less than 1 by their range; what is
    predicted is multiplied by it.

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
        Of all parameters, the mean included.
    curves_ : dict of list of float
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
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Biases, then SGD over all ratings."""
        if data.value is None:
            raise DataError(f"{type(self).__name__}.fit: the data has no values, and this model learns ratings; "
                            f"give values, or use ALS or BPR.")
        rows, unit = distinct(data.csr), Unit.of(context.facts, self.biased)
        sums, between = self.sums(rows, data), self.between(data)
        parts = self._start(*rows.shape, sums.shape[1])
        reg_user = self._find_biases(parts, rows, unit, context.facts)
        stopping = EarlyStopping(parts.copy)

        def step(epoch: int) -> dict[str, float]:
            report = {"rmse": self._epoch(parts, epoch, rows, sums, unit)}
            between(parts, epoch)
            if context.valid is not None:
                report["valid"] = -self._rmse(parts, context.valid, sums, unit, context.facts)
                stopping.update(report["valid"])
            return report

        history = run_epochs(type(self).__name__, self.epochs, step, context.progress, remedy=self.remedy())
        return self._learned(stopping.best_state or parts, rows, sums, unit, reg_user, history)

    def sums(self, rows: CSR, data: Interactions) -> CSR:
        """Of which further vectors a user's is a sum, and with what weights c: CSR (n_users, m)."""
        return implicit(rows) if self.implicit_feedback else CSR.empty((rows.shape[0], 0))

    def between(self, data: Interactions) -> Callable[[Parts, int], None]:
        """What is done after an epoch over the ratings, `between(parts, epoch)`: nothing."""
        return lambda parts, epoch: None

    def _start(self, n_users: int, n_items: int, n_summed: int) -> Parts:
        rng = np.random.default_rng(self.seed)
        sizes = n_users, n_items, n_summed
        factors = [draw(rng, n, self.factors, self.init_std) for n in sizes]
        return Parts(np.zeros(n_users, np.float32), np.zeros(n_items, np.float32), *factors)

    def _find_biases(self, parts: Parts, rows: CSR, unit: Unit, facts: Facts) -> float | None:
        """Biases as `Bias` has them -> its `reg_user_`; None if they are learned along with the factors."""
        if not self.biased or self.reg_bias is not None:
            return None
        found = fit_biases(rows, facts.mean_value, _BIAS_EPOCHS, None, None)
        parts.user_bias[:], parts.item_bias[:] = found.user / unit.scale, found.item / unit.scale
        return found.reg_user

    def _epoch(self, parts: Parts, epoch: int, rows: CSR, sums: CSR, unit: Unit) -> float:
        """One pass over the ratings -> root mean squared error on the way."""
        order = np.random.default_rng((self.seed, epoch)).permutation(rows.shape[0])
        learned = self.biased and self.reg_bias is not None
        squares = kernels.mf.epoch(order, rows.indptr, rows.indices, rows.weights / np.float32(unit.scale), unit.mean,
                                   *parts, *compressed(sums), self.lr, self.reg, self.lr if learned else 0.0,
                                   self.reg_bias or 0.0)
        return float(np.sqrt(squares / rows.nnz)) * unit.scale

    def _rmse(self, parts: Parts, data: Interactions, sums: CSR, unit: Unit, facts: Facts) -> float:
        if data.value is None:
            raise DataError(f"{type(self).__name__}.fit: the validation data has no values.")
        dots = np.einsum("nf,nf->n", parts.vectors(sums)[data.user], parts.item_factors[data.item])
        assumed = known_biases(unit.mean, parts.user_bias, parts.item_bias, data.user, data.item)
        predicted = np.clip((dots + assumed) * unit.scale, *facts.rating_range or (None, None))
        return float(np.sqrt(np.mean(np.square(predicted - data.value, dtype=np.float64))))

    def _learned(self, parts: Parts, rows: CSR, sums: CSR, unit: Unit, reg_user: float | None,
                 history: dict[str, list[float]]) -> Learned:
        of_items = parts.summed[:rows.shape[1] if self.implicit_feedback else 0]
        fold_in = LeastSquares(self.reg, self.biased, reg_user, of_items, rows)
        scorer = Factors(self.can, parts.vectors(sums), parts.item_factors, parts.item_bias, fold_in,
                         user_bias=parts.user_bias, mean=unit.mean, scale=unit.scale)
        return Learned(scorer, {"reg_user_": reg_user, "curves_": history})

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """New rows alone, then all that new ratings touch, by SGD over all of their ratings; the others stay."""
        before = fitted.answers_by(Factors)
        kept = before.folded_by(LeastSquares)
        if kept.history is None:
            raise fitted.without_histories()
        unit, known = Unit.of(context.facts, self.biased), (len(before.user_factors), len(before.item_factors))
        rows = distinct(appended(kept.history, data.csr))
        n_users, n_items = rows.shape
        sums = self.sums(rows, data)
        parts = self._grown(_rescaled(before, kept, np.float32(before.scale / unit.scale)), n_users, n_items)
        reg_user = self._find_biases(parts, rows, unit, context.facts)
        new = np.arange(n_users) >= known[0], np.arange(n_items) >= known[1]
        touched = members(data.user, n_users), members(data.item, n_items)
        self._steps(parts, rows, sums, new, self.epochs, unit)
        self._steps(parts, rows, sums, touched, _TOUCHED_EPOCHS, unit)
        return self._learned(parts, rows, sums, unit, reg_user, fitted.learned.taken["curves_"])

    def _grown(self, parts: Parts, n_users: int, n_items: int) -> Parts:
        """With numbers for new users and items."""
        rng, known = np.random.default_rng((self.seed, n_users, n_items)), (len(parts.user_bias), len(parts.item_bias))
        users, items = (draw(rng, n, self.factors, self.init_std) for n in (n_users - known[0], n_items - known[1]))
        implicit = [draw(rng, n_items - known[1], self.factors, self.init_std)] if self.implicit_feedback else []
        return Parts(grown(parts.user_bias, n_users), grown(parts.item_bias, n_items),
                     np.concatenate([parts.user_factors, users]), np.concatenate([parts.item_factors, items]),
                     np.concatenate([parts.summed, *implicit]))

    def _steps(self, parts: Parts, rows: CSR, sums: CSR, of: tuple[np.ndarray, np.ndarray], epochs: int,
               unit: Unit) -> None:
        """Epochs over the ratings of some users and items, bool (n_users,) and (n_items,), that change these alone."""
        users, items = of
        part = rows.where(users[rows.row_of_entry] | items[rows.indices])
        if not part.nnz:
            return
        put_back = all_but(zip(parts, (users, items, users, items, items[:len(parts.summed)]), strict=True))
        for epoch in range(self.epochs, self.epochs + epochs):
            self._epoch(parts, epoch, part, sums, unit)
            put_back()


def _rescaled(before: Factors, kept: LeastSquares, shrink: np.float32) -> Parts:
    """What was learned, in the unit of new ratings that widen the range."""
    root = np.sqrt(shrink)
    if before.user_bias is None or kept.history is None:
        raise ValueError("the factors of a model of ratings have biases and a history")
    vectors, summed = before.user_factors * root, kept.implicit_factors * root
    sums = implicit_sums(kept.history, summed, vectors.shape[1])
    return Parts(before.user_bias * shrink, before.item_bias * shrink, vectors - sums, before.item_factors * root,
                 summed)


def implicit(rows: CSR) -> CSR:
    """The weights by which what users have rated is a part of them: `1 / sqrt(n)` of each of n items."""
    weights = np.repeat(1 / np.sqrt(np.maximum(rows.counts, 1)), rows.counts).astype(np.float32)
    return CSR(rows.indptr, rows.indices, weights, rows.shape)


def compressed(matrix: CSR) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arrays of a matrix, as kernels take them."""
    return matrix.indptr, matrix.indices, matrix.weights
