"""People are taken out of what a model has learned: as if it had been trained without them, where that is possible.

There are three levels, and the one that was reached is always said:

- "exact": nothing was left to chance in learning, and the model is that of a training without them, to the tolerance;
- "retrained": learning draws numbers, and was done again without them from the same seed, by the whole model or by the
  part of it that had seen them;
- "removed only": their ids, histories and vectors are gone, and what all others share has still learned of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.data import asked
from recsys.data.csr import CSR
from recsys.data.interactions import Interactions
from recsys.errors import DataError, UnsupportedError
from recsys.estimator import storing
from recsys.estimator.context import Context
from recsys.estimator.facts import HIDDEN, Facts
from recsys.estimator.fitted import Fitted
from recsys.estimator.levels import EXACT, REMOVED, RETRAINED
from recsys.estimator.staying import Staying

if TYPE_CHECKING:
    from recsys.estimator.recommender import Recommender

__all__ = ["Forgotten", "finish", "forget", "known_to", "level_of", "remembered", "unlearned"]

_CLOSE = 1e-5  # relative, for a mean of values that is computed in another order


@dataclass(frozen=True)
class Forgotten:
    """What was done to forget people.

    Attributes
    ----------
    level : {"exact", "retrained", "removed only"}
    how : str
        In a few words.
    tolerance : float or None
        The largest difference of what was learned from a training without them, on the same events in the same order;
        0 where it is the same to the bit, None where others' influence stays.
    people, events : int
        How many people were taken out, and how many events they had (-1 where the model kept none).
    """

    level: str
    how: str
    tolerance: float | None
    people: int
    events: int


def known_to(fitted: Fitted, users: Sequence[Any]) -> list[Any]:
    """Those of the users, each once, that a model knows."""
    return [user for user in dict.fromkeys(users) if user in fitted.users]


def level_of(model: Recommender) -> str:
    """The level that a model reaches if it is given all that it needs.

    Examples
    --------
    >>> from recsys.models import BPR, EASE
    >>> level_of(EASE()), level_of(BPR())
    ('exact', 'retrained')
    """
    return RETRAINED if model.draws else EXACT


def forget(model: Recommender, users: Any, data: Interactions | None = None, *, removed_only: bool = False,
           progress: Any = None) -> tuple[Fitted, Forgotten]:
    """What a fitted model is without some of its users, who are all known; `Recommender.forget` says the rest."""
    name, fitted = type(model).__name__, model.require("forget")
    ids, _ = asked.ids(f"{name}.forget", "users", users)
    if not len(ids):
        raise DataError(f"{name}.forget: users is empty; name at least one user.")
    fitted.users.encode(ids)
    return finish(model, ids.tolist(), data, removed_only=removed_only, progress=progress)


def finish(model: Recommender, users: Sequence[Any], data: Interactions | None = None, *, removed_only: bool = False,
           reduced: bool = False, dry: bool = False, progress: Any = None) -> tuple[Fitted, Forgotten]:
    """`forget` of known users, or of nobody, where people were only removed before and the model is to learn again.

    Parameters
    ----------
    reduced : bool
        People were only removed before, and the model still counts their events.
    dry : bool
        Raise what `forget` would raise, and change nothing.
    """
    name, fitted = type(model).__name__, model.require("forget")
    numbers = np.unique(fitted.users.encode(users))
    keep = np.ones(len(fitted.users), bool)
    keep[numbers] = False
    rows = fitted.seen if fitted.facts.events is None else fitted.facts.events
    events = -1 if rows is None else int(rows.counts[numbers].sum())
    removed = Forgotten(REMOVED, "rows and ids taken out", None, len(numbers), events)
    if removed_only:
        gone = fitted.users.ids[numbers].tolist()
        return fitted if dry else storing.without_users(fitted, gone), removed
    learner = type(model)(**fitted.parameters)
    everything = remembered(learner, fitted) if data is None else _as_learned(name, fitted, data, reduced)
    if everything is None:
        raise UnsupportedError(
            f"{name}.forget: the model does not hold all that it learned from ({_lacking(learner, fitted)}), so it "
            f"cannot learn again without them; give the training data (data=), or accept with removed_only=True that "
            f"their ids, histories and vectors go and what others learned of them stays.")
    if not keep[everything.user].any():
        raise DataError(f"{name}.forget: nobody would be left to learn from; delete the model, or accept with "
                        f"removed_only=True one that knows its items alone.")
    if dry:
        return fitted, removed
    staying = Staying(keep)
    rest = everything.take(keep[everything.user]).reindex(staying.ids(fitted.users), fitted.items)
    found, how, tolerance = unlearned(learner, fitted, rest, staying, progress)
    return found, Forgotten(level_of(learner), how, tolerance, len(numbers), events)


def unlearned(learner: Recommender, fitted: Fitted, rest: Interactions, staying: Staying, progress: Any = None
              ) -> tuple[Fitted, str, float]:
    """The model of those who stay, how it was made, and its tolerance."""
    facts = _facts(learner, fitted, rest)
    context = Context(facts, progress=progress)
    shortcut = None if staying.keep.all() else learner.unlearn(rest, fitted, staying, context)  # all again, to finish
    if shortcut is None:
        _until_the_best(learner, fitted)
        learned, how, tolerance = learner.learn(rest, context), "learned again from the others' events", 0.0
    else:
        learned, how, tolerance = shortcut
    made = learner.as_fitted(facts, learned, fitted.about)
    return replace(made, parameters=fitted.parameters), how, tolerance


def _facts(learner: Recommender, fitted: Fitted, rest: Interactions) -> Facts:
    facts, before = Facts.of(rest, learner.keeps_events), fitted.facts
    if rest.value is None and before.rating_range is not None:  # of values that the model does not look at
        facts = replace(facts, rating_range=before.rating_range, mean_value=before.mean_value)
    return replace(facts, item_features=before.item_features)


def _until_the_best(learner: Recommender, fitted: Fitted) -> None:
    """As many epochs as the first training kept, which validation may have chosen: now there is none."""
    curves: dict[str, list[float]] = fitted.learned.taken.get("curves_") or {}
    loss, valid = next(iter(curves.values()), []), curves.get("valid")
    kept = int(np.argmax(valid)) + 1 if valid else len(loss)
    if kept and "epochs" in learner.parameter_names():
        learner.set_params(epochs=kept)


# ------------------------------------------------------------------------------------- what was learned from

def remembered(learner: Recommender, fitted: Fitted) -> Interactions | None:
    """All events that a model has learned from, as it holds them itself; None if it does not hold all that counts."""
    facts, content = fitted.facts, learner.kept_content(fitted)
    if content is None or learner.looks_at_times:
        return None
    rows = facts.events
    if rows is None:
        rows = next((each for each in _histories(learner, fitted) if _is_all(each, facts, learner)), None)
    if rows is None:
        return None
    counts = facts.rating_range is not None and (facts.events is not None or learner.looks_at_values)
    data = rows.data if counts else None
    return replace(Interactions(facts.users, facts.items, rows.row_of_entry, rows.indices, data), **content)


def _histories(learner: Recommender, fitted: Fitted) -> list[CSR]:
    """What a model that keeps no events holds of its users' histories, in the order of events if that counts."""
    history = fitted.attribute("history") if fitted.has("history") else None
    in_order = fitted.has("form") and fitted.attribute("form") == "events"
    found = [history if in_order else None] if learner.can.sequence else [history, fitted.seen]
    return [rows for rows in found if rows is not None]


