"""Why a model answers as it does: one item, one person."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsys.checks import between, one_of, optional, require, whole
from recsys.data import asked
from recsys.data.csr import numbered
from recsys.errors import ParameterError, UnsupportedError
from recsys.estimator import answering
from recsys.estimator.fitted import Fitted
from recsys.explanation.content import content_of
from recsys.explanation.counterfactual import without
from recsys.explanation.exact import terms_of
from recsys.explanation.fields import feature_path
from recsys.explanation.gradients import integrate, path_of
from recsys.explanation.person import Person, number_of
from recsys.explanation.results import Explanation, Part
from recsys.explanation.sentences import sentences_of
from recsys.explanation.units import unit_of

__all__ = ["METHODS", "Attribution", "attribute", "explain", "person_of", "tell", "title_of"]

METHODS = ("exact", "integrated gradients", "leave-one-out")
"""How a score is split, the first that can be unless another one is asked for."""

_CHECKS = {"method": optional(one_of(*METHODS)), "k": whole(1), "threshold": between(0, 1), "removed": whole(0)}


@dataclass(frozen=True, eq=False)
class Attribution:
    """A split score, before it is told.

    Attributes
    ----------
    method : str
    events : ndarray of float64, shape (n,)
        What each event of the history adds.
    others : list of Part
    steps : int
    """

    method: str
    events: np.ndarray
    others: list[Part]
    steps: int = 0


def explain(model: Any, user: Any = None, item: Any = None, *, history: Any = None, values: Any = None, k: int = 10,
            method: str | None = None, threshold: float = 0.05, removed: int = 5, features: Any = None
            ) -> Explanation:
    """Why an item has its score for somebody: its parts, what would have to be otherwise, and sentences.

    Parameters
    ----------
    model : Recommender or Fitted
        Fitted, or from a file.
    user : id, optional
        A user of the training data.
    item : id, optional
        By default, the best item of the list.
    history : sequence of item ids, optional
        Of somebody else; the model must fold in.
    values : sequence of float, optional
        Of the history's items.
    k : int
        Length of the list that the counterfactual is about.
    method : {"exact", "integrated gradients", "leave-one-out"}, optional
        By default the first that can split the model's scores.
    threshold : float
        Parts with a smaller share of the score have no sentence.
    removed : int
        A counterfactual takes at most so many items out of the history; 0 looks for none.
    features : Features, optional
        Of the items, for what the strongest reasons share with the item; used for models that read features alone.

    Returns
    -------
    Explanation
        Where the model knows nothing of the person, or the item stands in from the most popular ones, it says so.

    Raises
    ------
    UnknownIdError
        The model does not know the user, the item or an item of the history.
    UnsupportedError
        The method cannot split this model's scores, or the model was saved without what it needs.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> from recsys.models import ItemKNN
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], ["tea", "jam", "tea", "jam", "tea"])
    >>> found = explain(ItemKNN().fit(data), history=["tea"])
    >>> found.item, found.method, [(part.item, round(part.share, 2)) for part in found.parts]
    ('jam', 'exact', [('tea', 1.0)])
    >>> found.sentences[0]
    'Because of tea (all of the score).'
    """
    begun, fitted = time.monotonic(), getattr(model, "_fitted", model)
    if fitted is None:
        fitted = model.require("explain")
    require(f"{fitted.name}.explain", _CHECKS, {"method": method, "k": k, "threshold": threshold, "removed": removed})
    person = person_of(fitted, user, history, values)
    number, source = _target(fitted, person, item)
    made = tell(person, number, source, k=k, method=method, threshold=threshold, removed=removed, features=features)
    return replace(made, seconds=time.monotonic() - begun)


def tell(person: Person, item: int, source: str = "model", *, k: int = 10, method: str | None = None,
         threshold: float = 0.05, removed: int = 5, features: Any = None, called: Callable[[int], str] | None = None
         ) -> Explanation:
    """The same of somebody who was found, and of an item by its number; what is given is not checked.

    Parameters
    ----------
    person : Person
    item : int
    source : {"model", "content", "popular"}
    k, method, threshold, removed, features
        As of `explain`.
    called : callable, optional
        What an item is called, by its number; by default its title, or its id.
    """
    fitted, called = person.fitted, called or (lambda number: title_of(person.fitted, number))
    if source == "popular":
        return _popular(fitted, person, item, called(item), threshold)
    found = attribute(person, item, method)
    parts = _merged(person, found, called)
    score, notes = float(person.whole[item]), _notes(person, found)
    residual = float("nan") if found.method == "leave-one-out" else score - sum(part.value for part in parts)
    otherwise = without(person, item, found.events, k, removed, called) if removed and person.reads_history else None
    made = Explanation(
        fitted.name, fitted.items.ids[item].item(), called(item), score, _place(person, item), source, found.method,
        parts, residual, _empty(person, item), unit_of(fitted), threshold, content_of(person, item, parts, features),
        otherwise, found.steps, person.calls, 0.0, (), notes)
    return replace(made, sentences=tuple(sentences_of(made)))


def person_of(fitted: Fitted, user: Any, history: Any, values: Any = None) -> Person:
    """Who is asked about: a user of the training, or somebody with a history."""
    if (user is None) == (history is None):
        raise ParameterError(f"{fitted.name}.explain takes a user or a history, one of them.")
    asked.check_values_belong(f"{fitted.name}.explain", history, values)
    return Person.of_user(fitted, user) if history is None else Person.of_history(fitted, history, values)


def attribute(person: Person, item: int, method: str | None = None) -> Attribution:
    """What each event of the history adds to a score, and what else there is.

    Raises
    ------
    UnsupportedError
        The method cannot.
    """
    for kind in METHODS if method is None else (method,):
        found = {"exact": _exact, "integrated gradients": _gradients, "leave-one-out": _left_out}[kind](person, item)
        if found is not None:
            return found
    reasons = {"exact": "its scores are no sums over the history or over features",
               "integrated gradients": "it is no network that reads a history or features by tables of its own",
               "leave-one-out": "it does not answer other histories"}
    raise UnsupportedError(f"{person.fitted.name} cannot be explained by {method}: {reasons[method or METHODS[-1]]}; "
                           f"leave method out for one that can.")


def _exact(person: Person, item: int) -> Attribution | None:
    terms = terms_of(person, item)
    return None if terms is None else Attribution("exact", terms.events, terms.others)


def _gradients(person: Person, item: int) -> Attribution | None:
    path = path_of(person, item)
    if path is not None:
        found = integrate(path, person.n)
        base = Part("base", "what the model answers to as many items that say nothing", found.nothing)
        others = [base, Part("person", "what training learned of you besides", person.beyond(item))]
        if not person.has_vector or not person.fitted.can.fold_in:
            others.pop()
        return Attribution("integrated gradients", found.parts, others, found.steps)
    columns = feature_path(person.fitted, person.user, item)
    if columns is None:
        return None
    score, sides = columns
    found = integrate(score, sum(side.rows.nnz for side in sides))
    cut = sides[0].rows.nnz
    others = [Part("base", "what the model answers to nothing", found.nothing),
              *sides[0].parts(found.parts[:cut]), *sides[1].parts(found.parts[cut:])]
    return Attribution("integrated gradients", np.zeros(person.n), others, found.steps)


def _left_out(person: Person, item: int) -> Attribution | None:
    """What the score loses without each item; an item that is there several times is left out as a whole."""
    if not person.reads_history:
        return None
    distinct, place = numbered(person.indices)
    keep = place != np.arange(len(distinct))[:, None]
    losses = (person.whole[item] - person.scores(keep)[:, item]).astype(np.float64) if len(keep) else np.zeros(0)
    losses = np.where(np.isfinite(losses), losses, 0)
    times = np.bincount(place, minlength=len(distinct))
    return Attribution("leave-one-out", (losses / np.maximum(times, 1))[place] if person.n else np.zeros(0), [])


def _merged(person: Person, found: Attribution, called: Callable[[int], str]) -> list[Part]:
    """The parts with their shares, the largest first; events of one item are one part."""
    ids = person.fitted.items.ids
    distinct, place = numbered(person.indices)
    sums = np.bincount(place, found.events, len(distinct)) if person.n else np.zeros(0)
    total = float(np.abs(sums).sum()) + sum(abs(part.value) for part in found.others) or 1.0
    parts = [Part("history", called(index), value, abs(value) / total, ids[index].item())
             for index, value in zip(distinct.tolist(), sums.tolist(), strict=True) if value]
    parts += [replace(part, share=abs(part.value) / total) for part in found.others if part.value]
    return sorted(parts, key=lambda part: -abs(part.value))


def _target(fitted: Fitted, person: Person, item: Any) -> tuple[int, str]:
    """The item's number, by default that of the best of the list, and where it comes from."""
    if item is None:
        number = _best(person)
    else:
        number = number_of(fitted, item)
    if number >= 0:
        return number, _source(person, number)
    left = fitted.popular[~np.isin(fitted.popular, person.seen)]
    if not len(left):
        raise UnsupportedError(f"{fitted.name}.explain: there is no item that the person has not seen; pass "
                               f"item=ID.")
    return int(left[0]), "popular"


