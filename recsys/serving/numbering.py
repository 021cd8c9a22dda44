"""Ids of requests, by the numbers of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.data.ids import IdMap
from recsys.errors import DataError
from recsys.events.records import check_id
from recsys.serving.problems import Problem, shown

__all__ = ["encode", "encode_any", "kind_of", "require_id", "require_kind"]

Key = int | str


def kind_of(ids: IdMap) -> type[int] | type[str]:
    """What the ids are."""
    return int if ids.integers else str


def require_kind(ids: IdMap, given: Sequence[Key], name: str) -> None:
    """Raise Problem for ids of another kind than the model's, and for texts that no log takes as ids."""
    kind = kind_of(ids)
    for place, one in enumerate(given):
        if type(one) is kind is int:
            continue
        where = name if len(given) == 1 and name != "history" and not name.endswith("s") else f"{name}[{place}]"
        if type(one) is not kind and len(ids):
            what = "integers" if ids.integers else "strings"
            raise Problem(422, f"{where}: ids are {what} here, such as {ids.ids[0].item()!r}, and {shown(one)} is not.",
                          where)
        require_id(one, where)


def require_id(one: Key, name: str) -> None:
    """Raise Problem for an id that no log takes, or that NumPy, which drops NUL at the end, takes for another."""
    try:
        check_id(name, one)
    except DataError as error:
        raise Problem(422, str(error), name) from error
    if isinstance(one, str) and "\0" in one:
        raise Problem(422, f"{name}: {shown(one)} holds the character NUL; leave it out.", name)


def encode(ids: IdMap, given: Sequence[Key]) -> np.ndarray:
    """Numbers of ids of the right kind, -1 for unknown ones: int32 (n,)."""
    if not len(ids) or not given:
        return np.full(len(given), -1, np.int32)
    return ids.encode(np.array(given, np.int64 if ids.integers else np.str_), "skip")


def encode_any(ids: IdMap, one: Key) -> int:
    """The number of an id, -1 if it is unknown or of another kind."""
    return int(encode(ids, [one])[0]) if type(one) is kind_of(ids) else -1
