"""Forecasts that end at nothing, and come to be what is measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.pace import Pace, about, unit

SHARES = st.lists(st.floats(0.01, 10), min_size=1, max_size=12)


@given(SHARES, st.floats(0, 1e4), st.floats(0.01, 100))
def test_nothing_is_left_at_the_end(shares, expected, speed):
    pace = Pace(shares, expected)
    assert pace.left() == pytest.approx(expected)
    for share in shares:
        pace.add(share * speed)
    assert pace.left() == pytest.approx(0, abs=1e-6 * (1 + expected + speed * sum(shares)))


@given(SHARES, st.floats(0.01, 100))
def test_a_right_forecast_stays_right(shares, speed):
    pace = Pace(shares, speed * sum(shares))
    for done, share in enumerate(shares):
        assert pace.left() == pytest.approx(speed * sum(shares[done:]), rel=1e-6, abs=1e-6)
        pace.add(share * speed)


@given(st.floats(0, 1e5))
def test_words_are_about_right(seconds):
    text = about(seconds)
    if text == "a second":
        assert 0.05 <= seconds < 1.5
    elif text == "0 s":
        assert seconds < 0.05
    else:
        number, name = text.split()
        assert int(number) * {"s": 1, "min": 60}[name] == pytest.approx(seconds, rel=0.3, abs=0.5)


def test_a_unit_takes_a_moment():
    assert 0 < unit() < 5
