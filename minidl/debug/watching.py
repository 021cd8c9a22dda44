"""Looking on while operations run: what `detect_anomaly` and `profile` are built on.

The engine asks one question for an operation, `_watch is not None`. Only while some thread watches does it
show every operation to `_Switch`, which passes it on to the watchers of the calling thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from minidl import engine
from minidl.engine import Rule

__all__ = ["Watcher", "watchers"]

Forward = Callable[..., Any]


class Watcher:
    """Sees the operations of the thread that entered it, between `__enter__` and `__exit__`.

    A subclass answers with functions that look and then do what the given ones do.
    """

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        """An operation is about to run forward, and to be recorded with this rule."""
        return forward, rule

    def returning(self, rule: Rule) -> Rule:
        """The backward pass is about to apply this rule."""
        return rule

    def __enter__(self) -> Any:
        if self in _here.watchers:
            raise RuntimeError(f"{type(self).__name__}: this block is entered already; make another one")
        _here.watchers = (*_here.watchers, self)
        _switch.count(1)
        return self

    def __exit__(self, *exception: object) -> None:
        _here.watchers = tuple(w for w in _here.watchers if w is not self)
        _switch.count(-1)


class _Here(threading.local):
    watchers: tuple[Watcher, ...] = ()


class _Switch:
    """Stands in `engine._watch` as long as any thread has a watcher."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.active = 0

    def count(self, change: int) -> None:
        with self.lock:
            self.active += change
            engine._watch = self if self.active else None

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        for watcher in _here.watchers:
            forward, rule = watcher.recording(forward, rule)
        return forward, rule

    def returning(self, rule: Rule) -> Rule:
        for watcher in _here.watchers:
            rule = watcher.returning(rule)
        return rule


_here = _Here()
_switch = _Switch()


def watchers() -> tuple[Watcher, ...]:
    """Those of the calling thread, the outermost first."""
    return _here.watchers
