"""What else is known of users and items: titles, features, texts, friends, from files or frames, matched, counted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from recsys.checks import words
from recsys.data.csr import CSR
from recsys.data.described import described, is_frame
from recsys.data.features import Features, label_matrix
from recsys.data.given import Frame
from recsys.data.held import Held
from recsys.data.ids import IdMap, column_at, factorise
from recsys.data.intake import NAMES, Source, TableOptions, hold, open_table, plain_name
from recsys.data.interactions import Interactions
from recsys.data.missing import NA
from recsys.data.notes import Tell, unsaid
from recsys.data.numbers import is_number
from recsys.data.table import Table
from recsys.data.times import is_date
from recsys.errors import DataError, ParameterError

__all__ = ["add_features", "add_friends", "add_texts", "add_titles", "matching_ids",
           "nothing_matches"]

_TITLES = ("title", "name", "itemname", "productname", "movietitle", "booktitle", "originaltitle")  # the best first
_TEXTS = ("text", "description", "plot", "overview", "summary", "abstract", "content", "body")
_IDS = NAMES["users"] | NAMES["items"] | {"id"}
_SEPARATOR = "|"  # of the labels in a field


def add_titles(data: Interactions, table: str | Path | Frame, **options: Unpack[TableOptions]) -> Interactions:
    """The data with the titles of a file's items: a column of ids, and one called `title` or `name`, or the only other.

    Parameters
    ----------
    data : Interactions
    table : path or frame
        A file, delimited, Parquet or JSON lines, or a pandas or polars frame. Ids are matched in the kind that the data
        has; what does not match, and what is taken of a title that differs, is counted in `notes`.
    **options
        `delimiter`, `header`, `encoding`, `decimal`, `na`, as of `Interactions.from_csv`; of a frame, `na` alone.

    Raises
    ------
    DataError
        No id of the file is one of the data, or no column is what is needed; the message names them.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "films.csv"
    >>> count = path.write_text("film_id,title\\n7,Alien\\n99,Brazil\\n")
    >>> data = add_titles(Interactions.from_arrays([1, 1], [7, 8]), path)
    >>> data.item_features.titles.tolist(), data.notes
    (['Alien', ''], ('films.csv: describes 1 of 2 items; 1 of its ids are not among them.',))
    """
    side = _Side.read(data.items, table, "items", options)
    column = side.only(_TITLES, "titles")
    return _with(data, "items", side, titles=side.one_each(side.texts(column), "title"))


def add_texts(data: Interactions, table: str | Path | Frame, **options: Unpack[TableOptions]) -> Interactions:
    """As `add_titles`, the texts of items: a column called `text`, `description`, `plot` ..., or the only other."""
    side = _Side.read(data.items, table, "items", options)
    column = side.only(_TEXTS, "texts")
    return _with(data, "items", side, text=side.one_each(side.texts(column), "text"))


def add_features(data: Interactions, table: str | Path | Frame, to: str = "items",
                 **options: Unpack[TableOptions]) -> Interactions:
    """The data with the columns of a file as features of its items or users, a row an id.

    A column of numbers becomes an attribute of floats (NaN where there is none), one of dates seconds since 1970; one
    with fields such as `drama|war` becomes labels, `genres`; any other becomes an attribute of texts, categories. A
    column called `title` or `name` gives titles, one called `description` or `text` gives texts. In a file with one
    other column an id may stand in several rows, with a label each. `notes` says what was taken for what.

    Parameters
    ----------
    data : Interactions
    table : path or frame
    to : {"items", "users"}
        Whom it describes.
    **options
        As of `add_titles`.

    Raises
    ------
    DataError
        As `add_titles`; or an id stands in several rows with different values.
    """
    if to not in ("items", "users"):
        raise ParameterError(f"add_features: to must be 'items' or 'users', got {to!r}.")
    side = _Side.read(data.items if to == "items" else data.users, table, to, options)
    return _with(data, to, side, **side.features())


def add_friends(data: Interactions, table: str | Path | Frame, **options: Unpack[TableOptions]) -> Interactions:
    """The data with a file's links between users, as its social graph: who trusts or befriends whom, two columns."""
    notes = list[str]()
    source: Any = _open(table, options, notes.append)
    na = options.get("na", NA)
    if source.width < 2:
        raise DataError(f"{source.file}: links need two columns of users, there is {source.width}.")
    if source.width > 2:
        notes.append(f"{source.file}: took the first two of {source.width} columns as users; the others are not read.")
    whole = source.missing(0, na) | source.missing(1, na)
    if whole.all():
        raise DataError(f"{source.file}: no row has two ids, in its first two columns; name a file of links between "
                        f"users.")
    source = source.take(~whole)
    ends = [matching_ids(source, column, data.users, na, notes.append) for column in (0, 1)]
    row, col = (data.users.encode(ids, "skip") for ids in ends)
    known, own = (row >= 0) & (col >= 0), (row == col) & (row >= 0)
    kept = known & ~own
    if not ((row >= 0) | (col >= 0)).any():
        raise nothing_matches(source.file, ends[0], data.users.ids, "users")
    if not kept.any():
        raise DataError(f"{source.file}: none of its {len(row):,} links is between two different users of the data; "
                        "name a file of links between users.")
    links = CSR.from_pairs(row[kept], col[kept], None, (data.n_users, data.n_users)).unique()
    lost = {"without an id": int(whole.sum()), "with users that the data does not have": int((~known).sum()),
            "of a user with himself": int(own.sum()), "repeated": int(kept.sum()) - links.nnz}
    lonely = data.n_users - len(np.union1d(row[kept], col[kept]))
    notes.append(f"{source.file}: {links.nnz:,} links{_left_out(lost)}; {lonely:,} of {data.n_users:,} users have "
                 f"none.")
    return replace(data, social=links, notes=(*data.notes, *notes))


