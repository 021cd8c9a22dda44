"""Integrated gradients of networks over the weights of a history's items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import no_grad, ops, value_and_grad
from recsys.data.csr import CSR
from recsys.estimator.scorers.biases import fold_user_bias
from recsys.estimator.scorers.codes import Codes, deviations
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.networks import HistoryNetwork, PairNetwork
from recsys.explanation.person import Person
from recsys.explanation.vectors import replaced

__all__ = ["Integrated", "integrate", "path_of"]

Gated = Callable[[Any], Any]
"""Scores for weights of the history's items: Tensor (B, n) -> Tensor (B,)."""

_MOST = 640  # points of the path
_POINTS = 8  # in each part of it
_CUTS = (0.0, 1 / 64, 1 / 8, 1.0)  # layers that normalise change most near 0
_COMPLETE = 0.01  # of what the history changes
_EVENTS = 1 << 14  # in the network at a time


@dataclass(frozen=True, eq=False)
class Integrated:
    """What each item adds, along a straight path from a history that says nothing to the real one.

    Attributes
    ----------
    parts : ndarray of float64, shape (n,)
    whole, nothing : float
        The score with all weights 1, and with all 0.
    steps : int
        Points of the path.
    """

    parts: np.ndarray
    whole: float
    nothing: float
    steps: int

    @property
    def delta(self) -> float:
        """By how much the parts miss `whole - nothing`."""
        return self.whole - self.nothing - float(self.parts.sum())


