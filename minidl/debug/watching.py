"""Watching operations as they run: what `detect_anomaly` and `profile` are built on.

The engine has one observer for all threads, or none. Only while some thread watches is there one, a `_Switch`, which
passes every operation on to the watchers of the calling thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from minidl.engine import Node, Rule, observe

__all__ = ["Forward", "Watcher", "watchers"]

Forward = Callable[..., Any]


class Watcher:
    """Sees the operations of the thread that entered it, between `__enter__` and `__exit__`.

    A subclass answers with functions that look and then do what the given ones do.
    """

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        """An operation is about to run forward, and to be recorded with this rule."""
        return forward, rule

    def returning(self, rule: Rule, node: Node) -> Rule:
        """The backward pass is about to apply this rule, that of `node`."""
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
    """The engine's observer as long as any thread has a watcher."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.active = 0

    def count(self, change: int) -> None:
        with self.lock:
            self.active += change
            observe(self if self.active else None)

    def recording(self, forward: Forward, rule: Rule) -> tuple[Forward, Rule]:
        for watcher in _here.watchers:
            forward, rule = watcher.recording(forward, rule)
        return forward, rule

    def returning(self, rule: Rule, node: Node) -> Rule:
        for watcher in _here.watchers:
            rule = watcher.returning(rule, node)
        return rule


_here = _Here()
_switch = _Switch()


def watchers() -> tuple[Watcher, ...]:
    """Those of the calling thread, the outermost first."""
    return _here.watchers
