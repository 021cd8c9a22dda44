"""Files with a line a user or a line a session, as papers about graphs and sessions share them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsys.data.interactions import Interactions
from recsys.data.opening import called
from recsys.data.readers import read_ragged
from recsys.errors import DataError, ParameterError

__all__ = ["KINDS", "places", "read_lines"]

KINDS = ("users", "sessions")
"""What a line may be."""


def read_lines(path: str | Path, lines: str, name: str = "") -> Interactions:
    """The interactions of a file whose lines hold any number of words with blanks between them.

    Parameters
    ----------
    path : path
        The file, gzipped if it ends in `.gz`; `-` is standard input.
    lines : {"users", "sessions"}
        A line is a user: their id, and then their items (the format of LightGCN); or a line is a session: its items in
        the order of the clicks. A session's id is the file's name and the number of its line, so that sessions of two
        files are never one; its times are the places of the clicks.
    name : str
        For reports; by default the file's.

    Returns
    -------
    Interactions

    Raises
    ------
    DataError
        The file is empty, or a table with commas or the like.
    ParameterError
        `lines` is something else.
    """
    if lines not in KINDS:
        raise ParameterError(f"lines must be one of {', '.join(map(repr, KINDS))}, got {lines!r}.")
    words, name = read_ragged(path), name or Path(called(path)).name
    ids = words.ids(0)
    if not np.any(np.diff(words.lines) == 0) and any(mark in str(ids[0]) for mark in ",;|"):
        raise DataError(f"{called(path)}: no line holds two words with a blank between them, and the first one is "
                        f"{str(ids[0])!r:.40}; leave lines= out to read a table.")
    if lines == "sessions":
        stem, width = Path(called(path)).name.partition(".")[0], len(str(words.lines[-1]))
        sessions = np.array([f"{stem}:{line:0{width}d}" for line in words.lines.tolist()])
        return Interactions.from_arrays(sessions, ids, times=places(words.lines), name=name)
    first = np.diff(words.lines, prepend=0) > 0
    users = np.repeat(ids[first], np.diff(np.flatnonzero(np.append(first, True))))
    return Interactions.from_arrays(users[~first], ids[~first], name=name)


def places(group: np.ndarray) -> np.ndarray:
    """Each row's place among the rows of its group, from 0, shape (n,).

    >>> places(np.array([7, 7, 2, 7])).tolist()
    [0, 1, 0, 2]
    """
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=group[order][:1] - 1))
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))
    return place
