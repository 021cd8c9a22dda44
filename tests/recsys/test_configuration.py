"""What is written is what TOML's own reader reads."""

from __future__ import annotations

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys import models
from recsys.configuration import read_model, written
from recsys.errors import ParameterError
from recsys.files import read_toml

PLAIN = st.booleans() | st.integers(-2**62, 2**62) | st.floats(allow_nan=False) | st.text(
    st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), inner, max_size=3), max_leaves=6)


@given(st.dictionaries(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), VALUES, max_size=5))
def test_tables_come_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("toml") / "file.toml"
    written(path, {"one": values, "two.three": {"a": 1}}, "a word\nand another")
    found = read_toml(path)
    assert found["one"] == values
    assert found["two"]["three"] == {"a": 1}


@pytest.mark.parametrize("name", models.REGISTRY)
def test_every_model_comes_back(tmp_path, name):
    model = models.find(name)()
    written(tmp_path / "file.toml", {"model": {"name": name}, "model.parameters": model.get_params()})
    again = read_model(tmp_path / "file.toml")
    assert type(again) is type(model)
    assert again.get_params() == model.get_params()


def test_what_toml_does_not_have(tmp_path):
    with pytest.raises(ParameterError, match="encoder: TOML has no type"):
        written(tmp_path / "file.toml", {"model": {"encoder": int}})
    assert not (tmp_path / "file.toml").exists()
    written(tmp_path / "file.toml", {"model": {"none": None, "many": math.inf, "not": math.nan}})
    found = tomllib.loads((tmp_path / "file.toml").read_text())["model"]
    assert "none" not in found
    assert found["many"] == math.inf
    assert math.isnan(found["not"])
