"""Verbs that clean, thin, scale and describe interactions."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.checks import integer
from recsys.errors import DataError, DataWarning, ParameterError
from recsys.kernels import sparse

if TYPE_CHECKING:
    from recsys.data.ids import IdMap
    from recsys.data.interactions import Interactions

__all__ = ["binarise", "clean", "describe", "filter_values", "fingerprint", "gini", "k_core", "normalise",
           "settle_negative", "warn_of_nothing"]

_NEGATIVE = ("keep", "drop", "subtract")
_DUPLICATES = ("last", "first", "mean", "sum", "keep")
_SCALES = ("mean", "user_mean", "item_mean", "minmax", "zscore", "user_zscore")


def clean(data: Interactions, duplicates: str = "last", negative: str = "keep") -> Interactions:
    """One row for each (user, item) pair.

    Parameters
    ----------
    data : Interactions
    duplicates : {"last", "first", "mean", "sum", "keep"}
        Which row of a pair stays: the last or first in time (in row order without times or at equal
        times), or the last with the mean or sum of the pair's values. Without values, "sum" counts the rows.
    negative : {"keep", "drop", "subtract"}
        What to do with negative values, such as returned goods, before that; see `settle_negative`.

    Returns
    -------
    Interactions
        The rows that stay, in their old order, with the same ids.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> clean(Interactions.from_arrays([1, 1, 1], [7, 7, 8], [5, 4, 3]), "sum").value
    array([9., 3.], dtype=float32)
    """
    if duplicates not in _DUPLICATES:
        raise ParameterError(f"clean: duplicates must be one of {_DUPLICATES}, got {duplicates!r}.")
    data = settle_negative(data, negative)
    if duplicates == "keep" or not len(data):
        return data
    key = data.user * np.int64(data.n_items) + data.item
    order = np.argsort(key, kind="stable") if data.time is None else np.lexsort((data.time, key))
    begins = np.flatnonzero(np.diff(key[order], prepend=-1))
    ends = np.append(begins[1:], len(order))
    rows = order[begins if duplicates == "first" else ends - 1]
    value = data.value
    if duplicates == "sum" or (duplicates == "mean" and value is not None):
        total = np.add.reduceat(np.ones(len(order)) if value is None else value[order].astype(np.float64), begins)
        value = np.zeros(len(data), np.float32)
        value[rows] = total / (ends - begins) if duplicates == "mean" else total
    return replace(data, value=value).take(np.sort(rows))


def settle_negative(data: Interactions, negative: str) -> Interactions:
    """What is done with negative values, such as returned goods; `data.notes` says how many there were.

    Parameters
    ----------
    data : Interactions
    negative : {"keep", "drop", "subtract"}
        Leave them; leave these rows out; or add up the values of each (user, item) pair and leave out the pairs
        whose sum is not positive.

    Examples
    --------
    >>> from recsys.data import Interactions
    >>> bought = Interactions.from_arrays([1, 1, 2], [7, 7, 7], [3, -1, -2])
    >>> settle_negative(bought, "subtract").value, settle_negative(bought, "drop").value
    (array([2.], dtype=float32), array([3.], dtype=float32))
    """
    if negative not in _NEGATIVE:
        raise ParameterError(f"negative must be one of {_NEGATIVE}, got {negative!r}.")
    if data.value is None or negative == "keep" or not (below := int((data.value < 0).sum())):
        return data
    if negative == "drop":
        kept = data.take(data.value >= 0)
        said = f"dropped {below:,} of {len(data):,} rows with a negative value"
    else:
        summed = clean(data, "sum")
        kept = summed.take(np.asarray(summed.value) > 0)
        said = (f"subtracted {below:,} negative values: of {len(summed):,} different (user, item) pairs, "
                f"{len(summed) - len(kept):,} come to nothing or less and were dropped")
    if not len(kept):
        raise DataError(f"negative={negative!r}: nothing is left, as no value is above 0.")
    return replace(kept, notes=(*data.notes, f"{data.name or 'the data'}: {said}."))


def filter_values(data: Interactions, min_value: float | None, max_value: float | None) -> Interactions:
    """Rows whose value lies in `[min_value, max_value]`."""
    if data.value is None:
        raise DataError("filter: the interactions have no values to filter by.")
    low = -np.inf if min_value is None else min_value
    high = np.inf if max_value is None else max_value
    return data.take((data.value >= low) & (data.value <= high))


def binarise(data: Interactions, threshold: float | None = None) -> Interactions:
    """Rows with a value of at least `threshold`, as implicit data; without one, all, and a note of values up to 0."""
    if threshold is not None:
        data = filter_values(data, threshold, None)
    elif said := _of_nothing(data):
        data = replace(data, notes=(*data.notes, f"{said}."))
    return replace(data, value=None)


def warn_of_nothing(data: Interactions) -> None:
    """A `DataWarning` where values are not looked at although some are 0 or less, as those of returned goods are."""
    if said := _of_nothing(data):
        warnings.warn(f"{said}, as values are not looked at here; settle them before: pass negative='drop' or "
                      f"negative='subtract' to clean, or min_value= to filter.", DataWarning, stacklevel=4)


def _of_nothing(data: Interactions) -> str:
    count = 0 if data.value is None else int((data.value <= 0).sum())
    if not count:
        return ""
    source = data.name or "the data"
    return f"{source}: {count:,} of {len(data):,} events have a value of 0 or less and count like all others"


def normalise(data: Interactions, how: str = "user_mean") -> Interactions:
    """Centre or scale the values.

    Parameters
    ----------
    data : Interactions
        With values.
    how : {"mean", "user_mean", "item_mean", "minmax", "zscore", "user_zscore"}
        Subtract the mean of all, of each user, or of each item; map linearly to [0, 1]; or subtract the mean
        and divide by the standard deviation (of all, or of each user; where it is 0, only subtract).

    Returns
    -------
    Interactions
    """
    if how not in _SCALES:
        raise ParameterError(f"normalise: how must be one of {_SCALES}, got {how!r}.")
    if data.value is None:
        raise DataError("normalise: the interactions have no values to normalise.")
    value = data.value.astype(np.float64)
    if how == "minmax" and len(value):
        span = value.max() - value.min()
        value = (value - value.min()) / (span if span > 0 else 1.0)
    elif len(value):
        group = data.user if how.startswith("user") else data.item if how == "item_mean" else np.zeros_like(data.user)
        value = value - _group_mean(group, value)
        if how.endswith("zscore"):
            deviation = np.sqrt(_group_mean(group, value * value))
            rounding = np.finfo(np.float32).eps * np.abs(data.value).max()  # equal values deviate by no more
            value = value / np.where(deviation > rounding, deviation, 1.0)
    return replace(data, value=value.astype(np.float32))


def _group_mean(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The mean of its group for each entry, (n,)."""
    means: np.ndarray = np.bincount(group, value) / np.maximum(np.bincount(group), 1)
    spread: np.ndarray = means[group]
    return spread


