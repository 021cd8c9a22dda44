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
from recsys.data.parts import ORDERS, Split, joined, origin, sizes
from recsys.errors import DataError, ParameterError

__all__ = ["split_sessions"]


def split_sessions(data: Interactions, test: Interactions | None = None, valid: Interactions | None = None, *,
                   test_share: float = 0.1, valid_share: float = 0.1) -> Split:
    """Later sessions, of which every beginning is shown and the click after it is the target.

    A session of n clicks gives n - 1 rows to predict, each a user of its own, named `session:number of clicks shown`.
    Repeated clicks stay. Clicks on items that training does not know are left out before (as in GRU4Rec's code), then
    sessions of a single click. Sessions are ordered by their first time, and by their number where that ties; a
    random choice would flatter, because sessions repeat each other.

    Parameters
    ----------
    data : Interactions
        Users are sessions.
    test, valid : Interactions, optional
        The sessions to test, and those to validate, if they are given apart.
    test_share, valid_share : float
        Parts of the sessions, the latest to test, the ones before them to validate, of those that are not given apart.

    Returns
    -------
    Split
        `valid` and `test` hold the targets, `valid_history` and `test_history` what is shown. The card counts the
        clicks that were left out.

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
    starts = _in_order(data)
    first_test = round((1.0 if test is not None else 1 - test_share) * len(starts))
    first_valid = first_test - (0 if valid is not None else round(valid_share * len(starts)))
    role = np.zeros(data.n_users, np.int8)
    role[starts[first_valid:]], role[starts[first_test:]] = 1, 2
    train = data.take(role[data.user] == 0)
    clicks, validating = _held_out(data, role == 1, valid, "valid")
    last, testing = _held_out(data, role == 2, test, "test")
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
    shown_valid, next_valid = _parts(data, users, to_validate, trained)
    shown_test, asked = _parts(data, users, to_test, trained + len(to_validate.names))
    train = replace(train, users=users, user_features=None, social=None)
    lost = (validating - to_validate.clicks, testing - to_test.clicks)
    card = origin(data) | {
        "split": f"later sessions, every click but the first: {len(to_validate.owners):,} sessions to validate, "
                 f"{len(to_test.owners):,} to test",
        "order": ORDERS[data.time is not None],
        "clicks left out": f"{lost[0]:,} of the validation, {lost[1]:,} of the test: on items without training events, "
                           f"or alone in their session",
        "sizes": sizes(train, next_valid, asked)}
    if not len(next_valid):
        return Split(train, None, asked, card, None, shown_test)
    return Split(train, next_valid, asked, card, shown_valid, shown_test,
                 _with_sessions(train, trained, clicks.take(known[clicks.item]), to_validate))


def _held_out(data: Interactions, chosen: np.ndarray, apart: Interactions | None, name: str
              ) -> tuple[Interactions, int]:
    """The chosen sessions, or those given apart on items of the data; and how many clicks they have in all."""
    if apart is None:
        part = data.take(chosen[data.user])
        return part, len(part)
    apart = given.interactions("split_sessions", apart, name)
    return apart.reindex(apart.users, data.items, unknown="skip"), len(apart)


class _Beginnings(NamedTuple):
    """Every beginning of some sessions: what is shown, what comes next, and a name for each."""

    shown: CSR  # (m, n_items)
    target: np.ndarray  # int32 (m,)
    names: np.ndarray  # str (m,)
    owners: np.ndarray  # the sessions they are of, in this order: int (sessions,)
    clicks: int  # of these sessions


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
                       rows.indices[rows.indptr[session] + shown], np.array(names, np.str_), long, len(rows.indices))


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
