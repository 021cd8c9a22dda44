"""Requests that a model file holds with their answers, to be asked again of whoever has read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.errors import ArtifactError
from recsys.estimator.fitted import Fitted

__all__ = ["make", "replay"]

_HISTORIES = (slice(0, 1), slice(1, 3), slice(3, 8))  # of the items in order of their number of events
_CANDIDATES = 256  # items that a user is asked about: as many of the same order
_K = 10
_TOLERANCE = 1e-4  # of the largest score of an answer
_DIGITS = 7


def make(fitted: Fitted, *, users: bool = True) -> list[dict[str, Any]]:
    """A few requests and the ten best items with their scores, as JSON values; items and users by their numbers.

    A model that folds in is asked for histories of the items with the most events, which are nobody's. Another one is
    asked for a few users of the training, and ranks the items with the most events, so that it takes no longer the more
    items there are; if it does not know its users, it is asked nothing.

    Examples
    --------
    >>> from recsys import Interactions
    >>> from recsys.models import Popular
    >>> data = Interactions.from_arrays([1, 1, 2, 3], ["tea", "jam", "tea", "tea"])
    >>> make(Popular().fit(data).require("make"))[0]
    {'history': [1], 'items': [1, 0], 'scores': [3.0, 1.0]}
    """
    return [request | _answer(fitted, request) for request in _requests(fitted, users)]


def replay(fitted: Fitted, card: Mapping[str, Any]) -> bool:
    """Ask a model the requests of its file's card again.

    Parameters
    ----------
    fitted : Fitted
        What answers.
    card : mapping
        Of the file, as `recsys.loading.manifest` gives it.

    Returns
    -------
    bool
        Whether there were any requests; files of before have none.

    Raises
    ------
    ArtifactError
        An answer differs: a score by more than 1e-4 of the largest, or the order, but for scores as close as that. The
        message names the request.

    Examples
    --------
    >>> from recsys import Interactions
    >>> from recsys.models import Popular
    >>> fitted = Popular().fit(Interactions.from_arrays([1, 1, 2], ["tea", "jam", "tea"])).require("replay")
    >>> replay(fitted, {"golden": make(fitted)}), replay(fitted, {})
    (True, False)
    """
    requests = card.get("golden", [])
    for number, request in enumerate(requests):
        try:
            problem = _difference(fitted, request)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problem = f"it cannot be asked: {type(error).__name__} {error}"
        if problem:
            asked = next((f"{kind} {request[kind]}" for kind in ("history", "user") if kind in request), "nothing")
            raise ArtifactError(f"golden request {number} ({asked}) of this {fitted.name} is answered otherwise than "
                                f"when it was saved: {problem}; save the model or copy the file again.")
    return bool(requests)


def _popular(fitted: Fitted, n: int) -> np.ndarray:
    """The n items with the most events, by number where there are as many."""
    return np.argsort(-fitted.facts.item_counts, kind="stable")[:n]


def _requests(fitted: Fitted, users: bool) -> Iterator[dict[str, Any]]:
    if fitted.can.fold_in:
        popular = _popular(fitted, _HISTORIES[-1].stop).tolist()
        for part in _HISTORIES:
            if popular[part]:
                yield {"history": popular[part]}
    elif users and fitted.scorer.knows_users:
        n = len(fitted.facts.users)
        yield from ({"user": user} for user in sorted({0, n // 2, n - 1} & set(range(n))))


def _answer(fitted: Fitted, request: Mapping[str, Any]) -> dict[str, Any]:
    """The best items, equal ones by number, and their scores; what is not finite is left out."""
    items, scores = _scores(fitted, request)
    if len(items) > _K:  # the last of the best, and all that may stand beside it
        known = np.where(np.isnan(scores), np.float32(-np.inf), scores)
        some = np.flatnonzero(known >= np.partition(known, -_K)[-_K])
        items, scores = items[some], scores[some]
    best = np.lexsort((items, -scores))[:_K]
    best = best[np.isfinite(scores[best])]
    return {"items": items[best].tolist(), "scores": [float(f"{score:.{_DIGITS}g}") for score in scores[best].tolist()]}


def _scores(fitted: Fitted, request: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Items and their scores: int (n,), float32 (n,)."""
    with np.errstate(all="ignore"):  # a model that has diverged can be saved, and says so when it is asked
        if "user" in request:
            items = _popular(fitted, _CANDIDATES)
            return items, np.asarray(fitted.scorer.pairs(np.full(len(items), request["user"]), items))
        history, n = np.array(request["history"], np.int32), len(fitted.facts.items)
        values = np.full(len(history), fitted.facts.mean_value) if fitted.scorer.needs_values else None
        rows = CSR.from_pairs(np.zeros(len(history), np.int32), history, values, (1, n))
        return np.arange(n), np.asarray(fitted.scorer.fold(rows)[0])


def _difference(fitted: Fitted, request: Mapping[str, Any]) -> str:
    """How the answer differs from the one of the request, in words; empty if it does not."""
    items, scores = _scores(fitted, request)
    wanted, were = np.array(request["items"], np.int64), np.array(request["scores"], np.float64)
    found = np.array(_answer(fitted, request)["scores"])
    near = _TOLERANCE * np.abs(were).max(initial=0.0)
    if len(found) != len(were):
        return f"{len(found)} items instead of {len(were)}"
    order = np.argsort(items)
    now = scores[order[np.searchsorted(items, wanted, sorter=order)]]
    for what, are in (("its items have", now), ("the best have", found)):
        wrong = np.flatnonzero(~(np.abs(are - were) <= near))
        if len(wrong):
            return f"{what} the score {are[wrong[0]]:.6g} instead of {were[wrong[0]]:.6g} in place {wrong[0] + 1}"
    return ""
