"""The model files that a service has accepted, for workers that start later, whatever lies at their paths."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from recsys.events.announcing import Stamp, stamp_of

__all__ = ["Accepted", "Holder"]

_NAMES = Path("/proc/self/fd")  # where a system names open files
_PATIENCE = 1.0  # seconds that a worker waits for the supervisor


class Accepted:
    """What a worker tells of the files that it has loaded, and where one that starts finds them.

    Parameters
    ----------
    folder : path
        That the processes of the service share.
    paths : sequence of str
        Of the variants' files.
    """

    def __init__(self, folder: str | os.PathLike[str], paths: Sequence[str]) -> None:
        self._folder, self._paths = Path(folder), list(paths)

    def tell(self, path: str, stamp: Stamp) -> None:
        """Say that the file of this stamp was at the path and is good, and wait until the supervisor holds it."""
        becoming = self._folder / f"telling-{os.getpid()}"
        becoming.write_text(json.dumps(stamp))
        becoming.replace(self._told(path))
        if not self._bell.exists():
            return
        with contextlib.suppress(OSError):  # nobody listens: the supervisor is gone
            bell = os.open(self._bell, os.O_WRONLY | os.O_NONBLOCK)
            os.write(bell, b".")
            os.close(bell)
        end = time.monotonic() + _PATIENCE
        while self._stamp(self._held(path)) != stamp == self._stamp(path) and time.monotonic() < end:
            time.sleep(.0002)

    def file(self, path: str) -> str:
        """Where the file that was accepted last is read: at its path, or, if that has another one, as it is held."""
        held = self._held(path)
        return path if not held.exists() or self._last(path) == self._stamp(path) is not None else str(held)

    def _last(self, path: str) -> Stamp | None:
        """What was told last of a path."""
        try:
            found: Stamp = json.loads(self._told(path).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def _stamp(self, path: str | Path) -> Stamp | None:
        with contextlib.suppress(FileNotFoundError):
            return stamp_of(path)
        return None

    @property
    def _bell(self) -> Path:
        return self._folder / "bell"

    def _told(self, path: str) -> Path:
        return self._folder / f"accepted-{self._paths.index(path)}"

    def _held(self, path: str) -> Path:
        return self._folder / f"held-{self._paths.index(path)}"


class Holder(Accepted):
    """The supervisor's side: it holds open what was accepted last, or, at the start, what is there.

    A file that is open is there until it is closed, though another one has taken its name. Linux gives it a name of its
    own, `/proc/PROCESS/fd/NUMBER`; other systems have none, and there a worker starts from what lies at the path.

    Attributes
    ----------
    waiting : list of int
        What becomes readable when `hold` has something to do.
    """

    def __init__(self, folder: str | os.PathLike[str], paths: Sequence[str]) -> None:
        super().__init__(folder, paths)
        self._open: dict[str, int] = {}
        self.waiting: list[int] = []
        if _NAMES.exists():
            os.mkfifo(self._bell)
            self.waiting = [os.open(self._bell, os.O_RDWR | os.O_NONBLOCK)]
            for path in self._paths:
                self._hold(path)

    def hold(self) -> None:
        """Hold what was told since."""
        for bell in self.waiting:
            with contextlib.suppress(BlockingIOError):
                os.read(bell, 1 << 12)
            for path in self._paths:
                if self._last(path) not in (None, self._stamp(self._held(path))):
                    self._hold(path)

    def _hold(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            number = os.open(path, os.O_RDONLY)
            if self._last(path) not in (None, stamp_of(number)):  # replaced since it was accepted
                os.close(number)
                return
            becoming = self._folder / "becoming"
            becoming.unlink(missing_ok=True)
            becoming.symlink_to(f"/proc/{os.getpid()}/fd/{number}")
            becoming.replace(self._held(path))
            before, self._open[path] = self._open.get(path), number
            if before is not None:
                os.close(before)

    def close(self) -> None:
        """Let go of all files."""
        for number in (*self.waiting, *self._open.values()):
            os.close(number)
        self.waiting, self._open = [], {}
