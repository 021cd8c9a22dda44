"""Linear filters of the graph of users and items."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial, chebyshev

from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Learned, Recommender
from recsys.estimator.histories import Histories
from recsys.estimator.parameters import Check, above, at_least, one_of, optional, whole
from recsys.estimator.scorers.base import Scorer
from recsys.estimator.scorers.filtered import Filtered, Response, normalised
from recsys.estimator.scorers.neighbours import strongest
from recsys.estimator.scorers.similarities import SparseSimilarities
from recsys.models.noise import noise
from recsys.models.svd import truncated_svd

__all__ = ["GraphFilter"]

_OF_P = Polynomial([0.5, -0.5])  # P, of I - 2 P
_MOST = 512  # singular vectors by default
_HEARD = 0.5  # of the largest eigenvalue that chance alone gives P: above it, a vector is taken by default,
_HALF = 0.5  # and up to it, a plateau has not risen to half its height
_FLATTEST = 30.0  # a plateau's shape: between the points that a polynomial of degree 8 meets, it would fall further
_SHAPING = ("factors", "low_pass", "degree", "shape", "asymmetry")  # of which each response has some
_USUAL: dict[str, dict[str, Any]] = {
    "chebyshev": {"low_pass": 0.1, "asymmetry": 0.3, "degree": 8, "shape": None},
    "bspm": {"low_pass": 0.2, "asymmetry": 0.0, "degree": 4, "shape": 2.5},
    "gf-cf": {"low_pass": 0.3, "asymmetry": 0.0},
    "turbo-cf": {"asymmetry": 0.5},
}


class GraphFilter(Recommender):
    """A low-pass filter of the graph of users and items: what varies slowly along its edges is kept, without training.

    With R the 0/1 matrix of histories, D_u and D the numbers of events of users and of items, `A = D_u^-1/2 R D^-1/2`
    and `P = A' A`, whose large eigenvalues belong to what varies slowly; V are the eigenvectors of the `factors`
    largest. The scores of a history x are, by `response`,

    - `"gf-cf"`: `x (P + low_pass D^-b V V' D^b)`, a linear filter and an ideal one;
    - `"bspm"`: `x (P + low_pass D^-b V V' D^b) exp(-shape P)`, blurred and then sharpened, the exponential up to
      `degree`;
    - `"chebyshev"`: `x D^-b (h(P) + low_pass V V') D^b`, where h is the polynomial of this `degree` that interpolates
      `1/2 - sign(l) |l|**shape / 2` of `l = 1 - 2 p`: a plateau, the wider the larger `shape`;
    - `"turbo-cf"`: `x P`, where `A = D_u^-a R D^(a - 1)` and every entry of P is raised to `power`.

    b is `1/2 - asymmetry` and a is `asymmetry`. P is formed for "turbo-cf" alone, as a sparse table. Everybody is
    answered from their history, in `2 degree` products with sparse matrices. `partial_fit` gives what `fit` of all
    events gives, at its cost.

    Parameters
    ----------
    response : {"chebyshev", "bspm", "gf-cf", "turbo-cf"}
    factors : int, optional
    low_pass : float, optional
        Weight of the ideal filter.
    degree : int, optional
    shape : float, optional
    asymmetry : float, optional
        1/2 is symmetric; less recommends popular items more. For "turbo-cf", more divides more by the number of events
        of users, and less by that of items.
    power : float
        For "turbo-cf".
    max_gib : float
        `fit` refuses data that would need more memory than this, for singular vectors or for the table.
    seed : int
        Of the vectors that the decomposition begins with.

    Attributes
    ----------
    factors_ : int
    low_pass_, shape_, asymmetry_ : float
    degree_ : int
        What was taken.

    References
    ----------
    Shen et al., How Powerful is Graph Convolution for Recommendation?, CIKM 2021 (GF-CF, equation 12). Choi et al.,
    Blurring-Sharpening Process Models for Collaborative Filtering, SIGIR 2023 (BSPM, one step of Runge and Kutta being
    the exponential up to degree 4). Kim et al., Graph Spectral Filtering with Chebyshev Interpolation for
    Recommendation, SIGIR 2025. Park, Shin, Shin, Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast
    Recommendation, SIGIR 2024 (its first filter).

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "bun"])
    >>> GraphFilter().fit(data).recommend(history=["tea"], k=1).items.tolist()
    ['jam']
    """

    can: ClassVar[Can] = Can(fold_in=True, partial_fit=True, explain=True, explain_exact=True)
    learns_again: ClassVar[bool] = True
    checks: ClassVar[dict[str, Check]] = {
        "response": one_of("chebyshev", "bspm", "gf-cf", "turbo-cf"), "factors": optional(whole(1)),
        "low_pass": optional(at_least(0)), "degree": optional(whole(1)), "shape": optional(above(0)),
        "asymmetry": optional(at_least(0)), "power": above(0), "max_gib": above(0),
        "seed": whole(0)}

    response: str
    factors: int | None
    low_pass: float | None
    degree: int | None
    shape: float | None
    asymmetry: float | None
    power: float
    max_gib: float
    seed: int

    def __init__(self, *, response: str = "chebyshev", factors: int | None = None, low_pass: float | None = None,
                 degree: int | None = None, shape: float | None = None, asymmetry: float | None = None,
                 power: float = 0.7, max_gib: float = 4.0, seed: int = 0) -> None:
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Singular vectors and a polynomial, or a table."""
        histories = Histories().storing(data.csr, context.facts.seen)
        rows, taken = data.csr.unique(), self._taken()
        if self.response == "turbo-cf":
            return Learned(self._table(rows, histories, taken["asymmetry"]), _named(taken))
        item_users = rows.T.counts.astype(np.float32)
        paths = normalised(rows, item_users)
        chance = noise(paths) ** 2
        if taken.get("shape", 0.0) is None:
            taken["shape"] = _bent(chance)
        vectors = self._vectors(paths, chance)
        taken["factors"] = vectors.shape[1]
        return Learned(Filtered(self.can, histories, item_users, vectors, self._response(taken)), _named(taken))

    def _taken(self) -> dict[str, Any]:
        """The parameters that the response has; None where what was taken follows from the data."""
        able = {"asymmetry"} if self.response == "turbo-cf" else {"factors", *_USUAL[self.response]}
        unable = [name for name in _SHAPING if getattr(self, name) is not None and name not in able]
        if unable:
            raise ParameterError(f"GraphFilter: response={self.response!r} has no {unable[0]}; leave it None, or take "
                                 f"another response.")
        return {name: given if getattr(self, name) is None else getattr(self, name)
                for name, given in _USUAL[self.response].items()}

    def _vectors(self, paths: CSR, chance: float) -> np.ndarray:
        """Right singular vectors: (n_items, factors)."""
        shorter, longer = sorted(paths.shape)
        factors = min(_MOST if self.factors is None else self.factors, shorter)
        self._require(4 * (shorter * (2 * factors + 256) + factors * (shorter + 3 * longer)),
                      f"{factors} singular vectors", "lower factors")
        found = truncated_svd(paths, factors, seed=self.seed)
        if self.factors is None:
            factors = max(int(np.sum(found.values ** 2 > _HEARD * chance)), 1)
        return np.ascontiguousarray(found.right[:, :factors])

    def _response(self, taken: dict[str, Any]) -> Response:
        tilt, low_pass = 0.5 - taken["asymmetry"], taken["low_pass"]
        if self.response == "chebyshev":
            return Response(_plateau(taken["degree"], taken["shape"]), (1.0,), tilt, tilt, low_pass)
        sharpened = (1.0,) if self.response == "gf-cf" else _exponential(taken["degree"], -taken["shape"])
        return Response((0.5, -0.5), sharpened, 0.0, tilt, low_pass)

    def _table(self, rows: CSR, histories: Histories, asymmetry: float) -> Scorer:
        """The scorer of Turbo-CF, whose table is symmetric."""
        n = rows.shape[1]
        self._require(24 * min(float(np.sum(rows.counts.astype(np.float64) ** 2)), n * n),
                      "the items that users share", "keep fewer events of those with most")
        own = _divided(rows, rows.counts, rows.T.counts, asymmetry)
        columns = own.T
        near = strongest(columns, own, np.ones(n), np.ones(n), n, own=np.arange(n))
        again = np.bincount(own.indices, own.weights.astype(np.float64) ** 2, n)
        near = CSR(near.indptr, near.indices, near.weights ** np.float32(self.power), near.shape)
        return SparseSimilarities(self.can, histories, near, (again ** self.power).astype(np.float32), near)

    def _require(self, n_bytes: float, what: str, way: str) -> None:
        """Raise ParameterError if so much memory is not allowed."""
        if n_bytes > self.max_gib * 2 ** 30:
            raise ParameterError(f"GraphFilter: {what} need about {n_bytes / 2 ** 30:.1f} GiB, more than "
                                 f"max_gib={self.max_gib}; {way}, or raise max_gib.")


