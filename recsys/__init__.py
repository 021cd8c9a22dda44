"""Recommenders on `minidl`: from raw interactions to a served model.

Everything named here loads on first use, so `import recsys` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys.lazy import resolving

if TYPE_CHECKING:
    from minidl import __version__ as __version__
    from recsys.data import CSR as CSR
    from recsys.data import Features as Features
    from recsys.data import IdMap as IdMap
    from recsys.data import Interactions as Interactions
    from recsys.data import Split as Split
    from recsys.data.sessions import split_sessions as split_sessions
    from recsys.data.splits import split_items as split_items
    from recsys.data.splits import split_kfold as split_kfold
    from recsys.data.splits import split_last as split_last
    from recsys.data.splits import split_predefined as split_predefined
    from recsys.data.splits import split_random as split_random
    from recsys.data.splits import split_time as split_time
    from recsys.data.splits import split_users as split_users
    from recsys.errors import DataWarning as DataWarning
    from recsys.errors import LeakWarning as LeakWarning
    from recsys.estimator.results import Recs as Recs
    from recsys.evaluation.comparison import compare as compare
    from recsys.evaluation.evaluator import evaluate as evaluate
    from recsys.loading import load as load
    from recsys.models import Recommender as Recommender

_NAMES = {
    "recsys.loading": ("load",),
    "recsys.data": ("CSR", "Features", "IdMap", "Interactions", "Split", "splits"),
    "recsys.data.sessions": ("split_sessions",),
    "recsys.data.splits": (
        "split_items", "split_kfold", "split_last", "split_predefined", "split_random", "split_time", "split_users",
    ),
    "recsys.errors": ("DataWarning", "LeakWarning"),
    "recsys.evaluation": ("compare", "evaluate"),
    "recsys.models": ("Recommender",),
    "recsys.estimator.results": ("Recs",),
}
_MODULES = ("artifact", "audit", "data", "datasets", "errors", "evaluation", "models", "progress", "report", "training")
_HOMES: dict[str, str | None] = {**{name: module for module, names in _NAMES.items() for name in names},
                                 **dict.fromkeys(_MODULES)}

__all__ = [*_HOMES]
_HOMES["__version__"] = "minidl"  # of the distribution


def _hint(name: str) -> str:
    from recsys.models import REGISTRY

    return f"; it is in recsys.models: from recsys.models import {name}" if name in REGISTRY else ""


__getattr__, __dir__ = resolving(__name__, _HOMES, _hint)
