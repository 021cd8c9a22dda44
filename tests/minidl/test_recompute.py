"""`checkpoint`: the same gradients of any order, from less memory, or an error that says why not."""

from __future__ import annotations

import gc
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import minidl
from minidl import GradientError, checkpoint, nn, ops
from minidl.testing.checking import gradcheck

X = np.random.default_rng(0).normal(size=(5, 4))


def net(dropout: float = 0.5, seed: int = 1) -> nn.Module:
    rng = np.random.default_rng(seed)
    return nn.Sequential(nn.Linear(4, 6, generator=rng), nn.Tanh(), nn.Dropout(dropout, generator=rng),
                         nn.Linear(6, 3, generator=rng), nn.BatchNorm1d(3)).double()


def gradients(module: nn.Module, call: Any) -> list[np.ndarray]:
    x = minidl.tensor(X, requires_grad=True)
    out = call(module, x)
    (out * np.arange(1.0, 1 + out.size).reshape(out.shape)).sum().backward()
    return [out.data, x.grad, *(p.grad for p in module.parameters())]


def plain(module: nn.Module, x: Any) -> Any:
    return module(x)


def whole(module: nn.Module, x: Any) -> Any:
    return checkpoint(module, x)


def in_parts(module: nn.Module, x: Any) -> Any:
    for part in module.children():
        x = checkpoint(part, x)
    return x


def nested(module: nn.Module, x: Any) -> Any:
    return checkpoint(lambda x: module[4](module[3](checkpoint(lambda x: module[2](module[1](module[0](x))), x))), x)


@pytest.mark.parametrize("call", [whole, in_parts, nested])
def test_values_gradients_masks_and_statistics_are_those_without(call: Any) -> None:
    one, other = net(), net()
    for _ in range(2):  # the generators go on alike
        for got, wanted in zip(gradients(one, call), gradients(other, plain), strict=True):
            np.testing.assert_array_equal(got, wanted)
    for (name, got), wanted in zip(one.named_buffers(), other.buffers(), strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=name)


def test_the_default_generator_goes_on_as_without() -> None:
    drop, x = nn.Dropout(), minidl.tensor(X, requires_grad=True)
    runs = []
    for call in (whole, plain):
        nn.manual_seed(3)
        out = call(drop, x)
        out.sum().backward()
        runs.append((out.data, drop(X)))
    for got, wanted in zip(*runs, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("call", [whole, in_parts, nested])
def test_any_order_of_derivative(call: Any) -> None:
    module = net(0.0).eval()

    def penalty(f: Any) -> Any:
        return lambda x: (minidl.grad(lambda y: (f(module, y) ** 2).sum())(x) ** 2).sum()

    x = minidl.tensor(X)
    for p in module.parameters():
        p.grad = None
    wanted = []
    for f in (call, plain):
        module.zero_grad()
        penalty(f)(x).backward()
        wanted.append([p.grad for p in module.parameters() if p.grad is not None])
    assert len(wanted[0]) == len(wanted[1]) > 3
    for got, other in zip(*wanted, strict=True):
        np.testing.assert_allclose(got, other, rtol=1e-10, atol=1e-12)
    gradcheck(lambda x: call(module, x), [X[:2]], order=2)


def test_second_derivatives_go_through_dropout_with_one_mask() -> None:
    one, other = net(), net()
    found = []
    for module, call in ((one, whole), (other, plain)):
        x = minidl.tensor(X, requires_grad=True)
        g = minidl.grad(lambda x, module=module, call=call: (call(module, x) ** 2).sum())(x)
        (g ** 2).sum().backward()
        found.append(x.grad)
    np.testing.assert_allclose(*found, rtol=1e-10)


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize("kind", [tuple, list, Pair])
def test_several_outputs_of_several_dtypes(kind: Any) -> None:
    weight, calls = nn.Parameter(np.ones(4)), []

    def f(x: Any, scale: float = 1.0) -> Any:
        calls.append(scale)
        parts = [ops.tanh(x * weight) * scale, ops.astype(x.sum(axis=1), np.float32)]
        return Pair(*parts) if kind is Pair else kind([*parts, 7, np.arange(2), minidl.tensor([1.0])])

    results = []
    for call in (f, lambda *a, **k: checkpoint(f, *a, **k)):
        weight.grad, x = None, minidl.tensor(X, requires_grad=True)
        out = call(x, scale=2.0)
        assert type(out) is kind
        assert [out[0].dtype, out[1].dtype] == [np.float64, np.float32]
        (out[0].sum() + (out[1] ** 2).sum()).backward()
        results.append([out[0].data, out[1].data, x.grad, weight.grad])
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert len(calls) == 3


def test_what_is_between_is_not_kept() -> None:
    alive: list[Any] = []

    def f(x: Any) -> Any:
        for _ in range(3):
            x = ops.tanh(x)
            alive.append(weakref.ref(x.data))
        return x * 2

    x = minidl.tensor(X, requires_grad=True)
    gc.disable()
    try:
        out = checkpoint(f, x)
        assert [r() for r in alive] == [None] * 3
        out.sum().backward()
        assert len(alive) == 6
        del out
        assert [r() for r in alive] == [None] * 6
    finally:
        gc.enable()


def test_nothing_is_recorded_where_nothing_learns() -> None:
    assert checkpoint(ops.tanh, X) is not None
    assert not isinstance(checkpoint(ops.tanh, X), minidl.Tensor)
    x = minidl.tensor(X, requires_grad=True)
    with minidl.no_grad():
        assert checkpoint(ops.tanh, x).node is None
    assert checkpoint(ops.tanh, minidl.tensor(X)).node is None
    assert checkpoint(lambda x: (x.shape, None), x) == (X.shape, None)
    same = checkpoint(lambda x: x, x)
    same.sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones(X.shape))


def test_leaves_that_are_not_arguments_collect_too() -> None:
    table = nn.Embedding(6, 3)
    checkpoint(lambda i: ops.tanh(table(i)), np.array([1, 4])).sum().backward()
    wanted = nn.Embedding(6, 3)
    wanted.load_state_dict(table.state_dict())
    ops.tanh(wanted(np.array([1, 4]))).sum().backward()
    np.testing.assert_allclose(np.asarray(table.weight.grad.to_dense()), wanted.weight.grad.to_dense())


# ---------------------------------------------------------------------------------------------- refusals

def test_what_is_not_the_same_again_is_an_error() -> None:
    rng = np.random.default_rng(0)
    module, x = net(), minidl.tensor(X, requires_grad=True)

    def later(change: Any) -> None:
        out = checkpoint(module, x)
        change()
        with pytest.raises(GradientError, match=r"checkpoint: the function d.*"):
            out.sum().backward()

    later(lambda: module.eval())
    module.train()
    later(lambda: nn.init.zeros_(module[0].weight))
    module[0].reset_parameters()
    later(lambda: module[0].requires_grad_(False))
    module[0].requires_grad_()
    module.eval()
    later(lambda: module.train())
    noisy = checkpoint(lambda x: x * rng.normal(), x)
    with pytest.raises(GradientError, match="draw random numbers outside"):
        noisy.sum().backward()


def test_the_state_is_clean_after_an_error() -> None:
    def fails(x: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        checkpoint(fails, X)
    drop, x = nn.Dropout(generator=np.random.default_rng(0)), minidl.tensor(X, requires_grad=True)
    masks = [drop(x).data for _ in range(2)]
    assert not np.array_equal(*masks)