def integrate(score: Gated, n: int, most: int = _MOST) -> Integrated:
    """Integrated gradients `a_j = integral over t of the derivative by weight j at (t, ..., t)`, from 0 to 1.

    By Gauss and Legendre's rule on parts of the path, 8 points each. What a part must sum to is known, the difference
    of the scores at its ends: the parts that miss it are halved, until all misses together are within 1 % of what the
    history changes, or there are `most` points.

    Parameters
    ----------
    score : callable
        Weights, Tensor (B, n), to scores, Tensor (B,); a row does not depend on the others.
    n, most : int

    References
    ----------
    Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017, equation 1; completeness is their
    proposition 1.

    Examples
    --------
    >>> found = integrate(lambda w: w[:, 0] * w[:, 1] + 2 * w[:, 1], 2)
    >>> found.parts.round(5).tolist(), found.whole, found.nothing, found.steps
    ([0.5, 2.5], 3.0, 0.0, 24)
    """
    kept: list[_Panel] = []
    starts, ends = np.array(_CUTS[:-1]), np.array(_CUTS[1:])
    nothing = whole = 0.0
    steps = 0
    while len(starts):
        low, high, slopes = _panels(score, n, starts, ends)
        steps += _POINTS * len(starts)
        if not kept:
            nothing, whole = float(low[0]), float(high[-1])
        kept += [_Panel(*each) for each in zip(starts.tolist(), ends.tolist(), (high - low).tolist(), slopes,
                                               strict=True)]
        allowed = _COMPLETE * abs(whole - nothing)
        if sum(panel.miss for panel in kept) <= allowed:
            break
        kept.sort(key=lambda panel: -panel.miss)
        count = min((most - steps) // (2 * _POINTS), sum(panel.miss > allowed / len(kept) / 2 for panel in kept))
        split, kept = kept[:count], kept[count:]
        if not split:
            break
        middle = [(panel.start + panel.end) / 2 for panel in split]
        starts = np.array([panel.start for panel in split] + middle)
        ends = np.array(middle + [panel.end for panel in split])
    return Integrated(np.sum([panel.parts for panel in kept], axis=0), whole, nothing, steps)


@dataclass(frozen=True, eq=False)
class _Panel:
    """A part of the path: by how much the score changes along it, and what each item adds."""

    start: float
    end: float
    change: float
    parts: np.ndarray

    @property
    def miss(self) -> float:
        """By how much the items miss the change."""
        return abs(self.change - float(self.parts.sum()))


def _panels(score: Gated, n: int, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores at both ends of parts of the path, and what each item adds along them: (m,), (m,), (m, n)."""
    nodes, shares = np.polynomial.legendre.leggauss(_POINTS)
    places = np.concatenate([starts, ends])
    at = (starts[:, None] + (ends - starts)[:, None] * (nodes + 1) / 2).ravel()
    both, step = value_and_grad(lambda weights: score(weights).sum()), max(1, _EVENTS // max(n, 1))
    values, slopes = np.empty(len(places)), np.empty((len(at), n))
    with no_grad():
        for i in range(0, len(places), step):
            found = score(_along(places[i:i + step], n))
            values[i:i + step] = np.asarray(getattr(found, "data", found))
    for i in range(0, len(at), step):
        slopes[i:i + step] = np.asarray(both(_along(at[i:i + step], n))[1])
    parts = np.einsum("p,mpn->mn", shares / 2, slopes.reshape(len(starts), _POINTS, n)) * (ends - starts)[:, None]
    return values[:len(starts)], values[len(starts):], parts


def _along(places: np.ndarray, n: int) -> np.ndarray:
    """The weights at some places of the path: (m, n)."""
    return np.repeat(places[:, None], n, axis=1).astype(np.float32)


def path_of(person: Person, item: int) -> Gated | None:
    """How a network's score of an item follows from weights of the history's items; None where it does not.

    The weight of an item multiplies its vectors as the network reads them: with 0 it is there, and says nothing.
    """
    scorer = person.fitted.scorer
    if not person.n:
        return None
    if isinstance(scorer, HistoryNetwork):
        return _of_history(person, scorer, item)
    if isinstance(scorer, Factors) and isinstance(scorer.fold_in, Codes):
        return _of_codes(person, scorer, scorer.fold_in, item)
    return _of_pairs(person, scorer, item) if isinstance(scorer, PairNetwork) else None


def _of_history(person: Person, scorer: HistoryNetwork, item: int) -> Gated | None:
    network = scorer.network
    if not getattr(network, "of_history", ()) or not hasattr(network, "products"):
        return None
    vectors, bias = network.products()
    vector, constant = np.asarray(vectors[item]), 0.0 if bias is None else np.asarray(bias[item])

    def score(weights: Any) -> Any:
        gated, rows = _gated(network, person.rows(np.ones(weights.shape, bool)), weights)
        users = [np.full(len(weights), person.user)] if scorer.personal and person.user >= 0 else []
        return gated.queries(rows, *users) @ vector + constant

    return score


def _of_codes(person: Person, factors: Factors, codes: Codes, item: int) -> Gated | None:
    network = codes.network
    if not getattr(network, "of_history", ()) or codes.item_baseline is None:
        return None
    whole = person.rows(np.ones((1, person.n), bool))
    bias = fold_user_bias(whole, codes.mean, codes.item_baseline, codes.reg_user)
    given = deviations(whole, codes.mean, bias, codes.item_baseline, codes.scale)
    vector = factors.item_factors[item]
    constant = vector[-2] + np.float32(bias[0]) * vector[-1] + factors.item_bias[item]

    def score(weights: Any) -> Any:
        gated, rows = _gated(network, given.rows(np.zeros(len(weights), np.int64)), weights)
        return gated.encode(rows) @ vector[:-2] + constant

    return score


def _gated(network: Any, rows: CSR, weights: Any) -> tuple[Any, CSR]:
    """The network with a row of its own, multiplied by its weight, for every event, and histories of these."""
    factors = weights.reshape((-1, 1))
    new = {}
    for path in network.of_history:
        table = network
        for name in path.split("."):
            table = getattr(table, name)
        if table is not None:
            new[id(table)] = {"weight": ops.multiply(table.weight.data[rows.indices], factors)}
    events = np.arange(rows.nnz, dtype=np.int32)
    return replaced(network, new), CSR(rows.indptr, events, rows.data, (rows.shape[0], max(rows.nnz, 1)))


def _of_pairs(person: Person, scorer: PairNetwork, item: int) -> Gated | None:
    made = person.map
    if made is None:
        return None
    items = np.array([item])

    def score(weights: Any) -> Any:
        shares = weights * np.float32(1 / person.n)
        network = made.with_users([made.vectors(shares, person.indices, i) for i in range(len(made.tables))])
        return network(np.arange(len(weights)), items)[:, 0] + scorer.offset

    return score
