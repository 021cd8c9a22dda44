"""The models, by name, a folder a family.

Names resolve on first use, so that importing one model does not import all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recsys.estimator.registry import REGISTRY, find, model_class, models_that

if TYPE_CHECKING:
    from recsys.estimator import Can as Can
    from recsys.estimator import Recommender as Recommender

_SHARED = ("Can", "Recommender")

__all__ = [*_SHARED, "REGISTRY", "find", "model_class", "models_that", *REGISTRY]


def __getattr__(name: str) -> Any:
    if name in _SHARED:
        from recsys import estimator

        return getattr(estimator, name)
    if name not in REGISTRY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return model_class(name)


def __dir__() -> list[str]:
    return sorted(__all__)
