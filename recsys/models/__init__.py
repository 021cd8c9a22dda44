"""The models, by name, a folder a family.

Names resolve on first use, so that importing one model does not import all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.estimator.registry import REGISTRY, find, model_class, models_that
from recsys.lazy import resolving

if TYPE_CHECKING:
    from recsys.estimator import Can as Can
    from recsys.estimator import Recommender as Recommender

_HOMES = {**dict.fromkeys(("Can", "Recommender"), "recsys.estimator"),
          **{name: f"{__name__}.{module}" for name, module in REGISTRY.items()}}

__all__ = ["REGISTRY", "find", "model_class", "models_that", *_HOMES]
__getattr__, __dir__ = resolving(__name__, _HOMES)
