"""The one container: who interacted with what, how much, when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from recsys.data import cleaning, intake
from recsys.data.columns import as_times, as_values
from recsys.data.csr import CSR
from recsys.data.described import described
from recsys.data.features import Features
from recsys.data.ids import IdMap, as_ids, number, renumber
from recsys.data.writing import write_csv
from recsys.errors import DataError

__all__ = ["Interactions"]


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Interactions of users with items: parallel columns, the ids behind the numbers, and what else is known.

    Build one with `from_arrays`, `from_csv`, `from_dataframe`, `from_records`, `from_matrix` or
    `recsys.datasets.load`.
    Nothing changes in place: every verb returns a new object.

    Parameters
    ----------
    users, items : IdMap
        External ids; number `i` belongs to the `i`-th.
    user, item : int32 arrays, shape (n,)
        Numbers of user and item of each row.
    value : float32 array, shape (n,), optional
        Ratings, counts, weights; None means implicit.
    time : int64 array, shape (n,), optional
        Whole seconds since 1970, or any integer that orders.
    item_features, user_features : Features, optional
        Aligned with `items` and `users`.
    name : str
        For reports.
    social : CSR, shape (n_users, n_users), optional
        Who trusts or befriends whom.
    notes : tuple of str
        Sentences about what reading and cleaning took, dropped or replaced.

    Examples
    --------
    >>> data = Interactions.from_arrays(["ann", "bob", "ann"], [7, 7, 9], [5, 3, 4])
    >>> data
    Interactions(3 rows, 2 users, 2 items, values)
    >>> data.csr.toarray()
    array([[5., 4.], [3., 0.]], dtype=float32)
    """

    users: IdMap
    items: IdMap
    user: np.ndarray
    item: np.ndarray
    value: np.ndarray | None = None
    time: np.ndarray | None = None
    item_features: Features | None = None
    user_features: Features | None = None
    name: str = ""
    social: CSR | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, dtype in (("user", np.int32), ("item", np.int32), ("value", np.float32), ("time", np.int64)):
            if getattr(self, field) is not None:
                column = np.ascontiguousarray(getattr(self, field), dtype)
                object.__setattr__(self, field, column)
                if column.shape != (len(self.user),):
                    raise DataError(f"Interactions: column {field} has shape {column.shape}, user {self.user.shape}.")
        for field, ids in (("user", self.users), ("item", self.items)):
            column = getattr(self, field)
            if len(column) and not 0 <= column.min() <= column.max() < len(ids):
                raise DataError(f"Interactions: column {field} must lie in 0..{len(ids) - 1}, "
                                f"got {column.min()}..{column.max()}.")
        for field, ids in (("user_features", self.users), ("item_features", self.items)):
            features = getattr(self, field)
            if features is not None and not isinstance(features, Features):
                raise DataError(f"Interactions: {field} is {described(features)}; pass recsys.Features(...), or add "
                                f"what a frame or a file has with recsys.data.side.add_features.")
            if features is not None and len(features) != len(ids):
                raise DataError(f"Interactions: {field} describe {len(features)} rows, there are {len(ids)} ids.")
        if self.social is not None and not isinstance(self.social, CSR):
            raise DataError(f"Interactions: social is {described(self.social)}; pass CSR.from_pairs(from, to, "
                            f"shape=(n_users, n_users)), or add a file or frame with recsys.data.side.add_friends.")
        if self.social is not None and self.social.shape != (len(self.users),) * 2:
            raise DataError(f"Interactions: social has shape {self.social.shape}, there are {len(self.users)} users.")

    # ---- building

    @classmethod
    def from_arrays(
        cls,
        users: Any,
        items: Any,
        values: Any = None,
        times: Any = None,
        *,
        user_ids: IdMap | None = None,
        item_ids: IdMap | None = None,
        user_features: Features | None = None,
        item_features: Features | None = None,
        social: CSR | None = None,
        name: str = "",
    ) -> Interactions:
        """Interactions from parallel arrays.

        Parameters
        ----------
        users, items : arrays, shape (n,)
            External ids: integers (negative ones too) or strings.
        values : float array, shape (n,), optional
            Ratings or weights, finite.
        times : array, shape (n,), optional
            Integers, datetimes, or floats (rounded down to whole seconds).
        user_ids, item_ids : IdMap, optional
            Known ids, such as a catalogue; by default the distinct ids in ascending order.
        user_features, item_features : Features, optional
            Aligned with `user_ids` and `item_ids`, which are then needed.
        social : CSR, optional
            Users x users, aligned with `user_ids`.
        name : str
            For reports.

        Raises
        ------
        DataError
            Naming the row and the value that cannot be used.
        UnknownIdError
            When an id is not in the map given.
        """
        for argument, given, needed, ids in (
            ("user_features", user_features, "user_ids", user_ids), ("social", social, "user_ids", user_ids),
            ("item_features", item_features, "item_ids", item_ids),
        ):
            if given is not None and ids is None:
                raise DataError(f"from_arrays: {argument} need {needed}, the ids they are aligned with.")
        user_map, user = number(as_ids(users, lambda i: f"users, row {i}"), user_ids)
        item_map, item = number(as_ids(items, lambda i: f"items, row {i}"), item_ids)
        if len(user) != len(item):
            raise DataError(f"from_arrays: {len(user)} users and {len(item)} items; they must be parallel.")
        value = None if values is None else as_values(values, len(user), lambda i: f"values, row {i}")
        time = None if times is None else as_times(times, len(user), lambda i: f"times, row {i}")
        return cls(user_map, item_map, user, item, value, time, item_features, user_features, name, social)

    @classmethod
    def from_csv(cls, path: str | Path, *, delimiter: str | None = None, header: bool | None = None,
                 encoding: str = "utf-8", decimal: str = ".", **options: Unpack[intake.Options]) -> Interactions:
        """Interactions from a delimited text file, gzipped if it ends in `.gz`; `notes` says what was taken for what.

        Parameters
        ----------
        path : path
            MovieLens' `u.data`, `ratings.dat` and `ratings.csv` are recognised as they are; `-` is standard input.
        delimiter : str, optional
            One character or `::`; recognised by default.
        header : bool, optional
            Whether the first line holds names; it does if a column is asked for by name, else it is recognised.
        encoding : str
            Of the text, where it does not begin with a byte order mark.
        decimal : {".", ","}
            What divides the digits of a number.
        **options
            Those that follow; `from_file`, `from_dataframe` and `from_records` take them, too.
        users, items, values, times : str, int or None
            A column by name or by number (from 0); None leaves values or times out. By default they are
            recognised by name (`userId`, `movie_id`, `rating`, `timestamp` ...), without a header by place.
        event_weights : mapping of str to float or None, optional
            The value of each kind of event, such as `{"view": 1, "buy": 5}`; None drops its rows, and `"*"` stands
            for all kinds that are not named.
        events : str or int
            The column of the kinds of events; by default recognised by name.
        id_type : int or str, optional
            Insist on integer ids or keep them as strings; by default they are integers if all are, in plain digits.
        na : sequence of str
            What means "missing", in capitals or not, besides an empty field; `()` for nothing else.
        drop_missing : bool
            Leave out rows that lack a user, item, value, time or event; by default they are refused.
        date_format : str, optional
            As of `datetime.strptime`, such as `"%d/%m/%Y"`, for dates that do not begin with the year.
        time_unit : {"s", "ms", "us", "ns"}, optional
            Of numbers that are times since 1970; by default told by their size, and turned into seconds.
        negative : {"keep", "drop", "subtract"}
            What to do with negative values, such as returned goods; see `recsys.data.cleaning.settle_negative`.
        name : str, optional
            By default the file's.

        Raises
        ------
        DataError
            Naming the file, the column, the line and the value that cannot be used.
        """
        return cls._of(intake.from_csv(path, delimiter, header, encoding, decimal, **options))

    @classmethod
    def from_file(cls, path: str | Path, *, delimiter: str | None = None, header: bool | None = None,
                  encoding: str = "utf-8", decimal: str = ".", **options: Unpack[intake.Options]) -> Interactions:
        """Interactions from a delimited, Parquet (extra `io`) or JSON lines file, by its contents; see `from_csv`."""
        return cls._of(intake.from_file(path, delimiter, header, encoding, decimal, **options))

    @classmethod
    def from_dataframe(cls, frame: Any, **options: Unpack[intake.Options]) -> Interactions:
        """Interactions from a pandas or polars frame (anything with `columns`, whose columns have `to_numpy`).

        Columns are chosen as in `from_csv`, whose options it takes.
        """
        return cls._of(intake.from_dataframe(frame, **options))

    @classmethod
    def from_records(cls, records: Iterable[Any], **options: Unpack[intake.Options]) -> Interactions:
        """Interactions from dicts (columns by key) or tuples (by place), with the options of `from_csv`.

        >>> Interactions.from_records([{"user": 1, "item": 7}, {"user": 2, "item": 7}])
        Interactions(2 rows, 2 users, 1 items)
        """
        return cls._of(intake.from_records(records, **options))

    @classmethod
    def from_matrix(cls, matrix: Any, *, users: Any = None, items: Any = None, name: str = "") -> Interactions:
        """Interactions from a SciPy sparse matrix (anything with `tocoo`), one event for each stored entry.

        A matrix has no times: the order of the columns takes the place of that of the events.

        Parameters
        ----------
        matrix : sparse matrix, shape (n_users, n_items)
            Values are ratings or weights; of booleans only the places count.
        users, items : array, shape (n_users,) and (n_items,), optional
            External ids of rows and columns; by default their numbers.
        name : str
            For reports.

        Raises
        ------
        DataError
            It is no sparse matrix, the ids are not as many as rows and columns, or a value is not finite.
        """
        rows, cols, values = intake.from_matrix(matrix)
        user_map, item_map = (IdMap(np.arange(size) if ids is None else ids)
                              for ids, size in zip((users, items), matrix.shape, strict=True))
        if (len(user_map), len(item_map)) != matrix.shape:
            raise DataError(f"from_matrix: {len(user_map)} users and {len(item_map)} items for a matrix of shape "
                            f"{matrix.shape}; give an id for each row and each column.")
        return cls(user_map, item_map, rows, cols, values, name=name)

    @classmethod
    def _of(cls, columns: intake.Columns) -> Interactions:
        data = cls.from_arrays(columns.users, columns.items, columns.values, columns.times, name=columns.name)
        return cleaning.settle_negative(replace(data, notes=tuple(columns.notes)), columns.negative)

    # ---- looking

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        extras = [name for name in ("value", "time") if getattr(self, name) is not None]
        title = f"{self.name!r}: " if self.name else ""
        told = f", {len(self.notes)} note{'s' * (len(self.notes) > 1)}" if self.notes else ""
        return (f"Interactions({title}{len(self):,} rows, {self.n_users:,} users, {self.n_items:,} items"
                f"{''.join(f', {name}s' for name in extras)}{told})")

    @property
    def n_users(self) -> int:
        """Number of users known, with or without rows."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items known, with or without rows."""
        return len(self.items)

    @cached_property
    def csr(self) -> CSR:
        """Users x items; within a user in time order (equal times in row order), else in row order."""
        if self.time is None or np.all(self.time[1:] >= self.time[:-1]):
            return CSR.from_pairs(self.user, self.item, self.value, (self.n_users, self.n_items))
        order = np.argsort(self.time, kind="stable")
        values = None if self.value is None else self.value[order]
        return CSR.from_pairs(self.user[order], self.item[order], values, (self.n_users, self.n_items))

    @property
    def csc(self) -> CSR:
        """Items x users: the transpose of `csr`; users ascend within an item."""
        return self.csr.T

    def sequences(self, max_len: int | None = None) -> CSR:
        """Each user's items in time order, the last `max_len` of them."""
        return self.csr if max_len is None else self.csr.tail(max_len)

    def describe(self) -> dict[str, Any]:
        """Counts, density, values, time span, events per user and item, concentration, duplicates."""
        return cleaning.describe(self)

    def fingerprint(self) -> str:
        """16 hex digits that depend on the contents alone; see `recsys.data.cleaning.fingerprint`."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return cleaning.fingerprint(self)

    def to_csv(self, path: str | Path) -> None:
        """Write user, item, value and time with a header, for `from_csv`; gzipped if the name ends in `.gz`.

        Ids that are text and could be taken for something else stand in quotes, so that they are read back as text.
        """
        columns = {"user": self.users.ids[self.user], "item": self.items.ids[self.item]}
        extras = {"value": self.value, "time": self.time}
        write_csv(path, columns | {name: column for name, column in extras.items() if column is not None})

    # ---- choosing rows

    def take(self, rows: Any) -> Interactions:
        """The given rows (numbers or a mask), with the same ids.

        Parameters
        ----------
        rows : int array, shape (m,), or bool array, shape (n,)
            Rows to keep, in this order.
        """
        rows = np.asarray(rows)
        if rows.dtype == np.bool_ and rows.shape != (len(self),):
            raise DataError(f"take: a mask must have shape ({len(self)},), got {rows.shape}.")
        rows = rows if rows.size else rows.astype(np.int64)
        if rows.dtype.kind not in "biu":
            raise DataError(f"take: rows are given by number or by a mask, not by {rows.dtype}.")
        if rows.dtype.kind != "b" and rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise DataError(f"take: there are {len(self)} rows, numbered from 0; got {rows.min()}..{rows.max()}.")
        return replace(self, user=self.user[rows], item=self.item[rows],
                       value=None if self.value is None else self.value[rows],
                       time=None if self.time is None else self.time[rows])

    def compact(self) -> Interactions:
        """The same rows without the users and items that have none."""
        users = np.flatnonzero(np.bincount(self.user, minlength=self.n_users))
        items = np.flatnonzero(np.bincount(self.item, minlength=self.n_items))
        return self.reindex(IdMap(self.users.ids[users]), IdMap(self.items.ids[items]))

    def reindex(self, users: IdMap, items: IdMap, unknown: str = "raise") -> Interactions:
        """The same rows, numbered by other maps; features and social graph follow.

        Parameters
        ----------
        users, items : IdMap
            The new maps; they may hold ids that this data does not.
        unknown : {"raise", "skip"}
            What to do with rows whose user or item is not in the new maps: raise or leave out.

        Raises
        ------
        UnknownIdError
            Naming the ids that the new maps lack.
        """
        user = renumber(self.users, users, self.user, unknown)
        item = renumber(self.items, items, self.item, unknown)
        both = (user >= 0) & (item >= 0)
        old_user, old_item = self.users.encode(users.ids, "skip"), self.items.encode(items.ids, "skip")
        return Interactions(
            users, items, user[both], item[both],
            None if self.value is None else self.value[both],
            None if self.time is None else self.time[both],
            None if self.item_features is None else self.item_features.take(old_item),
            None if self.user_features is None else self.user_features.take(old_user),
            self.name,
            None if self.social is None else self.social.submatrix(old_user),
            self.notes,
        )

    # ---- changing

    def clean(self, duplicates: str = "last", negative: str = "keep") -> Interactions:
        """One row for each (user, item) pair; see `recsys.data.cleaning.clean`."""
        return cleaning.clean(self, duplicates, negative)

    def filter(self, min_value: float | None = None, max_value: float | None = None) -> Interactions:
        """Rows whose value lies in `[min_value, max_value]`; ids stay as they are (see `compact`)."""
        return cleaning.filter_values(self, min_value, max_value)

    def binarise(self, threshold: float | None = None) -> Interactions:
        """Implicit data: rows with a value of at least `threshold` (all without one), values dropped."""
        return cleaning.binarise(self, threshold)

    def normalise(self, how: str = "user_mean") -> Interactions:
        """Values centred or scaled; see `recsys.data.cleaning.normalise`."""
        return cleaning.normalise(self, how)

    def k_core(self, users: int = 5, items: int = 5) -> Interactions:
        """The largest part in which every user has `users` rows and every item `items` rows; ids compacted."""
        return cleaning.k_core(self, users, items)
