"""Data as users hand it over, as `Interactions`, or a sentence that says which call makes them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from recsys.data import intake
from recsys.data.described import described, is_frame
from recsys.data.interactions import Interactions
from recsys.errors import DataError, DataWarning

__all__ = ["Data", "Frame", "interactions", "parts", "training"]

class Frame(Protocol):
    """A frame of pandas or polars, or one made like them."""

    columns: Any

    def to_numpy(self) -> Any:
        """The cells, as an array."""


Data: TypeAlias = Interactions | Frame
"""What stands for interactions wherever some are taken."""

_ROLES = ("users", "items", "values", "times")


def interactions(who: str, data: Any, what: str = "data") -> Interactions:
    """Interactions as they are, or those of a pandas or polars frame, whose name then tells the columns taken.

    Parameters
    ----------
    who, what : str
        The verb that was called and its argument, for messages.
    data : Interactions or frame

    Raises
    ------
    DataError
        It is something else; the message says how to make Interactions of it.

    Examples
    --------
    >>> interactions("EASE.fit", "ratings.csv")
    Traceback (most recent call last):
    recsys.errors.DataError: EASE.fit: data is a path, 'ratings.csv'; read it first: Interactions.from_csv('ratings.csv').
    """  # noqa: E501 (a message is one line)
    if isinstance(data, Interactions):
        return data
    if is_frame(data):
        return _of_frame(who, data, what)
    raise DataError(f"{who}: {what} is {described(data)}; {_advice(data)}.")


def training(who: str, data: Any, *parts_of_it: Any) -> tuple[Any, ...]:
    """The data to learn from and what is to be validated on, None or numbered by the same maps.

    Raises
    ------
    DataError
        A frame to validate on has users or items that the data does not know.
    """
    data = interactions(who, data)
    return (data, *(part if part is None or isinstance(part, Interactions) else _like(who, data, part, what)
                    for part, what in zip(parts_of_it, ("valid", "valid_history"), strict=False)))


def parts(who: str, data: Any) -> Any:
    """One data set, or a tuple of parts that were given apart, each as `interactions` takes it; a Split as it is."""
    if isinstance(data, (tuple, list)) and data and all(isinstance(part, Interactions) or is_frame(part)
                                                       for part in data):
        return tuple(interactions(who, part, f"part {i} of the data") for i, part in enumerate(data))
    return data if hasattr(data, "train") and hasattr(data, "test") else interactions(who, data)


def _of_frame(who: str, frame: Any, what: str) -> Interactions:
    names = [str(column) for column in frame.columns]
    try:
        chosen = intake.choose(names, len(names), "", dict.fromkeys(_ROLES, "auto"))
    except DataError as error:
        lists = f"{names[:8]!r:.200}{' and more' * (len(names) > 8)}"
        raise DataError(f"{who}: {what} is a frame, and which of its columns hold users and items is not plain from "
                        f"their names, {lists}; say so: Interactions.from_dataframe(frame, users=..., items=..., "
                        f"values=..., times=...), after frame.reset_index() if they are in its index, after "
                        f"frame.stack().reset_index() if it is users x items.") from error
    taken = ", ".join(f"{role} {column!r}" for role, column in chosen.items() if column is not None)
    try:
        data = Interactions.from_dataframe(frame, name=f"frame with {taken}")
    except DataError as error:
        raise DataError(f"{who}: {what}, a frame with {taken}: {str(error).removeprefix('the frame, ')} Options are "
                        f"those of Interactions.from_dataframe; or drop or convert such rows before, as with "
                        f"frame.dropna(subset=[column]) or frame[column].astype(str).") from error
    for note in data.notes:  # nobody has asked for the data, so nobody will read them there
        warnings.warn(f"{who}: {what}: {note}", DataWarning, stacklevel=4)
    return data


def _like(who: str, data: Interactions, part: Any, what: str) -> Interactions:
    """A frame numbered by the maps of the training data."""
    own = interactions(who, part, what)
    unknown = {name: ids.ids[known.encode(ids.ids, "skip") < 0] for name, ids, known in (
        ("user", own.users, data.users), ("item", own.items, data.items))}
    lost = [f"{len(ids)} {name}{'s' * (len(ids) > 1)} ({ids[0].item()!r}{', ...' * (len(ids) > 1)})"
            for name, ids in unknown.items() if len(ids)]
    if lost:
        raise DataError(f"{who}: {what} has {' and '.join(lost)} that the training data does not know; divide with "
                        f"split = recsys.split_predefined(train, valid) and fit(split.train, split.test), or drop "
                        f"those rows.")
    return own.reindex(data.users, data.items)


def _advice(data: Any) -> str:
    """What to call instead, by what it looks like."""
    if isinstance(data, (str, os.PathLike)):
        path = os.fspath(data)
        if Path(path).suffix:
            return f"read it first: Interactions.from_csv({path!r})"
        return (f"read it first: Interactions.from_csv({path!r}) for a file, recsys.datasets.load({path!r}) for a "
                f"data set")
    if hasattr(data, "tocoo"):
        return "make it Interactions.from_matrix(matrix, users=user_ids, items=item_ids)"
    if hasattr(data, "raw_ratings"):  # Surprise's Dataset
        return "make it Interactions.from_records(row[:3] for row in dataset.raw_ratings)"
    if hasattr(data, "all_ratings") and hasattr(data, "to_raw_uid"):  # Surprise's Trainset
        return ("make it Interactions.from_records((t.to_raw_uid(u), t.to_raw_iid(i), r) for u, i, r in "
                "t.all_ratings()), where t is the trainset")
    if hasattr(data, "train") and hasattr(data, "test"):
        return "pass one part of it: split.train, split.valid, split.test"
    if hasattr(type(data), "collect") and hasattr(type(data), "columns"):
        return "pass frame.collect()"
    if hasattr(data, "to_pandas"):
        return "pass table.to_pandas()"
    if hasattr(data, "toPandas"):
        return "pass frame.toPandas()"
    if isinstance(data, Mapping):
        return ("make it Interactions.from_arrays(d['user'], d['item'], d['value']) if it holds columns, "
                "Interactions.from_records((user, item) for user, items in d.items() for item in items) if it holds "
                "the items of each user")
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        return _advice_on_array(np.shape(data))
    if isinstance(data, (tuple, list)) and any(isinstance(part, Interactions) or is_frame(part) for part in data):
        return "pass one data set at a time"
    if isinstance(data, (tuple, list, set, frozenset, Iterator)):
        return ("make it Interactions.from_records(rows) if it holds rows of (user, item[, value[, time]]) or dicts, "
                "Interactions.from_arrays(users, items, values) if it holds columns")
    return "pass Interactions (from_csv, from_dataframe, from_arrays, from_records, from_matrix) or a data frame"


def _advice_on_array(shape: tuple[int, ...]) -> str:
    rows = "Interactions.from_arrays(a[:, 0], a[:, 1]" + (", a[:, 2])" if shape[1:] != (2,) else ")")
    if len(shape) != 2:
        return "make it Interactions.from_arrays(users, items, values), of three arrays of one length"
    return (f"make it {rows} if a row is one event, or u, i = a.nonzero() and Interactions.from_arrays(u, i, a[u, i]) "
            f"if it is users x items")
