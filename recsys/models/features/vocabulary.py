"""What the columns of features mean, as it was fixed by the training: so that features of later things can be read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.data.words import count_words, inverse_document_frequency, known_columns, tf_idf, words_of
from recsys.errors import DataError, DataWarning

__all__ = ["Labels", "Names", "Numbers", "Vocabulary", "Words", "read_new"]

_MIN_ITEMS, _MAX_WORDS = 2, 20_000  # a word of one text says nothing of others
_NAMED = 10  # things of which each has a value of its own: the attribute names them


@dataclass(frozen=True)
class _OfAttribute:
    """Columns for what one attribute says."""

    attribute: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.attribute

    def there(self, features: Features) -> bool:
        """Whether the features have it."""
        return self.attribute in features.attributes


@dataclass(frozen=True)
class Names(_OfAttribute):
    """A text or flag: a column for each value, ascending."""

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
class Numbers(_OfAttribute):
    """Numbers, a column each, that have mean 0 and variance 1 over what occurs in training; NaN has no entry."""

    mean: np.ndarray  # float64 (width,)
    spread: np.ndarray  # float64 (width,); 0 for a column that says nothing

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.mean)

    @classmethod
    def learn(cls, attribute: str, values: np.ndarray, present: np.ndarray) -> Numbers:
        """From values (n, width), where bool (n,) says what occurs in training."""
        known = _known(attribute, values)
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
        known = _known(self.attribute, values)
        scaled = np.where(known, values - self.mean, 0.0) / np.where(self.spread > 0, self.spread, 1)
        rows, columns = np.nonzero(known & (self.spread > 0))
        return CSR.from_pairs(rows, columns, scaled[rows, columns], values.shape), ""

    def state(self) -> dict[str, np.ndarray]:
        """As arrays."""
        return {"mean": self.mean, "spread": self.spread}


def _known(attribute: str, values: np.ndarray) -> np.ndarray:
    """Which numbers (n, width) are there, not being NaN; DataError for one that is infinite."""
    endless = np.isinf(values).any(axis=1)
    if endless.any():
        raise DataError(f"attribute {attribute!r} has an infinite number in row {int(np.argmax(endless))}; correct it, "
                        f"or write NaN where there is none")
    return np.asarray(~np.isnan(values))


@dataclass(frozen=True)
class Labels:
    """Genres: their weights, divided by their sum, which those that are not known count in."""

    names: np.ndarray
    attribute: str = ""

    @property
    def name(self) -> str:
        """What they are called."""
        return "genres"

    def there(self, features: Features) -> bool:
        """Whether the features have them."""
        return features.genres is not None

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
class Words:
    """Titles or texts, by the words that several in training have: TF-IDF, rows of length 1."""

    attribute: str  # "titles" or "text"
    words: np.ndarray
    rarity: np.ndarray  # float32 (width,)

    @property
    def name(self) -> str:
        """What they are called."""
        return self.attribute

    def there(self, features: Features) -> bool:
        """Whether the features have them."""
        return getattr(features, self.attribute) is not None

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.words)

    @classmethod
    def learn(cls, attribute: str, texts: np.ndarray, present: np.ndarray) -> Words:
        """From texts (n,), where bool (n,) says which occur in training."""
        documents = list(map(words_of, texts.tolist()))
        counts, words = count_words([documents[i] for i in np.flatnonzero(present)])
        held = np.bincount(counts.indices, minlength=len(words))
        most = np.argsort(-held, kind="stable")[:_MAX_WORDS]
        kept = np.sort(most[held[most] >= _MIN_ITEMS])
        return cls(attribute, words[kept], inverse_document_frequency(counts)[kept])

    def read(self, features: Features) -> tuple[CSR, str]:
        """A row for each thing, (n, width), and what was not understood, in words."""
        documents = list(map(words_of, getattr(features, self.attribute).tolist()))
        rows = tf_idf(known_columns(*count_words(documents), self.words), self.rarity)
        strange = sum(1 for words, count in zip(documents, rows.counts.tolist(), strict=True) if words and not count)
        return rows, f"{strange:,} have {self.attribute} without a word that the training had" if strange else ""

    def state(self) -> dict[str, np.ndarray]:
        """As arrays."""
        return {"words": self.words, "rarity": self.rarity}


@dataclass(frozen=True)
class Vocabulary:
    """Attributes of users, or items, in the order of the training, then genres, and titles and texts if asked for.

    An attribute of text in which each thing that occurs in training, of 10 or more, has a value of its own, as an id of
    another catalogue is, says nothing of others, and is left out.

    Examples
    --------
    >>> features = Features(attributes={"colour": np.array(["red", "blue"])})
    >>> words = Vocabulary.learn(features, np.ones(2, bool))
    >>> fields, said = words.read(Features(attributes={"colour": np.array(["red", "pink"])}), 2)
    >>> fields[0].toarray(), said
    (array([[0., 1.],
           [0., 0.]], dtype=float32), ["1 have a 'colour' that the training did not have, such as 'pink'"])
    """

    fields: tuple[Names | Numbers | Labels | Words, ...]

    @classmethod
    def learn(cls, features: Features | None, present: np.ndarray, text: bool = False) -> Vocabulary:
        """Of n things, where bool (n,) says which occur in training; with `text`, of the words of titles and texts."""
        fields: list[Names | Numbers | Labels | Words] = []
        for attribute, values in ({} if features is None else features.attributes).items():
            if values.dtype.kind in "UTb":
                words = values.astype(np.str_)
                if not _names_each(words[present]):
                    fields.append(Names(attribute, np.unique(words[words != ""])))
            elif values.dtype.kind in "iuf" and values.ndim <= 2:
                numbers = values.reshape((len(values), -1)).astype(np.float64)
                try:
                    fields.append(Numbers.learn(attribute, numbers, present))
                except DataError as error:
                    raise DataError(f"The {error}.") from None
        if features is not None and features.genres is not None and features.genre_names is not None:
            fields.append(Labels(features.genre_names))
        for attribute in ("titles", "text") if text and features is not None else ():
            if getattr(features, attribute) is not None:
                fields.append(Words.learn(attribute, getattr(features, attribute), present))
        return cls(tuple(fields))

    def read(self, features: Features | None, n: int) -> tuple[list[CSR], list[str]]:
        """The fields of n things, each (n, width), and what was missing or not understood, in words."""
        features = features or Features()
        found, said = [], []
        lacking = []
        for field in self.fields:
            there = field.there(features)
            if not there:
                lacking.append(field.name)
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
            elif f"{name}.{i}.words" in state:
                fields.append(Words(attribute, state[f"{name}.{i}.words"], state[f"{name}.{i}.rarity"]))
            elif f"{name}.{i}.names" in state:
                fields.append(Names(attribute, state[f"{name}.{i}.names"]))
            else:
                fields.append(Numbers(attribute, state[f"{name}.{i}.mean"], state[f"{name}.{i}.spread"]))
        return cls(tuple(fields))


def _names_each(words: np.ndarray) -> bool:
    told = words[words != ""]
    return len(told) >= _NAMED and len(np.unique(told)) == len(told)


def read_new(who: str, side: str, words: Vocabulary, features: Features | None, known: int, n: int) -> list[CSR]:
    """The fields of users or items from `known` to `n`, who come after the training; a warning says what is not known.

    Parameters
    ----------
    who : str
        Begins the messages: a model's name.
    side : {"user", "item"}
    words : Vocabulary
    features : Features, optional
        Of all n.

    Raises
    ------
    DataError
        An attribute is of another kind than in training.
    """
    new = None if features is None else features.take(np.arange(known, n))
    try:
        fields, said = words.read(new, n - known)
    except DataError as error:
        raise DataError(f"{who}.partial_fit: {side} {error}.") from error
    if said and n > known:
        warnings.warn(f"{who}.partial_fit: of {n - known:,} new {side}s, {'; '.join(said)}; this counts nothing, until "
                      f"the model is fitted again.", DataWarning, stacklevel=5)
    return fields
