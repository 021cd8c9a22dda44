"""Linear autoencoders of items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.kernels import neighbours as kernels
from recsys.models.base import Can
from recsys.models.history import SumsOfHistories
from recsys.models.parameters import Check, above, one_of, optional, whole
from recsys.models.relearning import LearnsAgain
from recsys.models.sparse import distinct, expect, noise, numbers, restore_numbers

__all__ = ["EASE", "inverse_of"]

_BYTES_AN_ENTRY = 28  # Gram matrix, its inverse and LAPACK's copy in float64, the weights in float32
_SMALL = 256  # below, one call of LAPACK is faster than products of blocks


class EASE(LearnsAgain, SumsOfHistories):
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
    checks: ClassVar[dict[str, Check]] = {"reg": optional(above(0)), "recent": optional(whole(1)),
                                          "weights": one_of("binary", "value"), "max_gib": above(0)}

    reg: float | None
    weights: str
    max_gib: float

    def __init__(self, *, reg: float | None = None, recent: int | None = None, weights: str = "binary",
                 max_gib: float = 4.0) -> None:
        self._store(locals())

    def _prepare(self, history: CSR) -> CSR:
        return history.unique() if self.weights == "binary" else distinct(history)

    def _fit(self, data: Interactions, valid: Interactions | None, progress: Any) -> None:
        n = len(data.items)
        needed = _BYTES_AN_ENTRY * n * n / 2 ** 30
        if needed > self.max_gib:
            raise ParameterError(f"EASE: {n:,} items need about {needed:.1f} GiB, more than max_gib={self.max_gib}; "
                                 f"keep fewer items (k_core), raise max_gib, or use ItemKNN, whose memory is linear.")
        rows = self._keep(data)
        columns = rows.T
        gram = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices,
                            rows.weights)
        self.reg_ = noise(rows) ** 2 if self.reg is None else float(self.reg)
        gram[np.diag_indices(n)] += self.reg_
        inverse = inverse_of(gram)
        inverse /= -np.diag(inverse).copy()
        inverse[np.diag_indices(n)] = 0
        self.item_weights = inverse.astype(np.float32)

    def _score_histories(self, history: CSR) -> np.ndarray:
        return np.asarray(kernels.sum_dense_rows(history.indptr, history.indices, history.weights,
                                                 self.item_weights))

    def _explain(self, indices: np.ndarray, values: np.ndarray | None, item: int) -> np.ndarray:
        return np.asarray(self.item_weights[indices, item] * (1 if values is None else values))

    def _item_similarity(self, indices: np.ndarray) -> np.ndarray:
        """What each item adds to the scores of the others: rows of B, where it adds."""
        rows = self.item_weights[indices]
        return np.where(rows > 0, rows, np.float32(-np.inf))

    def _state(self) -> dict[str, np.ndarray]:
        return super()._state() | {"item_weights": self.item_weights} | numbers(self, "reg_")

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        super()._restore(state)
        self.item_weights = expect(state, "item_weights", (len(self.items), len(self.items)), np.float32)
        restore_numbers(self, state, reg_=self.reg)


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