def _named(taken: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}_": value for name, value in taken.items()}


def _bent(chance: float) -> float:
    """The shape with which a plateau is half as high where P has an eigenvalue of a part of what chance gives it."""
    within = 1 - 2 * min(_HALF * chance, 0.25)
    return float(np.clip(np.log(0.5) / np.log(within), 1, _FLATTEST))


def _divided(rows: CSR, user_counts: np.ndarray, item_counts: np.ndarray, asymmetry: float) -> CSR:
    """`D_u^-a R D^(a - 1)`."""
    data = np.repeat(np.maximum(user_counts, 1.0) ** -asymmetry, rows.counts) \
        * np.maximum(item_counts, 1.0)[rows.indices] ** (asymmetry - 1)
    return CSR(rows.indptr, rows.indices, data.astype(np.float32), rows.shape)


def _plateau(degree: int, shape: float) -> tuple[float, ...]:
    """What interpolates `1/2 - sign(l) |l|**shape / 2` at the Chebyshev points of the first kind."""
    def plateau(x: Any) -> Any:
        return 0.5 - np.sign(x) * np.abs(x) ** shape / 2

    return tuple(chebyshev.chebinterpolate(plateau, degree).tolist())


def _exponential(degree: int, rate: float) -> tuple[float, ...]:
    """`exp(rate P)` up to a degree."""
    terms = np.cumprod([1.0, *(rate / np.arange(1, degree + 1))])
    return tuple(Polynomial(terms)(_OF_P).convert(kind=Chebyshev).coef.tolist())
