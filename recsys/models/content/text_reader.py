"""Item texts, prepared for a network: words, and the vocabulary of a catalogue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys.data.features import Features
from recsys.data.words import words_of
from recsys.errors import DataError

__all__ = ["PADDING", "UNKNOWN", "TextReader"]

PADDING, UNKNOWN = 0, 1
"""The padding of a text, and the number of a word that is not in the vocabulary."""


@dataclass(frozen=True, eq=False)
class TextReader:
    """Takes title and text of items to numbers of words; an item none of whose words is known has no text.

    Parameters
    ----------
    words : str array, shape (n_words,)
        The vocabulary, the most frequent first; word j has the number j + 2.
    max_length : int
        Words that are read of a text.

    Examples
    --------
    >>> features = Features(titles=["Red tea", "Green tea!", ""])
    >>> reader = TextReader.learn(features, np.ones(3, bool), 2, 100, 10, "Model.fit")
    >>> reader.words, reader.read(features, "Model.fit")
    (array(['tea'], dtype='<U3'), (array([[1, 2],
           [1, 2],
           [0, 0]], dtype=int32), array([ True,  True, False])))
    """

    words: np.ndarray
    max_length: int

    @classmethod
    def learn(cls, features: Features | None, known: np.ndarray, min_count: int, max_words: int, max_length: int,
              who: str) -> TextReader:
        """The `max_words` words that most items `known`, bool (n,), have, each in at least `min_count` of them."""
        texts = _texts(features, who)
        counts = Counter(word for i in np.flatnonzero(known) for word in set(words_of(texts[i])[:max_length]))
        common = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls(np.array([word for _, word in common[:max_words]], np.str_), max_length)

    def read(self, features: Features | None, who: str) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of words, int32 (n, L), and which items have words that are known, bool (n,).

        Raises
        ------
        DataError
            There are neither titles nor texts.
        """
        number = {word: j + 2 for j, word in enumerate(self.words.tolist())}
        found = [[number.get(word, UNKNOWN) for word in words_of(text)[:self.max_length]]
                 for text in _texts(features, who)]
        rows = np.full((len(found), max(map(len, found), default=0) or 1), PADDING, np.int32)
        for row, numbers in zip(rows, found, strict=True):
            row[:len(numbers)] = numbers
        return rows, np.any(rows > UNKNOWN, axis=1)

    def prepare(self, rows: np.ndarray) -> np.ndarray:
        """Some rows of `read` as the network takes them, as long as the longest of them: int32 (B, l)."""
        longest = int((rows != PADDING).sum(axis=1).max(initial=1))
        return rows[:, :max(longest, 1)]

    def state(self) -> dict[str, np.ndarray]:
        """What has been learned, as arrays."""
        return {"content.words": self.words}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray], max_length: int) -> TextReader:
        """The reader whose `state` this is."""
        return cls(state["content.words"], max_length)


def _texts(features: Features | None, who: str) -> list[str]:
    """Title and text of every item in one."""
    parts = [] if features is None else [part.tolist() for part in (features.titles, features.text) if part is not None]
    if not parts:
        raise DataError(f"{who}: the items have neither titles nor texts; give Features(titles=..., text=...).")
    return [" ".join(both) for both in zip(*parts, strict=True)]