@dataclass(frozen=True, eq=False)
class _Side:
    """A table whose rows describe ids.

    Parameters
    ----------
    source : Table or Held
        Rows without an id are gone.
    ids : array, shape (n_rows,)
    key : int
        The column of the ids.
    known : IdMap
        The data's.
    what : str
        "items" or "users".
    notes : list of str
    """

    source: Any
    ids: np.ndarray
    key: int
    known: IdMap
    what: str
    na: Sequence[str]
    notes: list[str]

    @classmethod
    def read(cls, known: IdMap, given: str | Path | Frame, what: str, options: TableOptions) -> _Side:
        """A table with the column of ids found: of those called so, the one that most of the data's are in."""
        notes, na = list[str](), options.get("na", NA)
        source: Any = _open(given, options, notes.append)
        names = [plain_name(name) for name in source.names]
        fitting = [j for j, name in enumerate(names) if name in NAMES[what] or name.endswith("id")] or [0]
        found = {j: _count_known(source, j, known, na) for j in fitting} if len(fitting) > 1 else {fitting[0]: 0}
        key = max(found, key=lambda j: found[j])
        if len(found) > 1:
            others = ", ".join(f"{source.names[j]!r} ({n:,})" for j, n in found.items() if j != key)
            notes.append(f"{source.file}: took the ids of the column {source.names[key]!r}, which has {found[key]:,} "
                         f"of the data's {len(known):,} {what}, not of {others}.")
        missing = source.missing(key, na)
        if missing.all():
            column = repr(source.names[key]) if source.names else key
            raise DataError(f"{source.file}: no row has an id in the column {column}, which was taken for that of the "
                            f"ids; call theirs {'item' if what == 'items' else 'user'}, or name another file.")
        if missing.any():
            notes.append(f"{source.file}: {int(missing.sum()):,} rows without an id are left out.")
            source = source.take(~missing)
        return cls(source, matching_ids(source, key, known, na, notes.append), key, known, what, na, notes)

    @property
    def others(self) -> list[int]:
        """The columns beside that of the ids."""
        return [j for j in range(self.source.width) if j != self.key]

    def only(self, names: Sequence[str], what: str) -> int:
        """The column that has one of the names, or the only other one."""
        column = self.called(names)
        if column is None and len(self.others) != 1:
            have = f"columns are {self.source.names}" if self.source.names else f"it has {self.source.width} columns"
            raise DataError(f"{self.source.file}: no column looks like the {what}; {have}; call one {names[0]!r}, or "
                            f"leave two columns.")
        return self.others[0] if column is None else column

    def called(self, names: Sequence[str]) -> int | None:
        """The column that has the first of the names that one has."""
        own = {plain_name(self.source.names[j]): j for j in self.others} if self.source.names else {}
        return next((own[name] for name in names if name in own), None)

    def one_each(self, values: np.ndarray, what: str) -> np.ndarray:
        """A value for each known id, blank for those that the file lacks; the first counts where they differ."""
        number, first = self.first[1:]
        several = np.unique(number[values != values[first[number]]])
        if len(several):
            self.notes.append(f"{self.source.file}: {len(several):,} ids have more than one {what}; the first counts.")
        found = self.spread(values)
        blank = sum(not text.strip() for text in found[self.rows >= 0].tolist())
        if blank and blank == np.count_nonzero(self.rows >= 0):
            raise DataError(f"{self.source.file}: no item of the data has a {what} that is not blank; name another "
                            f"file, or fill its column.")
        if blank:
            self.notes.append(f"{self.source.file}: {blank:,} of the items that it describes have a blank {what}.")
        return found

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows as values of the known ids, blank where there is no row; the first row counts."""
        return Features(attributes={"": values}).take(self.rows).attributes[""]

    @cached_property
    def first(self) -> tuple[IdMap, np.ndarray, np.ndarray]:
        """The ids of the file, each once; the number of each row's; the first row of each."""
        own, number = factorise(self.ids)
        first = np.zeros(len(own), np.int64)
        first[number[::-1]] = np.arange(len(number))[::-1]
        return own, number, first

    @cached_property
    def rows(self) -> np.ndarray:
        """The first row of each known id, or -1: (n_known,)."""
        place = self.first[0].encode(self.known.ids, "skip")
        return np.where(place >= 0, self.first[2][place], -1)

    def features(self) -> dict[str, Any]:
        """Fields of `Features` for all columns."""
        file, names = self.source.file, self.source.names or [f"column {j}" for j in range(self.source.width)]
        if not self.others:
            raise DataError(f"{file}: there is no column beside the ids, so nothing to say of them; name another file.")
        own, number, first = self.first
        repeated = len(self.ids) - len(own)
        if repeated and len(self.others) == 1:
            return self._labels_of({names[self.others[0]]: self._label_rows()})
        if repeated:
            twice = self.ids[np.flatnonzero(first[number] != np.arange(len(number)))[0]]
            raise DataError(f"{file}: {repeated:,} rows repeat an id, {twice!s} for one; leave one row for each.")
        found: dict[str, Any] = {"attributes": {}}
        kinds: dict[str, list[str]] = {}
        labels: dict[str, list[list[str]]] = {}
        for j in self.others:
            kind, values = self._column(j)
            kinds.setdefault(kind, []).append(names[j])
            if kind == "labels":
                labels[names[j]] = self._spread_labels(values)
            elif kind in ("titles", "text"):
                found[kind] = self.spread(values)
            else:
                found["attributes"][names[j]] = self.spread(values)
        said = "; ".join(f"{', '.join(columns)} as {kind}" for kind, columns in kinds.items())
        self.notes.append(f"{file}: took {said}.")
        return found | (self._labels_of(labels, tell=False) if labels else {})

    def texts(self, j: int) -> np.ndarray:
        """A column as texts, empty ones where nothing or a word for nothing stands, which is told."""
        texts, missing = self.source.texts(j), self.source.missing(j, self.na, "value")
        words = [text for text in texts[missing].tolist() if text.strip()]
        if words:
            self.notes.append(f"{column_at(self.source.place(j))}: took {words[0]!r} as missing, and so all words for "
                              f"that ({len(words):,} rows); na=() keeps them.")
        return np.where(missing, "", texts)

    def _lists(self, j: int) -> list[list[str]] | None:
        """A column of lists, if it is one."""
        return self.source.lists(j) if isinstance(self.source, Held) else None

    def _column(self, j: int) -> tuple[str, Any]:
        """What a column is, and its values."""
        if (lists := self._lists(j)) is not None:
            return "labels", lists
        texts = self.texts(j)
        missing = texts == ""
        present = texts[~missing].tolist()
        if j == self.called(_TITLES):
            return "titles", texts
        if j == self.called(_TEXTS):
            return "text", texts
        decimal = self.source.decimal if isinstance(self.source, Table) else "."
        if present and all(is_number(text.replace(decimal, ".")) for text in present):
            values = np.full(len(texts), np.nan)
            values[~missing] = self.source.take(~missing).floats(j)
            if np.isinf(values).any():
                i = int(np.argmax(np.isinf(values)))
                raise DataError(f"{self.source.place(j)(i)}: the number {texts[i]!s:.20} is too large; correct it.")
            return "numbers", values
        if present and all(map(is_date, present)):
            values = np.full(len(texts), np.nan)
            values[~missing] = self.source.take(~missing).times(j, tell=self.notes.append)
            return "dates (seconds since 1970)", values
        if any(_SEPARATOR in text for text in present):
            return "labels", [_labels_in(text) for text in texts.tolist()]
        return "categories", np.array(texts.tolist(), np.str_)

    def _label_rows(self) -> list[list[str]]:
        """For a file with a label a row: those of each known id."""
        own: list[list[str]] = [[] for _ in range(len(self.known))]
        labels = self._lists(self.others[0]) or [_labels_in(text) for text in self.texts(self.others[0]).tolist()]
        for number, row in zip(self.known.encode(self.ids, "skip").tolist(), labels, strict=True):
            if number >= 0:
                own[number] += row
        return own

    def _spread_labels(self, values: list[list[str]]) -> list[list[str]]:
        return [values[row] if row >= 0 else [] for row in self.rows.tolist()]

    def _labels_of(self, labels: dict[str, list[list[str]]], tell: bool = True) -> dict[str, Any]:
        """Lists of labels, each once, as `genres`; those of several columns begin with the column's name."""
        several = len(labels) > 1
        own = [[f"{name}: {label}" if several else label for name, lists in labels.items()
                for label in dict.fromkeys(lists[i])] for i in range(len(self.known))]
        matrix, names = label_matrix(own)
        if tell:
            self.notes.append(f"{self.source.file}: took {', '.join(labels)} as labels, {len(names):,} different ones.")
        return {"genres": matrix, "genre_names": names}


