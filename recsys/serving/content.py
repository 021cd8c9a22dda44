"""How alike items are by what is said of them: cosine of TF-IDF vectors of words and attributes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from recsys.data.csr import CSR
from recsys.estimator.scorers.neighbours import nearest
from recsys.events import Item

__all__ = ["Likeness", "said_of"]

_WORD = re.compile(r"\w+")
Said = tuple[str, tuple[str, ...]]


class Likeness:
    """Cosine of TF-IDF vectors, `tf * (log((1 + n) / (1 + df)) + 1)`, each of length 1.

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
        bags = [_bag(said) for said in items]
        self._numbers = {word: number for number, word in enumerate(dict.fromkeys(w for bag in bags for w in bag))}
        counts = self._matrix(bags)
        present = np.bincount(counts.indices, minlength=len(self._numbers))
        self._rarity = (np.log((1 + len(items)) / (1 + present)) + 1).astype(np.float32)
        self._columns = self._weighted(counts).T

    def nearest(self, items: Sequence[Said], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k known items most like each of some others.

        Returns
        -------
        numbers : ndarray of int32, shape (n, k)
            -1 where fewer are like it at all.
        likeness : ndarray of float32, shape (n, k)
            From 0 to 1.
        """
        near = nearest(self._weighted(self._matrix([_bag(said) for said in items])), self._columns, k, 0.0, 0.5)
        numbers, likeness = np.full((len(items), k), -1, np.int32), np.zeros((len(items), k), np.float32)
        place = np.arange(near.nnz) - np.repeat(near.indptr[:-1], near.counts)
        numbers[near.row_of_entry, place], likeness[near.row_of_entry, place] = near.indices, near.weights
        return numbers, likeness

    def _matrix(self, bags: Sequence[dict[str, int]]) -> CSR:
        """Known words of each bag by their numbers."""
        entries = [(row, self._numbers[word], count) for row, bag in enumerate(bags) for word, count in bag.items()
                   if word in self._numbers]
        rows, words, counts = (np.array(column, kind) for column, kind in zip(
            zip(*entries, strict=True) if entries else ((), (), ()), (np.int32, np.int32, np.float32), strict=True))
        return CSR.from_pairs(rows, words, counts, (len(bags), len(self._numbers)))

    def _weighted(self, counts: CSR) -> CSR:
        return CSR(counts.indptr, counts.indices, counts.weights * self._rarity[counts.indices], counts.shape)


def said_of(item: Item | None, title: str | None) -> Said:
    """What is said of an item: its title and text, and its attributes as words that are taken as they are."""
    if item is None:
        return title or "", ()
    words = tuple(f"{name}={value}" for name, values in item.attributes.items() for value in values)
    return " ".join(part for part in (title, item.text) if part), words


def _bag(said: Said) -> dict[str, int]:
    text, words = said
    bag: dict[str, int] = {}
    for word in [*_WORD.findall(text.lower()), *words]:
        bag[word] = bag.get(word, 0) + 1
    return bag
