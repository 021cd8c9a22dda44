"""What is said of items as words: which fields, which words, and how much each says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recsys.data import CSR, Features
from recsys.errors import DataError
from recsys.models.content.fields import WordFields, readable

FEATURES = Features(
    titles=["Red tea", "green tea", "Coffee"], text=["hot, hot", "", "black"],
    genres=CSR.from_pairs([0, 0, 1], [0, 1, 1], [2.0, 1.0, 1.0], (3, 2)), genre_names=["warm", "mild"],
    attributes={"year": np.array([1990, -1, 2000]), "price": np.array([1.0, np.nan, 3.0]),
                "land": np.array(["cn", "", "et"]), "fair": np.array([True, False, True]),
                "poster": np.ones((3, 4, 4)), "vector": np.ones((3, 4))})
ALL = np.ones(3, bool)


def learn(names=None, known=ALL, similarity="bm25", min_count=1, features=FEATURES) -> WordFields:
    return WordFields.learn(features, names, known, similarity, min_count, "Model.fit")


def said(fields: WordFields, features: Features = FEATURES) -> list[set[str]]:
    rows = fields.read(features)[0]
    return [{fields.name_of(int(word)) for word in rows.row(i)[0]} for i in range(len(features))]


def test_what_can_be_read():
    assert readable(FEATURES) == ["titles", "text", "genres", "year", "price", "land", "fair"]
    assert readable(None) == readable(Features(attributes={"poster": np.ones((3, 4, 4))})) == []


def test_words_have_their_field():
    found = said(learn())
    assert {"titles=red", "titles=tea", "text=hot", "genres=warm", "genres=mild", "land=cn", "fair=True"} <= found[0]
    assert len(found[0]) == 9  # and an interval of years and one of prices
    assert {"titles=green", "titles=tea", "genres=mild", "fair=False"} == found[1]
    assert {"titles=coffee", "text=black", "land=et", "fair=True"} <= found[2]


def test_numbers_are_tenths_of_what_is_known():
    values = np.append(np.arange(100.0), [np.nan, 1e9, -5.0])
    features = Features(attributes={"price": values})
    fields = learn(["price"], np.arange(103) < 100, features=features)
    parts = said(fields, features)
    assert fields.width == 10
    assert [len(set().union(*parts[a:a + 10])) for a in range(0, 100, 10)] == [1] * 10
    assert (parts[100], parts[101], parts[102]) == (set(), parts[99], parts[0])
    same = Features(attributes={"n": np.full(5, 7)})
    assert learn(["n"], np.ones(5, bool), features=same).width == 1


def test_only_what_is_known_is_learned_from():
    fields = learn(["titles"], np.array([True, False, True]))
    assert said(fields) == [{"titles=red", "titles=tea"}, {"titles=tea"}, {"titles=coffee"}]
    twice = learn(["titles"], min_count=2)
    assert said(twice) == [{"titles=tea"}, {"titles=tea"}, set()]


def test_fields_have_their_own_lengths_and_rarities():
    fields = learn(["titles", "genres"])
    rows, unit = fields.read(FEATURES)
    rarity = {1: math.log(1 + 2.5 / 1.5), 2: math.log(1 + 1.5 / 2.5)}  # of 3 items, 1 or 2 have it

    def weight(df, tf, length, usual):
        return rarity[df] * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / usual))

    # columns: coffee, green, red, tea, and warm, mild
    expected = [[0, 0, weight(1, 1, 2, 5 / 3), weight(2, 1, 2, 5 / 3), weight(1, 2, 3, 4 / 3), weight(2, 1, 3, 4 / 3)],
                [0, weight(1, 1, 2, 5 / 3), 0, weight(2, 1, 2, 5 / 3), 0, weight(2, 1, 1, 4 / 3)],
                [weight(1, 1, 1, 5 / 3), 0, 0, 0, 0, 0]]
    np.testing.assert_allclose(rows.toarray(), expected, rtol=1e-5)
    of_unit = CSR(rows.indptr, rows.indices, unit, rows.shape).toarray()
    for part in (slice(4), slice(4, 6)):
        length = np.linalg.norm(rows.toarray()[:, part], axis=1, keepdims=True)
        np.testing.assert_allclose(of_unit[:, part] * length, rows.toarray()[:, part], rtol=1e-5)


def test_a_field_that_is_not_there_later_is_missing():
    fields = learn()
    assert said(fields, Features(titles=["Tea"])) == [{"titles=tea"}]
    assert said(fields, Features(attributes={"price": np.array(["a", "b"])})) == [set(), set()]
    assert said(fields, Features(genres=CSR.from_pairs([0], [1], None, (1, 2)), genre_names=["x", "warm"])) == [
        {"genres=warm"}]


def test_restored():
    for similarity in ("bm25", "tfidf"):
        fields = learn(similarity=similarity)
        again = WordFields.restore(fields.state(), similarity)
        assert again.read(FEATURES)[0].toarray().tobytes() == fields.read(FEATURES)[0].toarray().tobytes()
        assert said(again) == said(fields)


def test_fields_that_are_not_there():
    with pytest.raises(DataError, match=r"^Model\.fit: nothing is said of the items in words"):
        learn(features=Features(attributes={"poster": np.ones((3, 4, 4))}))
