"""Splitting sessions: what is clicked next, at every place of later sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from recsys.checks import number
from recsys.data import given
from recsys.data.csr import CSR, ranges
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.parts import Split, joined, origin, sizes
from recsys.errors import DataError, ParameterError

__all__ = ["split_sessions"]


def split_sessions(data: Interactions, test: Interactions | None = None, *, test_share: float = 0.1,
                   valid_share: float = 0.1) -> Split:
    """Later sessions, of which every beginning is shown and the click after it is the target.

    A session of n clicks gives n - 1 rows to predict, each a user of its own, named `session:number of clicks shown`.
    Repeated clicks stay. Clicks on items that training does not know are left out before (as in GRU4Rec's code), then
    sessions of a single click. Sessions are ordered by their first time, and by their number where that ties; a
    random choice would flatter, because sessions repeat each other.

    Parameters
    ----------
    data : Interactions
        Users are sessions.
    test : Interactions, optional
        The sessions to test, if they are given apart.
    test_share, valid_share : float
        Parts of the sessions, the latest to test, the ones before them to validate.

    Returns
    -------
    Split
        `valid` and `test` hold the targets, `valid_history` and `test_history` what is shown.

    Examples
    --------
    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 3], list("ababbab"))
    >>> split = split_sessions(data, test_share=0.34, valid_share=0)
    >>> [split.test.users.ids[u] + " " + split.test.items.ids[i] for u, i in zip(split.test.user, split.test.item)]
    ['3:1 a', '3:2 b']
    """
    number().require("split_sessions", "test_share", test_share)
    number().require("split_sessions", "valid_share", valid_share)
    if min(valid_share, test_share) < 0 or valid_share + test_share >= 1:
        raise ParameterError(f"split_sessions: valid_share and test_share must be 0 or more and below 1 together; got "
                             f"{valid_share}, {test_share}.")
    data = given.interactions("split_sessions", data)
    test = None if test is None else given.interactions("split_sessions", test, "test")
    starts = _in_order(data)
    first_test = round((1.0 if test is not None else 1 - test_share) * len(starts))
    first_valid = first_test - round(valid_share * len(starts))
    role = np.zeros(data.n_users, np.int8)
    role[starts[first_valid:]], role[starts[first_test:]] = 1, 2
    train, clicks = data.take(role[data.user] == 0), data.take(role[data.user] == 1)
    last = data.take(role[data.user] == 2) if test is None else test.reindex(test.users, data.items, unknown="skip")
    known = np.bincount(train.item, minlength=data.n_items) > 0
    to_validate, to_test = _beginnings(clicks, known), _beginnings(last, known)
    if not len(to_test.names):
        raise DataError("split_sessions: no session to test has two clicks on items of the training part; give more "
                        "sessions, or a larger test_share.")
    names = np.concatenate([train.users.ids.astype(np.str_), to_validate.names, to_test.names])
    distinct, times = np.unique(names, return_counts=True)
    if len(distinct) < len(names):
        twice = str(distinct[times > 1][0])
        raise DataError(f"split_sessions: sessions to test and others have one name, {twice} for one; name them "
                        f"differently.")
    users = IdMap(names)
    trained = train.n_users
    shown_valid, valid = _parts(data, users, to_validate, trained)
    shown_test, last = _parts(data, users, to_test, trained + len(to_validate.names))
    train = replace(train, users=users, user_features=None, social=None)
    card = origin(data) | {
        "split": f"later sessions, every click but the first: {len(to_validate.owners):,} sessions to validate, "
                 f"{len(to_test.owners):,} to test", "sizes": sizes(train, valid, last)}
    if not len(valid):
        return Split(train, None, last, card, None, shown_test)
    return Split(train, valid, last, card, shown_valid, shown_test,
                 _with_sessions(train, trained, clicks.take(known[clicks.item]), to_validate))


class _Beginnings(NamedTuple):
    """Every beginning of some sessions: what is shown, what comes next, and a name for each."""

    shown: CSR  # (m, n_items)
    target: np.ndarray  # int32 (m,)
    names: np.ndarray  # str (m,)
    owners: np.ndarray  # the sessions they are of, in this order: int (sessions,)


def _in_order(data: Interactions) -> np.ndarray:
    """Numbers of the sessions with clicks, by the time of the first: int64 (n,)."""
    active = np.unique(data.user)
    if data.time is None:
        return active
    first = np.full(data.n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, data.user, data.time)
    return active[np.argsort(first[active], kind="stable")]


def _beginnings(part: Interactions, known: np.ndarray) -> _Beginnings:
    rows = part.take(known[part.item]).csr
    long = np.flatnonzero(rows.counts > 1)
    rows = rows.rows(long)
    each = rows.counts - 1  # beginnings of each session
    session = np.repeat(np.arange(len(long)), each)
    shown = ranges(np.ones(len(long), np.int64), each)  # clicks that are shown: 1, 2, ...
    indptr = np.concatenate([[0], np.cumsum(shown)])
    entry = ranges(rows.indptr[session], shown)
    names = [f"{name}:{count}" for name, count in zip(part.users.ids[long[session]].tolist(), shown, strict=True)]
    return _Beginnings(CSR(indptr, rows.indices[entry], None, (len(session), len(known))),
                       rows.indices[rows.indptr[session] + shown], np.array(names, np.str_), long)


def _parts(data: Interactions, users: IdMap, given: _Beginnings, first: int) -> tuple[Interactions, Interactions]:
    """What is shown and what is asked for, as interactions of users from number `first` on."""
    shown = Interactions(users, data.items, first + given.shown.row_of_entry, given.shown.indices, name=data.name)
    asked = Interactions(users, data.items, first + np.arange(len(given.target)), given.target, name=data.name)
    return shown, asked


def _with_sessions(train: Interactions, first: int, clicks: Interactions, given: _Beginnings) -> Interactions:
    """Training rows and the whole sessions, each as the user that its longest beginning is; these begin at `first`."""
    longest = np.flatnonzero(np.append(given.shown.counts[1:] == 1, True))  # a session's lie together, shortest first
    number = np.full(clicks.n_users, -1)
    number[given.owners] = first + longest
    clicks = clicks.take(number[clicks.user] >= 0)
    return joined(train, clicks, number[clicks.user])
