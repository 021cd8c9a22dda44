"""Values and times, checked."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

import numpy as np

from recsys.data.ids import Place
from recsys.data.notes import Tell, unsaid
from recsys.data.times import in_seconds, parse_dates, tell_of_fractions
from recsys.errors import DataError

__all__ = ["as_times", "as_values"]


def as_values(values: Any, n: int, where: Place) -> np.ndarray:
    """Ratings or weights as float32, shape (n,); NaN and infinity are refused by row."""
    array = _column(values, n, where)
    if array.dtype.kind not in "iufbOUS":
        raise DataError(f"{where(0)}: values must be numbers, got {array.dtype}.")
    if array.dtype.kind not in "iufb":
        array = _as_floats(array, where)
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    bad = ~np.isfinite(result)
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(f"{where(i)}: the value {array[i].item()!r} is not a finite float32 number "
                        f"({int(bad.sum())} such rows); drop these rows or fill them first.")
    return result


def as_times(times: Any, n: int, where: Place, unit: str | None = "s", format: str | None = None,
             tell: Tell = unsaid) -> np.ndarray:
    """Times as int64, shape (n,): integers as they are, dates and floats rounded down to whole seconds.

    `unit` and `format` are those of `recsys.data.times.in_seconds` and `parse_dates`.
    """
    array = _column(times, n, where)
    if format is not None and array.dtype.kind in "iu":
        array = array.astype(np.str_)
    if array.dtype.kind in "UO":
        array = _from_objects(array, where, format, tell)
    if array.dtype.kind == "M":
        missing = np.isnat(array)
        whole = array.astype("datetime64[s]")
        tell_of_fractions(int(np.count_nonzero((whole != array) & ~missing)), where, tell)
        found = whole.astype(np.int64)
    elif array.dtype.kind == "f":
        missing = ~(np.abs(array) < 2.0**63)
        found = np.where(missing, 0, array)
    elif array.dtype.kind in "iu":
        missing = array > np.iinfo(np.int64).max
        found = array.astype(np.int64)
    else:
        raise DataError(f"{where(0)}: times must be integers, floats or datetimes, got {array.dtype}.")
    if missing.any():
        i = int(np.argmax(missing))
        raise DataError(f"{where(i)}: the time {array[i].item()!r} is missing, not finite or beyond 64-bit integers "
                        f"({int(missing.sum())} such rows); drop or correct these rows.")
    return found if array.dtype.kind == "M" else in_seconds(found, unit, where, tell)


def _column(values: Any, n: int, where: Place) -> np.ndarray:
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    array = array.astype(np.object_) if array.dtype.kind == "T" else array
    if array.shape != (n,):
        raise DataError(f"{where(0).partition(',')[0]} must have shape ({n},), got {array.shape}.")
    return array


def _as_floats(array: np.ndarray, where: Place) -> np.ndarray:
    """Objects and strings as floats; None is missing."""
    try:
        return np.array([np.nan if x is None or type(x).__name__ == "NAType" else x for x in array], np.float64)
    except (TypeError, ValueError):
        i, bad = next((i, x) for i, x in enumerate(array.tolist()) if not _is_number(x))
        raise DataError(f"{where(i)}: {bad!r} is not a number.") from None


def _is_number(x: Any) -> bool:
    try:
        float(x)
    except (TypeError, ValueError):
        return x is None
    return True


def _from_objects(array: np.ndarray, where: Place, format: str | None, tell: Tell) -> np.ndarray:
    """Strings, numbers and moments as datetimes or floats."""
    texts = [isinstance(x, str) for x in array]
    if all(texts):
        return parse_dates(array, format, where, tell).astype("datetime64[s]")
    if not any(texts) and all(isinstance(x, int | float | np.number | None) for x in array):
        whole = all(isinstance(x, int | np.integer) for x in array)
        return array.astype(np.int64) if whole else _as_floats(array, where)
    try:
        return np.array([_utc(x) for x in array], "datetime64[us]")
    except (TypeError, ValueError, AttributeError):
        i, bad = next((i, x) for i, x in enumerate(array.tolist()) if not isinstance(x, int | float | date))
        raise DataError(f"{where(i)}: {bad!r} is neither a number nor a date such as 2011-12-09 12:50.") from None


def _utc(x: Any) -> Any:
    """A time with a zone as that of Greenwich without one, which is all that NumPy has."""
    return x if getattr(x, "tzinfo", None) is None else x.astimezone(UTC).replace(tzinfo=None)
