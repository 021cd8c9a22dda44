"""Values and times, checked."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

import numpy as np

from recsys.data.ids import Place
from recsys.data.missing import is_null
from recsys.data.notes import Tell, unsaid
from recsys.data.numbers import FLOAT
from recsys.data.times import in_seconds, parse_dates, tell_of_fractions
from recsys.errors import DataError

__all__ = ["as_floats", "as_times", "as_values"]


def as_values(values: Any, n: int, where: Place) -> np.ndarray:
    """Ratings or weights as float32, shape (n,); NaN and infinity are refused by row."""
    array = _column(values, n, where)
    if array.dtype.kind not in "iufbOUS":
        raise DataError(f"{where(0)}: values must be numbers, got {array.dtype}.")
    if array.dtype.kind not in "iufb":
        array = as_floats(array, where)
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
    if array.dtype.kind in "UO":
        array = _from_objects(array, where, format, tell)
    if format is not None and array.dtype.kind in "iuf":
        array = parse_dates(_in_digits(array, where), format, where, tell).astype("datetime64[s]")
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


def as_floats(array: np.ndarray, where: Place) -> np.ndarray:
    """Numbers, objects and strings as float64; None is NaN, and what is no number or too large is refused."""
    if array.dtype.kind in "iufb":
        return array.astype(np.float64)
    held = np.where(is_null(array), np.nan, array.astype(np.object_))
    fault = next(((i, fault) for i, x in enumerate(held.tolist()) if (fault := _no_float(x))), None)
    if fault is not None:
        raise DataError(f"{where(fault[0])}: {fault[1]}.")
    return held.astype(np.float64)


def _no_float(x: Any) -> str:
    """Why something is no float, or nothing."""
    if isinstance(x, str) and not FLOAT.fullmatch(x.strip()):  # Python would also take 1_000
        return f"{x!r} is not a number"
    try:
        float(x)
    except (TypeError, ValueError):
        return f"{x!r} is not a number"
    except OverflowError:
        return "a whole number of more than 300 digits is too large; correct or drop the row"
    return ""


def _column(values: Any, n: int, where: Place) -> np.ndarray:
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    array = array.astype(np.object_) if array.dtype.kind == "T" else array
    if array.shape != (n,):
        raise DataError(f"{where(0).partition(',')[0]} must have shape ({n},), got {array.shape}.")
    return array


def _from_objects(array: np.ndarray, where: Place, format: str | None, tell: Tell) -> np.ndarray:
    """Strings, numbers and moments as datetimes, integers or floats."""
    if array.dtype.kind == "U":
        return parse_dates(array, format, where, tell).astype("datetime64[s]")
    number = np.array([isinstance(x, int | float | np.number) and not isinstance(x, bool) for x in array], np.bool_)
    missing = is_null(array)
    if number.any() and not (number | missing).all():
        i, other = int(np.argmax(number & ~missing)), int(np.argmax(~(number | missing)))
        raise DataError(f"{where(i)}: the time {array[i]!r} is a number and {array[other]!r} is none "
                        f"({int((number & ~missing).sum()):,} of {len(array):,} rows hold numbers); write all times as "
                        f"numbers, or all as dates.")
    if (number | missing).all():
        try:
            return array.astype(np.int64) if not missing.any() and all(
                isinstance(x, int | np.integer) for x in array) else as_floats(array, where)
        except OverflowError:
            return as_floats(array, where)  # to be refused as too large
    moments = np.full(len(array), "NaT", "datetime64[us]")
    text = np.array([isinstance(x, str) for x in array], np.bool_)
    rows = np.flatnonzero(text)
    if len(rows):
        moments[rows] = parse_dates(array[rows], format, lambda i: where(int(rows[i])), tell).astype("datetime64[s]")
    for i in np.flatnonzero(~text & ~missing).tolist():
        moment = array[i][()] if isinstance(array[i], np.ndarray) and array[i].ndim == 0 else array[i]
        if not isinstance(moment, date | np.datetime64):
            raise DataError(f"{where(i)}: {moment!r} is neither a number nor a date such as 2011-12-09 12:50.")
        moments[i] = _utc(moment)
    return moments


def _in_digits(array: np.ndarray, where: Place) -> np.ndarray:
    """Whole numbers as texts, such as 20240131 or 20240131.0, in which dates are written."""
    broken = array % 1 != 0 if array.dtype.kind == "f" else np.zeros(len(array), np.bool_)
    if broken.any():
        i = int(np.argmax(broken))
        raise DataError(f"{where(i)}: the time {array[i].item()!r} is no whole number, so no date in date_format= "
                        f"({int(broken.sum()):,} such rows); leave date_format= out, or drop or correct these rows.")
    return np.array([str(int(x)) for x in array.tolist()], np.object_)


def _utc(x: Any) -> Any:
    """A time with a zone as that of Greenwich without one, which is all that NumPy has."""
    return x if getattr(x, "tzinfo", None) is None else x.astimezone(UTC).replace(tzinfo=None)
