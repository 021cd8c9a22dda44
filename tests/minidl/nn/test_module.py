"""Module: what it finds in its attributes, state, modes and repr."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import nn, optim


class Block(nn.Module):
    def __init__(self, shared: nn.Linear) -> None:
        self.first = nn.Linear(3, 3)
        self.scale = nn.Parameter([2.0])
        self.register_buffer("mean", np.zeros(3, np.float32))
        self.register_buffer("nothing", None)
        self.shared = shared
        self.again = shared

    def forward(self, x: Any) -> Any:
        return self.again(self.shared(self.first(x))) * self.scale + self.mean


@pytest.fixture
def block() -> Block:
    return Block(nn.Linear(3, 3, bias=False))


def test_names_follow_attributes_and_shared_things_count_once(block: Block) -> None:
    assert [n for n, _ in block.named_parameters()] == ["scale", "first.weight", "first.bias", "shared.weight"]
    assert [n for n, _ in block.named_modules()] == ["", "first", "shared"]
    assert [n for n, _ in block.named_children()] == ["first", "shared", "again"]
    assert [n for n, _ in block.named_buffers()] == ["mean"]
    assert len(list(block.parameters())) == 4
    assert len(list(block.modules())) == 3
    assert len(list(block.buffers())) == 1


def test_a_parameter_that_is_replaced_or_deleted_is_forgotten(block: Block) -> None:
    block.scale = nn.Parameter([3.0])
    assert float(dict(block.named_parameters())["scale"].data[0]) == 3.0
    del block.scale
    assert "scale" not in dict(block.named_parameters())


def test_state_goes_round(block: Block) -> None:
    state = block.state_dict()
    assert list(state) == ["scale", "mean", "first.weight", "first.bias", "shared.weight", "again.weight"]
    other = Block(nn.Linear(3, 3, bias=False))
    x = np.ones((2, 3), np.float32)
    assert not np.array_equal(other(x).data, block(x).data)
    assert other.load_state_dict(state) == ([], [])
    assert np.array_equal(other(x).data, block(x).data)
    other.scale.data[...] = 7
    other.mean[...] = 7
    assert float(block.scale.data[0]) == 2.0  # copies
    assert float(state["mean"][0]) == 0.0


def test_every_key_that_does_not_fit_is_named_and_nothing_is_loaded(block: Block) -> None:
    state = block.state_dict()
    del state["first.bias"]
    state |= {"more": np.zeros(1), "first.weight": np.zeros((2, 3)), "norm.num_batches_tracked": np.array(4)}
    state["scale"] = np.array([9.0])
    with pytest.raises(ValueError, match=r"first.weight has shape \(2, 3\), the module's \(3, 3\)") as caught:
        block.load_state_dict(state)
    assert "missing: first.bias" in str(caught.value)
    assert "unexpected: more" in str(caught.value)
    assert "num_batches_tracked" not in str(caught.value)
    assert float(block.scale.data[0]) == 2.0
    with pytest.raises(ValueError, match="has shape"):
        block.load_state_dict(state, strict=False)
    del state["first.weight"]
    keys = block.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["first.weight", "first.bias"]
    assert keys.unexpected_keys == ["more"]
    assert float(block.scale.data[0]) == 9.0


def test_modes_reach_everything_below(block: Block) -> None:
    assert block.training
    assert not block.eval().first.training
    assert block.train().shared.training
    block.requires_grad_(False)
    assert not any(p.requires_grad for p in block.parameters())
    assert not block(np.ones((1, 3), np.float32)).requires_grad
    block.requires_grad_()
    block(np.ones((1, 3), np.float32)).sum().backward()
    assert all(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


def test_casting_reaches_parameters_buffers_and_gradients(block: Block) -> None:
    block.register_buffer("count", np.array(3))
    for cast, dtype in ((block.double, np.float64), (block.float, np.float32)):
        assert cast() is block
        block(np.ones((1, 3), dtype)).sum().backward()
        assert all(p.dtype == dtype and p.grad.dtype == dtype for p in block.parameters())
        assert block.mean.dtype == dtype
        assert block.count.dtype.kind == "i"


def test_apply_goes_from_children_to_parents(block: Block) -> None:
    order: list[nn.Module] = []
    assert block.apply(order.append) is block
    assert order[-1] is block
    assert order[0] is block.first


def test_deep_copies_are_independent(block: Block) -> None:
    copied = copy.deepcopy(block)
    copied.scale.data[...] = 5
    copied(np.ones((1, 3), np.float32)).sum().backward()
    assert copied.shared is copied.again
    assert copied.scale.grad is not None
    assert block.scale.grad is None
    assert float(block.scale.data[0]) == 2.0


def test_repr_shows_the_tree(block: Block) -> None:
    assert repr(nn.Sequential(block.first, nn.Dropout(0.1))) == (
        "Sequential(\n  (0): Linear(in_features=3, out_features=3, bias=True)\n  (1): Dropout(p=0.1)\n)")
    assert "(shared): Linear(in_features=3, out_features=3, bias=False)" in repr(block)
    assert repr(nn.Parameter([1.0])).startswith("Parameter containing:\ntensor([1.]")


def test_forward_has_to_be_written() -> None:
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(\)"):
        nn.Module()(1)


@pytest.mark.parametrize(("data", "dtype"), [([1, 2], np.float32), (np.ones(2), np.float64),
                                             (minidl.tensor(np.ones(2, np.float32)), np.float32)])
def test_a_parameter_is_a_leaf_of_its_own(data: Any, dtype: Any) -> None:
    p = nn.Parameter(data)
    assert isinstance(p, minidl.Tensor)
    assert p.is_leaf
    assert p.requires_grad
    assert p.dtype == dtype
    assert p.data is not data
    assert p.data.flags.c_contiguous
    assert not nn.Parameter(data, requires_grad=False).requires_grad


def test_state_is_up_to_date_with_an_exact_optimizer() -> None:
    """Saving a table brings its rows up to date, and goes on to work when the optimizer is gone."""
    layer = nn.Embedding(3, 2, dtype=np.float64)
    optimizer = optim.Adam(layer.parameters(), exact=True)
    array = layer.weight.data  # an array that was taken before shows rows that are behind
    for row in (0, 1):
        optimizer.zero_grad()
        layer(np.array([row])).sum().backward()
        optimizer.step()
    behind = array[0].copy()
    assert not np.array_equal(layer.state_dict()["weight"][0], behind)
    del optimizer
    layer.state_dict()


@pytest.mark.parametrize("state", [None, [1], {0: np.zeros(1)}])
def test_a_state_is_a_mapping_of_names(state: Any) -> None:
    with pytest.raises(TypeError, match="load_state_dict: the state is a"):
        nn.Linear(1, 1).load_state_dict(state)


@pytest.mark.parametrize("hidden", [
    lambda part: [part], lambda part: (1, part), lambda part: {"a": part}, lambda part: [[part]], lambda part: {part},
    lambda part: {"a": [1, {"b": part}]}], ids=["list", "tuple", "dict", "nested", "set", "deep"])
@pytest.mark.parametrize("part", [nn.Linear(1, 1), nn.Parameter([1.0])], ids=["module", "parameter"])
def test_parts_in_plain_containers_are_refused(hidden, part):
    module = nn.Module()
    instead = "attribute of its own" if isinstance(part, nn.Parameter) else "nn.Module(List|Dict)"
    with pytest.raises(TypeError, match=rf"Module: attribute 'parts' is a (list|tuple|dict|set).*{instead}"):
        module.parts = hidden(part)
    assert not hasattr(module, "parts")
    module.parts = lambda: [part]  # kept outside, on purpose
    assert list(module.parameters()) == []


def test_a_long_container_does_not_hide_what_is_beside_it():
    part, module = nn.Linear(1, 1), nn.Module()
    for hidden in ({"words": list(range(5000)), "blocks": [part]}, [*([[*range(1000)]] * 50), {"a": (part,)}],
                   [list(range(1000)), [1, [2, [3, [4, part]]]]]):
        with pytest.raises(TypeError, match="holds a Linear"):
            module.parts = hidden


def test_containers_that_hold_themselves_are_looked_through_once():
    module, table, row = nn.Module(), {}, []
    table["self"] = table
    table["rows"] = row
    row.extend([table, row])
    module.table = table
    assert module.state_dict() == {}
    row.append(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="attribute 'table' is a dict that holds a Linear"):
        module.state_dict()


def test_many_values_are_looked_at_so_often_and_no_more():
    looked = 0

    class Row(list):
        def __iter__(self):
            nonlocal looked
            for value in range(10 ** 6):
                looked += 1
                yield value

    nn.Module().table = [Row() for _ in range(1000)]
    assert looked <= 1000


def test_a_module_cannot_be_part_of_itself():
    outer = nn.Sequential(nn.Sequential(nn.Linear(1, 1)))
    for inner in (outer, outer[0], outer[0][0]):
        with pytest.raises(ValueError, match=r"'up' is a Sequential that this module is part of.*behind a function"):
            inner.up = outer
    with pytest.raises(ValueError, match="part of"):
        outer[0].add_module("up", outer)
    outer[0].up = lambda: outer
    assert len(list(outer.modules())) == 3


def test_the_container_that_fits_is_named():
    with pytest.raises(TypeError, match=r"use nn\.ModuleDict,"):
        nn.Module().heads = {"a": nn.Linear(1, 1)}
    with pytest.raises(TypeError, match=r"use nn\.ModuleList,"):
        nn.Module().layers = [nn.Linear(1, 1)]


@pytest.mark.parametrize("ask", [lambda m: list(m.parameters()), lambda m: m.state_dict(), lambda m: m.train(),
                                 lambda m: m.load_state_dict({}), lambda m: m.float(), lambda m: m.zero_grad(),
                                 lambda m: list(nn.Sequential(m).parameters())])
def test_containers_that_are_filled_later_are_found(ask):
    module = nn.Module()
    module._layers = []  # private names are no exception
    module._layers.append(nn.Linear(1, 1))
    with pytest.raises(TypeError, match=r"attribute '_layers' is a list"):
        ask(module)


def test_containers_of_other_things_are_fine():
    module = nn.Module()
    module.sizes, module.names, module.index = [1, 2], ("a", None), {i: str(i) for i in range(5000)}
    module.arrays, module.functions = [np.ones(2), minidl.tensor([1.0])], [nn.functional.relu]
    assert module.state_dict() == {}
    assert repr(module) == "Module()"


def test_parameters_know_their_first_name():
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    second.weight = first.weight
    assert (second.weight.name, second.bias.name, nn.Parameter([1.0]).name) == ("Linear.weight", "Linear.bias", "")
