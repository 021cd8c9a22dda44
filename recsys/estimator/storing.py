"""Between a fitted model and the card and arrays of its file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recsys.artifact import container
from recsys.data.features import Features
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ParameterError, RecsysError, UnsupportedError
from recsys.estimator import golden, scorers
from recsys.estimator.arrays import Arrays, expect, pack, prefixed, unpack_if, within
from recsys.estimator.facts import Facts, chained
from recsys.estimator.fitted import Fitted, Learned
from recsys.estimator.levels import REMOVED
from recsys.estimator.retrieval import VectorIndex
from recsys.estimator.staying import Staying

__all__ = ["additional", "forget", "load", "restore", "restore_facts", "save", "without_users"]

_PRIVATE = "seen."  # what `seen=False` leaves out begins with it, behind the name of the part
_OWN = ("kind", "format", "versions", "members", "class", "parameters", "remedy", "scorer", "memory", "taken", "data",
        "golden", "index", "about")  # entries of a card that follow from the model


def save(fitted: Fitted, path: str | os.PathLike[str], *, seen: bool = True,
         card: Mapping[str, Any] | None = None) -> None:
    """Write a fitted model to a file, as `Recommender.save` says.

    Parameters
    ----------
    fitted : Fitted
    path : str or path
    seen : bool
        Whether the file holds what users have seen.
    card : mapping of str to JSON values, optional
        What else the file is to say of itself, such as how far it has learned from a log.

    Raises
    ------
    ParameterError
        The card has an entry by a name that every file has.
    """
    more = dict(card or {})
    taken = [name for name in more if name in _OWN]
    if taken:
        raise ParameterError(f"save: the card has {', '.join(taken)}, which every model file has; choose another name.")
    if not seen and fitted.scorer.needs_histories:
        raise UnsupportedError(f"{fitted.name} answers from its users' histories and cannot be saved with seen=False; "
                               f"use seen=True, or another model.")
    facts = fitted.facts
    own = {"class": fitted.name, "parameters": dict(fitted.parameters)}
    try:
        json.dumps(own, default=container.plain)
    except TypeError as error:
        raise ArtifactError(f"{path}: a hyper-parameter of {fitted.name} cannot be stored ({error}); "
                            f"use numbers, strings and tuples of them.") from error
    try:
        scorer, answering = scorers.state_of(fitted.scorer)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}.") from error
    memory, remembered = fitted.learned.memory
    card = more | own | {"remedy": fitted.remedy, "about": dict(fitted.about), "scorer": scorer, "memory": memory,
                  "taken": dict(fitted.learned.taken), "golden": golden.make(fitted, users=seen),
                  "data": {"fingerprint": facts.fingerprint, "users": len(facts.users), "items": len(facts.items),
                           "mean_value": facts.mean_value, "rating_range": facts.rating_range}}
    arrays = _of_facts(facts) | {"popular": fitted.popular}
    arrays |= prefixed("scorer", answering) | prefixed("memory", remembered)
    if fitted.index is not None:
        card |= {"index": fitted.index.settings()}
        arrays |= prefixed("index", fitted.index.arrays())
    container.write(path, card, {name: np.asarray(array, order="C") for name, array in arrays.items()
                                 if seen or not _private(name)})


def additional(card: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a file's card that `save` was given, and every other one that does not follow from the model."""
    return {name: value for name, value in card.items() if name not in _OWN}


def _private(name: str) -> bool:
    return name.startswith((_PRIVATE, f"scorer.{_PRIVATE}", f"memory.{_PRIVATE}"))


def _of_facts(facts: Facts) -> dict[str, np.ndarray]:
    titles = None if facts.item_features is None else facts.item_features.titles
    named = {"users": facts.users.ids, "items": facts.items.ids, "item_counts": facts.item_counts}
    named |= {} if titles is None else {"titles": titles}
    return named | pack("seen", facts.seen) | pack("seen.events", facts.events)


def restore_facts(data: Mapping[str, Any], arrays: Arrays) -> Facts:
    """The facts of a file, of this format and of the one before."""
    users, items = IdMap(arrays["users"], copy=False), IdMap(arrays["items"], copy=False)
    shape, limits = (len(users), len(items)), data["rating_range"]
    return Facts(users, items, unpack_if("seen", arrays, shape), unpack_if("seen.events", arrays, shape),
                 expect(arrays, "item_counts", (shape[1],)),
                 _titles(arrays, shape[1]),
                 None if limits is None else (float(limits[0]), float(limits[1])), float(data["mean_value"]),
                 str(data["fingerprint"]))


def _titles(arrays: Arrays, n_items: int) -> Features | None:
    if "titles" not in arrays:
        return None
    titles = expect(arrays, "titles", (n_items,))
    if titles.dtype.kind != "U":
        raise ArtifactError(f"array 'titles' is {titles.dtype}, expected text")
    return Features(titles=titles)


def restore(card: Mapping[str, Any], arrays: Arrays) -> Fitted:
    """The model that a card and its arrays describe; no class of a model is needed for it."""
    facts = restore_facts(card["data"], arrays)
    scorer = scorers.restore(card["scorer"], within("scorer", arrays), facts)
    learned = Learned(scorer, card["taken"], (card["memory"], within("memory", arrays)))
    parameters = {name: container.tuples(value) for name, value in card["parameters"].items()}
    fitted = Fitted(card["class"], parameters, facts, learned, card["remedy"], _index(card, arrays, scorer.vectors()),
                    card.get("about", {}))
    if "popular" in arrays:  # an early file has none
        vars(fitted)["popular"] = _popular(arrays, len(facts.items))
    return fitted


