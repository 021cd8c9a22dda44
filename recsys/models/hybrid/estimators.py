"""Hybrids: several models that are mixed, that take turns, or of which one chooses what the others order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.parts import joined
from recsys.data.splits import split_last, split_random
from recsys.errors import ParameterError
from recsys.estimator import Can, Context, Facts, Learned, Recommender
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, whole
from recsys.estimator.scorers import Scorer
from recsys.estimator.scorers.blend import Blend, together
from recsys.models.hybrid.choosing import Pools, best_weights, one_of_them
from recsys.models.hybrid.naming import Spec, made, settled

__all__ = ["CascadeHybrid", "SwitchingHybrid", "WeightedHybrid"]

_HELD_OUT = 0.1  # of everybody's events, where no validation events are given
_ASKED = 1000  # people whose lists are looked at


def _parts(models: Any) -> list[Recommender]:
    if isinstance(models, str) or not isinstance(models, Sequence):
        raise ParameterError(f"models must be several models or their names, such as ('ALS', 'ItemKNN'), not "
                             f"{models!r}.")
    return list(map(made, models))


def _distinct(names: list[str]) -> list[str]:
    """Names that come again with their number: ["ALS", "ALS"] -> ["ALS", "ALS 2"]."""
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [name if number == 1 else f"{name} {number}" for name, number in zip(names, numbers, strict=True)]


def _can(can: Can, model: Any) -> Can:
    return together([part.can for part in _parts(model.models)])


def _read(model: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in _parts(model.models) for name in part.reads))


class _Hybrid(Recommender):
    """Several models, fitted on the same data, and weights that validation events choose.

    A subclass may write `_choose(pools)`: the weights of the parts for people with histories of one class of lengths.
    """

    can: ClassVar[Any] = Depends(Can(fold_in=True, cold_user=True, cold_item=True, explain=True), _can)
    reads: ClassVar[Any] = property(_read)
    checks: ClassVar[dict[str, Check]] = {"seed": whole(0)}

    models: tuple[Any, ...]
    seed: int
    candidates: int | None = None

    @property
    def looks_at_values(self) -> bool:
        """Whether a part does."""
        return any(part.looks_at_values for part in _parts(self.models))

    @property
    def looks_at_times(self) -> bool:
        """Whether a part does."""
        return any(part.looks_at_times for part in _parts(self.models))

    def lacks(self, data: Interactions) -> str:
        """What the parts need and the data does not have."""
        return ", ".join(dict.fromkeys(lack for part in _parts(self.models) if (lack := part.lacks(data))))

    def with_blanks(self, data: Interactions) -> Interactions:
        """The data with blank content for the parts that read some."""
        for part in _parts(self.models):
            data = part.with_blanks(data)
        return data

    def check_parameters(self) -> None:
        """Raise ParameterError for the first hyper-parameter, of the parts too, that is out of its range."""
        super().check_parameters()
        parts = _parts(self.models)
        if len(parts) < 2:
            raise ParameterError(f"{type(self).__name__}: models must be two or more, not {len(parts)}.")
        for part in parts:
            part.check_parameters()

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The parts, on a part of the data to choose the weights, and then on all of it."""
        parts = _parts(self.models)
        train, valid = self._divided(data, parts) if context.valid is None else (data, context.valid)
        scorers = [self._fitted_part(part, train, context) for part in parts]
        limits, weights = self._weights(scorers, train, valid, context.valid_history, context.facts)
        if len(train) < len(data):
            scorers = [self._fitted_part(part, data, context) for part in parts]
        blend = Blend(scorers, weights, context.facts.item_counts > 0, data.csr.counts.astype(np.int32), limits=limits,
                      candidates=self.candidates)
        names = _distinct([type(part).__name__ for part in parts])
        shares = {str(limit): dict(zip(names, row.round(4).tolist(), strict=True))
                  for limit, row in zip([*limits, "more"], weights, strict=True)}
        return Learned(blend, {"weights_": shares})

    def _choose(self, pools: Pools) -> np.ndarray:
        return best_weights(pools)

    def _divided(self, data: Interactions, parts: list[Recommender]) -> tuple[Interactions, Interactions]:
        """What the parts learn first, and the events of some people by which the weights are chosen."""
        if any(part.can.sequence for part in parts):
            split = split_last(data, valid=False)
        else:
            split = split_random(data, valid=0.0, test=_HELD_OUT, seed=self.seed)
        train, held = split.train, split.test
        people = np.unique(held.user)
        asked = np.random.default_rng(self.seed).permutation(people)[:_ASKED]
        mine = np.isin(held.user, asked)
        return joined(train, held.take(~mine), held.user[~mine]), held.take(mine)

    def _fitted_part(self, part: Recommender, data: Interactions, context: Context) -> Scorer:
        facts = context.facts if len(data) == len(context.facts.pairs.indices) else Facts.of(data, part.keeps_events)
        return part.learn(data, replace(context, facts=facts, valid=None, valid_history=None)).scorer

    def _weights(self, scorers: list[Scorer], train: Interactions, valid: Interactions,
                 history: Interactions | None, facts: Facts) -> tuple[list[int], np.ndarray]:
        """Limits of the classes of histories, and weights of the parts in each: (L, K)."""
        equal = np.full((1, len(scorers)), 1 / len(scorers))
        seen = train.csr if history is None else history.csr
        people = np.unique(valid.user)
        people = people[seen.counts[people] > 0]
        if not len(people) or (history is not None and not all(scorer.can.fold_in for scorer in scorers)):
            return self._with_nobody(scorers, [], equal)
        histories = seen.rows(people)

        def score(part: Scorer, rows: np.ndarray) -> np.ndarray:
            return part.score(people[rows]) if history is None else part.fold(histories.rows(rows))

        pools = Pools.of(scorers, histories.unique(), valid.csr.unique().rows(people), facts.item_counts > 0, score,
                         self.candidates)
        classes = list(pools.classes())
        limits = [limit for limit, _ in classes if limit is not None]
        return self._with_nobody(scorers, limits, np.stack([self._choose(pool) for _, pool in classes]))

    @staticmethod
    def _with_nobody(scorers: list[Scorer], limits: list[int], weights: np.ndarray) -> tuple[list[int], np.ndarray]:
        """With a class for those without a history, of the parts that have something to say to them."""
        able = np.array([scorer.can.cold_user for scorer in scorers])
        if not able.any() or able.all():
            return limits, weights
        own = weights[0] * able
        own = own / own.sum() if own.any() else able / able.sum()
        return [0, *limits], np.vstack([own, weights])


