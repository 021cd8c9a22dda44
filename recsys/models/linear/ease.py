"""Linear autoencoders of items."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Fitted, Learned, Recommender
from recsys.estimator.arrays import expect
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.estimator.staying import Staying
from recsys.models.linear import downdating
from recsys.models.linear.forms import CHECKS, penalties, popularity, to_others, weighted
from recsys.models.linear.inverses import TOLERANCE, inverse_by_factors, penalised_inverse
from recsys.models.noise import noise

__all__ = ["EASE"]

_BYTES_AN_ENTRY = 12  # Gram matrix and a third of it, or the weights in float32


class EASE(Recommender):
    """Embarrassingly shallow autoencoder: ridge regression of each item on all others, in closed form.

    With `G = X' X + reg I` and `P = inverse(G)`, the weights are `B[i, j] = -P[i, j] / P[j, j]` and
    `B[i, i] = 0`, which minimise `|X - X B|**2 + reg |B|**2` under a zero diagonal. The scores are `X B`,
    for a user of the training data and for any other history alike. `partial_fit` counts and inverts G anew: it gives
    what `fit` of all events gives, at its cost, which grows with the cube of the items.

    Its later forms are parameters, each of which is off by default, and they compose. With n(i) the users of i:

    - EDLAE (`dropout` p): predict what was left out of the input at random; in expectation
      `G = X' X + (reg + p / (1 - p) n(j)) I`.
    - RLAE (`diagonal` xi): the diagonal may be up to xi. With penalty_j what was added to the diagonal of `X' X`,
      `B[j, j] = min(xi, 1 - penalty_j P[j, j])` and the others are `-P[i, j] / P[j, j] (1 - B[j, j])`, which prefers
      what says little of itself. Scores leave the diagonal out.
    - DAN (`user_power` b, `item_power` a): the row of a user with n events counts `n ** -b` times, and the weights
      are `n(i) ** a B[i, j] / n(j) ** a`. Both take from those who have much. Its paper writes `1 - a` for a.

    Where items are many more than people and reg is small, P is computed in half as much time again, as the faster way
    would lose it; a reg with which no way is accurate is refused.

    `forget` makes P of the weights again, for which its diagonal is kept, takes the people's rows out of it
    (`recsys.models.linear.downdating`) and measures the error; above 1e-5 of a weight it learns again. With a reg taken
    from the data, the new one is followed, too.

    Parameters
    ----------
    reg : float, optional
        The larger, the more the weights shrink towards 0. By default the noise, the largest eigenvalue that chance
        alone gives `X' X`: with S the sum of the squares of X, `(sqrt(S / n_users) + sqrt(S / n_items)) ** 2`.
    dropout : float
        From 0 to 0.99.
    diagonal : float
        From 0 to 1, which does not limit it.
    user_power, item_power : float
        Not negative; up to 1/2 as a rule.
    recent : int or None
        Score only so many last events of a history (training uses all): what came last says most where
        interests move.
    weights : {"binary", "value"}
        Whether X holds 1 or the value of an interaction (the last one, where a pair is repeated).
    max_gib : float
        `fit` refuses data whose items would need more memory than this; it grows with their square.

    Attributes
    ----------
    reg_ : float
        What was taken.

    References
    ----------
    Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equations 7 and 8. Steck, Autoencoders that
    don't overfit towards the Identity, NeurIPS 2020 (EDLAE). Moon, Kim, Lee, It's Enough: Relaxing Diagonal Constraints
    in Linear Autoencoders for Recommendation, SIGIR 2023 (RLAE). Park, Yoon, Choi, Lee, Why is Normalization Necessary
    for Linear Recommenders?, SIGIR 2025 (DAN). Bai, Yin, Limit of the Smallest Eigenvalue of a Large Dimensional
    Sample Covariance Matrix, Annals of Probability 1993 (the noise).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> EASE(reg=1).fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = CHECKS

    reg: float | None
    dropout: float
    diagonal: float
    user_power: float
    item_power: float
    recent: int | None
    weights: str
    max_gib: float

    def __init__(self, *, reg: float | None = None, dropout: float = 0.0, diagonal: float = 0.0,
                 user_power: float = 0.0, item_power: float = 0.0, recent: int | None = None, weights: str = "binary",
                 max_gib: float = 4.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The weights of all pairs of items."""
        n = data.n_items
        needed = _BYTES_AN_ENTRY * n * n / 2 ** 30
        if needed > self.max_gib:
            raise ParameterError(f"EASE: {n:,} items need about {needed:.1f} GiB, more than max_gib={self.max_gib}; "
                                 f"use SparseEASE, whose memory is linear, keep fewer items (k_core) or raise max_gib.")
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        histories = histories.storing(data.csr, context.facts.seen)
        plain = histories.plain(data.csr)
        rows = weighted(plain, self.user_power)
        reg = noise(rows) ** 2 if self.reg is None else float(self.reg)
        inverse, penalty = penalised_inverse("EASE", rows, lambda squares: penalties(squares, reg, self.dropout))
        return self._of(inverse, penalty, popularity(plain, self.item_power), histories, reg)

    def weights_of(self, gram: np.ndarray, reg: float, popular: np.ndarray) -> np.ndarray:
        """B of a Gram matrix, which is written over, and the items' popularity to the power: float32 (n, n)."""
        penalty = penalties(np.diag(gram), reg, self.dropout)
        gram[np.diag_indices(len(gram))] += penalty
        try:
            return self._weights(inverse_by_factors(gram), penalty, popular)
        except np.linalg.LinAlgError:
            raise ParameterError("EASE: reg is too small beside the numbers of the data for weights to be computed; "
                                 "raise it.") from None

    def _of(self, inverse: np.ndarray, penalty: np.ndarray, popular: np.ndarray, histories: Histories, reg: float
            ) -> Learned:
        """The weights, written over P; its diagonal is kept beside them, and gives it back."""
        own = np.diag(inverse).copy()
        scorer = DenseSimilarities(self.can, histories, self._weights(inverse, penalty, popular))
        return Learned(scorer, {"reg_": reg}, ({}, {"diagonal": own}))

    def _weights(self, inverse: np.ndarray, penalty: np.ndarray, popular: np.ndarray) -> np.ndarray:
        inverse *= self._columns(np.diag(inverse).copy(), penalty, popular)
        inverse *= popular[:, None]
        np.fill_diagonal(inverse, 0)
        return inverse.astype(np.float32)

    def _columns(self, own: np.ndarray, penalty: np.ndarray, popular: np.ndarray) -> np.ndarray:
        """What the columns of P, whose diagonal is `own`, are multiplied by to be weights: float64 (n_items,)."""
        return np.asarray(-to_others(penalty, 1 / own, self.diagonal) / (own * popular))

    def unlearn(self, data: Interactions, fitted: Fitted, staying: Staying, context: Context
                ) -> tuple[Learned, str, float] | None:
        """A downdate of P, which is made of the weights again; None where it would not be accurate or not faster."""
        before, events = fitted.learned.memory[1], fitted.facts.events
        if "diagonal" not in before or events is None:
            return None
        form = fitted.answers_by(DenseSimilarities).histories
        plain, rest = form.plain(events), form.plain(data.csr)
        all_rows, rows = (weighted(part, self.user_power) for part in (plain, rest))
        gone = all_rows.rows(np.flatnonzero(~staying.keep))
        squares, left = (np.bincount(part.indices, part.weights.astype(np.float64) ** 2, part.shape[1])
                         for part in (all_rows, rows))
        reg, own = float(fitted.learned.taken["reg_"]), expect(before, "diagonal", (data.n_items,), np.float64)
        to = noise(rows) ** 2 if self.reg is None else reg
        popular = popularity(plain, self.item_power)
        columns = self._columns(own, penalties(squares, reg, self.dropout), popular)
        inverse = np.divide(fitted.answers_by(DenseSimilarities).item_weights, columns, dtype=np.float64)
        inverse /= popular[:, None]
        np.fill_diagonal(inverse, own)
        penalty = penalties(left, to, self.dropout)
        if not downdating.downdate(inverse, gone, self.dropout / (1 - self.dropout), to - reg) or not (
                downdating.error(inverse, rows, penalty) <= TOLERANCE):
            return None
        histories = replace(form, stored=None).storing(data.csr, context.facts.seen)
        return (self._of(inverse, penalty, popularity(rest, self.item_power), histories, to), "the inverse downdated",
                TOLERANCE)
