"""Whose turn it is to write: SQLite alone lets the busiest writer keep all others waiting."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from recsys.errors import LogError

try:
    import fcntl
except ImportError:  # Windows, where writers then meet without a queue
    fcntl = None  # type: ignore[assignment]

__all__ = ["Turnstile"]

_PAUSE = 0.00005  # seconds between two looks


class Turnstile:
    """A lock beside a file, held by the one who is next to write, and only until it writes.

    A writer that has finished and wants to go on finds the turnstile taken, if anybody is waiting, and so has to let
    that one go first. The lock (`flock`, of an empty file `-turn`) is gone with its process, even one that is killed.

    Parameters
    ----------
    path : Path
        The file that is written.
    timeout : float
        Seconds to wait, before LogError.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self._file: int | None = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Be the next one while the block runs."""
        if fcntl is None:
            yield
            return
        if self._file is None:
            self._file = self._open()
        deadline = time.monotonic() + self._timeout
        while not _locked(self._file):
            if time.monotonic() > deadline:
                raise LogError(f"{self._path}: other processes wrote to it for {self._timeout:g} s on end; try again, "
                               f"or open it with a longer timeout.")
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the lock; it may be closed before."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        name = f"{self._path}-turn"
        try:
            return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise LogError(f"{name}: this file cannot be made or opened for writing; make room, and check the "
                           f"permissions of its folder ({error.strerror}).") from error


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
