"""Estimators that learn and scorers that answer: what every recommender is made of.

Names resolve on first use, so that a file can be answered from without what it takes to learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.lazy import resolving

if TYPE_CHECKING:
    from recsys.estimator.capabilities import Can as Can
    from recsys.estimator.capabilities import Depends as Depends
    from recsys.estimator.context import Context as Context
    from recsys.estimator.facts import Facts as Facts
    from recsys.estimator.fitted import Fitted as Fitted
    from recsys.estimator.fitted import Learned as Learned
    from recsys.estimator.recommender import Recommender as Recommender
    from recsys.estimator.scorers import Scorer as Scorer

_HOMES = {"Can": "capabilities", "Context": "context", "Depends": "capabilities", "Facts": "facts", "Fitted": "fitted",
          "Learned": "fitted", "Recommender": "recommender", "Scorer": "scorers"}

__all__ = ["Can", "Context", "Depends", "Facts", "Fitted", "Learned", "Recommender", "Scorer"]

__getattr__, __dir__ = resolving(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
