"""Popularity against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import Interactions
from recsys.errors import DataError
from recsys.models import Popular

events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(1, 5), st.integers(0, 50)), min_size=1,
                  max_size=40)


def interactions(rows):
    return Interactions.from_arrays(*np.array(rows).T)


def scores(model):
    ids = model.items.ids.tolist()
    return dict(zip(ids, model.score_block(np.zeros(1, np.int32))[0].tolist(), strict=True))


@given(events)
def test_counts(rows):
    expected = {item: float(sum(i == item for _, i, _, _ in rows)) for _, item, _, _ in rows}
    assert scores(Popular().fit(interactions(rows))) == expected


@given(events, st.floats(0.5, 100))
def test_half_life(rows, half_life):
    latest = max(t for *_, t in rows)
    found = scores(Popular(half_life=half_life).fit(interactions(rows)))
    for item, score in found.items():
        expected = sum(0.5 ** ((latest - t) / half_life) for _, i, _, t in rows if i == item)
        assert score == pytest.approx(expected, rel=1e-5)


@given(events, st.floats(0, 20))
def test_shrunk_mean(rows, prior):
    mean = np.mean([v for _, _, v, _ in rows])
    for item, score in scores(Popular(by="mean", prior=prior).fit(interactions(rows))).items():
        values = [v for _, i, v, _ in rows if i == item]
        assert score == pytest.approx((sum(values) + prior * mean) / (len(values) + prior), rel=1e-5)


@given(events, events, st.sampled_from([None, 7.0]), st.sampled_from(["count", "mean"]))
def test_learning_in_two_parts_is_learning_at_once(first, second, half_life, by):
    parts = Popular(half_life=half_life, by=by).fit(interactions(first)).partial_fit(interactions(second))
    whole = Popular(half_life=half_life, by=by).fit(interactions(first + second))
    assert scores(parts) == pytest.approx(scores(whole), rel=1e-5)


def test_half_life_needs_times():
    with pytest.raises(DataError, match="times"):
        Popular(half_life=1).fit(Interactions.from_arrays([1], [2]))
