"""Why a model answers as it does: parts of scores, what would have to be otherwise, and how far that can be trusted."""

from recsys.explanation.curves import Curves, Faithfulness, faithfulness
from recsys.explanation.explaining import METHODS, explain
from recsys.explanation.results import Counterfactual, Explanation, Part

__all__ = ["METHODS", "Counterfactual", "Curves", "Explanation", "Faithfulness", "Part", "explain", "faithfulness"]
