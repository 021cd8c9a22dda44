"""How good a model is while it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recsys.data.parts import Split

if TYPE_CHECKING:
    from recsys.models.hooks import Hooks

__all__ = ["validation"]


def validation(model: Hooks, split: Split, metric: str = "ndcg@10", candidates: str = "train") -> Callable[[], float]:
    """A function that measures a model as it stands on the validation part, the larger the better.

    What is asked is worked out, and warned of, once; that training does not contain it is plain, and not looked at.

    Parameters
    ----------
    model : Recommender
        The copy that learns, which answers for as long as it is measured.
    split : Split
    metric, candidates : str
        As `evaluate` has them; of errors the negative is given.
    """
    from recsys.evaluation.evaluator import Question
    from recsys.evaluation.metrics import LOWER_IS_BETTER, RATINGS, parse

    wanted = parse(metric)
    question = Question(split, [wanted], "ratings" if wanted.name in RATINGS else "ranking", "valid", candidates)

    def measure() -> float:
        model._fitted = True
        try:
            found = question.ask(model)
        finally:
            model._fitted = False
        question.warn(found.card)
        return -found.values[metric] if wanted.name in LOWER_IS_BETTER else found.values[metric]

    return measure
