"""What a model supports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Can", "Depends"]


@dataclass(frozen=True)
class Can:
    """What a model supports.

    Attributes
    ----------
    ratings, ranking : bool
        Whether `predict` answers in the unit of the ratings; whether the scores rank items.
    fold_in : bool
        Answers a history that it was not trained on.
    cold_user, cold_item : bool
        Scores users, items without any training event by itself.
    sequence : bool
        The order of a history matters.
    partial_fit : bool
        Learns from new events, of new users and items too, without being given the old ones again.
    explain, explain_exact : bool
        Splits a score over the history; whether the parts sum to the score.
    embeddings : bool
        Has a vector for every item.
    """

    ratings: bool = False
    ranking: bool = True
    fold_in: bool = False
    cold_user: bool = False
    cold_item: bool = False
    sequence: bool = False
    partial_fit: bool = False
    explain: bool = False
    explain_exact: bool = False
    embeddings: bool = False


class Depends:
    """What a model can, where that follows from its hyper-parameters, and once it is fitted from what it learned.

    Parameters
    ----------
    can : Can
        What the class promises.
    of : callable
        `of(can, model) -> Can`: what a model that is not fitted will be able to do.
    """

    def __init__(self, can: Can, of: Callable[[Can, Any], Can]) -> None:
        self.can, self.of = can, of

    def __get__(self, model: Any, owner: type) -> Can:
        if model is None:
            return self.can
        return model.require("can").can if model.fitted else self.of(self.can, model)
