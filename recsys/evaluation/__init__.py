"""Metrics with exact ties, full ranking, named protocols, and comparisons that tell luck from skill.

>>> from recsys.evaluation import PROTOCOLS
>>> [name for name in PROTOCOLS if name.startswith("predefined")]
['predefined', 'predefined-train', 'predefined-repeats', 'predefined-ratings']
"""

from recsys.evaluation.comparison import OverSeeds, Table, compare, over_seeds
from recsys.evaluation.evaluator import Evaluation, evaluate
from recsys.evaluation.groups import by_history
from recsys.evaluation.protocols import PROTOCOLS, Protocol, Result, run
from recsys.evaluation.runs import Interrupted, Runs, run_all, run_each

__all__ = ["PROTOCOLS", "Evaluation", "Interrupted", "OverSeeds", "Protocol", "Result", "Runs", "Table", "by_history",
           "compare", "evaluate", "over_seeds", "run", "run_all", "run_each"]
