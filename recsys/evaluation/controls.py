"""Does a lead come from what is known of items and users besides, or from having something to read at all?

Data in which that says nothing, or says less: a model that reads it must do better on the real data than on a control.

- `permuted`: everything is there, and belongs to others. A lead that stays does not come from what is said of whom.
- `constant`: all are told the same. A lead that stays comes from one more weight for all.
- `dropped` and `alone`: without one kind of what is known, and with it alone.

What there is to change is named "item_features", "user_features" or "friends", or one modality of the features, such as
"item_features.text", "item_features.genres" or, of the attributes, "item_features.poster".

>>> from recsys.data import Features, IdMap
>>> data = Interactions.from_arrays([1, 2], [7, 8], item_ids=IdMap([7, 8]), item_features=Features(["Alien", "Brazil"]))
>>> permuted(data, "item_features").item_features.titles.tolist()
['Brazil', 'Alien']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from recsys.checks import one_of, whole
from recsys.data.csr import CSR
from recsys.data.features import FIELDS, Features
from recsys.data.interactions import Interactions
from recsys.data.parts import Split
from recsys.errors import DataError

__all__ = ["KINDS", "WHAT", "alone", "beside", "constant", "dropped", "permuted"]

Known = TypeVar("Known", Interactions, Split)

WHAT = ("item_features", "user_features", "friends")
"""What may be known besides; `Interactions` has friends as `social`."""

KINDS = {"features": ("item_features", "user_features"), "friends": ("friends",)}
"""What may be controlled beside models, by the name that a command has for it."""

_AS_THEY_ARE = np.zeros(0, np.int64)


def permuted(data: Known, what: str, seed: int = 0) -> Known:
    """The data in which what is known of an item, or user, is that of another one.

    Features go to items of which as much is known: those without an image, say, stay without. Friends stay a graph of
    the same form, whose users have other names, given by those with as many links to and from them, so that everybody
    has as many friends as before. Only where nobody else has as many, or as much is known of none, does the next in
    order take part, so that nobody keeps their own.

    Parameters
    ----------
    data : Interactions or Split
    what : str
        See the module.
    seed : int

    Returns
    -------
    Interactions or Split
        With a note, or for a Split a line of its card, that says what was done.

    Raises
    ------
    DataError
        The data has no such features or friends.
    ParameterError
        `what` is no name of any.
    """
    whole(0).require("permuted", "seed", seed)

    def change(features: Features, chosen: list[str]) -> Features | None:
        told = np.stack([_told(features, name) for name in chosen], axis=1)
        return _taken(features, dict.fromkeys(chosen, _others(told, seed)))

    def rename(social: CSR) -> CSR:
        links = np.stack([social.counts, np.bincount(social.indices, minlength=len(social.counts))], axis=1)
        return social.submatrix(_others(links, seed))

    return _changed(data, what, change, rename, f"permuted with seed {seed}, so that it is that of others")


def constant(data: Known, what: str, seed: int = 0) -> Known:
    """The data in which the same is known of all: of each modality what one item, drawn with the seed, has.

    All friends are one user, who is drawn among those with links to them.
    """
    whole(0).require("constant", "seed", seed)
    generator = np.random.default_rng(seed)

    def change(features: Features, chosen: list[str]) -> Features | None:
        drawn = {name: generator.choice(np.flatnonzero(_told(features, name))) for name in chosen}
        return _taken(features, {name: np.full(len(features), row) for name, row in drawn.items()})

    def one_friend(social: CSR) -> CSR:
        friend = generator.choice(np.unique(social.indices))
        others = np.flatnonzero(np.arange(social.shape[0]) != friend)
        return CSR.from_pairs(others, np.full(len(others), friend), None, social.shape)

    return _changed(data, what, change, one_friend, f"the same for all, drawn with seed {seed}")


def dropped(data: Known, what: str) -> Known:
    """The data without these features or friends."""
    def change(features: Features, chosen: list[str]) -> Features | None:
        return _taken(features, dict.fromkeys(chosen))

    return _changed(data, what, change, lambda social: None, "left out")


def alone(data: Known, what: str) -> Known:
    """The data with one modality and no other, such as `alone(data, "item_features.text")`; titles are for reading too.

    All other features, of items and users, and friends are left out.
    """
    side, _, modality = what.partition(".")
    found = data.train if isinstance(data, Split) else data
    for other in WHAT:
        if other != side and _says(found, other):
            data = dropped(data, other)
    for name in _modalities(found, what, side):
        if modality and name != modality:
            data = dropped(data, f"{side}.{name}")
    return data


def beside(model: Any, data: Known, kind: str) -> dict[str, Known]:
    """The controls of what a model reads, by the names that rows of a table have for them; none if it reads none of it.

    Parameters
    ----------
    model : Recommender
        Reads what its `reads` names.
    data : Interactions or Split
    kind : {"features", "friends"}

    Returns
    -------
    dict of str to Interactions or Split
        "features permuted" and "features constant", or the same of friends.
    """
    one_of(*KINDS).require("controls", "kind", kind)
    train = data.train if isinstance(data, Split) else data
    held = [what for what in KINDS[kind] if _says(train, what) and what in getattr(model, "reads", ())]
    found = {}
    for name, control in (("permuted", permuted), ("constant", constant)):
        changed = data
        for what in held:
            changed = control(changed, what)
        if held:
            found[f"{kind} {name}"] = changed
    return found


def _changed(data: Known, what: str, change: Callable[[Features, list[str]], Features | None],
             friends: Callable[[CSR], CSR | None], how: str) -> Known:
    """The data with one side of what is known changed, and a note; a split's parts share it."""
    if isinstance(data, Split):
        changed = _changed(data.train, what, change, friends, how)
        known: dict[str, Any] = {name: getattr(changed, name) for name in ("item_features", "user_features", "social")}
        parts: dict[str, Any] = {name: replace(part, **known) for name, part in vars(data).items()
                                 if isinstance(part, Interactions)}
        return replace(data, **parts, card={**data.card, "control": changed.notes[-1]})
    side, _, modality = what.partition(".")
    chosen, held = _modalities(data, what, side), _held(data, side)
    new: dict[str, Any] = {"social": friends(held)} if side == "friends" else {
        side: change(held, [modality] if modality else chosen)}
    return replace(data, **new, notes=(*data.notes, f"{what}: {how}."))


