"""Models as hyper-parameters of other models: by name, or with hyper-parameters of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.errors import ParameterError
from recsys.estimator import Recommender
from recsys.estimator.registry import find

__all__ = ["Spec", "made", "named", "settled"]

Spec = str | Recommender | tuple[str, Mapping[str, Any]]
"""A model: its name, its name with hyper-parameters, or a model, which is taken as these."""


def named(model: Any) -> tuple[str, dict[str, Any]]:
    """A model as its name and hyper-parameters, which a file can hold.

    Examples
    --------
    >>> from recsys.models import EASE
    >>> named("als"), named(("ItemKNN", {"neighbours": 9})), named(EASE(reg=5.0))[1]["reg"]
    (('ALS', {}), ('ItemKNN', {'neighbours': 9}), 5.0)
    """
    if isinstance(model, Recommender):
        return type(model).__name__, model.get_params()
    name, parameters = (model, {}) if isinstance(model, str) else (*model, None)[:2] if _is_pair(model) else (None, {})
    if not isinstance(name, str) or not isinstance(parameters, Mapping):
        raise ParameterError(f"a model must be a name such as 'ALS', a pair such as ('ALS', {{'factors': 32}}), or a "
                             f"model of recsys.models, not {model!r}.")
    return find(name).__name__, dict(parameters)


def _is_pair(model: Any) -> bool:
    return isinstance(model, Sequence) and len(model) == 2


def made(model: Any) -> Recommender:
    """The model of a name and hyper-parameters, not fitted."""
    name, parameters = named(model)
    found: Recommender = find(name)().set_params(**parameters)
    return found


def settled(given: Any) -> Any:
    """What was given, but models that are no names as names and hyper-parameters."""
    if isinstance(given, Recommender):
        return named(given)
    if isinstance(given, Sequence) and any(isinstance(model, Recommender) for model in given):
        return tuple(map(named, given))
    return given
