"""How hybrids learn: their parts, and by validation events the weights of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.parts import joined
from recsys.data.splits import split_last, split_random
from recsys.estimator import Context, Facts, Learned, Recommender
from recsys.estimator.scorers import Scorer
from recsys.estimator.scorers.blend import Blend
from recsys.models.hybrid.choosing import Pools, best_weights

__all__ = ["blended"]

_HELD_OUT = 0.1  # of everybody's events, where no validation events are given
_ASKED = 1000  # people whose lists are looked at


def blended(parts: list[Recommender], data: Interactions, context: Context, seed: int,
            choose: Callable[[Pools], np.ndarray] = best_weights, candidates: int | None = None) -> Learned:
    """Models that have learned, on a part of the data to choose their weights by, and then on all of it.

    Parameters
    ----------
    parts : list of Recommender
    data : Interactions
    context : Context
        Weights are chosen by its validation events, if there are any; else some are held out.
    seed : int
        Of what is held out.
    choose : callable
        The weights of the parts for people with histories of one class of lengths.
    candidates : int, optional
        How many items of the first part are put in order anew.
    """
    train, valid = _divided(data, parts, seed) if context.valid is None else (data, context.valid)
    scorers = [_fitted_part(part, train, context) for part in parts]
    limits, weights = _weights(scorers, train, valid, context, choose, candidates)
    if len(train) < len(data):
        scorers = [_fitted_part(part, data, context) for part in parts]
    blend = Blend(scorers, weights, context.facts.item_counts > 0, data.csr.counts.astype(np.int32), limits=limits,
                  candidates=candidates)
    names = _distinct([type(part).__name__ for part in parts])
    shares = {str(limit): dict(zip(names, row.round(4).tolist(), strict=True))
              for limit, row in zip([*limits, "more"], weights, strict=True)}
    return Learned(blend, {"weights_": shares})


def _divided(data: Interactions, parts: list[Recommender], seed: int) -> tuple[Interactions, Interactions]:
    """What the parts learn first, and the events of some people by which the weights are chosen."""
    if any(part.can.sequence for part in parts):
        split = split_last(data, valid=False)
    else:
        split = split_random(data, valid=0.0, test=_HELD_OUT, seed=seed)
    train, held = split.train, split.test
    people = np.unique(held.user)
    asked = np.random.default_rng(seed).permutation(people)[:_ASKED]
    mine = np.isin(held.user, asked)
    return joined(train, held.take(~mine), held.user[~mine]), held.take(mine)


def _fitted_part(part: Recommender, data: Interactions, context: Context) -> Scorer:
    facts = context.facts if len(data) == len(context.facts.pairs.indices) else Facts.of(data, part.keeps_events)
    return part.learn(data, replace(context, facts=facts, valid=None, valid_history=None)).scorer


def _weights(scorers: list[Scorer], train: Interactions, valid: Interactions, context: Context,
             choose: Callable[[Pools], np.ndarray], candidates: int | None) -> tuple[list[int], np.ndarray]:
    """Limits of the classes of histories, and weights of the parts in each: (L, K)."""
    history, facts = context.valid_history, context.facts
    equal = np.full((1, len(scorers)), 1 / len(scorers))
    seen = train.csr if history is None else history.csr
    people = np.unique(valid.user)
    people = people[seen.counts[people] > 0]
    if not len(people) or (history is not None and not all(scorer.can.fold_in for scorer in scorers)):
        return _with_nobody(scorers, [], equal)
    histories = seen.rows(people)

    def score(part: Scorer, rows: np.ndarray) -> np.ndarray:
        return part.score(people[rows]) if history is None else part.fold(histories.rows(rows))

    pools = Pools.of(scorers, histories.unique(), valid.csr.unique().rows(people), facts.item_counts > 0, score,
                     candidates)
    classes = list(pools.classes())
    limits = [limit for limit, _ in classes if limit is not None]
    return _with_nobody(scorers, limits, np.stack([choose(pool) for _, pool in classes]))


def _with_nobody(scorers: list[Scorer], limits: list[int], weights: np.ndarray) -> tuple[list[int], np.ndarray]:
    """With a class for those without a history, of the parts that have something to say to them."""
    able = np.array([scorer.can.cold_user for scorer in scorers])
    if not able.any() or able.all():
        return limits, weights
    own = weights[0] * able
    own = own / own.sum() if own.any() else able / able.sum()
    return [0, *limits], np.vstack([own, weights])


def _distinct(names: list[str]) -> list[str]:
    """Names that come again with their number: ["ALS", "ALS"] -> ["ALS", "ALS 2"]."""
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [name if number == 1 else f"{name} {number}" for name, number in zip(names, numbers, strict=True)]
