"""Ids and histories as users ask with them, in any container, as checked arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data.columns import as_values
from recsys.data.described import described, is_frame
from recsys.data.ids import as_ids, is_one
from recsys.errors import DataError, ParameterError

__all__ = ["Histories", "check_values_belong", "histories", "ids", "one_id"]


@dataclass(frozen=True, eq=False)
class Histories:
    """Histories, concatenated.

    Attributes
    ----------
    ids : int64 or str array, shape (n,)
    lengths : int64 array, shape (B,)
    values : float32 array, shape (n,), or None
    single : bool
        Whether it was one history, not a sequence of one.
    """

    ids: np.ndarray
    lengths: np.ndarray
    values: np.ndarray | None
    single: bool


def ids(who: str, what: str, given: Any) -> tuple[np.ndarray, bool]:
    """Ids as int64 or str array, shape (n,), and whether it was one id alone.

    Parameters
    ----------
    who, what : str
        The verb that was called and its argument, for messages.
    given : id, or sequence, array, Series, Index, Tensor, set, view of a dict's keys, or iterator of ids
        Those of a set come in ascending order.

    Raises
    ------
    ParameterError
        It is no such thing.
    DataError
        An id is missing or of a strange kind.

    Examples
    --------
    >>> ids("EASE.recommend", "exclude", {9, 7}), ids("EASE.recommend", "users", "ann")
    ((array([7, 9]), False), (array(['ann'], dtype='<U3'), True))
    """
    if is_one(given):
        if given is None or isinstance(given, bool | np.bool_):
            raise ParameterError(f"{who}: {what} is {given}, which is no id; ids are integers or strings.")
        return as_ids([_bare(given)], lambda i: f"{who}: {what}"), True
    if isinstance(given, Mapping):
        raise ParameterError(f"{who}: {what} is {described(given)}; pass a list of ids, such as its keys: list(d).")
    held = _elements(who, what, given, ordered=False)
    if isinstance(held, np.ndarray) and held.dtype == np.bool_ and held.size:
        raise ParameterError(f"{who}: {what} is a mask; pass the ids themselves, such as model.items.ids[mask].")
    return as_ids(_flat(who, what, held), lambda i: f"{who}: {what}, position {i}"), False


def one_id(who: str, what: str, given: Any) -> Any:
    """One id, as it is.

    Raises
    ------
    ParameterError
        It is none, or a container of some.
    """
    if not is_one(given):
        raise ParameterError(f"{who} takes one id as {what}, not {described(given)}.")
    return ids(who, what, given)[0]


def histories(who: str, history: Any, values: Any = None, *, ordered: bool = True) -> Histories:
    """One history, or a sequence of some, with their values.

    Parameters
    ----------
    who : str
        The verb that was called, for messages.
    history : sequence, array, Series, Index, Tensor or iterator of item ids, or of such things
        A dict is a history of its keys with its values. A row of a 2-D array is a history.
    values : like history, optional
    ordered : bool
        Whether order matters to who asks: a set, which has none, is then refused; else its ids ascend.

    Raises
    ------
    ParameterError
        It is no such thing, or values do not fit.
    DataError
        An id or a value is missing or of a strange kind.

    Examples
    --------
    >>> one = histories("EASE.recommend", {"tea": 5.0, "jam": 3.0})
    >>> one.ids, one.values, one.single
    (array(['tea', 'jam'], dtype='<U3'), array([5., 3.], dtype=float32), True)
    >>> histories("EASE.recommend", ([1, 2], {7}), ordered=False).lengths
    array([2, 1])
    """
    if is_one(history):
        what = f"the string {history!r}" if isinstance(history, str) else f"{history!r}"
        raise ParameterError(f"{who}: history must be a sequence of item ids, not {what}; for one item, pass a list of "
                             f"it.")
    single = isinstance(history, Mapping)
    held = [history] if single else _elements(who, "history", history, ordered)
    if not single:
        many = [not is_one(each) for each in held]
        if any(many) and not all(many):
            place = many.index(not many[0])
            raise ParameterError(f"{who}: history holds both ids and histories (entry {place} is "
                                 f"{_shown(held[place])}, entry 0 {_shown(held[0])}); pass one or the other.")
        single = not any(many) and np.ndim(held) < 2 if isinstance(held, np.ndarray) else not any(many)
        held = [held] if single else held
    lists = [_events(who, one, ordered, None if single else i) for i, one in enumerate(held)]
    lengths = np.array([len(one) for one in lists], np.int64)
    place = _places(who, lengths, single)
    return Histories(as_ids(_joined(lists), lambda i: place("history", i)), lengths,
                     _values(who, held, values, lengths, single, place), single)


def _events(who: str, history: Any, ordered: bool, number: int | None) -> Any:
    """The ids of one history."""
    what = "history" if number is None else f"history {number}"
    if isinstance(history, Mapping):
        if any(not is_one(value) for value in history.values()):
            raise ParameterError(f"{who}: {what} is a dict of sequences; a dict maps items to values, so for the "
                                 f"histories of several users pass list(d.values()).")
        history = list(history)
    return _flat(who, what, _elements(who, what, history, ordered))


def _values(who: str, held: Any, values: Any, lengths: np.ndarray, single: bool, place: Any) -> np.ndarray | None:
    """The values of all events, from the argument or from dicts: float32 (n,)."""
    dicts = [isinstance(one, Mapping) for one in held]
    if values is None and not any(dicts):
        return None
    if any(dicts) and (values is not None or not all(dicts)):
        raise ParameterError(f"{who}: a dict as history brings its own values; pass values= with lists alone, or dicts "
                             f"for all histories.")
    if any(dicts):
        lists = [list(one.values()) for one in held]
    else:
        if is_one(values) or isinstance(values, (Mapping, set, frozenset)):
            raise ParameterError(f"{who}: values must be a sequence like history, not {_shown(values)}.")
        given = _elements(who, "values", values, ordered=True)
        lists = [_elements(who, "values", one, ordered=True) if not is_one(one) else [one]
                 for one in ([given] if single else given)]
        if [len(one) for one in lists] != lengths.tolist():
            raise ParameterError(f"{who}: values must have the same lengths as history.")
        lists = [_flat(who, "values", one) for one in lists]
    joined = _joined(lists)
    try:
        return as_values(joined, len(joined), lambda i: place("values", i))
    except DataError as error:
        raise ParameterError(f"{who}: the values of a history must be finite numbers: {error}") from None


def _elements(who: str, what: str, given: Any, ordered: bool) -> Any:
    """A list or an array of what a container holds."""
    if isinstance(given, (set, frozenset)):
        if ordered:
            raise ParameterError(f"{who}: {what} is a set, which has no order, and order matters here; pass a list in "
                                 f"time order.")
        try:
            return sorted(given)
        except TypeError:  # of mixed kinds, which are refused by name later
            return list(given)
    if is_frame(given):
        raise ParameterError(f"{who}: {what} is {described(given)}; pass one column of it, as in frame[column].")
    if hasattr(given, "tocoo") or not (isinstance(given, Iterable) or hasattr(given, "to_numpy")):
        raise ParameterError(f"{who}: {what} is {described(given)}; pass a list of ids.")
    if hasattr(given, "detach"):
        given = given.detach()
    if np.ma.is_masked(given):
        raise ParameterError(f"{who}: {what} has masked entries; pass those that are there: a.compressed().")
    if isinstance(given, np.ndarray) or hasattr(given, "__array__") or hasattr(given, "to_numpy"):
        array = np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)
        if array.ndim > 2:
            raise ParameterError(f"{who}: {what} is an array of shape {array.shape}; pass one or two dimensions.")
        return array
    return list(given)


def _flat(who: str, what: str, held: Any) -> Any:
    """Refuse what is nested; numbers in arrays of no dimension come out of them."""
    if isinstance(held, np.ndarray) and held.dtype.kind != "O":
        if held.ndim != 1:
            raise ParameterError(f"{who}: {what} has shape {held.shape}; pass one dimension.")
        return held
    for i, each in enumerate(held):
        if not is_one(each):
            raise ParameterError(f"{who}: {what} must hold ids, and entry {i} is {_shown(each)}; pass a flat list.")
    return [_bare(each) for each in held]


def _bare(one: Any) -> Any:
    return one.item() if hasattr(one, "ndim") and hasattr(one, "item") and not isinstance(one, np.generic) else one


def _joined(lists: Sequence[Any]) -> Any:
    """All entries in one array; kinds that differ stay as they are, for `as_ids` to refuse."""
    if lists and all(isinstance(one, np.ndarray) and one.dtype.kind == lists[0].dtype.kind for one in lists):
        return np.concatenate(lists)
    joined = [entry for one in lists for entry in (one.tolist() if isinstance(one, np.ndarray) else one)]
    array = np.empty(len(joined), np.object_)
    array[:] = joined
    return array


def _places(who: str, lengths: np.ndarray, single: bool) -> Any:
    """What says where the i-th event of all stands."""
    ends = np.cumsum(lengths)

    def place(what: str, i: int) -> str:
        row = int(np.searchsorted(ends, i, side="right"))
        event = i - int(ends[row] - lengths[row])
        return f"{who}: {what}, position {event}" if single else f"{who}: {what} {row}, position {event}"

    return place


def _shown(value: Any) -> str:
    return repr(value) if is_one(value) and not isinstance(value, type) else described(value)


def check_values_belong(who: str, history: Any, values: Any) -> None:
    """Raise ParameterError for values without a history that they could be of."""
    if values is not None and history is None:
        raise ParameterError(f"{who}: values are those of a history; pass history=, or leave them out.")
