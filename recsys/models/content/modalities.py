"""Readers of several kinds of content at once, and which item has which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys.data.csr import CSR
from recsys.data.features import Features
from recsys.errors import DataError
from recsys.estimator.arrays import prefixed, within
from recsys.models.content.fields import WordFields, readable
from recsys.models.content.image_reader import ImageReader, VectorReader
from recsys.models.fields import chosen_fields

__all__ = ["Modalities", "Several", "WordReader", "seen_or_heard"]

WORDS = "words"


def seen_or_heard(features: Features | None) -> list[str]:
    """The attributes with images or vectors.

    >>> seen_or_heard(Features(titles=["Alien"], attributes={"year": np.array([1979]), "poster": np.ones((1, 8, 8))}))
    ['poster']
    """
    attributes = {} if features is None else features.attributes
    return [name for name, values in attributes.items() if values.dtype.kind in "buif" and values.ndim >= 2]


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix whose rows are picked as those of an array."""

    matrix: CSR

    def __getitem__(self, which: Any) -> SparseRows:
        return SparseRows(self.matrix.rows(np.arange(self.matrix.shape[0])[which]))


@dataclass(frozen=True, eq=False)
class Several:
    """Several contents of n items, whose rows are picked as those of an array.

    Parameters
    ----------
    contents : tuple
        What each reader gives, (n, ...).
    given : ndarray of bool, shape (n_modalities, n)
        Which items have which.
    """

    contents: tuple[Any, ...]
    given: np.ndarray

    def __getitem__(self, which: Any) -> Several:
        return Several(tuple(content[which] for content in self.contents), self.given[:, which])


@dataclass(frozen=True, eq=False)
class WordReader:
    """Takes what is said of items to BM25 weights of words, divided by the length of their field.

    Parameters
    ----------
    fields : WordFields
    """

    fields: WordFields

    def read(self, features: Features | None, who: str) -> tuple[SparseRows, np.ndarray]:
        """The weights of words of all items, and which items have any, bool (n,)."""
        said, unit = self.fields.read(features or Features())
        return SparseRows(CSR(said.indptr, said.indices, unit, said.shape)), said.counts > 0

    def prepare(self, rows: SparseRows) -> CSR:
        """Some rows of `read` as the tower takes them."""
        return rows.matrix

    def state(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays."""
        return self.fields.state()


@dataclass(frozen=True, eq=False)
class Modalities:
    """A reader for each modality that any known item has.

    Parameters
    ----------
    readers : mapping of str to Reader
        By the names of the modalities.

    Examples
    --------
    >>> features = Features(titles=["Red tea", ""], attributes={"sound": np.array([[1.0, 2.0], [3.0, 5.0]])})
    >>> both = Modalities.learn(features, None, np.ones(2, bool), 1, 64, "Model.fit")
    >>> content, given = both.read(features, "Model.fit")
    >>> list(both.readers), content.given.tolist(), given.tolist()
    (['words', 'sound'], [[True, False], [True, True]], [True, True])
    """

    readers: Mapping[str, Any]

    @classmethod
    def learn(cls, features: Features | None, names: Sequence[str] | None, known: np.ndarray, min_count: int,
              image_size: int, who: str) -> Modalities:
        """Readers of the fields `names`, by default all there are, as the items `known`, bool (n,), have them.

        Those that can be read as words are one modality, and each other one is one of its own.

        Raises
        ------
        DataError
            There is no such field, or none at all.
        """
        said, others = readable(features), seen_or_heard(features)
        if features is None or not said + others:
            raise DataError(f"{who}: nothing is known of the items to read; give titles, text or genres, or values, "
                            f"images or vectors as attributes.")
        fields = chosen_fields(who, names, said + others)
        words = [name for name in fields if name in said]
        readers: dict[str, Any] = {}
        if words:
            readers[WORDS] = WordReader(WordFields.learn(features, words, known, "bm25", min_count, who))
        for name in fields:
            if name in words:
                continue
            if features.attributes[name].ndim == 2:
                readers[name] = VectorReader.learn(features, name, known, who)
            else:
                readers[name] = ImageReader.learn(features, name, known, who, side=image_size)
        held = {name: reader for name, reader in readers.items() if np.any(reader.read(features, who)[1] & known)}
        return cls(held or readers)

    def read(self, features: Features | None, who: str) -> tuple[Several, np.ndarray]:
        """The contents of all items, and which items have any, bool (n,); an attribute that is not there is missing."""
        n = 0 if features is None else len(features)
        contents, given = [], np.zeros((len(self.readers), n), bool)
        for j, (name, reader) in enumerate(self.readers.items()):
            if name == WORDS or (features is not None and name in features.attributes):
                content, given[j] = reader.read(features, who)
            else:
                content = np.zeros((n, *reader.shape), np.float32)
            contents.append(content)
        return Several(tuple(contents), given), np.any(given, axis=0)

    def prepare(self, rows: Several) -> list[tuple[Any, np.ndarray]]:
        """For each modality, the prepared content of those of some items that have it, and which do, bool (B,)."""
        return [(reader.prepare(content[given]), given)
                for reader, content, given in zip(self.readers.values(), rows.contents, rows.given, strict=True)]

    def state(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays."""
        arrays = {"content.names": np.array(list(self.readers), np.str_)}
        for j, reader in enumerate(self.readers.values()):
            arrays |= prefixed(f"content.{j}", reader.state())
        return arrays

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray], image_size: int) -> Modalities:
        """The readers whose `state` this is."""
        readers: dict[str, Any] = {}
        for j, name in enumerate(state["content.names"].tolist()):
            own = within(f"content.{j}", state)
            if name == WORDS:
                readers[name] = WordReader(WordFields.restore(own, "bm25"))
            elif len(own["content.shape"]) == 1:
                readers[name] = VectorReader.restore(own, name)
            else:
                readers[name] = ImageReader.restore(own, name, side=image_size)
        return cls(readers)
