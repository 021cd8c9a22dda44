"""How far the forgetting of people went: what is said of it in receipts, and in the cards of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["EXACT", "LEVELS", "REMOVED", "RETRAINED", "SAYS", "UNTOUCHED", "lifted", "pending", "weakest"]

EXACT, RETRAINED, REMOVED = LEVELS = ("exact", "retrained", "removed only")
"""From the strongest to the weakest."""
UNTOUCHED = "not in it"
"""Of a file that knew none of the people."""

SAYS: Mapping[str, str] = {
    EXACT: "The model is that of a training without these people, to the tolerance stated of each file.",
    RETRAINED: "The model, or the part of it that had seen these people, was trained again without them.",
    REMOVED: "Ids, histories and vectors of these people are gone; what all others share has still learned of them, "
             "until the model is trained again without them (recsys forget --finish, recsys retrain).",
    UNTOUCHED: "No version of the model knew these people."}
"""What a receipt says of each."""

Entry = Mapping[str, Any]
"""What a file's card lists under `forgotten`: the number of a receipt, and the level that the file has reached."""


def weakest(levels: Iterable[str]) -> str:
    """The weakest level, or that nothing had to be done.

    Examples
    --------
    >>> weakest(["exact", "removed only", "not in it"]), weakest([])
    ('removed only', 'not in it')
    """
    found = [level for level in levels if level in LEVELS]
    return max(found, key=LEVELS.index) if found else UNTOUCHED


def pending(entries: Iterable[Entry]) -> bool:
    """Whether people were only removed, so that learning again has something to finish."""
    return any(entry["level"] == REMOVED for entry in entries)


def lifted(entries: Iterable[Entry], level: str) -> list[dict[str, Any]]:
    """The entries after learning again without all of these people.

    Examples
    --------
    >>> lifted([{"receipt": "a", "level": "removed only"}, {"receipt": "b", "level": "exact"}], "retrained")
    [{'receipt': 'a', 'level': 'retrained'}, {'receipt': 'b', 'level': 'exact'}]
    """
    return [{**entry, "level": level if entry["level"] == REMOVED else entry["level"]} for entry in entries]
