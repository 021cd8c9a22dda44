"""Words of texts: what they are, how often they occur, and TF-IDF and BM25 against their formulas."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.csr import CSR
from recsys.data.words import (
    bm25,
    count_texts,
    count_words,
    inverse_document_frequency,
    known_columns,
    tf_idf,
    unit_rows,
    words_of,
)

DOCUMENTS = st.lists(st.lists(st.sampled_from(["tea", "jam", "bun", "Tea=x", "é"]), max_size=6), max_size=7)


@pytest.mark.parametrize(("text", "words"), [
    ("", []), ("  ... !?", []), ("Tea", ["tea"]), ("Cafe-au-lait, 2 l", ["cafe", "au", "lait", "2", "l"]),
    ("Don't, ‘quote’ it’s", ["don't", "quote", "it's"]), ("ÉCOLE Straße 東京", ["école", "straße", "東京"]),
    ("snake_case", ["snake", "case"])])
def test_words(text, words):
    assert words_of(text) == words


@given(DOCUMENTS)
def test_counts_of_words(documents):
    counts, words = count_words(documents)
    assert words.tolist() == sorted({word for document in documents for word in document})
    assert counts.shape == (len(documents), len(words))
    for i, document in enumerate(documents):
        columns, often = counts.row(i)
        assert dict(zip(words[columns].tolist(), often.tolist(), strict=True)) == Counter(document)
        assert np.all(np.diff(columns) > 0)


@given(st.lists(st.text(st.sampled_from("aBé'’ ,_-Σσ\u3000\n9"), max_size=20), max_size=5))
def test_texts_are_counted_as_their_words(texts):
    counts, words = count_texts(texts)
    expected, names = count_words(map(words_of, texts))
    assert words.tolist() == names.tolist()
    np.testing.assert_array_equal(counts.toarray(), expected.toarray())


@given(DOCUMENTS, DOCUMENTS)
def test_words_that_are_not_known_count_nothing(documents, others):
    counts, words = count_words(documents)
    np.testing.assert_array_equal(known_columns(counts, words, words).toarray(), counts.toarray())
    known = set(words.tolist())
    for row, document in zip(known_columns(*count_words(others), words).toarray(), others, strict=True):
        held = Counter(word for word in document if word in known)
        assert {words[j].item(): row[j] for j in np.flatnonzero(row)} == held


@given(DOCUMENTS)
def test_tf_idf_is_its_formula(documents):
    counts, words = count_words(documents)
    found = tf_idf(counts, inverse_document_frequency(counts)).toarray()
    held_by = Counter(word for document in documents for word in set(document))
    for i, document in enumerate(documents):
        rarity = {word: math.log((1 + len(documents)) / (1 + held_by[word])) + 1 for word in words.tolist()}
        row = np.array([(1 + math.log(document.count(word))) * rarity[word] if word in document else 0
                        for word in words.tolist()])
        np.testing.assert_allclose(found[i], row / max(np.linalg.norm(row), 1e-9), atol=1e-6)


@given(DOCUMENTS, st.floats(0.1, 3), st.floats(0, 1))
def test_bm25_is_its_formula(documents, saturation, length):
    counts, words = count_words(documents)
    rarity = np.arange(1, len(words) + 1, dtype=np.float32)
    usual = sum(map(len, documents)) / max(len(documents), 1)
    found = bm25(counts, rarity, usual, saturation, length).toarray()
    for i, document in enumerate(documents):
        for j, word in enumerate(words.tolist()):
            tf = document.count(word)
            true = (j + 1) * tf * (saturation + 1) / (
                tf + saturation * (1 - length + length * len(document) / usual)) if tf else 0
            assert found[i, j] == pytest.approx(true, rel=1e-5)


def test_rows_of_length_one():
    rows = unit_rows(CSR.from_pairs([0, 0, 2], [0, 1, 1], [3.0, -4.0, 1e-20], (3, 2))).toarray()
    np.testing.assert_allclose(rows, [[0.6, -0.8], [0, 0], [0, 1]], rtol=1e-6)
