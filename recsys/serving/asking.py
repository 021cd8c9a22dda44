"""From a request to what a model is asked: numbers instead of ids, what is hidden, and what had to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from recsys.estimator.fitted import Fitted
from recsys.events import EventTypes
from recsys.serving.catalogue import View
from recsys.serving.numbering import encode, kind_of, require_kind
from recsys.serving.people import Live, People, live, trained_history
from recsys.serving.problems import Problem
from recsys.serving.schemas import Ask, RecommendAsk, Source

__all__ = ["Row", "allowed_by", "hide", "require_rating", "row_of", "row_of_user"]

Key = int | str
_NOTHING = np.zeros(0, np.int32)


@dataclass(eq=False)
class Row:
    """One question to a model.

    Attributes
    ----------
    user : int
        The number of a user whom training knows and the log does not, so that training answers; else -1.
    history : ndarray of int32, shape (n,)
        What is folded in otherwise.
    values : ndarray of float32, shape (n,), or None
    hidden : ndarray of int32, shape (m,)
        Items that are not to be listed.
    hidden_new : set of ids
        The same of items that the model does not know.
    source : str
        Where the model's entries come from; "popular" where nothing about the person moves them.
    notes : list of str
        What was left out.
    """

    user: int = -1
    history: np.ndarray = field(default_factory=lambda: _NOTHING)
    values: np.ndarray | None = None
    hidden: np.ndarray = field(default_factory=lambda: _NOTHING)
    hidden_new: set[Key] = field(default_factory=set)
    source: Source = "popular"
    notes: list[str] = field(default_factory=list)


def row_of(ask: Ask, view: View, people: People, types: EventTypes, forgotten: bool,
           filter_seen: bool = True) -> Row:
    """What to ask a model for whom a request names.

    Parameters
    ----------
    ask : Ask
    view : View
        Of the model's items, and of new ones.
    people : People
        The log's.
    types : EventTypes
    forgotten : bool
        The user was erased since the model was trained: the model's own memory of them does not count.
    filter_seen : bool
    """
    model, fitted = view.model, view.model.fitted
    if ask.user is not None:
        if ask.history is not None:
            raise Problem(422, "history: give user or history, not both.", "history")
        if ask.values is not None:
            raise Problem(422, "values: they are those of a history; leave them out.", "values")
        require_kind(fitted.users, [ask.user], "user")
        said = live(people.events(ask.user), types, fitted, model.learned_to)
        return row_of_user(ask.user, view, said, forgotten, filter_seen)
    if ask.history is None:
        if ask.values is not None:
            raise Problem(422, "values: they are those of a history; give one.", "values")
        return Row()
    return _of_history(ask, view, filter_seen)


def _of_history(ask: Ask, view: View, filter_seen: bool) -> Row:
    fitted, history = view.model.fitted, ask.history or []
    require_kind(fitted.items, history, "history")
    if not fitted.can.fold_in:
        raise Problem(409, f"history: {fitted.name} cannot answer a history; ask for a user, or serve a model that "
                           f"folds in.", "history")
    values = None
    if ask.values is not None:
        if len(ask.values) != len(history):
            raise Problem(422, f"values: {len(ask.values)} for a history of {len(history)}; give one for each item.",
                          "values")
        for place, value in enumerate(ask.values):
            require_rating(fitted, value, f"values[{place}]")
        values = np.array(ask.values, np.float32)
    elif fitted.scorer.needs_values and history:
        raise Problem(422, f"values: {fitted.name} predicts ratings; give those of the history.", "values")
    numbers = encode(fitted.items, history)
    row = Row()
    if filter_seen:
        row.hidden, row.hidden_new = numbers[numbers >= 0], {*history}
    known = _with_stand_ins(numbers, history, view, row)
    row.history, row.values = numbers[known], None if values is None else values[known]
    _say_source(row, fitted, len(row.history))
    return row


def require_rating(fitted: Fitted, value: float, where: str) -> None:
    """Raise Problem for a value beyond those that a model has learned from, if it predicts ratings.

    To all other models a value is but a weight.
    """
    span = fitted.facts.rating_range
    if fitted.scorer.needs_values and span is not None and not span[0] <= float(np.float32(value)) <= span[1]:
        raise Problem(422, f"{where}: {value:g} is no rating here; {fitted.name} has learned from ratings of "
                           f"{span[0]:g} to {span[1]:g}.", where)


def row_of_user(user: Key, view: View, said: Live, forgotten: bool = False, filter_seen: bool = True) -> Row:
    """What to ask a model for a user of whom the log says something."""
    fitted = view.model.fitted
    number = -1 if forgotten else int(encode(fitted.users, [user])[0])
    row = Row()
    seen = fitted.facts.seen
    if filter_seen:
        row.hidden, row.hidden_new = _own(said.hidden, fitted), said.hidden
        if number >= 0 and seen is not None:
            trained = seen.row(number)[0]
            trained = trained[~np.isin(trained, _own(said.undone, fitted))] if said.undone else trained
            row.hidden = np.concatenate([row.hidden, trained])
    new = _of_kind(said.items, said.values, fitted)
    numbers = encode(fitted.items, new[0])
    known = _with_stand_ins(numbers, new[0], view, row) if fitted.can.fold_in else numbers >= 0
    disliked = _own(said.disliked, fitted) if number >= 0 else _NOTHING
    if said.unrated:
        row.notes.append(f"history: {len(said.unrated)} items without a rating do not count: {fitted.name} predicts "
                         f"ratings.")
    if not fitted.can.fold_in or not (known.any() or len(disliked)):
        row.user = number
        _say_source(row, fitted, len(new[0]))
        return row
    old, old_values = trained_history(fitted, number) if number >= 0 else (_NOTHING, None)
    if len(disliked):
        kept = ~np.isin(old, disliked)
        old, old_values = old[kept], None if old_values is None else old_values[kept]
    row.history = np.concatenate([old, numbers[known]]).astype(np.int32)
    values = np.array(new[1], np.float32)[known]
    if fitted.scorer.needs_values or old_values is not None or (values != 1).any():
        before = np.ones(len(old), np.float32) if old_values is None else old_values
        row.values = np.concatenate([before, values]).astype(np.float32)
    _say_source(row, fitted, len(row.history))
    return row


def _say_source(row: Row, fitted: Fitted, given: int) -> None:
    """Say where a row's entries come from, and where it is so, that the `given` items of a history change nothing."""
    if not fitted.scorer.personalised:
        if given:
            row.notes.append(f"history: {fitted.name} has one order of items for everybody, which no history changes.")
        return
    if len(row.history):
        row.source = "history"
    elif row.user >= 0 and _learned_from(fitted, row.user):
        row.source = "model"
    if given and not fitted.can.fold_in:
        what = "that of its training" if row.source == "model" else "the unpersonalised one"
        row.notes.append(f"history: {fitted.name} does not fold in histories, and {given} items since its training do "
                         f"not count; the list is {what}.")


