"""Whether reasons are causes: what happens to a score when they are taken out of a history, or put in one by one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.checks import one_of, optional, require, whole
from recsys.data.csr import numbered
from recsys.data.given import interactions
from recsys.errors import UnsupportedError
from recsys.estimator.fitted import Fitted
from recsys.explanation.explaining import METHODS, attribute
from recsys.explanation.person import Person

__all__ = ["Curves", "Faithfulness", "faithfulness"]

_ORDERS = ("reasons", "random", "popular")
_CHECKS = {"users": whole(2), "steps": whole(2), "k": whole(1), "method": optional(one_of(*METHODS))}
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Curves:
    """A score while items are taken out of histories, or put in, in some order: mean over people.

    Attributes
    ----------
    order : {"reasons", "random", "popular"}
    deletion, insertion : ndarray of float64, shape (steps + 1,)
        How many standard deviations the item stands above the mean item, when 0, 1 / steps, ..., all of the history is
        taken out, or is there.
    areas : mapping of str to ndarray of float64, shape (n_people,)
        "deletion" and "insertion": the area under a person's curve.
    """

    order: str
    deletion: np.ndarray
    insertion: np.ndarray
    areas: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """The curves of a model's reasons beside those of controls.

    Attributes
    ----------
    model : str
    method : str
        How scores were split.
    people : int
    length : float
        Mean number of distinct items of their histories.
    shares : ndarray of float64, shape (steps + 1,)
    curves : mapping of str to Curves
        By order.
    leads : mapping of (str, str) to (float, float, float)
        By curve, "deletion" or "insertion", and control: by how much the area of the reasons is better (below the
        control's for deletion, above it for insertion), with the ends of its interval of 95 % over people.
    seconds : float
        Of the explanation of one item for one person.
    calls : float
        Histories that the model was asked about for it.
    gap : float
        The largest residual of a person, as a share of what the history changes; NaN for leave-one-out.
    """

    model: str
    method: str
    people: int
    length: float
    shares: np.ndarray
    curves: Mapping[str, Curves]
    leads: Mapping[tuple[str, str], tuple[float, float, float]]
    seconds: float
    calls: float
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        curves = {order: {"deletion": each.deletion.tolist(), "insertion": each.insertion.tolist(),
                          **{f"{name} area": float(areas.mean()) for name, areas in each.areas.items()}}
                  for order, each in self.curves.items()}
        leads = [{"curve": curve, "against": control, "lead": lead, "low": low, "high": high}
                 for (curve, control), (lead, low, high) in self.leads.items()]
        return {"model": self.model, "method": self.method, "people": self.people, "length": self.length,
                "shares": self.shares.tolist(), "curves": curves, "leads": leads, "seconds": self.seconds,
                "calls": self.calls, "gap": self.gap}


def faithfulness(model: Any, data: Any, *, users: int = 100, steps: int = 10, method: str | None = None, seed: int = 0
                 ) -> Faithfulness:
    """Deletion and insertion curves of a model's reasons, beside a random order and the order of popularity.

    For each of some people, the best item of the model's list is explained from the person's history in `data`. Then
    items are taken out of the history, those that the explanation says most speak for the item first, and the model is
    asked again. If reasons are causes, the item falls sooner than when items are taken out at random, or the most
    popular first. Insertion puts them into an empty history in the same order. A model that does not fold histories in
    is asked about users of the training.

    Parameters
    ----------
    model : Recommender or Fitted
    data : Interactions
        Whose histories are explained; users and items by their ids.
    users : int
        At most so many people, who have two items or more that the model knows.
    steps : int
        Points of the curves after the first.
    method : str, optional
        As of `explain`.
    seed : int
        Of who is asked, and of the random order.

    Raises
    ------
    UnsupportedError
        The model reads no history, so nothing of one can be a reason.

    References
    ----------
    Petsiuk, Das and Saenko, RISE, BMVC 2018 (deletion and insertion); Barkan et al., A Counterfactual Framework for
    Learning and Evaluating Explanations for Recommender Systems, WWW 2024.
    """
    fitted: Fitted = getattr(model, "_fitted", None) or (
        model if isinstance(model, Fitted) else model.require("faithfulness"))
    require("faithfulness", {name: _CHECKS[name] for name in ("users", "steps", "method")},
            {"users": users, "steps": steps, "method": method})
    rng, measured = np.random.default_rng(seed), []
    for person in _people(fitted, interactions("faithfulness", data), users, rng):
        found = _measured(person, steps, method, rng)
        if found is not None:
            measured.append(found)
    if len(measured) < 2:
        raise UnsupportedError(f"{fitted.name}: fewer than two people of the data have a history of two items or more "
                               f"that the model knows and reads, so no curves can be drawn.")
    return _summed(fitted.name, steps, measured)


@dataclass(frozen=True, eq=False)
class _Measured:
    method: str
    length: int
    curves: dict[str, tuple[np.ndarray, np.ndarray]]
    seconds: float
    calls: int
    gap: float


def _people(fitted: Fitted, data: Any, users: int, rng: np.random.Generator) -> list[Person]:
    """Some people with their histories, by the model's numbers."""
    if not fitted.scorer.personalised or not (fitted.can.fold_in or _has_map(fitted)):
        raise UnsupportedError(f"{fitted.name} reads no history, so that no item of one can be a reason; explain tells "
                               f"what its scores are made of.")
    known = fitted.items.encode(data.items.ids, "skip") >= 0
    rows = data.csr.where(known[data.csr.indices])
    long = np.flatnonzero(rows.unique().counts >= 2)
    found: list[Person] = []
    for number in rng.permutation(long).tolist():
        if len(found) == users:
            break
        indices, values = rows.row(number)
        ids = data.items.ids[indices]
        if fitted.can.fold_in:
            found.append(Person.of_history(fitted, ids, values if fitted.scorer.needs_values else None))
        elif int(fitted.users.encode(data.users.ids[[number]], "skip")[0]) >= 0:
            found.append(Person.of_user(fitted, data.users.ids[number].item()))
    return found


def _has_map(fitted: Fitted) -> bool:
    return hasattr(getattr(fitted.scorer, "network", None), "tables")


def _measured(person: Person, steps: int, method: str | None, rng: np.random.Generator) -> _Measured | None:
    scores = np.where(person.open & np.isfinite(person.whole), person.whole, -np.inf)
    item = int(np.argmax(scores))
    distinct, place = numbered(person.indices)
    if len(distinct) < 2 or not np.isfinite(scores[item]):
        return None
    begun, calls = time.perf_counter(), person.calls
    found = attribute(person, item, method)
    seconds, calls = time.perf_counter() - begun, person.calls - calls
    worth = np.bincount(place, found.events, len(distinct))
    orders = {"reasons": np.argsort(-worth, kind="stable"), "random": rng.permutation(len(distinct)),
              "popular": np.argsort(-person.fitted.facts.item_counts[distinct], kind="stable")}
    cuts = np.rint(np.linspace(0, len(distinct), steps + 1)).astype(int)
    keep = []
    for order in orders.values():
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        keep += [(rank >= cut)[place] for cut in cuts] + [(rank < cut)[place] for cut in cuts]
    standing = person.standing(person.scores(np.array(keep)), item).reshape(len(orders), 2, steps + 1)
    others = sum(part.value for part in found.others)
    moved = float(person.whole[item]) - others
    gap = abs(moved - worth.sum()) / max(abs(moved), 1e-9)
    return _Measured(found.method, len(distinct), dict(zip(orders, map(tuple, standing), strict=True)), seconds, calls,
                     float("nan") if found.method == "leave-one-out" else gap)


def _summed(name: str, steps: int, measured: Sequence[_Measured]) -> Faithfulness:
    curves, shares = {}, np.linspace(0, 1, steps + 1)
    for order in _ORDERS:
        both = [np.stack([each.curves[order][i] for each in measured]) for i in (0, 1)]
        areas = {kind: np.trapezoid(each, shares, axis=1) for kind, each in zip(("deletion", "insertion"), both,
                                                                              strict=True)}
        curves[order] = Curves(order, both[0].mean(axis=0), both[1].mean(axis=0), areas)
    leads = {}
    for kind, sign in (("deletion", -1), ("insertion", 1)):
        for control in _ORDERS[1:]:
            gain = sign * (curves["reasons"].areas[kind] - curves[control].areas[kind])
            error = _Z * gain.std(ddof=1) / np.sqrt(len(gain))
            leads[kind, control] = float(gain.mean()), float(gain.mean() - error), float(gain.mean() + error)
    gaps = [each.gap for each in measured]
    return Faithfulness(name, measured[0].method, len(measured), float(np.mean([each.length for each in measured])),
                        shares, curves, leads, float(np.mean([each.seconds for each in measured])),
                        float(np.mean([each.calls for each in measured])), float(np.max(gaps)))
