"""Learning again beside a service, in a process of its own that the service knows by its command alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from recsys.events import EventLog

__all__ = ["Learning"]


class Learning:
    """Starts `recsys retrain` beside the service, as a process of low priority, every so often or every so many events.

    Parameters
    ----------
    command : sequence of str
        What is run, behind `recsys`.
    log : path
        The log of events.
    learned_to : int
        The number of the log's last event that the running model has learned.
    every : float or None
        Seconds between the starts.
    events : int or None
        New events between the starts.
    least : int
        It waits until the log has so many events, of which the last has this number or a higher one.
    """

    def __init__(self, command: Sequence[str], log: str, learned_to: int = 0, *, every: float | None = None,
                 events: int | None = None, least: int = 0) -> None:
        self._command, self._log, self._every, self._events = list(command), log, every, events
        self._least, self._waits = least, False
        self._last = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._seq = learned_to  # of the log, when it was last begun
        self._looked = 0.0

    def look(self, say: Callable[[str], None]) -> None:
        """Start it if it is time, and tell of one that has ended."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            say(f"Learning again has ended{'' if code == 0 else f' with code {code}'}.")
            self._process = None
        if now - self._looked < 1:
            return
        self._looked = now
        if self._every is not None and now - self._last < self._every:
            return
        with EventLog(self._log) as log:
            seq = log.last_seq()
        if self._events is not None and seq - self._seq < self._events:
            return
        if seq < self._least:
            if not self._waits:
                say(f"Learning again waits: the log has {seq:,} of the {self._least:,} events or more that it takes to "
                    f"compare two models.")
            self._waits = True
            return
        self._last, self._seq = now, seq
        say("Learning again.")
        self._process = subprocess.Popen([sys.executable, "-m", "recsys", *self._command])

    def stop(self) -> None:
        """End one that runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
