"""What scores, and so their parts, mean."""

from __future__ import annotations

from recsys.estimator.fitted import Fitted
from recsys.estimator.scorers.blend import Blend
from recsys.estimator.scorers.confidence import Confidence
from recsys.estimator.scorers.constant import Constant
from recsys.estimator.scorers.factors import Factors
from recsys.estimator.scorers.filtered import Filtered
from recsys.estimator.scorers.friends import Friends
from recsys.estimator.scorers.neighbours import UserNeighbours
from recsys.estimator.scorers.networks import HistoryNetwork, PairNetwork
from recsys.estimator.scorers.profiles import Profiles
from recsys.estimator.scorers.reranked import Reranked
from recsys.estimator.scorers.sessions import SessionNeighbours
from recsys.estimator.scorers.similarities import DenseSimilarities, SparseSimilarities
from recsys.estimator.scorers.transitions import Transitions

__all__ = ["unit_of"]

_ORDER = "only the order and the differences of one person's scores mean something"
_KINDS = (
    (Transitions, "shares of what came next after the items of the history"),
    (Filtered, f"how strongly paths through other people's histories lead to the item; {_ORDER}"),
    (DenseSimilarities, f"weights of a regression in which 1 stands for an item of the history; {_ORDER}"),
    (SparseSimilarities, f"sums of weights between items; {_ORDER}"),
    ((UserNeighbours, SessionNeighbours), f"sums of similarities to other people; {_ORDER}"),
    (Friends, "the part of the people trusted who had the item, by how much each counts"),
    (Profiles, f"how much the words of the item are those of the history; {_ORDER}"),
    (Blend, "standard deviations above the mean item, the mean of the parts' by their weights"))
_LOSSES = {
    "softmax": "logarithms: a difference of 0.69 makes an item twice as likely to be the one",
    "multinomial": "logarithms: a difference of 0.69 makes an item twice as likely to be the one",
    "bce": "logarithms of odds: a difference of 0.69 doubles the odds", "logistic": "logarithms of odds: a difference "
    "of 0.69 doubles the odds", "bpr": "logarithms of odds: a difference of 0.69 doubles the odds that the one is "
    "preferred to the other"}


def unit_of(fitted: Fitted) -> str:
    """What the numbers of a model mean, in words.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> from recsys.models import ALS
    >>> unit_of(ALS(factors=2).fit(Interactions.from_arrays([1, 1, 2], ["tea", "jam", "tea"])).require("unit"))
    'preference: near 1 for what somebody would take, near 0 for what not'
    """
    scorer = fitted.scorer.part if isinstance(fitted.scorer, Reranked) else fitted.scorer
    if scorer.can.ratings:
        low, high = fitted.facts.rating_range or (0.0, 1.0)
        return f"points of the ratings, which go from {low:g} to {high:g}"
    if isinstance(scorer, Constant):
        return "training events of the item"
    if isinstance(scorer, Factors) and isinstance(scorer.fold_in, Confidence):
        return "preference: near 1 for what somebody would take, near 0 for what not"
    if isinstance(scorer, Factors | HistoryNetwork | PairNetwork):
        loss = str(fitted.parameters.get("loss", ""))
        return _LOSSES.get(loss, f"the model's own; {_ORDER}")
    return next((words for kind, words in _KINDS if isinstance(scorer, kind)), f"the model's own; {_ORDER}")
