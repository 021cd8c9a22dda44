"""What a fit is given besides the data: facts, validation, and where to report to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from recsys.data.interactions import Interactions
from recsys.estimator.facts import Facts

__all__ = ["Context"]


@dataclass(frozen=True, eq=False)
class Context:
    """One call of `fit` or `partial_fit`, as `learn` and `update` of an estimator take it.

    Parameters
    ----------
    facts : Facts
        Of the training data; of `partial_fit`, of all of it.
    valid : Interactions, optional
        Never empty.
    valid_history : Interactions, optional
        What may be seen of the users of `valid`, if it is not the training data.
    checkpoint : path, optional
    callbacks : sequence of callable
    progress : object with start, advance and stop, optional
    """

    facts: Facts
    valid: Interactions | None = None
    valid_history: Interactions | None = None
    checkpoint: str | PathLike[str] | None = None
    callbacks: Sequence[Callable[[int, dict[str, float]], bool | None]] = ()
    progress: Any = None
