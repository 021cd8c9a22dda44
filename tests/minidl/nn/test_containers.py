"""ModuleDict: a dict whose parameters are found."""

import numpy as np
import pytest

from minidl import nn


def test_it_is_a_dict_of_modules():
    heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.ReLU()})
    heads["c"] = nn.Linear(2, 3, bias=False)
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"]
    assert [type(m) for m in heads.values()] == [nn.Linear, nn.ReLU, nn.Linear]
    assert dict(heads.items())["c"] is heads["c"]
    assert len(heads) == 3
    assert "a" in heads
    assert "weight" not in heads
    assert list(heads.state_dict()) == ["a.weight", "a.bias", "c.weight"]
    heads["a"] = nn.Linear(2, 5)
    assert heads["a"].out_features == 5
    assert heads.pop("b").__class__ is nn.ReLU
    del heads["a"]
    assert list(heads) == ["c"]
    heads.update([("d", nn.ReLU())])
    heads.clear()
    assert len(heads) == 0
    assert repr(heads) == "ModuleDict()"


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "keys"])
def test_names_that_would_hide_something_are_refused(name):
    with pytest.raises(KeyError, match="cannot be a name"):
        nn.ModuleDict({name: nn.ReLU()})


def test_only_modules_and_known_names():
    with pytest.raises(TypeError, match="not a Module"):
        nn.ModuleDict({"a": 3})
    with pytest.raises(KeyError):
        nn.ModuleDict()["missing"]


@pytest.mark.parametrize(("make", "says"), [
    (lambda: nn.Sequential(nn.ReLU(), np.tanh), "Sequential: '1' is a ufunc, not a Module"),
    (lambda: nn.Sequential([nn.ReLU()]), "Sequential: '0' is a list, not a Module"),
    (lambda: nn.Sequential({"a": nn.ReLU}), "Sequential: 'a' is a type, not a Module"),
    (lambda: nn.ModuleList([nn.ReLU(), abs]), "ModuleList: '1' is a builtin_function_or_method, not a Module")])
def test_what_is_no_module_is_refused_rather_than_left_out(make, says):
    with pytest.raises(TypeError, match=says):
        make()


def test_a_sequence_does_not_lose_its_forward_to_a_name():
    with pytest.raises(KeyError, match="Sequential: 'forward' cannot be a name"):
        nn.Sequential({"forward": nn.ReLU()})
    same = nn.ReLU()
    assert len(nn.Sequential(same, same)) == 2
