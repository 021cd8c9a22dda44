"""Groups of users, for `Evaluation.by_group`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from recsys.checks import Check, integer, one_of
from recsys.data.parts import Split
from recsys.evaluation.ranking import part_of

__all__ = ["by_history"]

_UP_TO = Check(lambda value: isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0 and all(
    integer().accepts(each) and each >= 0 for each in value) and all(a < b for a, b in pairwise(value)),
    "ascending numbers, 0 or more, such as (0, 2, 5, 10)")


def by_history(split: Split, part: str = "test", up_to: Sequence[int] = (0, 2, 5, 10)) -> dict[object, str]:
    """The users of a part by the number of events that a model may see of them, cold ones first.

    Parameters
    ----------
    split : Split
    part : {"test", "valid"}
        Whose users. The events are those of the part's history, or of training where it has none of its own.
    up_to : sequence of int
        The largest number of each group but the last, which has no end.

    Returns
    -------
    dict of user id to str
        In the order of the groups: "0", "1-2", "3-5", "6-10", "more than 10".

    Examples
    --------
    >>> from recsys.data import Interactions, splits
    >>> train = Interactions.from_arrays(["ann"] * 4 + ["bob"], list("abcda"))
    >>> test = Interactions.from_arrays(["ann", "bob", "cid"], list("eee"))
    >>> by_history(splits.split_predefined(train, test))
    {'cid': '0', 'bob': '1-2', 'ann': '3-5'}
    """
    one_of("test", "valid").require("by_history", "part", part)
    _UP_TO.require("by_history", "up_to", up_to)
    history = split.test_history if part == "test" else split.valid_history
    shown = split.train if history is None else history
    users = np.unique(part_of(split, part).user)
    counts = np.bincount(shown.user, minlength=shown.n_users)[users]
    names = [str(high) if low + 1 == high else f"{low + 1}-{high}" for low, high in pairwise([-1, *up_to])]
    names.append(f"more than {up_to[-1]}")
    group = np.searchsorted(np.asarray(up_to), counts)
    order = np.argsort(group, kind="stable")
    return {user: names[i] for user, i in zip(shown.users.ids[users[order]].tolist(), group[order].tolist(),
                                              strict=True)}
