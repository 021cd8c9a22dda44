"""Defaults over several sets: what is drawn for all, what it is on each, and a row of made data."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import rechoose, store
from benchmarks.defaults_rows import Case
from recsys import datasets
from recsys.models import EASE, REGISTRY

pytest.importorskip("optuna")


def case(name, users, seed=0):
    return Case(name, "made", "ranking", "ratio-811-full", generate=lambda: datasets.simulate(
        n_users=users, n_items=30, n_events=15 * users, seed=seed)[0])


CASES = [case("few", 40), case("many", 90, 1)]


@pytest.fixture(scope="module")
def places():
    return [rechoose.place_of(EASE(), each) for each in CASES]


@given(ends=st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_what_is_drawn_for_all_is_in_the_range_of_each(places, ends):
    space = rechoose.drawn_from(places)
    assert "reg" in space
    drawn = {name: each.choices[int(end * (len(each.choices) - 1))] if hasattr(each, "choices") else
             each.low + end * (each.high - each.low) for (name, each), end in zip(space.items(), ends, strict=False)}
    for place in places:
        setting = rechoose.setting_at(place, drawn)
        assert all(place.space[name].holds(value) for name, value in setting.items())
        EASE(**setting).check_parameters()


def test_one_multiple_is_another_value_on_each_set(places):
    drawn = [rechoose.setting_at(place, {"reg": math.log(2)})["reg"] for place in places]
    assert drawn == pytest.approx([2 * place.space["reg"].usual for place in places])
    assert drawn[0] != drawn[1]


@given(usual=st.lists(st.floats(0.1, 10), min_size=1, max_size=5), factor=st.floats(0.2, 5), smaller=st.booleans())
def test_gains_are_geometric_means_of_multiples(usual, factor, smaller):
    found = rechoose.gain([factor * value for value in usual], usual, smaller)
    assert found == pytest.approx(1 / factor if smaller else factor)
    assert math.isnan(rechoose.gain([None, *usual], [1.0, *usual], smaller))
    assert rechoose.gain([0.0], [1.0], False) > 0


def test_a_row_is_chosen_on_some_people_and_scored_on_others(tmp_path):
    row = json.loads(json.dumps(rechoose.measure("EASE", CASES, 6, 5.0), allow_nan=False))
    assert row["trials"] == 6
    assert row["gain"] >= 1
    assert (row["gain"] == 1) is (row["setting"] == {})
    assert [each["set"] for each in row["by_set"]] in ([], ["few", "many"])
    kept = store.add(tmp_path / "rechosen.json", [row], list(REGISTRY))
    assert "| EASE | few; many | 6 |" in rechoose.table(kept)


def test_a_set_on_which_the_defaults_fail_is_left_out_and_named(tmp_path):
    empty = Case("empty", "made", "ranking", "ratio-811-full", generate=lambda: datasets.simulate(
        n_users=2, n_items=3, n_events=4, seed=0)[0])
    row = json.loads(json.dumps(rechoose.measure("ALS", [CASES[0], empty], 2, 5.0)))
    assert "empty" in row["failed"]
    assert "Left out: ALS on empty" in rechoose.table(store.add(tmp_path / "r.json", [row], list(REGISTRY)))


def test_names_that_are_not_known(capsys):
    assert rechoose.main(["Nothing"]) == 2
    assert rechoose.main(["EASE", "--data", "nowhere"]) == 2
    assert "nothing is named 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("name", REGISTRY)
def test_every_model_has_sets(name):
    assert rechoose.sets_of(name)
