"""Words that stand for nothing: which fields say that a value is missing, and the sentence about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from recsys.errors import DataError

__all__ = ["NA", "is_null", "refuse", "stands_for_nothing"]

NA = ("NA", "N/A", "#N/A", "<NA>", "NaN", "-NaN", "NaT", "NULL", "(null)", "None", r"\N", "-", "--", "?", "undefined")
"""What means "missing" in a field, in capitals or not; an empty field always does."""


def stands_for_nothing(fields: Iterable[str], words: Iterable[str] = NA) -> np.ndarray:
    """Which fields are empty or one of the words, in capitals or not, blanks around them aside: bool (n,).

    >>> stands_for_nothing(["ann", "n/a", " ", "None"]), stands_for_nothing(["n/a"], words=())
    (array([False,  True,  True,  True]), array([False]))
    """
    known = {word.strip().casefold() for word in words} | {""}
    return np.array([field.strip().casefold() in known for field in fields], np.bool_)


def is_null(column: np.ndarray) -> np.ndarray:
    """Which elements are None, NaN, NaT or another frame's word for nothing: bool (n,)."""
    if column.dtype.kind == "O":
        return np.array([x is None or type(x).__name__ in ("NAType", "NaTType") or (isinstance(x, float) and x != x)
                         for x in column], np.bool_)
    known = {"f": np.isnan, "M": np.isnat}.get(column.dtype.kind)
    return np.zeros(len(column), np.bool_) if known is None else np.asarray(known(column))


def refuse(missing: np.ndarray, field: Callable[[int], Any], where: Callable[[int], str], what: str = "id") -> None:
    """Raise a DataError about the rows marked, bool (n,), if there are any: the first, how many, and what to do."""
    if not missing.any():
        return
    row = int(np.argmax(missing))
    nothing = field(row)
    nothing = nothing.item() if isinstance(nothing, np.generic) else nothing
    word = nothing.strip() if isinstance(nothing, str) else ""
    raise DataError(f"{where(row)}: the {what} is missing ({f'{word!r} means that; ' if word else ''}"
                    f"{int(missing.sum()):,} such rows); leave them out with drop_missing=True"
                    f"{f', or keep {word!r} as what it is with na=()' if word else ''}.")
