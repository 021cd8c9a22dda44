"""Scores that are sums, split into their terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recsys.estimator.scorers.base import Scorer
from recsys.estimator.scorers.biases import fold_user_bias
from recsys.estimator.scorers.codes import Codes, deviations
from recsys.estimator.scorers.constant import Constant
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.folding import LinearMap
from recsys.estimator.scorers.friends import Friends
from recsys.estimator.scorers.least_squares import LeastSquares
from recsys.estimator.scorers.reranked import Reranked
from recsys.estimator.scorers.sums import Sums
from recsys.explanation.fields import feature_terms
from recsys.explanation.person import Person
from recsys.explanation.results import Part

__all__ = ["Terms", "terms_of"]


@dataclass(frozen=True, eq=False)
class Terms:
    """What each event of a history adds, float64 (n,), and all else that a score is the sum of."""

    events: np.ndarray
    others: list[Part] = field(default_factory=list)


def terms_of(person: Person, item: int) -> Terms | None:
    """The terms of an item's score, where it is a sum; else None.

    What training learned of a user beside the history is a term of its own, so that the terms sum to the user's score.
    """
    scorer = person.fitted.scorer
    if isinstance(scorer, Reranked):
        return _rearranged(person, scorer, item)
    found = _terms(person, scorer, item)
    if found is not None and person.has_vector and person.fitted.can.fold_in:
        found.others.append(Part("person", "what training learned of you besides", person.beyond(item)))
    return found


def _terms(person: Person, scorer: Scorer, item: int) -> Terms | None:
    if isinstance(scorer, Constant):
        return _constant(person, scorer, item)
    if isinstance(scorer, Friends):
        return _friends(person, scorer, item)
    if isinstance(scorer, Factors):
        fold_in = scorer.fold_in
        if fold_in is None:
            return _features(person, item)
        for kind, split in _FOLDED.items():
            if isinstance(fold_in, kind):
                return split(person, scorer, fold_in, item)
    if not scorer.can.explain_exact:
        return None
    events = np.asarray(scorer.contributions(person.indices, person.values, item), np.float64)
    rest = scorer.unexplained(person.indices, person.values, item, person.user)
    label = "what your features foretell" if isinstance(scorer, Factors) else "the item's usual rating, and yours"
    return Terms(events, [Part("base", label, float(rest))] if rest else [])


def _rearranged(person: Person, scorer: Reranked, item: int) -> Terms | None:
    """The terms of the part's score, and what the exchange of scores adds."""
    found = _terms(person, scorer.part, item)
    if found is None:
        return None
    if person.user >= 0:
        own = scorer.part.score(np.array([person.user]))[0, item]
        fold = scorer.part.fold(person.rows(np.ones((1, person.n), bool)))[0, item] if scorer.part.can.fold_in else own
        found.others.append(Part("person", "what training learned of you besides", float(own - fold)))
    else:
        own = scorer.part.fold(person.rows(np.ones((1, person.n), bool)))[0, item]
    moved = float(person.whole[item]) - float(own)
    if moved:
        found.others.append(Part("arranged", "the place in a list made more varied", moved))
    return found


def _constant(person: Person, scorer: Constant, item: int) -> Terms:
    """Mean, bias of the person and bias of the item; or the item's number alone."""
    nothing = np.zeros(person.n)
    if scorer.user_bias is None:
        return Terms(nothing, [Part("item", "its popularity", float(scorer.item_bias[item]))])
    bias = float(scorer.user_bias[person.user]) if person.user >= 0 else float(person.whole[item]) - (
        scorer.mean + float(scorer.item_bias[item]))
    return Terms(nothing, [Part("base", "the usual rating", float(scorer.mean)),
                           Part("item", "how the item is rated by all", float(scorer.item_bias[item])),
                           Part("person", "how you rate", bias)])


def _friends(person: Person, scorer: Friends, item: int) -> Terms:
    """Who is trusted and had the item, not by name: what they did is theirs to tell."""
    trusted, weights = scorer.trusted(np.array([person.user])).row(0)
    column, values = scorer.histories.rows.T.row(item)
    own = np.zeros(scorer.histories.rows.shape[0])
    own[column] = 1 if values is None else values
    parts = own[trusted] * (1.0 if weights is None else weights.astype(np.float64))
    had = int(np.count_nonzero(parts))
    if not had:
        return Terms(np.zeros(person.n))
    who = f"{had} of the {len(trusted)} people you trust or they trust"
    return Terms(np.zeros(person.n), [Part("friends", f"that {who} had it", float(parts.sum()))])