class WeightedHybrid(_Hybrid):
    """The weighted sum of several models' scores, with weights by the length of the history.

    Each model's scores are brought to mean 0 and variance 1 over the items that it knows; an item that it does not
    know, having no events, is scored by the others alone. The weights have the best NDCG@10 on validation events: those
    given to `fit` as `valid`, or a tenth of the events of up to 1000 people, which the models then learn as well. They
    are chosen for people with 1 or 2 events, 3 to 5, 6 to 10 and more, where there are enough of each; and if no
    mixture is ahead of the best model by a standard error, that one has all weight.

    Parameters
    ----------
    models : sequence of models, names, or pairs of a name and a dict of hyper-parameters
        Two or more.
    seed : int

    Attributes
    ----------
    weights_ : dict of str to dict of str to float
        The share of each model, by the largest length of the history.

    References
    ----------
    Burke, Hybrid Recommender Systems: Survey and Experiments, UMUAI 2002, section 4.1.

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    >>> model = WeightedHybrid(models=("EASE", "ItemKNN")).fit(data)
    >>> len(model.recommend(1, k=3).items)
    3
    """

    def __init__(self, *, models: Sequence[Spec] = ("ALS", "ItemKNN", "Popular"), seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())


class SwitchingHybrid(_Hybrid):
    """Several models that take turns: each person is answered by the one that serves histories of that length best.

    The choice is made as that of the weights of `WeightedHybrid`. Items without events are scored by the models that
    read their content, and people without a history by those that need none; `Recs.source` says which of them an entry
    is of: model, content or popular.

    Parameters
    ----------
    models, seed
        As for `WeightedHybrid`.

    Attributes
    ----------
    weights_ : dict of str to dict of str to float
        1 for the model that answers, by the largest length of the history.

    References
    ----------
    Burke, Hybrid Recommender Systems: Survey and Experiments, UMUAI 2002, section 4.2.

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    >>> model = SwitchingHybrid(models=("EASE", "Popular")).fit(data)
    >>> set(model.recommend(history=[], k=3).source.tolist())
    {'popular'}
    """

    def __init__(self, *, models: Sequence[Spec] = ("ALS", "ItemKNN", "Popular"), seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())

    def _choose(self, pools: Pools) -> np.ndarray:
        return one_of_them(pools)


class CascadeHybrid(_Hybrid):
    """The first model chooses candidates, and all models together put them in order; the rest follows as it was.

    The weights are those of `WeightedHybrid`, chosen on the candidates.

    Parameters
    ----------
    models, seed
        As for `WeightedHybrid`.
    candidates : int
        How many items of the first model are put in order anew.

    Attributes
    ----------
    weights_ : dict of str to dict of str to float
        The share of each model, by the largest length of the history.

    References
    ----------
    Burke, Hybrid Recommender Systems: Survey and Experiments, UMUAI 2002, section 4.5.

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    >>> model = CascadeHybrid(models=("ItemKNN", "Popular"), candidates=10).fit(data)
    >>> len(model.recommend(1, k=3).items)
    3
    """

    checks: ClassVar[dict[str, Check]] = {"candidates": whole(1)}

    def __init__(self, *, models: Sequence[Spec] = ("ItemKNN", "ALS", "Popular"), candidates: int = 100,
                 seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())