def _with(data: Interactions, to: str, side: _Side, **fields: Any) -> Interactions:
    """The data with more features; what they replace, and which ids matched, stands in its notes."""
    which = "item_features" if to == "items" else "user_features"
    old = getattr(data, which) or Features()
    new = fields.pop("attributes", {})
    replaced = [name for name in new if name in old.attributes]
    replaced += [name for name in fields if name != "genre_names" and getattr(old, name) is not None]
    if replaced:
        side.notes.append(f"{side.source.file}: replaced {', '.join(replaced)}.")
    found = int((side.rows >= 0).sum())
    if not found:
        raise nothing_matches(side.source.file, side.ids, side.known.ids, to)
    strange = len(side.first[0]) - found
    side.notes.append(f"{side.source.file}: describes {found:,} of {len(side.known):,} {to}"
                      f"{f'; {strange:,} of its ids are not among them' if strange else ''}.")
    changed: dict[str, Any] = {which: replace(old, attributes={**old.attributes, **new}, **fields)}
    return replace(data, notes=(*data.notes, *side.notes), **changed)


def _open(given: str | Path | Frame, options: TableOptions, tell: Tell) -> Source:
    name, offered = ("the frame", ["na"]) if is_frame(given) else (given, list(TableOptions.__annotations__))
    unknown = [option for option in options if option not in offered]
    if unknown:
        raise ParameterError(f"{name}: there is no option {unknown[0]!r}; there {'is' if len(offered) == 1 else 'are'} "
                             f"{', '.join(offered)}.")
    words().require("side files", "na", options.get("na", NA))
    if is_frame(given):
        return hold(given)
    if not isinstance(given, (str, os.PathLike)):
        raise DataError(f"side data is {described(given)}; pass the path of a file, or a pandas or polars frame.")
    return open_table(given, options.get("delimiter"), options.get("header"), options.get("encoding", "utf-8"),
                      options.get("decimal", "."), _known, tell)