def _popular(arrays: Arrays, n_items: int) -> np.ndarray:
    """The order of popular items in a file, which is checked: kernels trust it."""
    order = expect(arrays, "popular", (None,), np.int32)
    if len(order) and not 0 <= order.min() <= order.max() < n_items:
        raise ArtifactError(f"array 'popular' is no order of {n_items} items")
    return order


def _index(card: Mapping[str, Any], arrays: Arrays, held: tuple[np.ndarray, np.ndarray | None] | None
           ) -> VectorIndex | None:
    """The index in a file, which an early one lacks."""
    kept, settings = within("index", arrays), card.get("index")
    if not kept or held is None:
        return None
    if not settings:
        return VectorIndex.restore(kept, *held)
    from recsys.estimator.approximate import ApproximateIndex

    return ApproximateIndex.found_again(settings, kept, *held)


def load(path: str | os.PathLike[str], *, mmap: bool = False, verify: bool = True) -> Fitted:
    """What a model file answers with, without the class that learned it: all that a server needs.

    Parameters
    ----------
    path : str or path
    mmap : bool
        Map the arrays into memory instead of reading them.
    verify : bool
        Compare every array with its checksum.

    Raises
    ------
    ArtifactError
        The file is none of ours, is damaged, or is of format 1; `recsys.load(path).save(path)` writes it anew.
    """
    card, arrays = container.read(path, mmap=mmap, verify=verify)
    if card["format"] == 1:
        raise ArtifactError(f"{path}: written in format 1; write it anew with recsys.load({os.fspath(path)!r}).save("
                            f"{os.fspath(path)!r}).")
    try:
        return restore(card, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecsysError) as error:
        raise ArtifactError(f"{path}: the contents do not make a {card['class']} ({error}); fit and save the model "
                            f"again.") from error


def without_users(fitted: Fitted, users: Sequence[Any]) -> Fitted:
    """A fitted model without some people.

    Their ids, what they have seen, their histories, vectors, biases, and rows of networks are gone, and nobody can tell
    that they were there. All others get the answers of before, bit for bit, but where these were made of the histories
    of the people who left (`UserKNN`). What the items, the layers and the words of features have learned of them stays,
    as do counts of events and means; a training without them leaves that behind, too.

    Parameters
    ----------
    fitted : Fitted
    users : sequence of ids
        Those that the model does not know, or that are of another kind than its ids, are passed over.

    Returns
    -------
    Fitted
        The same object, if it knows none of them.

    Raises
    ------
    UnsupportedError
        A network of one's own does not say which of its weights have a row a user.

    Examples
    --------
    >>> from recsys import Interactions
    >>> from recsys.models import EASE
    >>> fitted = EASE().fit(Interactions.from_arrays(["ann", "bob", "ann"], [7, 7, 9])).require("without_users")
    >>> without_users(fitted, ["ann", "eve"]).users
    IdMap(1 ids: 'bob')
    """
    facts, known = fitted.facts, [user for user in users if user in fitted.users]
    if not known:
        return fitted
    keep = np.ones(len(facts.users), bool)
    keep[facts.users.encode(known)] = False
    staying = Staying(keep)
    rest = replace(facts, users=staying.ids(facts.users),
                   seen=None if facts.seen is None else staying.rows(facts.seen),
                   events=None if facts.events is None else staying.rows(facts.events),
                   fingerprint=chained(facts.fingerprint, f"without {int(np.count_nonzero(~keep))} users"))
    settings, arrays = fitted.learned.memory
    try:
        scorer = fitted.scorer.without_users(staying, rest)
        memory = settings, dict(staying.state(settings, arrays, (), len(facts.items)))
    except (ArtifactError, UnsupportedError, ValueError) as error:
        raise UnsupportedError(f"{fitted.name}: users cannot be taken out ({error}); a network of your own names the "
                               f"modules with a row a user as of_users.") from error
    return replace(fitted, facts=rest, learned=Learned(scorer, fitted.learned.taken, memory))


def forget(path: str | os.PathLike[str], users: Sequence[Any], target: str | os.PathLike[str] | None = None,
           receipt: str | None = None) -> int:
    """Take people out of a model file, as `without_users` says, all or nothing; what else its card says is kept.

    The card's `forgotten` says that people were removed only, so that learning again can finish it.

    Parameters
    ----------
    path : str or path
    users : sequence of ids
    target : str or path, optional
        Where the new file is written, if it is not to replace the old one.
    receipt : str, optional
        The number under which the card lists it.

    Returns
    -------
    int
        How many of them the file held. If none, nothing is written.

    Raises
    ------
    ArtifactError
        As of `load`.
    """
    fitted = load(path)
    rest = without_users(fitted, users)
    if rest is not fitted:
        card = additional(container.manifest(path))
        own = {"forgotten": [*card.get("forgotten", []), {"receipt": receipt, "level": REMOVED}]}
        save(rest, path if target is None else target, seen=fitted.seen is not None, card=card | own)
    return len(fitted.users) - len(rest.users)
