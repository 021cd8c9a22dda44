"""Linear autoencoders of items."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from minidl import runtime
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, above, one_of, optional, whole
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.kernels import neighbours as kernels
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

    Parameters
    ----------
    reg : float, optional
        The larger, the more the weights shrink towards 0. By default the noise, the largest eigenvalue that chance
        alone gives `X' X`: with S the sum of the squares of X, `(sqrt(S / n_users) + sqrt(S / n_items)) ** 2`.
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
    Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equations 7 and 8. Bai, Yin, Limit of the
    Smallest Eigenvalue of a Large Dimensional Sample Covariance Matrix, Annals of Probability 1993 (the noise).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> EASE(reg=1).fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {"reg": optional(above(0)), "recent": optional(whole(1)),
                                          "weights": one_of("binary", "value"), "max_gib": above(0)}

    reg: float | None
    recent: int | None
    weights: str
    max_gib: float

    def __init__(self, *, reg: float | None = None, recent: int | None = None, weights: str = "binary",
                 max_gib: float = 4.0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The weights of all pairs of items."""
        n = data.n_items
        needed = _BYTES_AN_ENTRY * n * n / 2 ** 30
        if needed > self.max_gib:
            raise ParameterError(f"EASE: {n:,} items need about {needed:.1f} GiB, more than max_gib={self.max_gib}; "
                                 f"keep fewer items (k_core), raise max_gib, or use ItemKNN, whose memory is linear.")
        histories = Histories("items" if self.weights == "binary" else "values", self.recent)
        histories = histories.storing(data.csr, context.facts.seen)
        rows = histories.plain(data.csr)
        columns = rows.T
        gram = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices,
                            rows.weights)
        reg = noise(rows) ** 2 if self.reg is None else float(self.reg)
        gram[np.diag_indices(n)] += reg
        inverse = inverse_of(gram)
        inverse /= -np.diag(inverse).copy()
        inverse[np.diag_indices(n)] = 0
        scorer = DenseSimilarities(self.can, histories, inverse.astype(np.float32))
        return Learned(scorer, {"reg_": reg})


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
