"""A wrapper around any model that trains it on parts of the users, so that forgetting one of them costs one part."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from recsys.data.interactions import Interactions
from recsys.estimator import Can, Context, Facts, Fitted, Learned
from recsys.estimator.capabilities import Depends
from recsys.estimator.parameters import Check, whole
from recsys.estimator.scorers.blend import Blend, together
from recsys.estimator.scorers.shards import Shard
from recsys.estimator.staying import Staying
from recsys.models.hybrid.composed import Composed
from recsys.models.hybrid.naming import Spec, settled

__all__ = ["Sharded"]


def _can(can: Can, model: Any) -> Can:
    return together([part.can for part in model.parts()])


class Sharded(Composed):
    """Several trainings of one model, each on a share of the users; forgetting trains again those that had seen them.

    A user's shard follows from the id and the seed. The scores of all shards, each brought to mean 0 and variance 1
    over the items with events, are averaged; a shard that did not learn from a user folds the history in, and has
    nothing to say if the model cannot. What this costs in accuracy is what each training lacks of the others' users.
    Events are kept, so that the shards can be trained again; `partial_fit` is not supported.

    Parameters
    ----------
    model : model, name, or pair of a name and a dict of hyper-parameters
    shards : int
        The more, the less is trained again, and the less each has to learn from.
    seed : int
        Of the shards; the model has its own.

    References
    ----------
    Bourtoule et al., Machine Unlearning, IEEE S&P 2021 (SISA). Chen et al., Recommendation Unlearning, WWW 2022
    (RecEraser, which balances shards by likeness, and weighs them by attention).

    Examples
    --------
    >>> from recsys import datasets
    >>> data = datasets.simulate(n_users=60, n_items=40, n_events=900, seed=0)[0]
    >>> model = Sharded(model="BPR", shards=3).fit(data)
    >>> model.forget(data.users.ids[0]).how
    '1 of 3 shards learned again'
    """

    can: ClassVar[Any] = Depends(Can(fold_in=True, explain=True), _can)
    checks: ClassVar[dict[str, Check]] = {"shards": whole(1), "seed": whole(0)}

    shards: int
    seed: int

    def __init__(self, *, model: Spec = "ALS", shards: int = 4, seed: int = 0) -> None:
        model = settled(model)
        self.store_parameters(locals())

    @property
    def keeps_events(self) -> bool:
        """To train shards again."""
        return True

    def learn(self, data: Interactions, context: Context) -> Learned:
        """Every shard that has events."""
        return self._learned(data, context, {})[0]

    def unlearn(self, data: Interactions, fitted: Fitted, staying: Staying, context: Context
                ) -> tuple[Learned, str, float]:
        """The shards of those who leave; the others are as they were."""
        before = {shard: part for part in fitted.answers_by(Blend).parts if isinstance(part, Shard)
                  for shard in np.unique(self._shards(fitted.users.ids[part.members]))[:1].tolist()}
        gone = set(self._shards(fitted.users.ids[~staying.keep]).tolist())
        kept = {shard: part.part for shard, part in before.items() if shard not in gone}
        learned, count = self._learned(data, context, kept)
        return learned, f"{count} of {len(before)} shards learned again", 0.0

    def _shards(self, users: np.ndarray) -> np.ndarray:
        """The shard of each id: int (n,)."""
        keys = (hashlib.sha256(f"{self.seed}:{user}".encode()).digest()[:8] for user in users.tolist())
        return np.array([int.from_bytes(key, "little") % self.shards for key in keys], np.int64)

    def _learned(self, data: Interactions, context: Context, kept: dict[int, Any]) -> tuple[Learned, int]:
        """What is learned, where the scorers of some shards are there already; and how many were learned."""
        shard, parts, count = self._shards(data.users.ids), [], 0
        history = data.csr if context.facts.events is None else context.facts.events  # as a part, which keeps none
        for number in range(self.shards):
            members = shard == number
            mine = data.take(members[data.user])
            if not len(mine):
                continue
            if number not in kept:
                kept[number], count = self._trained(mine, members, context), count + 1
            counts = np.bincount(mine.item, minlength=data.n_items)
            parts.append(Shard(kept[number], members, counts, history))
        trained, lengths = context.facts.item_counts > 0, data.csr.counts.astype(np.int32)
        return Learned(Blend(parts, np.ones(len(parts)) / len(parts), trained, lengths)), count

    def _trained(self, mine: Interactions, members: np.ndarray, context: Context) -> Any:
        (part,), users = self.parts(), mine.users.ids[members]
        own = mine.reindex(Staying(members).ids(mine.users), mine.items) if len(users) < len(members) else mine
        facts = Facts.of(own, part.keeps_events)
        return part.learn(own, replace(context, facts=facts, valid=None, valid_history=None, checkpoint=None)).scorer
