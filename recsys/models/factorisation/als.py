"""Weighted matrix factorisation of implicit feedback by alternating least squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from minidl import runtime
from recsys import kernels
from recsys.data.csr import CSR, appended
from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Fitted, Learned, Recommender
from recsys.estimator.parameters import Check, at_least, optional, whole
from recsys.estimator.scorers.confidence import Confidence, summed
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.updating import grown
from recsys.models.factorisation.factors import draw
from recsys.models.noise import noise
from recsys.training.epochs import run_epochs

__all__ = ["ALS", "Pull", "Side", "half_epoch"]

_SPARSER = 0.6  # exponent of the density
_OF_NOISE = 0.45  # the penalty, relative to the noise
_SWEEPS = 2  # of what new events touch


class ALS(Recommender):
    """Preference 1 for what a user interacted with and 0 for the rest, with confidence `c_ui = 1 + alpha * value`.

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
    curves_ : dict of list of float
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

    def __init__(self, *, factors: int = 64, epochs: int = 15, reg: float | None = None, alpha: float | None = None,
                 reg_exponent: float | None = None, cg_steps: int = 3, seed: int = 0) -> None:
        self.store_parameters(locals())

    @property
    def looks_at_values(self) -> bool:
        """They add confidence."""
        return True

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Vectors of users and of items, in turn."""
        return self.solved(data, context, (Pull, Pull))

    def solved(self, data: Interactions, context: Context,
               kinds: tuple[Callable[[Side], Pull], Callable[[Side], Pull]]) -> Learned:
        """What is learned, where the vectors of users, and of items, are drawn to what a `Pull` of a kind says."""
        events = summed(data.csr)
        fold_in = self._fold_in(events)
        sides = Side.of(events, fold_in), Side.of(events.T, fold_in)
        pulls = kinds[0](sides[0]), kinds[1](sides[1])
        rng = np.random.default_rng(self.seed)
        X, Y = (pull.start(draw(rng, n, self.factors, 0.1 / np.sqrt(self.factors)))
                for pull, n in zip(pulls, events.shape, strict=True))
        total = float(events.nnz + sides[0].extra.sum(dtype=np.float64))

        def step(epoch: int) -> dict[str, float]:
            half_epoch(sides[0], X, Y, self.cg_steps, pulls[0].toward)
            pulls[0].follow(X)
            penalty = pulls[0].penalty(X) + pulls[1].own()
            gain = half_epoch(sides[1], Y, X, self.cg_steps, pulls[1].toward)
            pulls[1].follow(Y)
            return {"loss": total - gain + penalty}

        history = run_epochs(type(self).__name__, self.epochs, step, context.progress, remedy=self.remedy())
        half_epoch(sides[0], X, Y, 2 * self.cg_steps, pulls[0].toward)  # they agree with the items, as a fold-in does
        kept = fold_in if data.value is None else fold_in.with_history(events)
        return self._finished(X, Y, kept, history, pulls)

    def _finished(self, X: np.ndarray, Y: np.ndarray, fold_in: Confidence, history: dict[str, list[float]],
                  pulls: tuple[Pull, Pull]) -> Learned:
        return self._learned(X, Y, np.zeros(len(Y), np.float32), fold_in, history)

    def _learned(self, X: np.ndarray, Y: np.ndarray, item_bias: np.ndarray, fold_in: Confidence,
                 history: dict[str, list[float]]) -> Learned:
        taken = {"alpha_": fold_in.alpha, "reg_": fold_in.reg, "reg_exponent_": fold_in.reg_exponent,
                 "curves_": history}
        return Learned(Factors(self.can, X, Y, item_bias, fold_in), taken)

    def _fold_in(self, events: CSR) -> Confidence:
        """What follows from the data for parameters that are None."""
        active = [max(int((side.counts > 0).sum()), 1) for side in (events, events.T)]
        alpha = (events.nnz / (active[0] * active[1])) ** -_SPARSER if self.alpha is None else float(self.alpha)
        unit = None
        if self.alpha is None and events.weights.max(initial=0) > 0:
            mean = float(events.weights.mean(dtype=np.float64))
            unit = mean, float(np.log1p(events.weights / mean).mean(dtype=np.float64))
        exponent = (1.0 if self.reg is None else 0.5) if self.reg_exponent is None else self.reg_exponent
        if self.reg is not None:
            return Confidence(alpha, float(self.reg), exponent, unit)
        extra = Confidence(alpha, 0.0, exponent, unit).extra(events.weights)
        of_users = _totals(events, extra)[events.row_of_entry]
        of_items = events.shape[0] + np.bincount(events.indices, extra, events.shape[1])[events.indices]
        entries = (1 + extra) / (of_users * of_items) ** (exponent / 2)
        reg = _OF_NOISE * noise(CSR(events.indptr, events.indices, entries, events.shape))
        return Confidence(alpha, reg, exponent, unit)

    def update(self, data: Interactions, fitted: Fitted, context: Context) -> Learned:
        """A few sweeps over the users and items of the new events, all their events counting; the others stay."""
        X, Y, fold_in = self.swept(data, fitted, context)
        item_bias = grown(fitted.answers_by(Factors).item_bias, len(Y))
        return self._learned(X, Y, item_bias, fold_in, fitted.learned.taken["curves_"])

    def swept(self, data: Interactions, fitted: Fitted, context: Context,
              toward: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
              ) -> tuple[np.ndarray, np.ndarray, Confidence]:
        """Vectors of all users and items, drawn `toward` others or to 0, and the fold-in."""
        before = fitted.answers_by(Factors)
        fold_in = before.folded_by(Confidence)
        history = fold_in.history
        events = fold_in.transform_history(context.facts.pairs if history is None else appended(history, data.csr))
        columns, known = events.T, before.n_items
        rng, std = np.random.default_rng((self.seed, known)), 0.1 / np.sqrt(self.factors)
        X, Y = grown(before.user_factors, events.shape[0]), grown(before.item_factors, events.shape[1])
        for vectors, described, rows in zip((X, Y), before.described, (events, columns), strict=True):
            if described:
                vectors[rows.counts == 0] = 0  # who is known by features alone is in no sum over pairs
        new = np.flatnonzero(columns.counts[known:]) + known
        Y[new] = draw(rng, len(new), self.factors, std)  # or a new user of new items would stay at 0
        users, items = np.unique(data.user), np.unique(data.item)
        of_users, of_items = Side.of(events.rows(users), fold_in), Side.of(columns.rows(items), fold_in)
        near_users, near_items = (None if near is None else near[rows]
                                  for near, rows in zip(toward, (users, items), strict=True))
        for sweep in range(_SWEEPS + 1):
            last = sweep == _SWEEPS
            X[users] = _improved(of_users, X[users], Y, (1 + last) * self.cg_steps, near_users)
            if not last:
                Y[items] = _improved(of_items, Y[items], X, self.cg_steps, near_items)
        return X, Y, fold_in if history is None else fold_in.with_history(events)


class Side(NamedTuple):
    """Users or items, as the kernels take them."""

    order: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    extra: np.ndarray
    ridge: np.ndarray

    @classmethod
    def of(cls, events: CSR, fold_in: Confidence) -> Side:
        """Of the rows of a matrix of values."""
        extra = fold_in.extra(events.weights).astype(np.float32)
        ridge = (fold_in.reg * _totals(events, extra) ** fold_in.reg_exponent).astype(np.float32)
        return cls(np.argsort(-events.counts, kind="stable"), events.indptr, events.indices, extra, ridge)


def _totals(events: CSR, extra: np.ndarray) -> np.ndarray:
    """Confidence of each row, that of the zeros included: float64 (n_rows,)."""
    return np.asarray(events.shape[1] + np.bincount(events.row_of_entry, extra, events.shape[0]))


class Pull:
    """What the vectors of one side are drawn to: here 0, and in a subclass something that it learns of them.

    The penalty is `sum_u ridge_u |x_u - toward_u|**2`, and that of what `toward` is made of.

    Attributes
    ----------
    toward : ndarray of float32, shape (n, f), or None
        None for 0.
    """

    toward: np.ndarray | None = None

    def __init__(self, side: Side) -> None:
        self.side = side

    def start(self, X: np.ndarray) -> np.ndarray:
        """What to begin with, of vectors that are drawn."""
        return X

    def follow(self, X: np.ndarray) -> None:
        """Another `toward`, for better vectors."""

    def own(self) -> float:
        """The penalty of what `toward` is made of."""
        return 0.0

    def penalty(self, X: np.ndarray) -> float:
        """The whole penalty."""
        away = X if self.toward is None else X - self.toward
        return float(self.side.ridge @ np.einsum("uf,uf->u", away, away)) + self.own()


def half_epoch(side: Side, X: np.ndarray, Y: np.ndarray, steps: int, toward: np.ndarray | None = None) -> float:
    """Better X in place, Y held fixed -> by how much the loss was below that of X = 0 and no penalty before.

    With `toward` M, (n, f), the penalty of row u is `ridge_u |x_u - m_u|**2`: the right side of its equations has
    `ridge_u m_u` more.
    """
    gram = runtime.matmul(Y.T, Y)
    R = runtime.matmul(X, gram)
    gain = np.empty(len(X), X.dtype)
    kernels.als.residual(*side, Y, X, R, gain)
    if toward is not None:
        more = side.ridge[:, None] * toward
        R += more
        gain += np.einsum("uf,uf->u", more, 2 * X - toward)
    P, AP = R.copy(), np.empty_like(R)
    for _ in range(steps):
        runtime.matmul(P, gram, out=AP)
        kernels.als.step(*side, Y, X, R, P, AP)
    return float(gain.sum(dtype=np.float64))


def _improved(side: Side, X: np.ndarray, Y: np.ndarray, steps: int, toward: np.ndarray | None) -> np.ndarray:
    half_epoch(side, X, Y, steps, toward)
    return X