def _known(fields: Sequence[str]) -> bool:
    return any(plain_name(field) in _IDS for field in fields)


def matching_ids(source: Any, column: int, known: IdMap, na: Sequence[str], tell: Tell) -> np.ndarray:
    """A column of ids in the kind that the data's have."""
    ids: np.ndarray = source.ids(column, None if known.integers else str, na, tell)
    if (ids.dtype.kind == "i") != known.integers:
        raise DataError(f"{source.file}: its ids are text, such as {str(ids[0])!r}, those of the data integers, such "
                        f"as {known.ids[0]}; read the data with id_type=str, or correct the file.")
    return ids


def _count_known(source: Any, column: int, known: IdMap, na: Sequence[str]) -> int:
    """How many of the data's ids a column has."""
    try:
        ids = matching_ids(source.take(~source.missing(column, na)), column, known, na, unsaid)
    except DataError:
        return 0
    return int((IdMap(np.unique(ids)).encode(known.ids, "skip") >= 0).sum()) if len(ids) else 0


def nothing_matches(file: str, ids: np.ndarray, known: np.ndarray, what: str) -> DataError:
    """The error of a file none of whose ids is known."""
    own, other = (", ".join(repr(id) for id in some[:3].tolist()) for some in (np.unique(ids), known))
    return DataError(f"{file}: none of its ids ({own}, ...) is one of the data's {what} ({other}, ...); name the file "
                     f"that goes with the data.")


def _labels_in(text: str) -> list[str]:
    return [label for part in text.split(_SEPARATOR) if (label := part.strip())]


def _left_out(counts: dict[str, int]) -> str:
    lost = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
    return f" (left out: {lost})" if lost else ""
