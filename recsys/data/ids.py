"""External ids: checked, numbered, and translated both ways without a hash table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from recsys.errors import DataError, ParameterError, UnknownIdError

__all__ = ["IdMap", "Place", "as_ids", "column_at", "factorise", "is_one", "number", "renumber",
           "whole_number"]

Place = Callable[[int], str]  # where the i-th value stands: "ratings.csv, column 'userId', line 7"


class IdMap:
    """Numbers `0 .. n - 1` for external ids, in the order given.

    Parameters
    ----------
    ids : array, shape (n,)
        Integers or strings, each once. What stands at position `i` has the number `i`; nothing is
        reserved for padding.
    copy : bool
        Whether the map has its own copy of an array, which then may change. One that is mapped from a file does not.

    Raises
    ------
    DataError
        When an id occurs twice or is neither an integer nor a string.

    Examples
    --------
    >>> films = IdMap(["Alien", "Brazil"])
    >>> films.encode(["Brazil", "Alien"])
    array([1, 0], dtype=int32)
    >>> films.add(["Casablanca", "Alien"]).decode([2])
    array(['Casablanca'], dtype='<U10')
    """

    def __init__(self, ids: Any, *, copy: bool = True) -> None:
        self.ids = as_ids(ids, copy=copy)
        ordered = self._ordered[0]
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twice):
            raise DataError(f"IdMap: each id must occur once; {_name(twice)} occur more often.")

    @cached_property
    def _ordered(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The ids in ascending order, and the number of each (None when the ids ascend already)."""
        if np.all(self.ids[1:] > self.ids[:-1]):
            return self.ids, None
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order.astype(np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, id: object) -> bool:
        try:
            return bool(self.encode([id], unknown="skip")[0] >= 0)
        except DataError:
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdMap) and self.integers == other.integers and np.array_equal(self.ids, other.ids)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(i) for i in self.ids[:3].tolist())
        return f"IdMap({len(self)} ids: {shown}{', ...' if len(self) > 3 else ''})"

    @property
    def integers(self) -> bool:
        """Whether the ids are integers (else they are strings)."""
        return self.ids.dtype.kind == "i"

    def encode(self, ids: Any, unknown: str = "raise") -> np.ndarray:
        """Numbers of external ids.

        Parameters
        ----------
        ids : id or array, shape (m,)
            External ids.
        unknown : {"raise", "skip"}
            What to do with ids that are not in the map: raise, or give -1.

        Returns
        -------
        int32 array, shape (m,)

        Raises
        ------
        UnknownIdError
            Naming the unknown ids, when `unknown="raise"`.
        DataError
            The ids are of another kind than the known ones, whatever `unknown` is: strings, say, where these are
            integers.
        """
        if unknown not in ("raise", "skip"):
            raise ParameterError(f"encode: unknown must be 'raise' or 'skip', got {unknown!r}.")
        asked = as_ids(ids)
        if len(asked) and len(self) and (asked.dtype.kind == "i") != self.integers:
            held, got = ("integers", "strings") if self.integers else ("strings", "integers")
            raise DataError(f"The known ids are {held}, such as {_name(self.ids[:1])}, and these are {got}: "
                            f"{_name(asked)}; convert them.")
        found = self._find(asked)
        if unknown == "raise" and len(asked) and found.min() < 0:
            missing = asked[found < 0]
            raise UnknownIdError(f"Unknown ids: {_name(missing)}; {len(missing)} of {len(asked)} asked for.")
        return found

    def _find(self, asked: np.ndarray) -> np.ndarray:
        ordered, numbers = self._ordered
        if not len(ordered) or not len(asked):
            return np.full(len(asked), -1, np.int32)
        place = np.minimum(np.searchsorted(ordered, asked), len(ordered) - 1)
        found: np.ndarray = place.astype(np.int32) if numbers is None else numbers[place]
        found[ordered[place] != asked] = -1
        return found

    def decode(self, indices: Any) -> np.ndarray:
        """External ids of numbers.

        Parameters
        ----------
        indices : int or int array, any shape
            Numbers in `0 .. n - 1`; -1 (padding) has no id and is refused.

        Returns
        -------
        array of the ids' dtype, of the same shape
        """
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise DataError(
                f"decode: numbers must lie in 0..{len(self) - 1}, got {indices.min()}..{indices.max()}; "
                "drop padding (-1) first.")
        decoded: np.ndarray = self.ids[indices]
        return decoded

    def parse(self, texts: Sequence[str]) -> np.ndarray:
        """Ids that came as texts, such as from a command line, in the kind that the map holds.

        Raises
        ------
        ParameterError
            The map holds integers, and a text is none of 64 bits.

        Examples
        --------
        >>> IdMap([7, 9]).parse(["9"])
        array([9])
        """
        return np.array([_integer(text) for text in texts], np.int64) if self.integers else np.array(texts, np.str_)

    def add(self, ids: Any) -> IdMap:
        """A map that also holds `ids`: the known ones keep their numbers, the new ones follow in the order given."""
        new = as_ids(ids)
        if not len(new):
            return self
        if len(self) and (new.dtype.kind == "i") != self.integers:
            held, got = ("integers", "strings") if self.integers else ("strings", "integers")
            raise DataError(f"IdMap.add: the map holds {held}, the new ids are {got}; convert them, or read "
                            f"both with id_type=str.")
        if not len(self):
            self = IdMap(new[:0])
        unseen = new[self._find(new) < 0]
        _, first = np.unique(unseen, return_index=True)
        return IdMap(np.concatenate([self.ids, unseen[np.sort(first)]]))


