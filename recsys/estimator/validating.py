"""How good a model is while it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.parts import Split
from recsys.estimator.facts import Facts
from recsys.estimator.fitted import Fitted, Learned
from recsys.estimator.scorers import Scorer
from recsys.evaluation.evaluator import Question
from recsys.evaluation.metrics import LOWER_IS_BETTER, RATINGS, parse

__all__ = ["validation"]


class _Learning(Fitted):
    """What answers one question and is then changed, so that no index is built for it."""

    def products(self, users: np.ndarray, history: CSR | None = None) -> None:
        """Not offered: scores come in blocks."""


def validation(learner: Any, facts: Facts, split: Split, scorer: Callable[[], Scorer],
               metric: str = "ndcg@10", candidates: str = "train") -> Callable[[], float]:
    """A function that measures, on the validation part, what is being learned as it stands, the larger the better.

    What is asked is worked out, and warned of, once; that training does not contain it is plain, and not looked at.

    Parameters
    ----------
    learner : Recommender
        For messages.
    facts : Facts
    split : Split
    scorer : callable
        What would answer now.
    metric, candidates : str
        As `evaluate` has them; of errors the negative is given.
    """
    wanted = parse(metric)
    question = Question(split, [wanted], "ratings" if wanted.name in RATINGS else "ranking", "valid", candidates)

    def measure() -> float:
        now = _Learning(type(learner).__name__, {}, facts, Learned(scorer()), learner.remedy())
        found = question.ask(now)
        question.warn(found.card)
        value: float = found.values[metric]
        return -value if wanted.name in LOWER_IS_BETTER else value

    return measure
