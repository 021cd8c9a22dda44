"""`exact=True`: whoever reads a table, in whatever way, sees that of the dense optimizer."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import RowGrad, behind, io, nn, ops, optim
from minidl.testing import gradcheck
from tests.minidl.optim.test_optim import configurations

N, D = 6, 3


class Net(nn.Module):
    """Two tables; with `tied` they are one."""

    def __init__(self, seed: int, tied: bool) -> None:
        rng = np.random.default_rng(seed)
        self.users = nn.Embedding(N, D, dtype=np.float64, generator=rng)
        self.items = nn.EmbeddingBag(N, D, mode="sum", dtype=np.float64, generator=rng)
        if tied:
            self.items.weight = self.users.weight
        self.bias = nn.Parameter(np.zeros(D))


def _weights(rng: np.random.Generator, out: minidl.Tensor) -> minidl.Tensor:
    return (out * rng.normal(size=out.shape)).sum()


def _sampled(net: Net, rng: np.random.Generator) -> Any:
    return ops.sampled_matmul(rng.normal(size=(2, D)), net.items.weight, rng.integers(0, N, 3), np.array([0, 1, 3]))


LOSSES: dict[str, Callable[[Net, np.random.Generator], Any]] = {  # the same draws for both nets
    "layer": lambda net, rng: net.users(rng.integers(0, N, (2, 2))),
    "op": lambda net, rng: ops.embedding(rng.integers(0, N, 2), net.users.weight),
    "padding": lambda net, rng: ops.embedding(rng.integers(0, N, 2), net.items.weight, padding_idx=0),
    "max_norm": lambda net, rng: ops.embedding(rng.integers(0, N, 2), net.users.weight, max_norm=1.0),
    "bag": lambda net, rng: net.items(rng.integers(0, N, 3), offsets=np.array([0, 1])),
    "mean bag": lambda net, rng: ops.embedding_bag(rng.integers(0, N, (2, 2)), net.users.weight),
    "weighted bag": lambda net, rng: ops.embedding_bag(rng.integers(0, N, (2, 2)), net.items.weight, mode="sum",
                                                       per_sample_weights=rng.normal(size=(2, 2))),
    "sampled": _sampled,
    "sampled of two": lambda net, rng: ops.sampled_matmul(net.users.weight, net.items.weight, rng.integers(0, N, N),
                                                          np.arange(N + 1)),
    "matmul": lambda net, rng: rng.normal(size=(2, D)) @ net.items.weight.T,
    "linear": lambda net, rng: ops.linear(net.users(rng.integers(0, N, 2)), net.users.weight),
    "scores": lambda net, rng: (net.users(rng.integers(0, N, 2)) + net.bias) @ net.items.weight.T,
    "getitem": lambda net, rng: net.users.weight[rng.integers(0, N, 2)],
    "take": lambda net, rng: ops.take(net.items.weight, rng.integers(0, N, 2), axis=0),
    "norm": lambda net, rng: ops.square(net.users.weight),
    "bias": lambda net, rng: net.bias * 2.0,
}

READS: dict[str, Callable[[Net], Any]] = {
    "data": lambda net: net.users.weight.data,
    "state_dict": lambda net: np.concatenate([a.ravel() for a in net.state_dict().values()]),
    "deepcopy": lambda net: copy.deepcopy(net).items.weight.data,
    "copy": lambda net: copy.copy(net.users.weight).data,
    "pickle": lambda net: pickle.loads(pickle.dumps(net.users.weight)).data,
    "detach": lambda net: net.items.weight.detach().data,
    "vector": lambda net: nn.utils.parameters_to_vector(net.parameters()).data,
    "compare": lambda net: (net.users.weight > 0).astype(float),
    "item": lambda net: np.array([float(row.data[0]) for row in net.items.weight]),
    "average": lambda net: optim.swa_utils.AveragedModel(net).module.users.weight.data,
    "eval": lambda net: net.eval().users(np.arange(N)).data,
}


def _shrink(net: Net) -> None:
    net.users.weight.data[2:4] *= 0.5


def _replace(net: Net) -> None:
    net.items.weight.data = net.items.weight.data + 0.125


def _add(net: Net) -> None:
    with minidl.no_grad():
        net.users.weight -= np.full((N, D), 0.25)


def _load(net: Net) -> None:
    net.load_state_dict({name: 0.5 * array for name, array in net.state_dict().items()})


WRITES: list[Callable[[Net], None]] = [_shrink, _replace, _add, _load]


def _assert_close(a: Any, b: Any, said: str) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7, err_msg=said)


@given(configurations(exact=True), st.booleans(), st.integers(0, 2**32), st.data())
def test_any_reader_sees_the_dense_table(configuration: Any, tied: bool, seed: int, data: st.DataObject) -> None:
    make, options = configuration
    ours, dense = Net(seed, tied), Net(seed, tied)
    lazy, reference = make(ours.parameters(), **options, exact=True), make(dense.parameters(), **options)
    for step in range(data.draw(st.integers(1, 12))):
        names = data.draw(st.lists(st.sampled_from(sorted(LOSSES)), min_size=1, max_size=3))
        names.sort(key=lambda name: name != "max_norm")  # it writes into the table, so nothing may have kept it before
        for net, optimizer in ((ours, lazy), (dense, reference)):
            rng = np.random.default_rng([seed, step])
            optimizer.zero_grad()
            sum((_weights(rng, LOSSES[name](net, rng)) for name in names), start=minidl.tensor(0.0)).backward()
            for p in net.parameters():
                if optimizer is reference and p.grad is not None:
                    p.grad = np.asarray(p.grad)
            optimizer.step()
        for name in data.draw(st.lists(st.sampled_from(sorted(READS)), max_size=2)):
            _assert_close(READS[name](ours), READS[name](dense), name)
        for write in data.draw(st.lists(st.sampled_from(WRITES), max_size=1)):
            write(ours)
            write(dense)
        if data.draw(st.booleans()):
            ours, lazy = (copy.deepcopy if data.draw(st.booleans()) else _pickled)((ours, lazy))
    for name, read in READS.items():
        _assert_close(read(ours), read(dense), name)
    states = lazy.state_dict()["state"], reference.state_dict()["state"]
    for i, state in states[1].items():
        for name, value in state.items():
            _assert_close(states[0][i][name], value, name)


def _pickled(pair: Any) -> Any:
    return pickle.loads(pickle.dumps(pair))


@pytest.mark.parametrize("read", sorted(LOSSES))
def test_thirty_steps_of_adam(read: str) -> None:
    """Tables of which most rows wait: the direct lookup was .059 away from dense Adam."""
    nets = [Net(0, False) for _ in range(2)]
    optimizers = [optim.Adam(net.parameters(), lr=0.1, exact=net is nets[0]) for net in nets]
    for step in range(30):
        for net, optimizer in zip(nets, optimizers, strict=True):
            rng = np.random.default_rng(step)
            optimizer.zero_grad()
            out = LOSSES[read if step % 5 == 4 else "op"](net, rng)
            ops.square(out - 1.0).sum().backward()
            if optimizer is optimizers[1]:
                for p in net.parameters():
                    p.grad = None if p.grad is None else np.asarray(p.grad)
            optimizer.step()
    for a, b in zip(*(net.state_dict().values() for net in nets), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@given(configurations(exact=True), configurations(), st.integers(0, 2**32))
def test_two_optimizers_of_one_table_take_turns(first: Any, second: Any, seed: int) -> None:
    tables = [minidl.tensor(np.random.default_rng(seed).normal(size=(N, D)), requires_grad=True) for _ in range(2)]
    pairs = [[make([p], **options, exact=exact and not dense) for (make, options), exact in
              ((first, True), (second, second[0] is not optim.Lion and seed % 2 == 0))]
             for dense, p in enumerate(tables)]
    rng = np.random.default_rng(seed)
    lion = second[0] is optim.Lion or seed % 2 == 1
    for _ in range(8):
        indices = rng.integers(0, N, 2)
        g = RowGrad(indices, rng.normal(size=(2, D)), (N, D))
        which = int(rng.integers(0, 2))
        for dense, p in enumerate(tables):
            p.grad = g.to_dense() if dense and not (which and lion) else g
            pairs[dense][which].step()
    _assert_close(tables[0].data, tables[1].data, "two optimizers")


def _waiting(make: Any = nn.Parameter) -> tuple[Any, optim.Optimizer]:
    """A table with a row that has missed two steps, of 0.5 each."""
    p = make(np.ones((2, 1)))
    optimizer = optim.SGD([p], lr=1.0, weight_decay=0.5, exact=True)
    for _ in range(2):
        p.grad = RowGrad(np.array([0]), np.zeros((1, 1)), p.shape)
        optimizer.step()
    assert behind.debt_of(p) is not None
    return p, optimizer


def test_an_ordinary_tensor_again_once_it_was_read() -> None:
    p, _ = _waiting()
    assert (p.shape, p.dtype, p.ndim, p.size, len(p)) == ((2, 1), np.float64, 2, 2, 2)
    assert type(p) is not nn.Parameter
    assert isinstance(p, nn.Parameter)
    assert behind.debt_of(p) is not None  # none of that read it
    assert repr(p) == "Parameter containing:\ntensor([[0.25],\n        [0.25]], requires_grad=True)"
    assert type(p) is nn.Parameter


def test_lookups_bring_only_their_rows_up_to_date() -> None:
    p = minidl.tensor(np.ones((3, 1)), requires_grad=True)
    array = p.data
    optimizer = optim.SGD([p], lr=1.0, weight_decay=0.5, exact=True)
    p.grad = RowGrad(np.array([0]), np.zeros((1, 1)), p.shape)
    optimizer.step()
    assert ops.embedding(np.array([1]), p).data.tolist() == [[0.5]]
    assert array.tolist() == [[0.5], [0.5], [1.0]]
    assert p.data is array
    assert array.tolist() == [[0.5], [0.5], [0.5]]


def test_a_backward_pass_after_others_were_read() -> None:
    """Catching up changes no value, so what was recorded before it holds."""
    p, _ = _waiting()
    out = ops.sampled_matmul(np.ones((1, 1)), p, np.array([1]), np.array([0, 1])) ** 2
    p.grad = None
    assert p.data.tolist() == [[0.25], [0.25]]
    out.sum().backward()
    assert p.grad.to_dense().tolist() == [[0.0], [0.5]]


def test_the_table_outlives_its_optimizer() -> None:
    p, optimizer = _waiting()
    del optimizer
    gc.collect()
    assert p.data.tolist() == [[0.25], [0.25]]


class Named(nn.Parameter):
    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.name = "table"


@pytest.mark.parametrize("make", [Named, nn.Parameter, lambda a: minidl.tensor(a, requires_grad=True)])
def test_subclasses_and_plain_tensors(make: Any) -> None:
    p, optimizer = _waiting(make)
    kind = type(make(np.ones(1)))
    assert isinstance(p, kind)
    copied = copy.deepcopy(p)
    assert type(copied) is type(p) is kind
    assert copied.data.tolist() == p.data.tolist() == [[0.25], [0.25]]
    optimizer.step()
    assert pickle.loads(pickle.dumps(p)).data.tolist() == [[0.125], [0.125]]
    assert (getattr(p, "name", "") or "table") == "table"


def test_files_and_gradcheck(tmp_path: Any) -> None:
    p, _ = _waiting()
    io.save(tmp_path / "table.safetensors", {"p": p})
    assert io.load(tmp_path / "table.safetensors")["p"].tolist() == [[0.25], [0.25]]
    p, _ = _waiting()
    gradcheck(lambda x: x @ p.detach().T, [np.ones((1, 1))], order=2, reference=lambda x: x * 0.25 * np.ones((1, 2)))


def test_many_readers_at_once() -> None:
    for _ in range(20):
        p = minidl.tensor(np.ones((200, 8)), requires_grad=True)
        optimizer = optim.Adam([p], lr=0.1, exact=True)
        q = minidl.tensor(np.ones((200, 8)), requires_grad=True)
        dense = optim.Adam([q], lr=0.1)
        for step in range(20):
            p.grad = RowGrad(np.arange(200 if step == 0 else 1), np.ones((200 if step == 0 else 1, 8)), p.shape)
            q.grad = p.grad.to_dense()
            optimizer.step()
            dense.step()
        seen: list[np.ndarray] = []
        barrier = threading.Barrier(4)

        def read(k: int, p: Any = p, seen: Any = seen, barrier: Any = barrier) -> None:
            barrier.wait()
            seen.append(ops.embedding(np.arange(200), p).data if k % 2 else np.array(p.data))

        threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for values in seen:
            np.testing.assert_allclose(values, q.data, rtol=1e-12)


def test_a_step_that_fails_does_not_count() -> None:
    p, optimizer = _waiting()
    p.grad = RowGrad(np.array([2]), np.ones((1, 1)), p.shape)
    with pytest.raises(IndexError, match="table has 2 rows"):
        optimizer.step()
    assert optimizer.state_dict()["state"][0]["step"] == 2
    assert p.data.tolist() == [[0.25], [0.25]]


@pytest.mark.parametrize("copies", [copy.deepcopy, _pickled])
def test_copies_of_optimizers_train(copies: Any) -> None:
    """Their views of the parameters used to be arrays of their own, so that they trained nothing."""
    p = nn.Parameter(np.ones(2))
    optimizer = optim.Adam([p], lr=0.1)
    p.grad = np.ones(2)
    optimizer.step()
    q, other = copies((p, optimizer))
    q.grad = np.ones(2)
    for each in (optimizer, other):
        each.step()
    assert q.data.tolist() == p.data.tolist()
    assert p.data[0] < 0.85
