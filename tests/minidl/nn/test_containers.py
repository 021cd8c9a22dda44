"""Dicts and lists whose modules and parameters are found."""

import numpy as np
import pytest

import minidl
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


# ---------------------------------------------------------------------------------------------- parameters

def test_a_list_of_parameters():
    weights = nn.ParameterList([nn.Parameter([1.0]), np.zeros((2, 2))])
    assert weights.append(minidl.tensor([3.0])) is weights
    assert [p.shape for p in weights] == [(1,), (2, 2), (1,)]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in weights)
    assert len(weights) == 3
    assert [n for n, _ in weights.named_parameters()] == list(weights.state_dict()) == ["0", "1", "2"]
    weights[-1] = nn.Parameter([4.0, 5.0])
    assert weights[2].shape == (2,)
    assert weights[2].name == "ParameterList.2"
    assert len(weights.extend([[1.0]])) == 4
    for wrong in (lambda: weights[4], lambda: weights.__setitem__(-5, [1.0])):
        with pytest.raises(IndexError):
            wrong()


def test_a_dict_of_parameters():
    scales = nn.ParameterDict({"a": nn.Parameter([1.0]), "b": np.zeros(2)})
    scales["c"] = [3.0]
    assert list(scales) == list(scales.state_dict()) == ["a", "b", "c"]
    assert all(isinstance(p, nn.Parameter) for p in scales.values())
    assert scales.pop("b").shape == (2,)
    scales.update({"a": [7.0]})
    assert (scales["a"].data.tolist(), len(scales), "b" in scales) == ([7.0], 2, False)
    scales.clear()
    assert dict(scales.items()) == {}
    for name in ("", "a.b", "forward", "keys"):
        with pytest.raises(KeyError, match=r"ParameterDict: .* cannot be a name"):
            scales[name] = [1.0]


def test_parameters_in_containers_are_trained_and_loaded():
    class Net(nn.Module):
        def __init__(self):
            self.steps, self.ends = nn.ParameterList([[1.0], [2.0]]), nn.ParameterDict({"last": [3.0]})

    net, other = Net(), Net()
    net.steps[1].data[:] = 5
    other.load_state_dict(net.state_dict())
    assert list(net.state_dict()) == ["steps.0", "steps.1", "ends.last"]
    assert other.steps[1].data.tolist() == [5.0]