def whole_number(text: str) -> int | None:
    """The integer of 64 bits that a text is in plain digits; Python would also take `1_000` and other scripts."""
    number = int(text) if re.fullmatch(r"\s*[+-]?\d{1,1000}\s*", text, re.ASCII) else 2**63
    return number if -2**63 <= number < 2**63 else None


def _integer(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise ParameterError(f"id {text!r} is not a whole number of 64 bits, as all ids here are.")
    return number


def column_at(place: Place) -> str:
    """The place of a whole column that has rows: that of a row without the row."""
    return place(0).rpartition(", ")[0]


def factorise(ids: np.ndarray) -> tuple[IdMap, np.ndarray]:
    """Number the distinct values of checked ids in ascending order: `(map, int32 numbers, shape (n,))`."""
    if ids.dtype.kind == "i" and len(ids):
        low, high = int(ids.min()), int(ids.max())
        if high - low < 4 * len(ids) + 1024:  # dense enough for a table: no sort
            present = np.zeros(high - low + 1, np.bool_)
            present[ids - low] = True
            numbers = np.cumsum(present, dtype=np.int32) - np.int32(1)
            return IdMap(np.flatnonzero(present) + low), numbers[ids - low]
    distinct, numbers = np.unique(ids, return_inverse=True)
    return IdMap(distinct), numbers.astype(np.int32)


def number(ids: np.ndarray, known: IdMap | None) -> tuple[IdMap, np.ndarray]:
    """Checked ids by the numbers of a map, by default of the distinct ones in ascending order."""
    return factorise(ids) if known is None else (known, known.encode(ids))


def renumber(old: IdMap, new: IdMap, column: np.ndarray, unknown: str) -> np.ndarray:
    """A column of old numbers in new ones; only ids that have rows need to be known."""
    numbers = new.encode(old.ids, unknown="skip")
    if unknown == "raise":
        used = np.zeros(len(old), np.bool_)
        used[column] = True
        new.encode(old.ids[used & (numbers < 0)])  # raises, naming them
    renumbered: np.ndarray = numbers[column]
    return renumbered


def as_ids(ids: Any, place: Place | None = None, *, copy: bool = True) -> np.ndarray:
    """Check ids and bring them to int64 or fixed-width strings.

    Parameters
    ----------
    ids : id or sequence, shape (n,)
        Integers, strings, or floats that are whole numbers (as tables with gaps store them).
    place : callable, optional
        `place(i)` says where the i-th id stands, for messages.
    copy : bool
        Whether the ids are copied even where they are as wanted.

    Returns
    -------
    int64 or str array, shape (n,)

    Raises
    ------
    DataError
        Naming the first id that is missing, fractional, beyond int64, empty, or of another type than the rest.
    """
    where = place or (lambda i: f"id at position {i}")
    array = ids if isinstance(ids, np.ndarray) else _to_array(ids)
    array = np.atleast_1d(array)
    if array.ndim != 1:
        raise DataError(f"Ids must be a one-dimensional array, got shape {array.shape}.")
    if array.size == 0 and array.dtype.kind not in "iuU":
        return np.zeros(0, np.int64)
    if array.dtype.kind == "T":
        array = array.astype(np.object_)
    if array.dtype.kind == "O":
        array = _from_objects(array, where)
    if array.dtype.kind == "S":
        array = _decoded(array, where)
    if array.dtype.kind == "f":
        return _whole(array, where)
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        _refuse(array > np.uint64(np.iinfo(np.int64).max), array, where, "is beyond the 64-bit integers; use strings")
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=copy)
    if array.dtype.kind == "U":
        _refuse(array == "", array, where, "is empty")
        return array.astype(np.str_, copy=copy)
    raise DataError(f"Ids must be integers or strings, got an array of {array.dtype}.")


