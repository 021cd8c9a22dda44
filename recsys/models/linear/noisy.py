"""Linear models from a Gram matrix that does not tell of anybody: noise added once, and what it explains taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minidl import runtime
from recsys.data.csr import CSR
from recsys.kernels import neighbours as kernels
from recsys.models.linear.ease import EASE
from recsys.models.linear.forms import weighted

__all__ = ["Published", "cleaned", "published", "similarities", "symmetric_noise", "tables"]

_COUNTING = 0.05  # of the budget goes to how popular items are
_POPULAR = 0.7  # of the largest eigenvalue of the noise: how popular items are at least
_RARER = 0.25  # items count their popularity to minus this power: more is learned of what is not popular
_OF_NOISE = 0.6  # what noise adds to the penalty, relative to the largest eigenvalue


class Published(NamedTuple):
    """What is told of people's rows once and for all; from here on nothing more can be lost.

    Attributes
    ----------
    counts : ndarray, shape (n_items,)
        How popular items are.
    kept : int array, shape (k,)
        The items that are popular enough to be learned about, ascending.
    scale : ndarray, shape (k,)
        What a row is multiplied by before it is brought to length 1.
    gram : ndarray, shape (k, k)
        Of these rows, without what is within noise.
    reg : float
        A penalty for what is left of noise and chance.
    """

    counts: np.ndarray
    kept: np.ndarray
    scale: np.ndarray
    gram: np.ndarray
    reg: float


def published(rows: CSR, noise: float, rng: np.random.Generator) -> Published:
    """Counts and a Gram matrix of the rows of people, CSR (n_users, n_items), with noise.

    With x a person's row scaled to length 1, the sum of x and the sum of `x x'` are told, of which one person changes
    the first by 1 and the upper half of the second by sqrt(1/2) at most (a diagonal that is counted half). They share
    the budget: `1 / noise^2` is the sum of the two.

    Items are learned about as long as they are popular enough to be told from noise, their sum above .7 times the
    largest eigenvalue that noise gives a matrix of so many.

    Parameters
    ----------
    rows : CSR
        Distinct items.
    noise : float
        Relative to what one person may change.
    rng : numpy.random.Generator
    """
    n = rows.shape[1]
    rows = weighted(rows, 1.0)
    counts = np.bincount(rows.indices, rows.weights, n) + rng.standard_normal(n) * noise / np.sqrt(_COUNTING)
    deviation = noise * np.sqrt(0.5 / (1 - _COUNTING))
    kept = _told_from_noise(counts, deviation)
    scale = np.maximum(counts[kept], 1.0) ** -_RARER
    rows = _among(rows, kept, scale)
    columns = rows.T
    gram = kernels.gram(columns.indptr, columns.indices, columns.weights, rows.indptr, rows.indices, rows.weights)
    gram += symmetric_noise(len(kept), deviation, rng)
    edge = 2 * deviation * np.sqrt(len(kept))
    by_chance = (1 + np.sqrt(rows.shape[0] / len(kept))) ** 2  # as of EASE, of rows whose squares sum to 1
    return Published(counts, kept, scale, cleaned(gram, edge), by_chance + _OF_NOISE * edge)


def similarities(found: Published, part: EASE) -> np.ndarray:
    """The weights that `EASE` has of what is published; 0 for items that are not learned about: float32 (n, n)."""
    popular = np.maximum(found.counts, 1.0)[found.kept] ** part.item_power
    among = part.weights_of(found.gram, found.reg if part.reg is None else float(part.reg), popular)
    weights = np.zeros((len(found.counts), len(found.counts)), np.float32)
    weights[np.ix_(found.kept, found.kept)] = among * found.scale[:, None]
    return weights


def tables(found: Published, factors: int, dropout: float) -> tuple[np.ndarray, np.ndarray]:
    """W and V of a linear autoencoder `V W' x` at the minimum of its loss; 0 for items that are not learned about.

    The expected loss follows from the Gram matrix G alone: with `D = dropout / (1 - dropout) diag(G) + reg I` and
    `B = inverse(G + D) G`, V holds the largest eigenvectors of `G B`, and `W = B V` (reduced-rank regression).

    Parameters
    ----------
    found : Published
    factors : int
    dropout : float

    Returns
    -------
    ndarray, ndarray
        Each float32 (n_items, factors).
    """
    gram = found.gram
    penalised = gram.copy()
    penalised[np.diag_indices(len(gram))] += found.reg + dropout / (1 - dropout) * np.diag(gram)
    told = np.linalg.solve(penalised, gram)
    explained = runtime.matmul(gram, told)
    best = np.linalg.eigh((explained + explained.T) / 2)[1][:, ::-1][:, :factors]
    made = [np.zeros((len(found.counts), factors), np.float32) for _ in range(2)]
    for table, rows in zip(made, (runtime.matmul(told, best) * found.scale[:, None], best), strict=True):
        table[found.kept, :best.shape[1]] = rows
    return made[0], made[1]


def _told_from_noise(counts: np.ndarray, deviation: float) -> np.ndarray:
    """The most popular items, as many as are above what noise gives a matrix of so many: ascending, at least one."""
    order = np.argsort(-counts, kind="stable")
    enough = counts[order] > _POPULAR * 2 * deviation * np.sqrt(np.arange(1, len(order) + 1))
    return np.sort(order[:max(int(np.argmin(enough)) if not enough.all() else len(order), 1)])


def _among(rows: CSR, kept: np.ndarray, scale: np.ndarray) -> CSR:
    """Rows of some items alone, numbered anew, times the items' scales, and then scaled to length 1."""
    number = np.full(rows.shape[1], -1)
    number[kept] = np.arange(len(kept))
    left = rows.where(number[rows.indices] >= 0)
    indices = number[left.indices].astype(np.int32)
    values = scale[indices]
    length = np.sqrt(np.bincount(left.row_of_entry, values**2, left.shape[0]))[left.row_of_entry]
    return CSR(left.indptr, indices, (values / length).astype(np.float32), (left.shape[0], len(kept)))


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
