"""Fitted things that answer, and nothing else: small, frozen, made by learning or read from a file.

A scorer knows internal indices alone. `recsys.estimator.Recommender` puts ids before it, and asks it.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict
from typing import Any

from recsys.errors import ArtifactError
from recsys.estimator.arrays import Arrays
from recsys.estimator.capabilities import Can
from recsys.estimator.facts import Facts
from recsys.estimator.scorers.base import Scorer, State

__all__ = ["KINDS", "Scorer", "State", "restore", "state_of"]

KINDS = {
    "blend": "blend.Blend",
    "constant": "constant.Constant",
    "factors": "factors.Factors",
    "friends": "friends.Friends",
    "filtered": "filtered.Filtered",
    "history network": "networks.HistoryNetwork",
    "pair network": "networks.PairNetwork",
    "profiles": "profiles.Profiles",
    "rated by users": "rated.UserRatings",
    "rated items": "rated.ItemRatings",
    "reranked": "reranked.Reranked",
    "session neighbours": "sessions.SessionNeighbours",
    "shard": "shards.Shard",
    "similarities": "similarities.DenseSimilarities",
    "sparse similarities": "similarities.SparseSimilarities",
    "transitions": "transitions.Transitions",
    "user neighbours": "neighbours.UserNeighbours",
}
"""The kinds that a file may name, and where each is."""


def state_of(scorer: Scorer) -> State:
    """What `restore` makes the scorer of again: settings that JSON holds, and arrays.

    Raises
    ------
    ArtifactError
        A scorer of one's own, which no file can name.
    """
    kind = next((kind for kind in KINDS if _class(kind) is type(scorer)), None)
    if kind is None:
        raise ArtifactError(f"a scorer of class {type(scorer).__name__} cannot be stored; use one of recsys.estimator")
    settings, arrays = scorer.state()
    return {"kind": kind, "can": asdict(scorer.can), **settings}, arrays


def restore(settings: dict[str, Any], arrays: Arrays, facts: Facts) -> Scorer:
    """The scorer that `state_of` described."""
    kind = settings.get("kind")
    if kind not in KINDS:
        raise ArtifactError(f"there is no scorer of kind {kind!r}")
    return _class(kind).restore({**settings, "can": Can(**settings["can"])}, arrays, facts)


def _class(kind: str) -> type[Scorer]:
    module, name = KINDS[kind].split(".")
    found: type[Scorer] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found