def _held(data: Interactions, side: str) -> Any:
    return data.social if side == "friends" else getattr(data, side)


def _says(data: Interactions, side: str) -> bool:
    """Whether a side has links, or a modality that says something of anybody."""
    held = _held(data, side)
    if held is None or side == "friends":
        return held is not None and held.nnz > 0
    return any(_told(held, name).any() for name in _names(held))


def _names(features: Features) -> list[str]:
    return [*(name for name in FIELDS if getattr(features, name) is not None), *features.attributes]


def _modalities(data: Interactions, what: str, side: str) -> list[str]:
    """The modalities that a side has and says something with; of friends, none.

    Raises
    ------
    DataError
        The data does not have what is named.
    """
    one_of(*WHAT).require("controls", "what", side)
    held = _held(data, side)
    found = [] if held is None or side == "friends" else [name for name in _names(held) if _told(held, name).any()]
    asked = what.partition(".")[2]
    if not _says(data, side) or (asked and asked not in found):
        have = f" but {', '.join(found)}" if found else ""
        raise DataError(f"controls: the data has no {what}{have}; name something that it has.")
    return found


def _told(features: Features, name: str) -> np.ndarray:
    """Of which rows a modality says something: bool (n,)."""
    if name == "genres":
        return np.asarray(features.genres.counts > 0) if features.genres is not None else np.zeros(len(features), bool)
    values = features.attributes[name] if name in features.attributes else getattr(features, name)
    rows = values.reshape(len(values), -1)
    if values.dtype.kind in "UT":
        return np.asarray((rows != "").any(axis=1))
    nothing = np.isnan(rows) if values.dtype.kind == "f" else rows == -1
    return np.asarray(~(nothing | (rows == 0 if values.ndim > 1 else False)).all(axis=1))  # a vector of zeros is none


def _taken(features: Features, rows: Mapping[str, np.ndarray | None]) -> Features | None:
    """The features with other rows of some modalities, or without those whose rows are None; None if none are left."""
    kept = {name: features if name not in rows else features.take(chosen)
            for name in (*FIELDS, *features.attributes) if (chosen := rows.get(name, _AS_THEY_ARE)) is not None}
    fields: dict[str, Any] = {name: getattr(kept[name], name) for name in FIELDS if name in kept}
    named = None if fields.get("genres") is None else features.genre_names
    attributes = {name: kept[name].attributes[name] for name in features.attributes if name in kept}
    left = attributes or any(values is not None for values in fields.values())
    return Features(**fields, genre_names=named, attributes=attributes) if left else None


def _others(kinds: np.ndarray, seed: int) -> np.ndarray:
    """For each row another one, of its own kind where that has others: a permutation without fixed points, (n,).

    Parameters
    ----------
    kinds : array, shape (n, d)
        Rows of one kind are equal.
    seed : int
    """
    kind = np.unique(kinds, axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort((np.random.default_rng(seed).random(len(kind)), kind))
    ends = np.append(np.flatnonzero(np.diff(kind[order])) + 1, len(kind))
    cuts = [0]
    for end in ends.tolist():
        if end - cuts[-1] > 1:  # one by itself waits for the next kind, or goes with the last
            cuts.append(end)
    others = np.empty(len(kind), np.int64)
    for begin, end in pairwise([0, *cuts[1:-1], len(kind)]):
        others[order[begin:end]] = np.roll(order[begin:end], 1)
    return others
