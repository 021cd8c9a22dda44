"""Linear autoencoders of items."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from minidl import runtime
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.kernels import neighbours as kernels
from recsys.models.linear.forms import CHECKS, penalties, popularity, to_others, weighted
from recsys.models.noise import noise

__all__ = ["EASE", "inverse_of"]

_BYTES_AN_ENTRY = 28  # Gram matrix, its inverse and LAPACK's copy in float64, the weights in float32
_SMALL = 256  # below, one call of LAPACK is faster than products of blocks


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
        columns = rows.T
        gram = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices,
                            rows.weights)
        reg = noise(rows) ** 2 if self.reg is None else float(self.reg)
        weights = self.weights_of(gram, reg, popularity(plain, self.item_power))
        return Learned(DenseSimilarities(self.can, histories, weights), {"reg_": reg})

    def weights_of(self, gram: np.ndarray, reg: float, popular: np.ndarray) -> np.ndarray:
        """B of a Gram matrix, which is written over, and the items' popularity to the power: float32 (n, n)."""
        own_places = np.diag_indices(len(gram))
        penalty = penalties(np.diag(gram), reg, self.dropout)
        gram[own_places] += penalty
        inverse = inverse_of(gram)
        own = np.diag(inverse).copy()
        inverse /= -own / to_others(penalty, 1 / own, self.diagonal) * popular
        inverse *= popular[:, None]
        inverse[own_places] = 0
        return inverse.astype(np.float32)


def inverse_of(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric positive definite matrix, by halves: half the work of a general one.

    With A the first block, `S = D - B' inv(A) B` and `W = inv(A) B`, the blocks of the inverse are
    `inv(A) + W inv(S) W'`, `-W inv(S)` and `inv(S)`; nearly all of it is matrix products.

    Examples
    --------
    >>> inverse_of(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.5 , 0.  ], [0.  , 0.25]])
    """
    n = len(matrix)
    if n <= _SMALL:
        return np.asarray(np.linalg.inv(matrix))
    half = n // 2
    out = np.empty_like(matrix)
    first = inverse_of(matrix[:half, :half])
    across = runtime.matmul(first, matrix[:half, half:])
    last = inverse_of(matrix[half:, half:] - runtime.matmul(matrix[half:, :half], across))
    out[half:, half:] = last
    out[:half, half:] = -runtime.matmul(across, last)
    out[half:, :half] = out[:half, half:].T
    out[:half, :half] = first - runtime.matmul(out[:half, half:], across.T)
    return out
