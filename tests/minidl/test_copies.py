"""Copies and pickles of Tensors, modules and optimizers; of graphs they are refused."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import GradientError, nn, optim


def pickled(one):
    return pickle.loads(pickle.dumps(one))


WAYS = [copy.deepcopy, pickled]
X = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)


def network():
    return nn.Sequential(nn.Linear(2, 3, generator=np.random.default_rng(0)), nn.ReLU(), nn.BatchNorm1d(3),
                         nn.Linear(3, 1, generator=np.random.default_rng(1)))


def step(module, optimizer):
    optimizer.zero_grad()
    (module(X) ** 2).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("way", WAYS)
def test_a_leaf_becomes_a_leaf_of_its_own(way):
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    w.register_hook(lambda g: 100 * g)
    other = way(w)
    assert other.grad.tolist() == [2, 4]
    (other * other).sum().backward()
    assert other.grad.tolist() == [4, 8]
    assert w.grad.tolist() == [2, 4]
    assert way(minidl.tensor([1, 2])).requires_grad is False
    frozen = nn.Parameter([1.0], requires_grad=False)
    assert type(way(frozen)) is nn.Parameter
    assert not way(frozen).requires_grad


def test_a_pickle_learns_in_a_process_that_has_made_fewer_nodes(tmp_path):
    for _ in range(5000):
        minidl.tensor(1.0, requires_grad=True)
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(minidl.tensor([2.0, 3.0], requires_grad=True)))
    code = (f"import pickle; w = pickle.loads(open({str(path)!r}, 'rb').read()); "
            f"(w * w + w * 3).sum().backward(); print(w.grad.tolist())")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[7.0, 9.0]\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_is_refused(way):
    w = minidl.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    with pytest.raises(GradientError, match=r"copy, pickle: .* graph .* operation is sum\); use t\.detach\(\)"):
        way(loss)
    assert way(loss.detach()).item() == 5
    assert copy.copy(loss).item() == 5  # the same graph, on purpose


@pytest.mark.parametrize("way", WAYS)
def test_a_module_and_its_optimizer_go_on_as_the_first_would(way):
    for make in (lambda p: optim.Adam(p, lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)):
        module = network()
        optimizer = make(list(module.parameters()))
        step(module, optimizer)
        other, theirs = way((module, optimizer))
        before = {name: value.copy() for name, value in module.state_dict().items()}
        step(other, theirs)
        for name, value in module.state_dict().items():
            np.testing.assert_array_equal(value, before[name])
        step(module, optimizer)
        for name, value in module.state_dict().items():
            np.testing.assert_array_equal(value, other.state_dict()[name])


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_row_gradients_and_tables_that_are_read_late(way, exact):
    table = nn.Embedding(5, 3, generator=np.random.default_rng(0))
    optimizer = optim.Adam(table.parameters(), lr=0.1, exact=exact)
    for rows in ([1, 2], [3, 3]):
        optimizer.zero_grad()
        (table(np.array(rows)) ** 2).sum().backward()
        optimizer.step()
    other, theirs = way((table, optimizer))
    for one, learns in ((table, optimizer), (other, theirs)):
        learns.zero_grad()
        (one(np.array([1, 4])) ** 2).sum().backward()
        learns.step()
        learns.flush()
    np.testing.assert_array_equal(table.weight.data, other.weight.data)
    assert not np.shares_memory(table.weight.data, other.weight.data)
    assert way(table).weight.grad.indices.tolist() == table.weight.grad.indices.tolist()
