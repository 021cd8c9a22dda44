"""`Recs`: ranked lists for one or many queries, with external ids, each exactly as long as it says."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from minidl import MissingExtraError
from recsys.data.ids import IdMap

__all__ = ["Reason", "Recs", "Titles", "with_python_texts"]


@dataclass(frozen=True, eq=False)
class Titles:
    """What the items are called: `names[i]` is the title of the i-th id, "" if it has none."""

    ids: IdMap
    names: np.ndarray

    def of(self, items: np.ndarray) -> np.ndarray:
        """The titles of known external ids, and "" for filling: str, shape of `items`."""
        number = self.ids.encode(items.ravel(), "skip")
        return np.where(number < 0, "", self.names[np.maximum(number, 0)]).reshape(items.shape)


@dataclass(frozen=True)
class Reason:
    """One part of a score: an item of the history, and what it adds.

    Attributes
    ----------
    item : int, str or None
        External id of the history item; None is the part that no item of the history explains.
    title : str or None
        The item's title, where the data had titles.
    contribution : float
        What the score would lack without it (exact for linear models).
    """

    item: Any
    title: str | None
    contribution: float


@dataclass(frozen=True)
class Recs:
    """Ranked lists, best first.

    One query gives 1-D arrays of exactly `counts` entries. Several give 2-D arrays: row `b` holds
    `counts[b]` entries, and what follows is padding (-1 or an empty string, score -inf).

    Attributes
    ----------
    users : scalar or ndarray, shape (B,)
        The queries' external ids: users, or the items of `similar_items`; positions 0 ... B-1 for
        queries that were histories.
    items : ndarray, shape (n,) or (B, n)
        External ids of what is recommended (users, for `similar_users`).
    scores : ndarray, float32, shape of `items`
        The model's; in lists without any entry of the model, the items' numbers of training events.
    counts : int or ndarray of int64, shape (B,)
        How many entries each list has: k, or fewer where there were fewer candidates.
    source : ndarray of str, shape of `items`
        Of each entry: `"model"`, or `"popular"` where the model has no evidence and the most popular items stand
        in, behind the model's own. Of a hybrid also `"content"`, or `"popular"`, where such a part of it alone answers.
    titled : Titles or None
        Where the training data had titles.

    Examples
    --------
    >>> recs = Recs(np.array([7, 9]), np.array([[1, 2], [3, -1]]),
    ...             np.array([[.9, .5], [.7, -np.inf]], np.float32), np.array([2, 1]),
    ...             np.array([["model", "model"], ["popular", ""]]))
    >>> [(one.users, one.items.tolist()) for one in recs]
    [(7, [1, 2]), (9, [3])]
    >>> recs[1].to_records()
    [{'user': 9, 'rank': 1, 'item': 3, 'score': 0.7, 'source': 'popular'}]
    """

    users: Any
    items: np.ndarray
    scores: np.ndarray
    counts: Any
    source: np.ndarray
    titled: Titles | None = field(default=None, repr=False, compare=False)

    @property
    def titles(self) -> np.ndarray | None:
        """Titles of the items, str of the shape of `items`; None where the training data had none."""
        return None if self.titled is None else self.titled.of(self.items)

    @property
    def single(self) -> bool:
        """Whether this answers one query, with 1-D arrays."""
        return self.items.ndim == 1

    def __len__(self) -> int:
        """The number of lists; for one query, the number of entries."""
        return len(self.items)

    def __getitem__(self, row: int) -> Recs:
        """The list of one query, 1-D and without filling."""
        if self.single:
            raise TypeError("Recs of one query has no rows; read its items and scores.")
        n = int(self.counts[row])
        return Recs(_plain(self.users[row]), self.items[row, :n], self.scores[row, :n], n, self.source[row, :n],
                    self.titled)

    def __iter__(self) -> Iterator[Any]:
        """One-query `Recs`, query by query; for one query, its pairs (item, score)."""
        if self.single:
            return iter(zip(self.items.tolist(), self.scores.tolist(), strict=True))
        return (self[row] for row in range(len(self.items)))

    def to_columns(self) -> dict[str, np.ndarray]:
        """All entries of all lists: user, rank (from 1), item, title (where there are titles), score, source.

        Returns
        -------
        dict of str to ndarray, shape (sum of `counts`,)
        """
        shape = (1, len(self.items)) if self.single else self.items.shape
        counts = np.atleast_1d(np.asarray(self.counts, np.int64))
        kept = np.arange(shape[1]) < counts[:, None]
        items, scores, source = (part.reshape(shape)[kept] for part in (self.items, self.scores, self.source))
        rank = np.broadcast_to(np.arange(1, shape[1] + 1), shape)[kept]
        columns = {"user": np.repeat(np.atleast_1d(np.asarray(self.users)), counts), "rank": rank, "item": items}
        if self.titled is not None:
            columns["title"] = self.titled.of(items)
        return columns | {"score": scores, "source": source}

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary an entry, with the columns of `to_columns`; scores have six decimals."""
        columns = self.to_columns()
        lists = [column.tolist() for column in columns.values()]
        return [{name: round(value, 6) if name == "score" else value
                 for name, value in zip(columns, entry, strict=True)} for entry in zip(*lists, strict=True)]

    def to_pandas(self) -> Any:
        """A pandas DataFrame with the columns of `to_columns`, a row an entry."""
        return _frame("pandas", self.to_columns())

    def to_polars(self) -> Any:
        """A polars DataFrame with the columns of `to_columns`, a row an entry."""
        return _frame("polars", self.to_columns())

    def _repr_html_(self) -> str:
        """A table, as notebooks show it, of the first lists."""
        shown = self if self.single else Recs(self.users[:_SHOWN], self.items[:_SHOWN], self.scores[:_SHOWN],
                                              self.counts[:_SHOWN], self.source[:_SHOWN], self.titled)
        columns = shown.to_columns()
        head = "".join(f"<th>{name}</th>" for name in columns)
        lines = ["".join(f"<td>{escape(f'{cell:.4f}' if isinstance(cell, float) else str(cell))}</td>" for cell in line)
                 for line in zip(*(column.tolist() for column in columns.values()), strict=True)]
        more = 0 if self.single else len(self) - len(shown)
        note = f"<p>{more:,} more lists</p>" if more > 0 else ""
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{note}"


_SHOWN = 5  # lists that a notebook shows


def _frame(package: str, columns: dict[str, np.ndarray]) -> Any:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, None, f"Recs.to_{package}")
    return importlib.import_module(package).DataFrame(with_python_texts(columns))


def with_python_texts(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns as frames and databases take them: texts as Python's, not NumPy's of one width."""
    return {name: column.astype(object) if column.dtype.kind == "U" else column for name, column in columns.items()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
