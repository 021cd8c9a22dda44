"""Every answer beside what the model itself says, after the load, so that comparing costs the service nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.load import Answer

__all__ = ["answered", "direct", "wrong"]

Lists = tuple[list[Any], list[float], list[str | None], list[bool]]


def direct(model: Any, history: Sequence[Any], k: int = 10, *, filter_seen: bool = True,
           exclude: Sequence[Any] | None = None) -> Lists:
    """What a model answers to a history: ids, scores, titles, and which stand in as popular."""
    recs = model.recommend(history=list(history), k=k, filter_seen=filter_seen, exclude=exclude)
    titles = [None] * len(recs.items) if recs.titles is None else [title or None for title in recs.titles.tolist()]
    return recs.items.tolist(), recs.scores.tolist(), titles, (recs.source == "popular").tolist()


def answered(answer: Answer) -> Lists | None:
    """The same of a service's answer; None if it is a problem."""
    if answer.status != 200:
        return None
    items = json.loads(answer.body)["items"]
    return ([each["id"] for each in items], [each["score"] for each in items], [each["title"] for each in items],
            [each["source"] == "popular" for each in items])


def wrong(answers: Sequence[Answer], histories: Sequence[Sequence[Any]], models: Mapping[str, Any]) -> int:
    """How many answers are not, to the last bit of the scores, those of the model whose version they name.

    Parameters
    ----------
    answers : sequence of Answer
    histories : sequence of lists of ids
        What was asked: answer i is to history `i % len(histories)`.
    models : mapping of str to model
        By version.
    """
    known: dict[tuple[str, int], Lists] = {}
    count = 0
    for number, answer in enumerate(answers):
        found = answered(answer)
        version = "" if found is None else json.loads(answer.body)["model"]["version"]
        if version not in models:
            count += 1
            continue
        key = version, number % len(histories)
        if key not in known:
            known[key] = direct(models[version], histories[key[1]])
        count += found != known[key]
    return count
