"""Which model files services are to load: told through the log, by who has written or compared them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from recsys.events.log import EventLog

__all__ = ["Stamp", "announce", "announced", "stamp_of"]

Stamp = list[int]
_KEY = "files"


def stamp_of(path: str | os.PathLike[str] | int) -> Stamp:
    """Number, time of change in ns, and size of a file, or an open one: another file in its place has another stamp."""
    found = os.stat(path)
    return [found.st_ino, found.st_mtime_ns, found.st_size]


def announce(log: EventLog, stamps: Iterable[tuple[str, Stamp]]) -> int:
    """Let all services of a log know that files, by path and stamp, are good and to be loaded; the log's generation."""
    return log.bump(_KEY, json.dumps({**announced(log), **{os.path.realpath(path): stamp for path, stamp in stamps}}))


def announced(log: EventLog) -> dict[str, Stamp]:
    """The stamps of files that are to be loaded, by their real paths."""
    found: dict[str, Stamp] = json.loads(log.get(_KEY) or "{}")
    return found
