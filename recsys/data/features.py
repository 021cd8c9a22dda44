"""What is known of users or items besides their interactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.described import described
from recsys.errors import DataError

__all__ = ["FIELDS", "Features", "label_matrix"]

FIELDS = ("titles", "text", "genres")
"""What `Features` has by names of its own; all else is an attribute."""


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """Descriptions of users or items; row `i` of everything describes number `i` of the `IdMap` they go with.

    Parameters
    ----------
    titles : str array, shape (n,), optional
        Names to show.
    genres : CSR, shape (n, n_genres), optional
        Labels of each (genres, cuisines, tags); values are weights.
    genre_names : str array, shape (n_genres,), optional
        Names of the labels.
    text : StringDType array, shape (n,), optional
        Free text of any length.
    attributes : mapping of str to array, shape (n, ...), optional
        Anything else: ages, prices, countries, vectors, images.

    Examples
    --------
    >>> Features(titles=["Alien", "Brazil"]).take([1, -1]).titles
    array(['Brazil', ''], dtype='<U6')
    """

    titles: np.ndarray | None = None
    genres: CSR | None = None
    genre_names: np.ndarray | None = None
    text: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dtype in (("titles", np.str_), ("text", np.dtypes.StringDType()), ("genre_names", np.str_)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _strings(getattr(self, name), dtype))
        arrays = {name: np.asarray(values) for name, values in self.attributes.items()}
        object.__setattr__(self, "attributes", MappingProxyType(arrays))
        if self.genres is not None and not isinstance(self.genres, CSR):
            raise DataError(f"Features: genres are {described(self.genres)}; recsys.data.features.label_matrix makes "
                            f"them of lists of labels.")
        if self.genres is not None and not np.isfinite(self.genres.weights).all():
            raise DataError("Features: genres have weights that are not finite; leave a label out that there is not.")
        if self.genres is not None and (self.genre_names is None or len(self.genre_names) != self.genres.shape[1]):
            raise DataError(f"Features: genres of shape {self.genres.shape} need as many genre_names as columns.")
        if len(set(self._lengths().values())) > 1:
            raise DataError(f"Features: all must describe the same number of rows, got {self._lengths()}.")

    def _lengths(self) -> dict[str, int]:
        lengths = {name: len(values) for name, values in self.attributes.items()}
        lengths |= {n: len(getattr(self, n)) for n in ("titles", "text") if getattr(self, n) is not None}
        return lengths if self.genres is None else lengths | {"genres": self.genres.shape[0]}

    def __len__(self) -> int:
        return next(iter(self._lengths().values()), 0)

    def __repr__(self) -> str:
        return f"Features({len(self)} rows: {', '.join(self._lengths()) or 'nothing'})"

    def __reduce__(self) -> Any:
        """A read-only mapping can be neither copied nor pickled; a dictionary can, and becomes one again."""
        return Features, (self.titles, self.genres, self.genre_names, self.text, dict(self.attributes))

    def take(self, indices: np.ndarray) -> Features:
        """Rows in the order of `indices`; -1 gives a blank one (empty string, no genre, NaN, -1, False)."""
        indices = np.asarray(indices, np.int64)
        if indices.size and not -1 <= indices.min() <= indices.max() < len(self):
            raise DataError(f"Features.take: indices must lie in -1..{len(self) - 1}, "
                            f"got {indices.min()}..{indices.max()}.")
        return Features(
            titles=None if self.titles is None else _pick(self.titles, indices),
            genres=None if self.genres is None else _pick_rows(self.genres, indices),
            genre_names=self.genre_names,
            text=None if self.text is None else _pick(self.text, indices),
            attributes={name: _pick(values, indices) for name, values in self.attributes.items()},
        )


def label_matrix(labels: Sequence[Iterable[str]]) -> tuple[CSR, np.ndarray]:
    """Labels of each row as a matrix and the names of its columns, ascending.

    >>> matrix, names = label_matrix([["war", "drama"], [], ["drama"]])
    >>> names.tolist(), matrix.indices.tolist()
    (['drama', 'war'], [1, 0, 0])
    """
    pairs = [(row, label) for row, own in enumerate(labels) for label in own]
    names, cols = np.unique(np.array([label for _, label in pairs], np.str_), return_inverse=True)
    return CSR.from_pairs(np.array([row for row, _ in pairs], np.int32), cols, None, (len(labels), len(names))), names


def _strings(values: Any, dtype: Any) -> np.ndarray:
    """An array of strings of the dtype; NumPy casts a StringDType to a fixed width only by way of objects."""
    variable = isinstance(values, np.ndarray) and values.dtype.kind == "T" and dtype is np.str_
    return np.asarray(values.tolist() if variable else values, dtype)


def _pick(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    blank = {"f": np.nan, "i": -1, "U": "", "T": "", "M": "NaT", "O": None}.get(values.dtype.kind, 0)
    if not len(values):
        return np.full((len(indices), *values.shape[1:]), blank, values.dtype)
    picked: np.ndarray = values[indices]
    picked[indices < 0] = blank
    return picked


def _pick_rows(matrix: CSR, indices: np.ndarray) -> CSR:
    known = np.flatnonzero(indices >= 0)
    part = matrix.rows(indices[known])
    return CSR.from_pairs(known[part.row_of_entry], part.indices, part.data, (len(indices), matrix.shape[1]))
