"""Forward hooks: order, replacement, removal."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import minidl
from minidl import nn


class Affine(nn.Module):
    def forward(self, x, scale=1.0):
        return x * scale


def test_hooks_see_arguments_and_output_in_order():
    layer, seen = Affine(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append(("before", m, args)))
    layer.register_forward_hook(lambda m, args, out: seen.append(("after", m, args, out)))
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.append(("keywords", kwargs)), with_kwargs=True)
    layer.register_forward_hook(lambda *given: seen.append(("first",)), prepend=True)
    assert layer(2.0, scale=3.0) == 6.0
    assert seen == [("before", layer, (2.0,)), ("first",), ("after", layer, (2.0,), 6.0),
                    ("keywords", {"scale": 3.0})]


def test_what_a_hook_returns_replaces():
    layer = Affine()
    layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    layer.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 2.0}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, out: out - 1)
    layer.register_forward_hook(lambda m, args, out: None)
    assert layer(2.0) == 59.0
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(TypeError, match=r"Affine: .* has to return None or \(args, kwargs\)"):
        layer(2.0)


def test_a_handle_removes_its_hook_once_and_no_other():
    layer, seen = Affine(), []

    def note(m, args, out):
        seen.append(out)

    one, other = layer.register_forward_hook(note), layer.register_forward_hook(note)
    layer(1.0)
    assert seen == [1.0, 1.0]
    one.remove()
    one.remove()
    layer(2.0)
    assert seen == [1.0, 1.0, 2.0]
    with layer.register_forward_pre_hook(lambda m, args: (5.0,)):
        layer(0.0)
    layer(3.0)
    assert seen[3:] == [5.0, 3.0]
    other.remove()
    layer(4.0)
    assert len(seen) == 5


def test_a_hook_may_remove_itself_while_it_is_called():
    layer, seen = Affine(), []
    handle = layer.register_forward_hook(lambda *given: (seen.append(1), handle.remove())[2:] or None)
    layer.register_forward_hook(lambda *given: seen.append(2))
    layer(1.0)
    layer(1.0)
    assert seen == [1, 2, 2]


def test_hooks_of_inner_modules_run_are_no_parameters_and_are_copied():
    net, shapes = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), []
    net[0].register_forward_hook(lambda m, args, out: shapes.append(out.shape))
    scale = nn.Linear(2, 2, bias=False)
    net[1].register_forward_hook(lambda m, args, out: scale(out))
    x = np.ones((4, 3), np.float32)
    net(x).sum().backward()
    assert shapes == [(4, 2)]
    assert net[0].weight.grad is not None
    assert scale.weight.grad is not None
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    again = copy.deepcopy(net)
    again(x)
    assert len(shapes) == 2


def test_a_module_may_be_a_hook():
    layer = Affine()

    class Note(nn.Module):
        def forward(self, module, args, out):
            return out + 1

    layer.register_forward_hook(Note())
    assert layer(1.0) == 2.0
    assert list(layer.modules()) == [layer]


def test_what_is_no_array_is_named_under_a_hook_too():
    layer = nn.Flatten()
    layer.register_forward_hook(lambda *given: None)
    with pytest.raises(TypeError, match="Flatten: argument 0 is a list"):
        layer([1.0])
    assert isinstance(layer(minidl.tensor([[1.0]])), minidl.Tensor)