def is_one(value: Any) -> bool:
    """Whether something is one id, not a container of some."""
    if isinstance(value, (str, bytes, np.generic)) or value is None:
        return True
    if hasattr(value, "to_numpy"):
        return False
    return np.ndim(value) == 0 if hasattr(value, "ndim") else not isinstance(value, Iterable)


def _to_array(ids: Any) -> np.ndarray:
    if isinstance(ids, str | bytes | int | np.generic):
        return np.asarray([ids])
    if hasattr(ids, "to_numpy"):
        return np.asarray(ids.to_numpy())
    if hasattr(ids, "__array__"):
        return np.asarray(ids)
    return np.asarray([ids] if is_one(ids) else list(ids), dtype=np.object_)


def _whole(array: np.ndarray, where: Place) -> np.ndarray:
    _refuse(np.isnan(array), array, where, "is missing")
    with np.errstate(invalid="ignore"):
        _refuse(~np.isfinite(array) | (array != np.floor(array)), array, where, "is not a whole number")
    exact = 2.0 ** min(np.finfo(array.dtype).nmant + 1, 53)  # which may stand for the next integer already
    too_large = np.abs(array, dtype=np.float64) >= exact
    _refuse(too_large, array, where, "is too large for a float to hold exactly; use integers or strings")
    return array.astype(np.int64)


def _from_objects(array: np.ndarray, where: Place) -> np.ndarray:
    """Python objects, all integers or all strings, as a typed array."""
    kinds = {type(x) for x in array}
    if all(issubclass(k, int | np.integer) and not issubclass(k, bool) for k in kinds):
        try:
            return array.astype(np.int64)
        except OverflowError:
            too_large = np.array([not -(2**63) <= int(x) < 2**63 for x in array])
            _refuse(too_large, array, where, "is beyond the 64-bit integers; use strings")
    if all(issubclass(k, str) for k in kinds):
        _refuse(np.array([x.endswith("\0") for x in array]), array, where, "ends in a NUL character")
        return array.astype(np.str_)
    missing = np.array([x is None or type(x).__name__ == "NAType" or x != x for x in array])
    _refuse(missing, array, where, "is missing")
    if all(issubclass(k, int | float | np.integer | np.floating) and not issubclass(k, bool) for k in kinds):
        rows = np.flatnonzero([isinstance(x, float | np.floating) for x in array])
        array = array.copy()
        array[rows] = _whole(array[rows].astype(np.float64), lambda i: where(int(rows[i])))
        return _from_objects(array, where)
    known = np.array([isinstance(x, (int, np.integer, str)) and not isinstance(x, bool) for x in array])
    strange = ~known if not known.all() else np.array([isinstance(x, str) != isinstance(array[0], str) for x in array])
    bad = int(np.argmax(strange))
    kind = {"int": "an integer", "str": "a string"}.get(type(array[bad]).__name__, f"a {type(array[bad]).__name__}")
    raise DataError(f"{where(bad)}: {array[bad]!r} is {kind}; ids must be all integers or all strings.")


def _decoded(array: np.ndarray, where: Place) -> np.ndarray:
    """Bytes as texts."""
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        bad = array == error.object
        _refuse(bad, array, where, "is not text in utf-8; decode it")
        raise


def _refuse(bad: Any, array: np.ndarray, where: Place, what: str) -> None:
    if np.any(bad):
        i = int(np.argmax(bad))
        raise DataError(f"{where(i)}: {_name(array[i : i + 1])} {what} ({int(np.sum(bad))} such ids).")


def _name(ids: np.ndarray, shown: int = 5) -> str:
    names = ", ".join(f"{i!r:.80}" for i in ids[:shown].tolist())
    return f"{names}, ..." if len(ids) > shown else names
