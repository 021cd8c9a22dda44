"""Parts of one set of interactions, and the card that says how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, final

import numpy as np

from recsys.data.described import described
from recsys.data.given import Data
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import DataError, ParameterError

__all__ = ["ORDERS", "Parts", "Split", "difference", "joined", "origin", "require_same_ids", "sizes"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Parts of one set of interactions.

    Parameters
    ----------
    train, test : Interactions
        What a model learns from, and what it is asked for.
    valid : Interactions, optional
        What parameters and epochs are chosen by.
    card : mapping
        How the parts were made: data and fingerprint, split, parameters, seed, tie rule, sizes.
    valid_history, test_history : Interactions, optional
        What a model may see of the users when it scores; None means `train`.
    whole : Interactions, optional
        Training and validation rows as one set to learn from, where they are not simply those of both parts.

    Raises
    ------
    DataError
        A part is something else; or the parts number users or items differently, so that number 7 of one is another
        than number 7 of the next.
    """

    train: Interactions
    valid: Interactions | None
    test: Interactions
    card: Mapping[str, Any] = field(default_factory=dict)
    valid_history: Interactions | None = None
    test_history: Interactions | None = None
    whole: Interactions | None = None

    def __post_init__(self) -> None:
        parts = {"train": self.train, "valid": self.valid, "test": self.test, "valid_history": self.valid_history,
                 "test_history": self.test_history, "whole": self.whole}
        for name, part in parts.items():
            if not isinstance(part, Interactions) and (part is not None or name in ("train", "test")):
                raise DataError(f"Split: {name} is {described(part)}, not Interactions; recsys.split_predefined(train, "
                                f"test) takes frames, too.")
        require_same_ids("Split", **parts)

    def known(self) -> Interactions:
        """All that may be learned from before the test: training rows, and those for validation behind them."""
        if self.whole is not None:
            return self.whole
        if self.valid is None or self.valid_history is not None:
            raise DataError("Split.known: there are no validation rows to learn from; make some, or learn from the "
                            "training rows alone.")
        return joined(self.train, self.valid, self.valid.user)

    def sample_valid(self, users: int, seed: int = 0) -> Split:
        """The split with the validation rows of so many random users, so that validating takes less time.

        What is excluded or learned from besides (`known`, the test's history) stays as it is.

        Parameters
        ----------
        users : int
            At least 1; all are kept if there are no more.
        seed : int

        Returns
        -------
        Split
            Its card says how many of how many users were drawn.
        """
        if users < 1:
            raise ParameterError(f"Split.sample_valid: users must be 1 or more, got {users}.")
        if self.valid is None:
            raise DataError("Split.sample_valid: there are no validation rows; make some.")
        active = np.unique(self.valid.user)
        drawn = np.random.default_rng(seed).choice(active, min(users, len(active)), replace=False)
        kept = self.valid.take(np.isin(self.valid.user, drawn))
        card = {**self.card, "validation users": f"{len(drawn):,} of {len(active):,}, drawn with seed {seed}"}
        whole = self.known() if self.valid_history is None else self.whole
        return replace(self, valid=kept, card=card, whole=whole)

    def __repr__(self) -> str:
        return f"Split({self.card.get('split', '?')}: {sizes(self.train, self.valid, self.test)})"

    def __str__(self) -> str:
        width = max(map(len, self.card), default=0)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.card.items())


def joined(data: Interactions, more: Interactions, users: np.ndarray) -> Interactions:
    """The data, and behind it rows of others with the same items, whose users have these numbers in the data.

    Values and times stay where both have some.
    """
    value, time = (None if a is None or b is None else np.concatenate([a, b]) for a, b in (
        (data.value, more.value), (data.time, more.time)))
    return replace(data, user=np.concatenate([data.user, users]), item=np.concatenate([data.item, more.item]),
                   value=value, time=time)


def require_same_ids(who: str, **parts: Any) -> None:
    """Raise DataError unless all parts number users and items as the first one does.

    Parameters
    ----------
    who : str
        Who asks, for the message.
    **parts : object with `users` and `items`, such as Interactions, or None
        By the names that the message shall have for them.

    Examples
    --------
    >>> train = Interactions.from_arrays([1, 2], ["a", "b"])
    >>> require_same_ids("fit", train=train, valid=train.compact(), test=None)
    """
    (first, known), *others = parts.items()
    for name, part in others:
        for side in ("users", "items") if part is not None else ():
            ours, theirs = getattr(known, side), getattr(part, side)
            if theirs is not ours and theirs != ours:
                raise DataError(
                    f"{who}: {name}: its {side} are numbered differently from {first}'s ({difference(theirs, ours)}); "
                    f"divide one set of interactions, take {name}.reindex({first}.users, {first}.items), or join parts "
                    f"that were read apart by recsys.split_predefined.")


Parts: TypeAlias = Split | Sequence[Data]
"""Data that is divided already: a split, or (train, test) or (train, test, valid)."""


def difference(ids: IdMap, others: IdMap) -> str:
    """How two maps differ, in words."""
    n, m = len(ids), len(others)
    if n and m and ids.integers != others.integers:
        kinds = ("integers", "strings") if ids.integers else ("strings", "integers")
        return f"{n:,} {kinds[0]} and {m:,} {kinds[1]}"
    common = min(n, m)
    differ = np.flatnonzero(ids.ids[:common] != others.ids[:common])
    first = int(differ[0]) if len(differ) else common
    shown = (repr(each.ids[first].item()) if first < len(each) else "nothing" for each in (ids, others))
    return f"{n:,} and {m:,} ids; first difference: number {first} is {' and '.join(shown)}"


ORDERS = ("as the rows lie", "by time, equal times as the rows lie")
"""What a card says of the order of a user's events, without times and with them."""


def origin(data: Interactions) -> dict[str, Any]:
    """What the card of a split says of the data."""
    return {"data": data.name or "unnamed", "fingerprint": data.fingerprint(), "interactions": len(data),
            "users": _active(data.user), "items": _active(data.item)}


def _active(numbers: np.ndarray) -> int:
    return int((np.bincount(numbers) > 0).sum())


def sizes(train: Interactions, valid: Interactions | None, test: Interactions) -> str:
    """How many rows each part has, in words."""
    return f"{len(train):,} train, {0 if valid is None else len(valid):,} valid, {len(test):,} test"
