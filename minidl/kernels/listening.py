"""Lets Numba say when it compiles, for `minidl.compiling`."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import event

from minidl import compiling

__all__ = ["listen"]


class _Listener(event.Listener):
    def on_start(self, event: Any) -> None:
        compiling.clock.start()

    def on_end(self, event: Any) -> None:
        compiling.clock.stop()


@cache
def listen() -> None:
    """Start to listen, before the first kernel is loaded."""
    register: Any = event.register  # without hints
    register("numba:compile", _Listener())