def k_core(data: Interactions, users: int = 5, items: int = 5) -> Interactions:
    """The largest part in which every user has at least `users` rows and every item at least `items`.

    Users and items below are removed until none is left below (the fixed point is unique); ids are compacted.

    >>> from recsys.data import Interactions
    >>> k_core(Interactions.from_arrays([1, 1, 2, 2, 3], [7, 8, 7, 8, 8]), users=2, items=2)
    Interactions(4 rows, 2 users, 2 items)
    """
    for what, value in (("users", users), ("items", items)):
        integer().require("k_core", what, value)
    if users < 0 or items < 0:
        raise ParameterError(f"k_core: users and items must be at least 0, got {users} and {items}.")
    kept = data.take(sparse.k_core(data.user, data.item, data.n_users, data.n_items, users, items)).compact()
    if not len(kept):
        raise DataError(f"k_core: nothing is left of {data!r} with {users} rows a user and {items} an item.")
    return kept


def gini(counts: np.ndarray) -> float:
    """Concentration of counts: 0 when all are equal, towards 1 when one has everything.

    `G = sum_i (2 i - n - 1) x_i / (n sum x)` over the counts in ascending order, `i = 1 .. n`.
    """
    ordered = np.sort(counts.astype(np.float64))
    n, total = len(ordered), ordered.sum()
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total)) if total > 0 else 0.0


_FIRST_DATE, _LAST_DATE = 10**8, 4 * 10**9  # seconds that are read as dates, 1973 to 2096; others just order


