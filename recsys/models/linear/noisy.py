"""Linear models from a Gram matrix that does not tell of anybody: noise added once, and what it explains taken out."""

from __future__ import annotations

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Context, Learned
from recsys.estimator.histories import Histories
from recsys.estimator.scorers.similarities import DenseSimilarities
from recsys.kernels import neighbours as kernels
from recsys.models.linear.ease import EASE
from recsys.models.linear.forms import weighted

__all__ = ["LEARNERS", "cleaned", "learned", "symmetric_noise"]

LEARNERS = (EASE,)
"""Whose weights follow from a Gram matrix."""

_COUNTING = 0.05  # of the budget goes to how popular items are
_POPULAR = 0.7  # of the largest eigenvalue of the noise: how popular items are at least
_OF_NOISE = 1.2  # the penalty, relative to the same
_LEAST = 1e-3  # the penalty where there is no noise
_BYTES_AN_ENTRY = 44  # Gram matrix, its eigenvectors, LAPACK's copies and the inverse in float64, weights in float32


def learned(part: EASE, data: Interactions, context: Context, noise: float, rng: np.random.Generator) -> Learned:
    """What `EASE` makes of a noisy Gram matrix of the rows of people, scaled to length 1.

    Two things are published: with x a person's scaled row, `sum x` and `sum x x'`, of which one person changes the
    first by 1 and the upper half of the second by sqrt(1/2) at most (a diagonal that is counted half). They share the
    budget: `1 / noise^2` is the sum of the two.

    Items are learned about as long as they are popular enough to be told from noise, `sum x` above .7 times the
    largest eigenvalue that noise gives a matrix of so many; the others score 0.

    Parameters
    ----------
    part : EASE
        Its `reg` is by default 1.2 times the largest eigenvalue of the noise. `user_power` and `weights` do not matter.
    data : Interactions
    context : Context
    noise : float
        Relative to what one person may change.
    rng : numpy.random.Generator
    """
    n = data.n_items
    needed = _BYTES_AN_ENTRY * n * n / 2**30
    if needed > part.max_gib:
        raise ParameterError(f"Private: {n:,} items need about {needed:.1f} GiB, more than max_gib={part.max_gib} of "
                             f"EASE; keep fewer items (k_core) or raise it.")
    histories = Histories(recent=part.recent).storing(data.csr, context.facts.seen)
    rows = weighted(Histories().plain(data.csr), 1.0)
    counts = np.bincount(rows.indices, rows.weights, n) + rng.standard_normal(n) * noise / np.sqrt(_COUNTING)
    deviation = noise * np.sqrt(0.5 / (1 - _COUNTING))
    kept = _told_from_noise(counts, deviation)
    rows = _among(rows, kept)
    columns = rows.T
    gram = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices, rows.weights)
    gram += symmetric_noise(len(kept), deviation, rng)
    edge = 2 * deviation * np.sqrt(len(kept))
    reg = max(_OF_NOISE * edge, _LEAST) if part.reg is None else float(part.reg)
    popular = np.maximum(counts, 1.0)
    weights = np.zeros((n, n), np.float32)
    weights[np.ix_(kept, kept)] = part.weights_of(cleaned(gram, edge), reg, popular[kept] ** part.item_power)
    return Learned(DenseSimilarities(part.can, histories, weights), {"reg_": reg, "known_items_": len(kept)},
                   ({}, {"item_counts": np.ceil(np.maximum(counts, 0)).astype(np.int64)}))


def _told_from_noise(counts: np.ndarray, deviation: float) -> np.ndarray:
    """The most popular items, as many as are above what noise gives a matrix of so many: ascending, at least one."""
    order = np.argsort(-counts, kind="stable")
    enough = counts[order] > _POPULAR * 2 * deviation * np.sqrt(np.arange(1, len(order) + 1))
    return np.sort(order[:max(int(np.argmin(enough)) if not enough.all() else len(order), 1)])


def _among(rows: CSR, kept: np.ndarray) -> CSR:
    """Rows of some items alone, numbered anew and scaled to length 1."""
    number = np.full(rows.shape[1], -1)
    number[kept] = np.arange(len(kept))
    left = rows.where(number[rows.indices] >= 0)
    return weighted(CSR(left.indptr, number[left.indices].astype(np.int32), None, (rows.shape[0], len(kept))), 1.0)


def symmetric_noise(n: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """A symmetric matrix of independent normal numbers, those of the diagonal sqrt(2) times as large: (n, n).

    Examples
    --------
    >>> drawn = symmetric_noise(500, 2.0, np.random.default_rng(0))
    >>> round(float(drawn.std()), 1), round(float(np.diag(drawn).std()), 1), bool((drawn == drawn.T).all())
    (2.0, 2.8, True)
    """
    drawn = rng.standard_normal((n, n)) * deviation
    return np.asarray((drawn + drawn.T) / np.sqrt(2))


def cleaned(matrix: np.ndarray, edge: float) -> np.ndarray:
    """What is left of a symmetric matrix to which noise was added, whose largest eigenvalue alone is `edge`.

    An eigenvalue x of what was there appears as `y = x + (edge / 2)^2 / x` if x is above `edge / 2`, and within noise
    otherwise; those within noise become 0, and the others `sqrt(y^2 - edge^2)`, which is nearest to what was there, as
    the eigenvector is not quite the one that was.

    Source: Benaych-Georges and Nadakuditi 2011, "The eigenvalues and eigenvectors of finite, low rank perturbations of
    large random matrices", section 3.1 (Gaussian matrices); Gavish and Donoho 2017, "Optimal shrinkage of singular
    values", equation 7 (the Frobenius norm, of a square matrix).

    Examples
    --------
    >>> cleaned(np.diag([5.0, 1.0]), 4.0).round(3).tolist()
    [[3.0, 0.0], [0.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(matrix)
    out = values > edge
    vectors = vectors[:, out]
    shrunk = np.sqrt(values[out]**2 - edge**2)
    return np.asarray(runtime.matmul(vectors * shrunk, np.ascontiguousarray(vectors.T)))
