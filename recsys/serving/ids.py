"""Ids that the service gives."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_id"]


def new_id() -> str:
    """An id for a request or an event; later ones are greater, so that an index of them grows at its end."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(5)}"