def describe(data: Interactions) -> dict[str, Any]:
    """What a report needs: plain numbers and strings, ready for JSON.

    Returns
    -------
    dict
        name, interactions, users, items (known and active), density (distinct pairs over all cells),
        duplicates (rows beyond the first of a pair), values (min, max, mean, and counts when at most 20 differ),
        time (first, last; and as UTC dates where they can be seconds since 1970), events_per_user and
        events_per_item (quantiles of the active ones), gini of the items' popularity, cold_users and cold_items
        (known, without rows), the fingerprint, and notes (what reading took, dropped or replaced).
    """
    per_user = np.bincount(data.user, minlength=data.n_users)
    per_item = np.bincount(data.item, minlength=data.n_items)
    pairs = data.csr.unique().nnz
    return {
        "name": data.name,
        "interactions": len(data),
        "users": int((per_user > 0).sum()),
        "items": int((per_item > 0).sum()),
        "cold_users": int((per_user == 0).sum()),
        "cold_items": int((per_item == 0).sum()),
        "density": pairs / max(int((per_user > 0).sum()) * int((per_item > 0).sum()), 1),
        "duplicates": len(data) - pairs,
        "values": None if data.value is None else _describe_values(data.value),
        "time": None if data.time is None or not len(data) else _describe_times(data.time),
        "events_per_user": _quantiles(per_user[per_user > 0]),
        "events_per_item": _quantiles(per_item[per_item > 0]),
        "gini": gini(per_item[per_item > 0]),
        "social_links": None if data.social is None else data.social.nnz,
        "fingerprint": data.fingerprint(),
        "notes": list(data.notes),
    }


def _describe_values(value: np.ndarray) -> dict[str, Any]:
    if not len(value):
        return {"min": None, "max": None, "mean": None, "counts": {}}
    levels, counts = np.unique(value, return_counts=True)
    shown = {float(v): int(c) for v, c in zip(levels, counts, strict=True)} if len(levels) <= 20 else None
    mean = float(value.mean(dtype=np.float64))
    return {"min": float(levels[0]), "max": float(levels[-1]), "mean": mean, "counts": shown}


def _describe_times(time: np.ndarray) -> dict[str, Any]:
    first, last = int(time.min()), int(time.max())
    found: dict[str, Any] = {"first": first, "last": last}
    if first >= _FIRST_DATE and last < _LAST_DATE:
        dates = np.array([first, last], "datetime64[s]").astype("datetime64[m]")
        found["first_date"], found["last_date"] = np.char.replace(dates.astype(str), "T", " ").tolist()
    return found


def _quantiles(counts: np.ndarray) -> dict[str, float]:
    if not len(counts):
        return {}
    marks = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}
    return {name: float(np.quantile(counts, q)) for name, q in marks.items()} | {"mean": float(counts.mean())}


def fingerprint(data: Interactions) -> str:
    """16 hex digits of the contents: equal for equal (user id, item id, value, time) rows in any row order.

    It is the beginning of the SHA-256 of the distinct ids in use, in ascending order (integers as int64,
    strings as UTF-8), and of the rows, numbered by them and sorted by user, item, time and value. Internal
    numbers, unused ids, features and the name do not count; integer 7 and the string "7" differ.
    """
    digest = hashlib.sha256()
    user, user_ids = _ranked(data.users, data.user)
    item, item_ids = _ranked(data.items, data.item)
    by_item = sparse.group(item, len(item_ids))[1]
    order = by_item[sparse.group(user[by_item], len(user_ids))[1]]
    if np.any((np.diff(user[order]) == 0) & (np.diff(item[order]) == 0)):
        ties = [column for column in (data.value, data.time) if column is not None]
        order = np.lexsort((*ties, item, user))
    digest.update(_id_bytes(user_ids) + _id_bytes(item_ids))
    for column, dtype in ((user, "<i8"), (item, "<i8"), (data.value, "<f4"), (data.time, "<i8")):
        present = np.zeros(0) if column is None else column[order]
        digest.update(f"{dtype}{len(present)}".encode())
        digest.update(present.astype(dtype) + np.dtype(dtype).type(0))  # -0.0 + 0.0 is 0.0
    return digest.hexdigest()[:16]


def _ranked(ids: IdMap, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The column numbered by the ids in use in ascending order (int32), and these ids."""
    used = np.flatnonzero(np.bincount(column, minlength=len(ids)))
    ordered = used[np.argsort(ids.ids[used], kind="stable")]
    rank = np.zeros(len(ids), np.int32)
    rank[ordered] = np.arange(len(ordered))
    return rank[column], ids.ids[ordered]


def _id_bytes(ids: np.ndarray) -> bytes:
    if ids.dtype.kind == "i":
        return b"int" + ids.astype("<i8").tobytes()
    return b"str" + b"".join(f"{len(i)}:{i}".encode("utf-8", "surrogatepass") for i in ids.tolist())