def _features(person: Person, item: int) -> Terms | None:
    found = feature_terms(person.fitted, person.user, item)
    return None if found is None else Terms(np.zeros(person.n), found)


def _linear_map(person: Person, factors: Factors, fold_in: LinearMap, item: int) -> Terms:
    """`(M' mean + m) . q_i + b_i`: the mean's terms."""
    vector = factors.item_factors[item].astype(np.float64)
    toward = fold_in.fold_map.astype(np.float64) @ vector  # (f + 1,)
    distinct, place, times = np.unique(person.indices, return_inverse=True, return_counts=True)
    rows = factors.item_factors[person.indices].astype(np.float64)
    events = rows @ toward[:-1] / max(len(distinct), 1) / times[place]
    return Terms(events, [Part("base", "what anybody gets", float(toward[-1])),
                          Part("item", "the item itself, for everybody", float(factors.item_bias[item]))])


def _least_squares(person: Person, factors: Factors, fold_in: LeastSquares, item: int) -> Terms:
    """The user's vector and bias are linear in how far each rating is from what is usual."""
    n, f, scale = person.n, factors.item_factors.shape[1], factors.scale
    others = [Part("base", "the usual rating", factors.mean * scale),
              Part("item", "how the item is rated by all", float(factors.item_bias[item]) * scale)]
    if not n or person.values is None:
        return Terms(np.zeros(n), others)
    items, vector = person.indices, factors.item_factors[item].astype(np.float64)
    rows = factors.item_factors[items].astype(np.float64)
    ratings = (person.values / np.float32(scale)).astype(np.float64)
    implicit = np.zeros((n, f))
    if len(fold_in.implicit_factors):
        implicit = fold_in.implicit_factors[items].astype(np.float64) / np.sqrt(n)
    usual = ratings - factors.mean - factors.item_bias[items].astype(np.float64)
    found = fold_in.reg_user is not None
    biases = usual / max(n + (fold_in.reg_user or 0.0), 1e-12) if found else np.zeros(n)
    target = usual - rows @ implicit.sum(axis=0) - biases.sum()
    design = np.hstack([np.zeros((n, 1)) if found or not fold_in.biased else np.ones((n, 1)), rows])
    gram = design.T @ design
    gram[np.diag_indices(len(gram))] += max(fold_in.reg * n, 1e-6)
    weights = design @ np.linalg.solve(gram, np.concatenate([[1.0], vector]))
    return Terms(scale * (weights * target + implicit @ vector + biases), others)


def _codes(person: Person, factors: Factors, fold_in: Codes, item: int) -> Terms | None:
    """A regression on the items' codes is linear in the ratings; a network's code is not."""
    if fold_in.network is not None or fold_in.item_baseline is None:
        return None
    vector = factors.item_factors[item].astype(np.float64)
    whole = person.rows(np.ones((1, person.n), bool))
    bias = fold_user_bias(whole, fold_in.mean, fold_in.item_baseline, fold_in.reg_user)
    given = deviations(whole, fold_in.mean, bias, fold_in.item_baseline, fold_in.scale).weights / np.float32(
        fold_in.scale)
    codes = factors.item_factors[person.indices, :-1].astype(np.float64)
    system = codes.T @ codes + max(fold_in.reg, 1e-3) * np.eye(codes.shape[1])
    events = given * (codes @ np.linalg.solve(system, vector[:-1]))
    return Terms(events, [Part("item", "how the item is rated by all", float(factors.item_bias[item])),
                          Part("person", "how you rate", float(bias[0] * vector[-1]))])


def _sums(person: Person, factors: Factors, fold_in: Sums, item: int) -> Terms:
    """The terms of the sum over the history."""
    events = fold_in.contributions(person.indices, person.values, item, factors)
    bias = float(factors.item_bias[item])
    return Terms(np.asarray(events, np.float64), [Part("item", "the item itself, for everybody", bias)] if bias else [])


_FOLDED: dict[type, Callable[[Person, Factors, Any, int], Terms | None]] = {
    LinearMap: _linear_map, LeastSquares: _least_squares, Codes: _codes, Sums: _sums}