def _lacking(learner: Recommender, fitted: Fitted) -> str:
    """What `remembered` misses, in a few words."""
    if learner.kept_content(fitted) is None:
        return f"{' and '.join(name.replace('_', ' ') for name in learner.reads)} are not kept"
    return "times are not kept" if learner.looks_at_times else (
        "repeated events, values or their order are not kept, or people were only removed before")


def _is_all(rows: CSR, facts: Facts, learner: Recommender) -> bool:
    """Whether rows are all training events, with their values if these count."""
    if not np.array_equal(np.bincount(rows.indices, minlength=len(facts.items)), facts.item_counts):
        return False
    if facts.rating_range is None or not learner.looks_at_values:
        return True
    if rows.data is None or not rows.nnz:
        return False
    return (rows.data.min(), rows.data.max()) == facts.rating_range and bool(
        np.isclose(rows.data.mean(dtype=np.float64), facts.mean_value, rtol=_CLOSE))


def _as_learned(name: str, fitted: Fitted, data: Interactions, reduced: bool) -> Interactions:
    """The events of data that a model has learned from, numbered as its own: those of the users that it knows.

    People who were forgotten before may be in the data, and stay forgotten.
    """
    facts = fitted.facts
    told = facts.fingerprint != HIDDEN
    if told and (data.value is None) != (facts.rating_range is None):
        had = "without values" if facts.rating_range is None else "with values"
        raise DataError(f"{name}.forget: the model learned from data {had}; give it as it was then.")
    for what, known, ids in (("users", facts.users, data.users), ("items", facts.items, data.items)):
        if known.integers != ids.integers:
            raise DataError(f"{name}.forget: the model's {what} are {'integers' if known.integers else 'strings'}, and "
                            f"those of the data are not; read it as it was read then.")
    mine = data.reindex(facts.users, facts.items, "skip")
    counts = np.bincount(mine.item, minlength=len(facts.items))
    if told and not (np.array_equal(counts, facts.item_counts) or (reduced and (counts <= facts.item_counts).all())):
        raise DataError(f"{name}.forget: the data has {counts.sum():,} events of the model's users, and the model "
                        f"learned from {facts.item_counts.sum():,}, or from others; give all that it learned from, "
                        f"read and cleaned as it was then, or learn again from data and log (recsys retrain).")
    return mine
