"""How alike items are by what is said of them: cosine of TF-IDF vectors of words and attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recsys.data.words import count_words, inverse_document_frequency, known_columns, tf_idf, words_of
from recsys.estimator.scorers.neighbours import nearest
from recsys.events import Item

__all__ = ["Likeness", "said_of"]

Said = tuple[str, tuple[str, ...]]


class Likeness:
    """Cosine of TF-IDF vectors, see `recsys.data.words.tf_idf`.

    Parameters
    ----------
    items : sequence of (text, words)
        Free text, of which lower-case words are taken, and words that are taken as they are, such as "genre=Comedy".

    Examples
    --------
    >>> like = Likeness([("Alien", ("genre=Horror",)), ("Annie Hall", ("genre=Comedy",)),
    ...                  ("Psycho", ("genre=Horror",))])
    >>> like.nearest([("Aliens", ("genre=Horror",))], 2)[0]
    array([[0, 2]], dtype=int32)
    """

    def __init__(self, items: Sequence[Said]) -> None:
        counts, self._words = count_words(map(_all_words, items))
        self._rarity = inverse_document_frequency(counts)
        self._columns = tf_idf(counts, self._rarity).T

    def nearest(self, items: Sequence[Said], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k known items most like each of some others.

        Returns
        -------
        numbers : ndarray of int32, shape (n, k)
            -1 where fewer are like it at all.
        likeness : ndarray of float32, shape (n, k)
            From 0 to 1.
        """
        new = tf_idf(known_columns(*count_words(map(_all_words, items)), self._words), self._rarity)
        near = nearest(new, self._columns, k, 0.0, 0.5)
        numbers, likeness = np.full((len(items), k), -1, np.int32), np.zeros((len(items), k), np.float32)
        place = np.arange(near.nnz) - np.repeat(near.indptr[:-1], near.counts)
        numbers[near.row_of_entry, place], likeness[near.row_of_entry, place] = near.indices, near.weights
        return numbers, likeness


def said_of(item: Item | None, title: str | None) -> Said:
    """What is said of an item: its title and text, and its attributes as words that are taken as they are."""
    if item is None:
        return title or "", ()
    words = tuple(f"{name}={value}" for name, values in item.attributes.items() for value in values)
    return " ".join(part for part in (title, item.text) if part), words


def _all_words(said: Said) -> list[str]:
    return [*words_of(said[0]), *said[1]]
