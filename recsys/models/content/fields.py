"""What is said of items, field by field, as words and how much each says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recsys.data.csr import CSR, beside, distinct
from recsys.data.features import FIELDS, Features
from recsys.data.words import (
    bm25,
    bm25_rarity,
    count_texts,
    count_words,
    inverse_document_frequency,
    known_columns,
    tf_idf,
    unit_rows,
)
from recsys.errors import DataError
from recsys.models.fields import chosen_fields

__all__ = ["WordField", "WordFields", "readable"]

_PARTS = 10  # that numbers are cut into, with as many items in each


def readable(features: Features | None) -> list[str]:
    """The names of the fields that can be read as words: titles, text, genres, and attributes of a value an item.

    >>> readable(Features(titles=["Alien"], attributes={"year": np.array([1979]), "poster": np.ones((1, 8, 8))}))
    ['titles', 'year']
    """
    if features is None:
        return []
    found = [name for name in FIELDS if getattr(features, name) is not None]
    return found + [name for name, values in features.attributes.items()
                    if values.ndim == 1 and values.dtype.kind in "UTbiuf"]


@dataclass(frozen=True, eq=False)
class WordField:
    """One field: its words, and what the items that were learned from say of them.

    Parameters
    ----------
    name : str
        "titles", "text", "genres", or that of an attribute.
    words : str array, shape (n_words,)
        A genre or a category is a word as it is; of numbers, a word is an interval.
    rarity : ndarray of float32, shape (n_words,)
    usual : float
        Mean length of what is said of an item, in words.
    edges : ndarray of float64, shape (n_edges,), optional
        Of numbers: between the intervals.
    """

    name: str
    words: np.ndarray
    rarity: np.ndarray
    usual: float
    edges: np.ndarray | None = None

    @classmethod
    def learn(cls, features: Features, name: str, known: np.ndarray, similarity: str, min_count: int) -> WordField:
        """The field of the items `known`, bool (n,), with the words that at least `min_count` of them have."""
        edges = _edges(features.attributes[name], known) if _is_number(features, name) else None
        counts, words = _said(features, name, edges)
        counts = counts.rows(np.flatnonzero(known))
        kept = words[np.bincount(counts.indices, minlength=len(words)) >= min_count]
        counts = known_columns(counts, words, kept)
        rarity = bm25_rarity(counts) if similarity == "bm25" else inverse_document_frequency(counts)
        usual = float(counts.weights.sum(dtype=np.float64)) / max(counts.shape[0], 1)
        return cls(name, kept, rarity, usual, edges)

    def read(self, features: Features, similarity: str) -> CSR:
        """The words of items, weighed: CSR (n, n_words)."""
        if self.name not in readable(features) or _is_number(features, self.name) != (self.edges is not None):
            nothing = np.zeros(0, np.int32)
            counts = CSR.from_pairs(nothing, nothing, nothing, (len(features), len(self.words)))
        else:
            counts = known_columns(*_said(features, self.name, self.edges), self.words)
        return bm25(counts, self.rarity, self.usual) if similarity == "bm25" else tf_idf(counts, self.rarity)


@dataclass(frozen=True, eq=False)
class WordFields:
    """WordFields side by side, each with its own rarities and lengths, so that a long one does not drown the others.

    Parameters
    ----------
    fields : tuple of WordField
    similarity : {"bm25", "tfidf"}

    Examples
    --------
    >>> features = Features(titles=["Red tea", "Green tea"], attributes={"hot": np.array([True, False])})
    >>> fields = WordFields.learn(features, ["titles", "hot"], np.ones(2, bool), "tfidf", 1, "Model.fit")
    >>> [name for name in map(fields.name_of, range(fields.width))]
    ['titles=green', 'titles=red', 'titles=tea', 'hot=False', 'hot=True']
    >>> fields.read(features)[0].toarray().round(2)
    array([[0.  , 0.81, 0.58, 0.  , 1.  ],
           [0.81, 0.  , 0.58, 1.  , 0.  ]], dtype=float32)
    """

    fields: tuple[WordField, ...]
    similarity: str

    @classmethod
    def learn(cls, features: Features | None, names: Sequence[str] | None, known: np.ndarray, similarity: str,
              min_count: int, who: str) -> WordFields:
        """The fields of those names, by default all that can be read; `who` begins the messages.

        Raises
        ------
        DataError
            There is nothing to read, or no field of that name.
        """
        able = readable(features)
        if features is None or not able:
            raise DataError(f"{who}: nothing is said of the items in words; give Features(titles=..., text=..., "
                            f"genres=...) or attributes of a value an item.")
        return cls(tuple(WordField.learn(features, name, known, similarity, min_count)
                         for name in chosen_fields(who, names, able)), similarity)

    @property
    def width(self) -> int:
        """Number of words of all fields."""
        return sum(len(field.words) for field in self.fields)

    def name_of(self, word: int) -> str:
        """A word with its field."""
        for field in self.fields:
            if word < len(field.words):
                return f"{field.name}={field.words[word]}"
            word -= len(field.words)
        raise IndexError(word)

    def read(self, features: Features) -> tuple[CSR, np.ndarray]:
        """The words of items, weighed, CSR (n, width), and the same with fields of length 1 each: float32 (nnz,)."""
        parts = [field.read(features, self.similarity) for field in self.fields]
        return beside(parts), beside(list(map(unit_rows, parts))).weights

    def state(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays."""
        arrays = {"names": np.array([field.name for field in self.fields], np.str_),
                  "usual": np.array([field.usual for field in self.fields])}
        for i, field in enumerate(self.fields):
            arrays |= {f"{i}.words": field.words, f"{i}.rarity": field.rarity}
            arrays |= {} if field.edges is None else {f"{i}.edges": field.edges}
        return arrays

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], similarity: str) -> WordFields:
        """The fields whose `state` this is."""
        return cls(tuple(WordField(name, arrays[f"{i}.words"], arrays[f"{i}.rarity"], usual, arrays.get(f"{i}.edges"))
                         for i, (name, usual) in enumerate(zip(arrays["names"].tolist(), arrays["usual"].tolist(),
                                                               strict=True))), similarity)


def _is_number(features: Features, name: str) -> bool:
    return name not in FIELDS and features.attributes[name].dtype.kind in "iuf"


def _said(features: Features, name: str, edges: np.ndarray | None) -> tuple[CSR, np.ndarray]:
    """How often each word is said of each item, and the words."""
    if name == "genres" and features.genres is not None and features.genre_names is not None:
        genres = distinct(features.genres)
        return genres.where(genres.weights > 0), features.genre_names
    if name in FIELDS:
        return count_texts(getattr(features, name).tolist())
    values = features.attributes[name]
    if edges is None:
        return count_words([[value] if value else [] for value in values.astype(np.str_).tolist()])
    part = np.searchsorted(edges, values, "right")
    ends = ["...", *(f"{edge:.6g}" for edge in edges), "..."]
    names = [f"{low} to {high}" for low, high in pairwise(ends)]
    return count_words([[names[j]] if there else [] for j, there in zip(part.tolist(), _there(values), strict=True)])


def _there(values: np.ndarray) -> np.ndarray:
    """Which numbers are known: not NaN, and not -1 where they are whole, which `Features.take` fills in."""
    return np.asarray(np.isfinite(values) if values.dtype.kind == "f" else values != -1)


def _edges(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    own = values[known & _there(values)].astype(np.float64)
    if not len(own):
        return np.zeros(0)
    return np.unique(np.quantile(own, np.linspace(0, 1, _PARTS + 1)[1:-1], method="higher"))