def _learned_from(fitted: Fitted, user: int) -> bool:
    """Whether training had anything of a user's own, events or features."""
    seen = fitted.facts.seen
    return seen is None or fitted.scorer.described[0] or bool(seen.indptr[user + 1] > seen.indptr[user])


def _of_kind(items: Sequence[Key], values: Sequence[float], fitted: Fitted) -> tuple[Sequence[Key], Sequence[float]]:
    """Items whose ids are of the model's kind, with their values; a log may hold others, from a model before."""
    kind = kind_of(fitted.items)
    if all(type(item) is kind for item in items):
        return items, values
    kept = [(item, value) for item, value in zip(items, values, strict=True) if type(item) is kind]
    return [item for item, _ in kept], [value for _, value in kept]


def _own(items: set[Key], fitted: Fitted) -> np.ndarray:
    """The numbers of those items that the model knows."""
    if not items:
        return _NOTHING
    kind = kind_of(fitted.items)
    numbers = encode(fitted.items, [item for item in items if type(item) is kind])
    return numbers[numbers >= 0]


def _with_stand_ins(numbers: np.ndarray, items: Sequence[Key], view: View, row: Row) -> np.ndarray:
    """Which items count: bool (n,). The numbers of new ones become those of what is most like them.

    What stands for another item, and what is left out, is said in the row's notes.
    """
    known = numbers >= 0
    if known.all():
        return known
    stand_ins = view.stand_ins
    for place in np.flatnonzero(~known).tolist():
        numbers[place] = stand_ins.get(items[place], -1)
    replaced, lost = int((~known & (numbers >= 0)).sum()), int((numbers < 0).sum())
    if replaced:
        row.notes.append(f"history: {replaced} new items count as the items that they are most like.")
    if lost:
        row.notes.append(f"history: {lost} of {len(items)} items are unknown to the model, and were left out.")
    return numbers >= 0


def allowed_by(ask: RecommendAsk, view: View, notes: list[str]) -> tuple[np.ndarray | None, set[Key] | None]:
    """Items that a request may list: of the model, bool (n_items,), and new ones by id; None for all of either.

    What was asked for and is not there is said in `notes`.
    """
    ids, allowed, fresh = view.ids, view.available, None
    if ask.items is not None:
        require_kind(ids, ask.items, "items")
        numbers = encode(ids, ask.items)
        only = np.zeros(len(ids), np.bool_)
        only[numbers[numbers >= 0]] = True
        allowed = only if allowed is None else allowed & only
        fresh = {*ask.items}
        _note_unknown("items", ask.items, numbers, view, notes)
    if ask.where is not None:
        own, new = view.where(ask.where)
        if not own.any() and not new:
            notes.append("where: no item has one of the values of every attribute.")
        allowed = own if allowed is None else allowed & own
        fresh = new if fresh is None else fresh & new
    return allowed, fresh


def hide(items: Sequence[Key], row: Row, view: View) -> None:
    """Hide what a request excludes, and say in the row's notes what of it is not there."""
    require_kind(view.ids, items, "exclude")
    numbers = encode(view.ids, items)
    row.hidden = np.concatenate([row.hidden, numbers[numbers >= 0]])
    row.hidden_new = row.hidden_new | {*items}
    _note_unknown("exclude", items, numbers, view, row.notes)


def _note_unknown(name: str, items: Sequence[Key], numbers: np.ndarray, view: View, notes: list[str]) -> None:
    """Say how many items are neither the model's, by their numbers, nor new."""
    lost = sum(not view.is_new(items[place]) for place in np.flatnonzero(numbers < 0).tolist())
    if lost:
        notes.append(f"{name}: {lost} of {len(items)} are unknown, and were left out.")
