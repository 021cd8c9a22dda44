"""Times as whole seconds since 1970: dates in many spellings, epochs in any unit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from recsys.data.ids import Place, column_at
from recsys.data.notes import Tell
from recsys.errors import DataError

__all__ = ["UNITS", "are_plainly_seconds", "guess_unit", "in_seconds", "is_date", "parse_dates", "tell_of_fractions"]

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""How many of each a second has."""

_EARLY, _LATE = 315_532_800, 4_102_444_800  # the years 1980 and 2100, in seconds
_DAY, _SECOND = (19_000_101, 21_001_231), (19_000_101_000_000, 21_001_231_235_959)  # 20111209, 20111209125000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

_ISO = re.compile(
    r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?:(?P=sep)(?P<d>\d{1,2}))?"
    r"(?:[T ]\s*(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,]\d*)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?", re.ASCII | re.IGNORECASE)
_FRACTION = re.compile(r":\d{2}[.,]0*[1-9]", re.ASCII)
_DAY_OR_MONTH_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})\b.*", re.ASCII)


def is_date(field: str) -> bool:
    """Whether a field is a date, be it in an order that cannot be known, such as 01/02/2024."""
    field = field.strip()
    return bool(_ISO.fullmatch(field) or _DAY_OR_MONTH_FIRST.fullmatch(field))


def guess_unit(times: np.ndarray) -> str:
    """The unit of times (n,), by their size: "s", "ms", "us" or "ns" since 1970, or "date" for 20111209.

    Numbers of another size than the years 1980 to 2100 have, in any unit, are left as they are, "s".

    >>> guess_unit(np.array([881250949])), guess_unit(np.array([881250949000])), guess_unit(np.array([20111209]))
    ('s', 'ms', 'date')
    """
    if not len(times):
        return "s"
    least, most = float(times.min()), float(times.max())
    if any(low <= least and most <= high for low, high in (_DAY, _SECOND)) and _are_dates(times):
        return "date"
    if most < _EARLY * 1e3:
        return "s"
    shares = {unit: float(np.mean((times >= _EARLY * size) & (times < _LATE * size))) for unit, size in UNITS.items()}
    likely = max(shares, key=lambda unit: shares[unit])
    return likely if shares[likely] > 0.5 else "s"


def are_plainly_seconds(times: np.ndarray) -> bool:
    """Whether times (n,) are taken as seconds by their size alone."""
    return guess_unit(times) == "s" and _strays(times, "s") is None


def in_seconds(times: np.ndarray, unit: str | None, where: Place, tell: Tell) -> np.ndarray:
    """Times (n,), int64 or float64 and finite, as whole seconds, rounded down.

    Parameters
    ----------
    times : ndarray
    unit : {"s", "ms", "us", "ns"}, optional
        By default told by the size of the numbers; `tell` gets to know if it is not seconds.
    where : callable
        Says where the i-th stands.
    tell : callable

    Raises
    ------
    DataError
        Some look like one unit and some like another.
    """
    guessed = unit is None
    unit = guess_unit(times) if unit is None else unit
    if unit == "date":
        tell(f"{column_at(where)}: took {times[0]:.0f} and the like as dates (year, month, day); time_unit='s' takes "
             f"them as numbers.")
        return parse_dates(np.array([f"{x:.0f}" for x in times.tolist()], np.object_), None, where, tell)
    size = UNITS[unit]
    if guessed:
        _refuse_mixed(times, unit, where)
    if guessed and unit != "s":
        tell(f"{column_at(where)}: took the times as {_LONG_NAMES[unit]} since 1970, by their size, and rounded them "
             f"down to whole seconds; time_unit='s' takes them as they are.")
    if times.dtype.kind == "f":
        if size == 1:
            tell_of_fractions(int(np.count_nonzero(times % 1)), where, tell)
        return np.floor(times / size).astype(np.int64)
    return times if size == 1 else times // size


def tell_of_fractions(count: int, where: Place, tell: Tell) -> None:
    """Say that so many times lose their fraction of a second, if any do."""
    if count:
        tell(f"{column_at(where)}: rounded {count:,} times down to whole seconds; events within a second stay in the "
             f"order of their rows.")


