"""Sentences about what reading took, dropped or replaced, passed to whoever listens."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Tell", "unsaid"]

Tell = Callable[[str], None]  # takes a sentence; `list.append` keeps it


def unsaid(sentence: str) -> None:
    """Listens and keeps nothing: for layouts that are known, about which nothing is guessed."""
