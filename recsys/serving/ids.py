"""Ids that the service gives."""

from __future__ import annotations

import os
import random
import secrets
import time

__all__ = ["new_id"]

_RANDOM = random.Random(secrets.token_bytes(32))  # asking the system for each id takes longer than all the rest of it


def new_id() -> str:
    """An id for a request or an event; later ones are greater, so that an index of them grows at its end."""
    return f"{time.time_ns() // 1000:014x}{_RANDOM.getrandbits(40):010x}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _RANDOM.seed(secrets.token_bytes(32)))