def parse_dates(fields: np.ndarray, format: str | None, where: Place, tell: Tell) -> np.ndarray:
    """Dates as int64 seconds since 1970 in universal time, shape (n,); without a zone they are taken to be so already.

    Parameters
    ----------
    fields : array of str, shape (n,)
        Year first (`2011-12-09 12:50`, `2011/12/9`, `20111209`), with or without a zone (`Z`, `+01:00`).
    format : str, optional
        Of `datetime.strptime`, such as `%d/%m/%Y %H:%M`, for all others.
    where : callable
        Says where the i-th stands.
    tell : callable

    Raises
    ------
    DataError
        A field is no date, or could be day and month or month and day.
    """
    texts = fields.tolist()
    seconds: dict[str, int] = {}
    fractions = set()
    zones = 0
    for text in dict.fromkeys(texts):
        try:
            moment = _moment(text.strip(), format)
        except (ValueError, OverflowError):
            raise DataError(f"{where(texts.index(text))}: {_complaint(texts, text, format)}") from None
        if (format is not None and moment.microsecond) or _FRACTION.search(text):
            fractions.add(text)
        zones += moment.tzinfo is not None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds[text] = (moment - _EPOCH) // timedelta(seconds=1)
    if 0 < zones < len(seconds):
        tell(f"{column_at(where)}: {len(seconds) - zones:,} of {len(seconds):,} different dates have no time zone; "
             f"took them as UTC.")
    tell_of_fractions(sum(text in fractions for text in texts) if fractions else 0, where, tell)
    return np.fromiter(map(seconds.__getitem__, texts), np.int64, len(texts))


def _moment(text: str, format: str | None) -> datetime:
    if format is not None:
        digits = text.isdecimal() and text.isascii()  # a number, which may have lost its first zeros
        return datetime.strptime(text.zfill(len(_EPOCH.strftime(format))) if digits else text, format)
    found = _ISO.fullmatch(text)
    if found is None:
        if not re.fullmatch(r"\d{8}(T?\d{6})?(Z|[+-]\d{2}:?\d{2})?", text, re.ASCII):
            raise ValueError(text)
        return datetime.fromisoformat(text if "T" in text or len(text) < 14 else f"{text[:8]}T{text[8:]}")
    y, m, d, H, M, S, zone = found.group("y", "m", "d", "H", "M", "S", "zone")
    zone = "+00:00" if zone and zone.upper() in ("Z", "UTC", "GMT") else zone or ""
    return datetime.fromisoformat(f"{y}-{m:>02}-{d or 1:>02}T{H or 0:>02}:{M or '00'}:{S or '00'}{zone}")


def _complaint(texts: list[str], text: str, format: str | None) -> str:
    if format is not None:
        return f"{text!r} is not a date of the form {format!r}; correct date_format=."
    numbers = [found.groups() for found in map(_DAY_OR_MONTH_FIRST.fullmatch, map(str.strip, texts)) if found]
    if not _DAY_OR_MONTH_FIRST.fullmatch(text.strip()):
        return (f"{text!r} is neither a number nor a date such as 2011-12-09 12:50; say how dates are written with "
                f"date_format='%d %b %Y', for example.")
    mark, year = numbers[0][1], "%Y" if len(numbers[0][3]) == 4 else "%y"
    rest = " %H:%M" if ":" in text else ""
    rest += ":%S" if text.count(":") == 2 else ""
    orders = (("%d", "%m"), 2), (("%m", "%d"), 0)  # and which of the numbers is the month
    ways = [f"date_format='{mark.join((*order, year))}{rest}'" for order, month in orders
            if all(int(parts[month]) <= 12 for parts in numbers)]
    if len(ways) == 1:
        return f"the date {text!r} does not begin with the year; pass {ways[0]}, which fits all of them."
    return f"the date {text!r} may have the day or the month first; pass {' or '.join(ways) or 'date_format='}."


def _are_dates(times: np.ndarray) -> bool:
    if np.any(times % 1):
        return False
    days = np.unique(times).astype(np.int64)
    days = np.unique(days // 10**6) if days[-1] > _DAY[1] else days
    month, day = days // 100 % 100, days % 100
    return bool(np.all((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)))


def _strays(times: np.ndarray, unit: str) -> tuple[str, np.ndarray] | None:
    """Another unit whose size some times have, and which, bool (n,), where others have the size of this one."""
    sized = {name: (times >= _EARLY * size) & (times < _LATE * size) for name, size in UNITS.items()}
    if not sized.pop(unit).any():
        return None
    return next(((other, odd) for other, odd in sized.items() if odd.any()), None)


def _refuse_mixed(times: np.ndarray, unit: str, where: Place) -> None:
    """Refuse times of which some have the size of another unit than the rest."""
    found = _strays(times, unit)
    if found is not None:
        other, odd = found
        i = int(np.argmax(odd))
        raise DataError(f"{where(i)}: the time {times[i]} looks like {_LONG_NAMES[other]} since 1970 "
                        f"({int(odd.sum()):,} such rows), others like {_LONG_NAMES[unit]}; correct the rows, or pass "
                        f"time_unit=.")
