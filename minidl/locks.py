"""Locks that a forked child can go on with."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["lock_across_forks"]


def lock_across_forks(forget: Callable[[], None] | None = None) -> Any:
    """A reentrant lock that every fork waits for: a child has no thread that would release it, or finish its work.

    Parameters
    ----------
    forget : callable, optional
        Called in a child, to set back what threads that it does not have would have set back after the lock.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
        if forget is not None:
            os.register_at_fork(after_in_child=forget)
    return lock
