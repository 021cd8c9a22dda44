"""Trained models from files, with the class that can go on learning."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from recsys.artifact.container import manifest, read, tuples
from recsys.errors import ArtifactError, RecsysError
from recsys.estimator import Recommender, storing
from recsys.estimator.arrays import Arrays, within
from recsys.estimator.fitted import Fitted
from recsys.estimator.networks import own_networks
from recsys.estimator.registry import REGISTRY, model_class

__all__ = ["load", "manifest"]


def load(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = True,
         classes: Mapping[str, type[Recommender]] | None = None) -> Recommender:
    """Read a model that `save` has written; it answers with the same bits.

    Parameters
    ----------
    path : str or path
    mmap : bool
        Map the arrays into memory instead of reading them: processes then share them, and what is not used is
        never read (with `verify=False`).
    verify : bool
        Compare every array with its checksum.
    classes : mapping of names to classes, optional
        Models of your own that the file may name, beside those of `recsys.models`.

    Raises
    ------
    ArtifactError
        The file is none of ours, is damaged or truncated, of a newer format, or names a class that is not
        known.
    """
    path = os.fspath(path)
    kind = _class(path, manifest(path)["class"], classes or {})
    card, arrays = read(path, mmap=mmap, verify=verify)
    try:
        model = kind(**kind.current({name: tuples(value) for name, value in card["parameters"].items()}, say=False))
        model.check_parameters()
        with own_networks(_makers(classes or {})):
            fitted = _of_format_1(model, card, arrays) if card["format"] == 1 else replace(
                storing.restore(card, arrays), parameters=model.get_params())
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecsysError) as error:
        raise ArtifactError(f"{path}: the contents do not make a {card['class']} ({error}); fit and save the model "
                            f"again.") from error
    return kind.adopt(fitted)


def _makers(classes: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """What builds the networks of one's own models, by name: from the numbers of users and items, and parameters."""
    return {name: lambda n_users, n_items, rng, kind=kind, **options: kind(**options).build(n_users, n_items, rng)
            for name, kind in classes.items() if hasattr(kind, "build")}


def _of_format_1(model: Recommender, card: Mapping[str, Any], arrays: Arrays) -> Fitted:
    from recsys.models.earlier import learned_of_format_1

    facts = storing.restore_facts(card["data"], arrays)
    learned = learned_of_format_1(model, facts, within("state", arrays))
    return Fitted(type(model).__name__, model.get_params(), facts, learned, model.remedy())


def _class(path: str, name: str, classes: Mapping[str, type[Recommender]]) -> type[Recommender]:
    if name in classes:
        return classes[name]
    if name not in REGISTRY:
        raise ArtifactError(f"{path}: holds a {name!r}, which is not a model of recsys; if it is yours, load it with "
                            f"classes={{{name!r}: ...}}.")
    found: type[Recommender] = model_class(name)
    return found
