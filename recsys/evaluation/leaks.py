"""Has a model learned from what it is asked for?"""

from __future__ import annotations

from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.parts import Split
from recsys.evaluation.ranking import part_of

__all__ = ["seen_in_training", "shared_pairs"]

_NOTHING_NEW = "so its numbers say nothing of events that it has not seen; fit it on split.train."


def seen_in_training(model: Any, split: Split, part: str) -> tuple[str, str]:
    """What a card says of the pairs that the model has learned from, and a warning if it should not have, or "".

    A pair that the split itself shows, in its training or validation part or a history, is something that came again,
    which any model may know. All others are known only to a model that was fitted on more than the split gives it.

    Parameters
    ----------
    model : Recommender
        With the id maps of the split.
    split : Split
    part : {"test", "valid"}
    """
    name, known = type(model).__name__, getattr(model, "seen", None)
    if known is None:
        return _by_fingerprint(model, split)
    asked = part_of(split, part).csr.unique().keys
    seen = asked[_among(asked, known)]
    shown = (split.train, split.valid_history) if part == "valid" else (
        split.train, split.test_history, split.valid, split.whole)
    leaked = seen
    for each in shown:
        if each is not None and len(leaked):
            pairs = each.csr.unique()
            leaked = leaked[~_among(leaked, pairs)] if pairs is not known else leaked[:0]
    line = f"{len(seen):,} of {len(asked):,} ({len(seen) / len(asked):.1%})"
    if len(leaked) < len(seen):
        line += f", {len(seen) - len(leaked):,} of them again, as the split shows them before"
    if not len(leaked):
        return line, ""
    return line, (f"evaluate: {name} has learned from {len(leaked):,} of the {len(asked):,} {part} pairs "
                  f"({len(leaked) / len(asked):.0%}), {_NOTHING_NEW}")


def shared_pairs(split: Split, part: str, task: str) -> str:
    """A warning about pairs to be predicted that training has too, of parts that somebody else has made, or "".

    Parameters
    ----------
    split : Split
    part : {"test", "valid"}
    task : {"ranking", "ratings"}
        Ranking: seen items are not ranked, so such pairs are never found. Ratings: the model learns what it is asked.
    """
    asked = part_of(split, part).csr.unique().keys
    shared = int(_among(asked, split.train.csr.unique()).sum())
    if not shared:
        return ""
    what = ("no model can find them, as seen items are not ranked; leave such pairs out, or take predefined-repeats if "
            "people come back to the same items" if task == "ranking" else
            "a model has learned what it is asked for; leave such rows out of one of the parts")
    return f"{shared:,} of the {len(asked):,} {part} pairs are in the training part, too, so {what}."


def _by_fingerprint(model: Any, split: Split) -> tuple[str, str]:
    """Of a model that was saved without seen items: was it fitted on the training part, or on all of the data?"""
    fitted_on = getattr(model, "fingerprint", None)
    if fitted_on == split.train.fingerprint():
        return "unknown, but the model was fitted on the split's training part, by its fingerprint", ""
    if fitted_on is not None and fitted_on == split.card.get("fingerprint"):
        return "all: the model was fitted on all the data, by its fingerprint", (
            f"evaluate: {type(model).__name__} was fitted on all the data that the split divides, by its fingerprint, "
            f"{_NOTHING_NEW}")
    return "unknown, as the model was saved without seen items", ""


def _among(keys: np.ndarray, pairs: CSR) -> np.ndarray:
    """Which ascending pairs occur among distinct sorted ones: bool (n,)."""
    known = pairs.keys
    place = np.searchsorted(known, keys)
    return np.asarray(known[np.minimum(place, len(known) - 1)] == keys) if len(known) else np.zeros(len(keys), bool)
