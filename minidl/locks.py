"""Locks that a forked child can go on with."""

from __future__ import annotations

import os
import threading
from typing import Any

__all__ = ["lock_across_forks"]


def lock_across_forks() -> Any:
    """A reentrant lock that every fork waits for: a child has no thread that would release it, or finish its work."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
