"""What columns are made of attributes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Features
from recsys.errors import DataError
from recsys.models.features.vocabulary import Vocabulary


@given(st.integers(10, 30), st.integers(0, 5))
def test_names_of_things_are_no_fields(n, others):
    ids = np.array([f"tt{i}" for i in range(n + others)])
    shared = np.array([f"s{i // 2}" for i in range(n + others)])
    words = Vocabulary.learn(Features(attributes={"imdb": ids, "studio": shared}), np.arange(n + others) < n)
    assert [field.name for field in words.fields] == ["studio"]


@pytest.mark.parametrize("values", [["a", "b", "c"], ["a"] * 2 + [f"c{i}" for i in range(20)], [""] * 20 + ["a", "b"]])
def test_few_or_shared_values_stay(values):
    words = Vocabulary.learn(Features(attributes={"kind": np.array(values)}), np.ones(len(values), bool))
    assert [field.name for field in words.fields] == ["kind"]


@pytest.mark.parametrize("endless", [np.inf, -np.inf])
def test_an_infinite_number_is_not_taken_for_a_missing_one(endless):
    """Neither when a column is learned nor when one is read."""
    price, there = np.array([1.0, np.nan, 3.0]), np.ones(3, bool)
    words = Vocabulary.learn(Features(attributes={"price": price}), there)
    price = np.where(price == 3, endless, price)
    for use in (lambda features: Vocabulary.learn(features, there), lambda features: words.read(features, 3)):
        with pytest.raises(DataError, match=r"attribute 'price' has an infinite number in row 2; correct it, or"):
            use(Features(attributes={"price": price}))
