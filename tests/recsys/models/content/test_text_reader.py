"""Texts of items: words, vocabulary, what is empty."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import Features
from recsys.errors import DataError
from recsys.models.content.text_reader import PADDING, UNKNOWN, TextReader


def learn(features, known=None, min_count=1, max_words=100, max_length=50) -> TextReader:
    known = np.ones(len(features), bool) if known is None else known
    return TextReader.learn(features, known, min_count, max_words, max_length, "Model.fit")


def test_the_vocabulary_has_the_words_of_most_items():
    features = Features(text=["tea tea tea jam", "tea oil", "jam oil oil", "rare tea"])
    assert learn(features).words.tolist() == ["tea", "jam", "oil", "rare"]
    assert learn(features, min_count=2).words.tolist() == ["tea", "jam", "oil"]
    assert learn(features, max_words=1).words.tolist() == ["tea"]
    assert learn(features, known=np.array([False, False, True, False])).words.tolist() == ["jam", "oil"]
    assert learn(features, max_length=1).words.tolist() == ["tea", "jam", "rare"]


def test_numbers_of_words():
    features = Features(titles=["Tea", "", "Oil"], text=["is hot", "", "unheard of"])
    reader = learn(Features(text=["tea is hot", "tea is oil"]))
    rows, given = reader.read(features, "Model.fit")
    number = {word: j + 2 for j, word in enumerate(reader.words.tolist())}
    assert rows.tolist() == [[number["tea"], number["is"], number["hot"]], [PADDING] * 3,
                             [number["oil"], UNKNOWN, UNKNOWN]]
    assert given.tolist() == [True, False, True]
    assert reader.read(Features(text=["what", "tea"]), "Model.fit")[1].tolist() == [False, True]  # no word is known
    assert reader.prepare(rows[1:2]).shape == (1, 1)
    assert reader.prepare(rows[:2]).tolist() == rows[:2].tolist()


def test_no_word_at_all():
    reader = learn(Features(text=["", "?"]))
    rows, given = reader.read(Features(text=["", "?"]), "Model.fit")
    assert (rows.tolist(), given.tolist()) == ([[PADDING], [PADDING]], [False, False])


def test_neither_titles_nor_texts():
    for features in (None, Features(attributes={"year": np.ones(2)})):
        with pytest.raises(DataError, match=r"^Model\.fit: the items have neither titles nor texts; give Features"):
            learn(features, np.ones(2, bool))


def test_a_restored_reader_reads_alike():
    reader = learn(Features(text=["tea jam", "oil"]), max_length=1)
    again = TextReader.restore(reader.state(), 1)
    features = Features(text=["oil jam", "tea"])
    assert again.read(features, "M")[0].tolist() == reader.read(features, "M")[0].tolist()
