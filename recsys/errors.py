"""What can go wrong, by kind: catch `RecsysError` for all of it."""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "DataError",
    "DataWarning",
    "LeakWarning",
    "LogError",
    "NotFittedError",
    "ParameterError",
    "RecsysError",
    "TrainingInterrupted",
    "UnknownIdError",
    "UnsupportedError",
]


class RecsysError(Exception):
    """Base class of every error that `recsys` raises on purpose."""


class DataError(RecsysError, ValueError):
    """Data that cannot be used; the message names the file, column, row and value, and what to do."""


class DataWarning(UserWarning):
    """Data that can be used, but hardly as it is meant; the message says what to do."""


class UnknownIdError(RecsysError, LookupError, ValueError):
    """Users or items that the data or the model has never seen; the message names them."""


class ParameterError(RecsysError, ValueError):
    """A hyper-parameter or argument outside of what it may be."""


class NotFittedError(RecsysError, RuntimeError):
    """A model was asked for something before `fit`."""


class UnsupportedError(RecsysError, RuntimeError):
    """A model was asked for something that its `can` says it cannot do."""


class ArtifactError(RecsysError, ValueError):
    """A model file that is damaged, of another format, or not to be trusted."""


class LogError(RecsysError, RuntimeError):
    """An event log that cannot be opened, read or written now; the message names the file and says what to do."""


class LeakWarning(UserWarning):
    """A model was measured on events that it has learned from; the message says on how many."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during a training; the message says how to go on."""
