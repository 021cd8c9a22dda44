"""What the columns of features mean, as it was fixed by the training: so that features of later things can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.errors import DataError

__all__ = ["Labels", "Names", "Numbers", "Vocabulary"]


@dataclass(frozen=True)
class Names:
    """A text or flag: a column for each value, ascending."""

    attribute: str
    names: np.ndarray

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names)

    def read(self, features: Features) -> tuple[CSR, str]:
        """A row for each thing, (n, width), and what was not understood, in words."""
        words = features.attributes[self.attribute].astype(np.str_)
        column = np.searchsorted(self.names, words)
        column[column == self.width] = 0
        known = self.names[column] == words if self.width else np.zeros(len(words), bool)
        strange = np.flatnonzero(~known & (words != ""))
        rows = np.flatnonzero(known & (words != ""))
        said = (f"{len(strange):,} have a {self.attribute!r} that the training did not have, such as "
                f"{str(words[strange[0]])!r}") if len(strange) else ""
        return CSR.from_pairs(rows, column[rows], None, (len(words), self.width)), said

    def state(self) -> dict[str, np.ndarray]:
        """As arrays."""
        return {"names": self.names}


@dataclass(frozen=True)
class Numbers:
    """Numbers, a column each, that have mean 0 and variance 1 over what occurs in training; NaN has no entry."""

    attribute: str
    mean: np.ndarray  # float64 (width,)
    spread: np.ndarray  # float64 (width,); 0 for a column that says nothing

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.mean)

    @classmethod
    def learn(cls, attribute: str, values: np.ndarray, present: np.ndarray) -> Numbers:
        """From values (n, width), where bool (n,) says what occurs in training."""
        known = np.isfinite(values)
        inside = np.where(known, values, 0.0)
        count = np.maximum((known & present[:, None]).sum(axis=0), 1)
        mean = inside[present].sum(axis=0) / count
        deviation = np.where(known, values - mean, 0.0)
        return cls(attribute, mean, np.sqrt(np.square(deviation[present]).sum(axis=0) / count))

    def read(self, features: Features) -> tuple[CSR, str]:
        """A row for each thing, (n, width), and what was not understood, in words."""
        given = features.attributes[self.attribute]
        if given.dtype.kind not in "iuf" or given.size != len(given) * self.width:
            raise DataError(f"attribute {self.attribute!r} is {given.dtype}{given.shape}, and was numbers of shape (n, "
                            f"{self.width}) in training")
        values = given.reshape((len(given), self.width)).astype(np.float64)
        known = np.isfinite(values)
        scaled = np.where(known, values - self.mean, 0.0) / np.where(self.spread > 0, self.spread, 1)
        rows, columns = np.nonzero(known & (self.spread > 0))
        return CSR.from_pairs(rows, columns, scaled[rows, columns], values.shape), ""

    def state(self) -> dict[str, np.ndarray]:
        """As arrays."""
        return {"mean": self.mean, "spread": self.spread}


@dataclass(frozen=True)
class Labels:
    """Genres: their weights, divided by their sum, which those that are not known count in."""

    names: np.ndarray
    attribute: str = ""

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names)

    def read(self, features: Features) -> tuple[CSR, str]:
        """A row for each thing, (n, width), and what was not understood, in words."""
        genres, given = features.genres, features.genre_names
        if genres is None or given is None:
            return CSR.from_pairs(np.zeros(0, np.int32), np.zeros(0, np.int32), None, (len(features), self.width)), ""
        number = {name: column for column, name in enumerate(self.names.tolist())}
        column = np.array([number.get(name, -1) for name in given.tolist()], np.int64)
        sums = np.bincount(genres.row_of_entry, np.abs(genres.weights), genres.shape[0])
        scaled = (genres.weights / np.maximum(sums[genres.row_of_entry], 1e-12)).astype(np.float32)
        known = column[genres.indices] >= 0
        strange = np.unique(genres.row_of_entry[~known])
        said = (f"{len(strange):,} have genres that the training did not have, such as "
                f"{str(given[genres.indices[~known][0]])!r}") if len(strange) else ""
        return CSR.from_pairs(genres.row_of_entry[known], column[genres.indices[known]], scaled[known],
                              (genres.shape[0], self.width)), said

    def state(self) -> dict[str, np.ndarray]:
        """As arrays."""
        return {"labels": self.names}


@dataclass(frozen=True)
class Vocabulary:
    """The attributes of users, or items, in the order of the training, and then the genres.

    Examples
    --------
    >>> features = Features(attributes={"colour": np.array(["red", "blue"])})
    >>> words = Vocabulary.learn(features, np.ones(2, bool))
    >>> fields, said = words.read(Features(attributes={"colour": np.array(["red", "pink"])}), 2)
    >>> fields[0].toarray(), said
    (array([[0., 1.],
           [0., 0.]], dtype=float32), ["1 have a 'colour' that the training did not have, such as 'pink'"])
    """

    fields: tuple[Names | Numbers | Labels, ...]

    @classmethod
    def learn(cls, features: Features | None, present: np.ndarray) -> Vocabulary:
        """Of n things, where bool (n,) says which occur in training."""
        fields: list[Names | Numbers | Labels] = []
        for attribute, values in ({} if features is None else features.attributes).items():
            if values.dtype.kind in "UTb":
                words = values.astype(np.str_)
                fields.append(Names(attribute, np.unique(words[words != ""])))
            elif values.dtype.kind in "iuf" and values.ndim <= 2:
                numbers = values.reshape((len(values), -1)).astype(np.float64)
                fields.append(Numbers.learn(attribute, numbers, present))
        if features is not None and features.genres is not None and features.genre_names is not None:
            fields.append(Labels(features.genre_names))
        return cls(tuple(fields))

    def read(self, features: Features | None, n: int) -> tuple[list[CSR], list[str]]:
        """The fields of n things, each (n, width), and what was missing or not understood, in words."""
        features = features or Features()
        found, said = [], []
        lacking = []
        for field in self.fields:
            there = features.genres is not None if isinstance(field, Labels) else field.attribute in features.attributes
            if not there:
                lacking.append(field.attribute or "genres")
            rows, words = field.read(features) if there else (
                CSR.from_pairs(np.zeros(0, np.int32), np.zeros(0, np.int32), None, (n, field.width)), "")
            found.append(rows)
            said += [words] if words else []
        if lacking:
            said.append(f"they come without {', '.join(lacking)}")
        return found, said

    def state(self, name: str) -> dict[str, np.ndarray]:
        """As named arrays."""
        arrays = {f"{name}.attributes": np.array([field.attribute for field in self.fields], np.str_)}
        return arrays | {f"{name}.{i}.{part}": array for i, field in enumerate(self.fields)
                         for part, array in field.state().items()}

    @classmethod
    def restore(cls, name: str, state: Mapping[str, np.ndarray]) -> Vocabulary:
        """The one whose `state` this is."""
        fields: list[Any] = []
        for i, attribute in enumerate(state[f"{name}.attributes"].tolist()):
            if f"{name}.{i}.labels" in state:
                fields.append(Labels(state[f"{name}.{i}.labels"]))
            elif f"{name}.{i}.names" in state:
                fields.append(Names(attribute, state[f"{name}.{i}.names"]))
            else:
                fields.append(Numbers(attribute, state[f"{name}.{i}.mean"], state[f"{name}.{i}.spread"]))
        return cls(tuple(fields))
