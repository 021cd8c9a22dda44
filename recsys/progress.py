"""Progress of long work: nothing, plain lines, or rich's bars, behind three verbs.

`start(total, description)` opens a task, `advance(n, **fields)` moves it and shows fields such as a loss,
`stop()` closes it. Tasks nest: training an epoch inside of a fold inside of a comparison.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from minidl.errors import MissingExtraError
from recsys.errors import ParameterError

__all__ = ["Progress", "make", "plain", "rich", "silent", "task"]


class Progress(Protocol):
    """What `fit`, `evaluate` and the command line tell of their work."""

    def start(self, total: int | None, description: str) -> None:
        """Open a task of `total` steps (None: nobody knows) inside of the one that is open."""

    def advance(self, n: int = 1, **fields: Any) -> None:
        """Move the innermost task by `n` steps; the fields say how it goes."""

    def stop(self) -> None:
        """Close the innermost task."""


def make(kind: str = "auto", stream: TextIO | None = None) -> Progress:
    """A progress object.

    Parameters
    ----------
    kind : {"auto", "silent", "plain", "rich"}
        "auto" is rich on a terminal if rich is installed, else plain.
    stream : text file, optional
        Standard error by default.

    Raises
    ------
    MissingExtraError
        For "rich" without rich.
    """
    stream = sys.stderr if stream is None else stream
    if kind == "auto":
        kind = "rich" if stream.isatty() and importlib.util.find_spec("rich") is not None else "plain"
    makers = {"silent": lambda _: silent(), "plain": plain, "rich": rich}
    if kind not in makers:
        raise ParameterError(f"progress: kind must be 'auto', 'silent', 'plain' or 'rich', got {kind!r}.")
    return makers[kind](stream)


def silent() -> Progress:
    """Says nothing."""
    return _Silent()


def plain(stream: TextIO | None = None, interval: float = 5.0) -> Progress:
    """Lines of text, for logs and pipes.

    Parameters
    ----------
    stream : text file, optional
        Standard error by default.
    interval : float
        Seconds between two lines of a task, at least. A task that ends sooner has one line.

    Examples
    --------
    >>> bar = plain(sys.stdout)
    >>> bar.start(2, "epochs")
    >>> bar.advance(2, loss=0.25)
    >>> bar.stop()
    epochs 2/2 loss=0.25 (0.0 s)
    """
    return _Plain(sys.stderr if stream is None else stream, interval)


def rich(stream: TextIO | None = None) -> Progress:
    """Bars of the package rich.

    Raises
    ------
    MissingExtraError
        rich is not installed.
    """
    if importlib.util.find_spec("rich") is None:
        raise MissingExtraError("rich", "cli", "a progress bar")
    return _Rich(sys.stderr if stream is None else stream)


@contextmanager
def task(progress: Progress | None, total: int | None, description: str) -> Iterator[Progress]:
    """A task that is closed whatever happens inside; without progress, one that says nothing.

    >>> with task(None, 3, "folds") as folds:
    ...     folds.advance()
    """
    inner = silent() if progress is None else progress
    inner.start(total, description)
    try:
        yield inner
    finally:
        inner.stop()


class _Silent:
    def start(self, total: int | None, description: str) -> None:
        pass

    def advance(self, n: int = 1, **fields: Any) -> None:
        pass

    def stop(self) -> None:
        pass


@dataclass
class _Task:
    total: int | None
    description: str
    began: float = field(default_factory=time.monotonic)
    done: int = 0
    fields: dict[str, Any] = field(default_factory=dict)

    def advance(self, n: int, fields: dict[str, Any]) -> None:
        self.done += n
        self.fields |= fields

    def shown_fields(self) -> str:
        shown = (f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
                 for name, value in self.fields.items())
        return " ".join(shown)

    def __str__(self) -> str:
        count = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        shown = f" {self.shown_fields()}" if self.fields else ""
        return f"{self.description} {count}{shown} ({time.monotonic() - self.began:.1f} s)"


class _Plain:
    def __init__(self, stream: TextIO, interval: float) -> None:
        self._stream, self._interval = stream, interval
        self._tasks: list[_Task] = []
        self._written = time.monotonic()

    def start(self, total: int | None, description: str) -> None:
        self._tasks.append(_Task(total, description))

    def advance(self, n: int = 1, **fields: Any) -> None:
        current = self._tasks[-1]
        current.advance(n, fields)
        if time.monotonic() - self._written >= self._interval and current.done != current.total:
            self._write()

    def stop(self) -> None:
        if self._tasks[-1].done or not self._tasks[-1].total:  # what failed at once has nothing to tell
            self._write()
        self._tasks.pop()

    def _write(self) -> None:
        print("  " * (len(self._tasks) - 1) + str(self._tasks[-1]), file=self._stream, flush=True)
        self._written = time.monotonic()


class _Rich:
    """One display, opened with the first task and closed with the last."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Display

        self._display = Display(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                                TimeElapsedColumn(), TextColumn("{task.fields[shown]}"),
                                console=Console(file=stream), transient=True)
        self._tasks: list[tuple[Any, _Task]] = []

    def start(self, total: int | None, description: str) -> None:
        if not self._tasks:
            self._display.start()
        self._tasks.append((self._display.add_task(description, total=total, shown=""), _Task(total, description)))

    def advance(self, n: int = 1, **fields: Any) -> None:
        number, current = self._tasks[-1]
        current.advance(n, fields)
        self._display.update(number, advance=n, shown=current.shown_fields())

    def stop(self) -> None:
        self._display.remove_task(self._tasks.pop()[0])
        if not self._tasks:
            self._display.stop()
