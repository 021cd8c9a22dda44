"""Hybrids: several models that are mixed, that take turns, or of which one chooses what the others order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Learned
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, whole
from recsys.estimator.scorers.blend import together
from recsys.models.hybrid.blending import blended
from recsys.models.hybrid.choosing import one_of_them
from recsys.models.hybrid.composed import Composed
from recsys.models.hybrid.naming import Spec, settled

__all__ = ["CascadeHybrid", "SwitchingHybrid", "WeightedHybrid"]

_CAN = Can(fold_in=True, cold_user=True, cold_item=True, explain=True)


def _can(can: Can, model: Any) -> Can:
    return together([part.can for part in model.parts()])


class WeightedHybrid(Composed):
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

    can: ClassVar[Any] = Depends(_CAN, _can)
    checks: ClassVar[dict[str, Check]] = {"seed": whole(0)}
    draws: ClassVar[Any] = True  # whose events are held out

    seed: int

    def __init__(self, *, models: Sequence[Spec] = ("ALS", "ItemKNN", "Popular"), seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The parts, and their weights."""
        return blended(self.parts(), data, context, self.seed)


class SwitchingHybrid(Composed):
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

    can: ClassVar[Any] = Depends(_CAN, _can)
    checks: ClassVar[dict[str, Check]] = {"seed": whole(0)}
    draws: ClassVar[Any] = True  # whose events are held out

    seed: int

    def __init__(self, *, models: Sequence[Spec] = ("ALS", "ItemKNN", "Popular"), seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The parts, and their weights."""
        return blended(self.parts(), data, context, self.seed, one_of_them)


class CascadeHybrid(Composed):
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

    can: ClassVar[Any] = Depends(_CAN, _can)
    checks: ClassVar[dict[str, Check]] = {"candidates": whole(1), "seed": whole(0)}
    draws: ClassVar[Any] = True  # whose events are held out

    candidates: int
    seed: int

    def __init__(self, *, models: Sequence[Spec] = ("ItemKNN", "ALS", "Popular"), candidates: int = 100,
                 seed: int = 0) -> None:
        models = settled(models)
        self.store_parameters(locals())

    def learn(self, data: Interactions, context: Context) -> Learned:
        """The parts, and their weights."""
        return blended(self.parts(), data, context, self.seed, candidates=self.candidates)
