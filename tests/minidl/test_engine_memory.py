"""Long chains, reference cycles, and when arrays are freed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import minidl
from minidl import ops, tensor
from minidl.engine import pull_back


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


def test_a_chain_of_100_000_operations():
    x = leaf([1.0])
    y = x
    for _ in range(100_000):
        y = y + x
    y.backward()
    np.testing.assert_array_equal(x.grad, [100_001.0])
    del y


def test_a_long_chain_of_single_parents_dies_quietly():
    x = leaf([1.0])
    y = x
    for _ in range(200_000):
        y = -y
    y.backward()
    del y
    np.testing.assert_array_equal(x.grad, [1.0])


def _after(make):
    """Whether the graph that `make` builds dies by reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        return make()
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", ["forward", "backward", "create_graph", "grad", "fused", "rows", "hvp"])
def test_no_reference_cycles(kind):
    squared = minidl.fused(lambda a: (a * a, a), lambda g, saved, inputs, needs: (2 * g * saved,),
                           reference=lambda a: a * a, name="squared")

    def make():
        x = leaf(np.ones((3, 2)))
        y = np.sin(x) * x + x.sum()
        if kind == "fused":
            y = squared(y)
        if kind == "rows":
            y = y + ops.embedding(np.array([0, 1, 1]), x)
        out = (y * y).sum()
        if kind in ("backward", "fused", "rows"):
            out.backward()
        if kind == "create_graph":
            out.backward(create_graph=True)
            x.grad = None
        if kind == "grad":
            minidl.grad(lambda t: (minidl.grad(lambda s: (squared(s) * s).sum())(t) ** 2).sum())(x)
        if kind == "hvp":
            minidl.hvp(lambda t: (squared(t) * t).sum(), x, np.ones((3, 2)))
        watched = [weakref.ref(v) for v in (x, y, out)]
        arrays_ = [weakref.ref(v.data) for v in (x, y, out)]
        del x, y, out
        return watched + arrays_

    assert [ref() for ref in _after(make)] == [None] * 6


def test_an_array_that_no_rule_keeps_is_freed_at_once():
    x = leaf(np.ones(1000))

    def forward():
        inner = x + 1.0  # neither + nor - keeps anything
        watched = weakref.ref(inner.data)
        return inner - 2.0, watched

    out, watched = _after(forward)
    assert watched() is None
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones(1000))


def test_an_array_that_a_rule_keeps_lives_as_long_as_the_graph():
    x = leaf(np.ones(10))

    def forward():
        inner = x + 1.0
        return inner * inner, weakref.ref(inner.data)

    out, watched = forward()
    assert watched() is not None
    del out
    assert watched() is None


def test_inputs_of_dead_branches_are_not_visited():
    x, y = leaf([1.0]), leaf([2.0])
    calls = []
    z = y * 2.0
    z.register_hook(lambda g: calls.append("z"))
    out = x * z.detach() + z * 0.0
    found = pull_back([(out, np.ones(1))], [x.node])
    assert list(found) == [x.node]
    assert calls == []