def _best(person: Person) -> int:
    """The best item of the list that the model has evidence of; -1 if there is none."""
    if not person.known():
        return -1
    scores = person.whole
    evident = person.fitted.evident(np.arange(len(scores)), scores[None])[0]
    may = person.open & evident & np.isfinite(scores)
    return int(np.argmax(np.where(may, scores, -np.inf))) if may.any() else -1


def _source(person: Person, item: int) -> str:
    """Where an item's score comes from, as `Recs.source` has it."""
    fitted = person.fitted
    if not person.known() or not fitted.evident(np.array([item]), person.whole[None, [item]])[0, 0]:
        return "popular"
    history = person.rows(np.ones((1, person.n), bool)) if person.user < 0 else None
    said = fitted.scorer.sources(np.array([person.user]), history, np.array([[item]]))
    return "model" if said is None else str(said[0, 0])


def _popular(fitted: Fitted, person: Person, item: int, title: str, threshold: float) -> Explanation:
    """Of an item that the model has nothing to say of, or for somebody of whom it knows nothing."""
    count = float(fitted.facts.item_counts[item])
    made = Explanation(fitted.name, fitted.items.ids[item].item(), title, count, None, "popular", "none",
                       [Part("item", "its popularity", count, 1.0)] if count else [], 0.0, None,
                       "training events of the item", threshold, calls=person.calls)
    return replace(made, sentences=tuple(sentences_of(made, nobody=not person.known())))


def _place(person: Person, item: int) -> int | None:
    return int(person.places(person.whole[None], item)[0]) if person.open[item] else None


def _empty(person: Person, item: int) -> float | None:
    """What the model answers where there is no history."""
    if not person.reads_history:
        return None
    found = float(person.scores(np.zeros((1, person.n), bool))[0, item])
    return found if np.isfinite(found) else None


def title_of(fitted: Fitted, number: int) -> str:
    """The title of an item, or its id."""
    return answering.title(fitted, number) or str(fitted.items.ids[number])


def _notes(person: Person, found: Attribution) -> tuple[str, ...]:
    notes: list[str] = []
    if person.map is not None:
        notes.append(f"This model has a vector for each user and reads no history. What items add is what a linear map "
                     f"from histories to vectors says of them; it explains {100 * max(person.map.explained, 0):.0f}% "
                     f"of the differences between users' vectors.")
    if not person.reads_history and found.method == "exact":
        notes.append("This model reads no history of yours.")
    if found.method == "leave-one-out":
        notes.append("Each number is what the score loses without the item; such losses need not sum to the score.")
    return tuple(notes)
