"""What a fitted model holds of one person."""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.estimator import answering, scorers
from recsys.estimator.fitted import Fitted

__all__ = ["items", "kept"]


def kept(fitted: Fitted, user: Any) -> dict[str, Any]:
    """Events and learned numbers of a user, as JSON values; empty if the model does not know the user.

    Examples
    --------
    >>> from recsys import Interactions
    >>> from recsys.models import UserKNN
    >>> fitted = UserKNN().fit(Interactions.from_arrays(["ann", "ann", "bob"], [7, 9, 7])).require("kept")
    >>> kept(fitted, "ann")["events"]
    [{'item': 7, 'title': None, 'value': None}, {'item': 9, 'title': None, 'value': None}]
    >>> kept(fitted, "eve")
    {}
    """
    if user not in fitted.users:
        return {}
    number = int(fitted.users.encode([user])[0])
    facts, events = fitted.facts, []
    rows = facts.seen if facts.events is None else facts.events
    if rows is not None:
        items, values = rows.row(number)
        events = [{"item": facts.items.ids[item].item(), "title": answering.title(fitted, item),
                   "value": None if values is None else float(values[place])}
                  for place, item in enumerate(items.tolist())]
    return {"events": events, "learned": _learned(fitted, number)}


def items(fitted: Fitted, number: int) -> list[int]:
    """The items that a user (-1: nobody) has seen in training, by number."""
    seen = fitted.facts.seen
    return [] if seen is None or number < 0 else seen.row(number)[0].tolist()


def _learned(fitted: Fitted, number: int) -> dict[str, Any]:
    """Rows of the user in what answers: vectors and the like, and histories in the form in which they are scored."""
    scorer, vectors = fitted.scorer, fitted.scorer.user_vectors()
    found = {} if vectors is None else {"vector": np.asarray(vectors[number]).tolist()}
    arrays = scorers.state_of(scorer)[1]
    return found | {name: np.asarray(arrays[name][number]).tolist() for name in scorer.of_users
                    if name in arrays and not (vectors is not None and arrays[name] is vectors)}
