"""The keys of random masks, noted by a `checkpoint` that runs and given again when it is computed again.

Whoever draws a mask asks `drawn` for its key: while a checkpoint computes again, the key comes from its notes, and no
generator moves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from minidl.errors import GradientError

__all__ = ["Keys", "again", "drawn", "running"]

Keys = list[Any]


class _State(threading.local):
    frames: tuple[Keys | Iterator[Any], ...] = ()  # of running checkpoints: keys to note, or to give again


_state = _State()


def drawn(draw: Callable[[], Any]) -> Any:
    """What `draw()` gives; or, where a checkpoint is computed again, what it gave the first time."""
    notes: list[Keys] = []
    for frame in reversed(_state.frames):
        if isinstance(frame, list):
            notes.append(frame)
        elif (key := next(frame, None)) is None:
            raise GradientError("checkpoint: the function draws more random masks when it is computed again than it "
                                "did at first; it has to take the same steps both times")
        else:
            break
    else:
        key = draw()
    for note in notes:
        note.append(key)
    return key


def again() -> bool:
    """Whether this thread computes a checkpoint again: what has been counted or averaged is not to be so twice."""
    return any(not isinstance(frame, list) for frame in _state.frames)


@contextmanager
def running(frame: Keys | Iterator[Any]) -> Iterator[None]:
    """Note keys in a list, or give those of an iterator again, inside."""
    before, _state.frames = _state.frames, (*_state.frames, frame)
    try:
        yield
    finally:
        _state.frames = before
