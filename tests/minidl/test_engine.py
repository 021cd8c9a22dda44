"""The engine's own semantics: recording, walking back, accumulating, memory, errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import tensor
from minidl.testing.graphs import unique_values
from minidl.testing.oracles import Flat, complex_step
from minidl.testing.strategies import arrays, broadcastable, graphs, shapes, upstream


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


@st.composite
def computations(draw, **limits):
    graph = draw(graphs(**limits))
    return graph, [draw(arrays(shape)) for shape in graph.shapes]


# ---------------------------------------------------------------------------------------- gradients

@given(computations())
def test_any_graph_against_complex_step(case):
    graph, values = case
    leaves = [leaf(v) for v in values]
    graph(*leaves).backward()
    flat = Flat(graph, values)
    expected = complex_step(flat, flat.x, np.eye(flat.x.size)).ravel()
    got = np.concatenate([np.zeros(t.size) if t.grad is None else t.grad.ravel() for t in leaves])
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-11 * np.abs(expected).max(initial=1.0))


@given(computations(min_side=1), st.data())
def test_any_graph_hessian_vector_product(case, data):
    graph, values = case
    u = [data.draw(upstream(v.shape)) for v in values]

    def slope(*xs):
        return sum((g * d).sum() for g, d in zip(minidl.grad(graph, range(len(xs)))(*xs), u, strict=True))

    expected = minidl.grad(slope, range(len(values)))(*values)
    h = 1e-3
    at = {k: minidl.grad(graph, range(len(values)))(*(v + k * h * d for v, d in zip(values, u, strict=True)))
          for k in (-2, -1, 1, 2)}
    for i, g in enumerate(minidl.hvp(graph, values, u)):
        difference = (at[-2][i] - 8 * at[-1][i] + 8 * at[1][i] - at[2][i]) / (12 * h)
        np.testing.assert_allclose(g, expected[i], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(g, difference, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(g).max(initial=0)))


@given(computations())
def test_backward_twice_accumulates_and_gives_identical_bits(case):
    graph, values = case
    leaves = [leaf(v) for v in values]
    out = graph(*leaves)
    out.backward()
    first = [None if t.grad is None else t.grad.copy() for t in leaves]
    for t in leaves:
        t.grad = None
    out.backward()
    for t, g in zip(leaves, first, strict=True):
        np.testing.assert_array_equal(t.grad, g)
    held = [t.grad for t in leaves]
    before = [None if g is None else g.copy() for g in held]
    out.backward()
    for t, g, h, b in zip(leaves, first, held, before, strict=True):
        if g is not None:
            np.testing.assert_array_equal(t.grad, g + g)
            assert np.array_equal(h, b), "accumulation wrote into a gradient the user holds"


@given(computations())
def test_gradients_share_no_memory(case):
    graph, values = case
    leaves = [leaf(v) for v in values]
    graph(*leaves).backward()
    held = [t.data for t in leaves] + [t.grad for t in leaves if t.grad is not None]
    for i, a in enumerate(held):
        assert not any(np.shares_memory(a, b) for b in held[:i])


@given(computations())
def test_create_graph_gives_the_same_gradients_as_tensors(case):
    graph, values = case
    plain, tracked = [leaf(v) for v in values], [leaf(v) for v in values]
    graph(*plain).backward()
    graph(*tracked).backward(create_graph=True)
    for p, t in zip(plain, tracked, strict=True):
        if p.grad is None:
            assert t.grad is None
        else:
            assert isinstance(t.grad, minidl.Tensor)
            np.testing.assert_allclose(t.grad.data, p.grad, rtol=1e-12, atol=1e-14)
        t.grad = None


@given(broadcastable(2), st.data())
def test_broadcast_gradients_are_summed(pair, data):
    x, y = (data.draw(arrays(s)) for s in pair)
    a, b = leaf(x), leaf(y)
    out = a * b
    u = data.draw(upstream(out.shape))
    out.backward(u)
    wide = [np.broadcast_to(v, out.shape) for v in (x, y)]
    for t, g in ((a, u * wide[1]), (b, u * wide[0])):
        lead = g.ndim - t.ndim
        axes = tuple(i for i in range(g.ndim) if i < lead or t.shape[i - lead] != g.shape[i])
        np.testing.assert_allclose(t.grad, g.sum(axis=axes).reshape(t.shape), rtol=1e-12, atol=1e-12)


@given(arrays(shapes(min_side=1)), st.sampled_from(["same", "sum", "reshape", "transpose", "negate"]))
def test_the_upstream_is_never_handed_out(x, kind):
    view = {"same": lambda t: t + 0.0, "sum": lambda t: t + t, "reshape": lambda t: t.reshape(-1),
            "transpose": lambda t: t.T, "negate": lambda t: -t}[kind]
    a, b = leaf(x), leaf(x)
    out = view(a) + view(b)
    u = unique_values(out.shape, np.random.default_rng(0))
    kept = u.copy()
    out.backward(u)
    a.grad += 1.0
    b.grad *= 2.0
    assert np.array_equal(u, kept)
    assert not np.shares_memory(a.grad, b.grad)


def test_create_graph_hands_out_no_shared_memory():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    u = np.ones(2)
    (a + b).backward(u, create_graph=True)
    held = [u, a.grad.data, b.grad.data]
    assert not any(np.shares_memory(x, y) for i, x in enumerate(held) for y in held[:i])
    a.grad = b.grad = None


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_in_c_order_whatever_the_rule_gave(create_graph, dtype):
    x = leaf(np.ones((2, 3)), dtype)
    (x.sum(axis=0) + x.T.sum(axis=1) * leaf(np.ones(3))).sum().backward(create_graph=create_graph)
    g = x.grad.data if create_graph else x.grad
    assert g.flags.c_contiguous
    assert g.flags.writeable
    assert g.dtype == dtype
    x.grad = None


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int8])
def test_the_upstream_takes_the_dtype_of_the_output(dtype):
    x = leaf([1.0, 2.0], np.float32)
    y = x * 3.0
    seen = []
    y.register_hook(lambda g: seen.append(g.dtype))
    y.backward(np.ones(2, dtype))
    assert seen == [np.float32]


def test_gradients_keep_the_dtype_of_the_leaf():
    x, y = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0])
    (x * y).sum().backward()
    assert x.grad.dtype == np.float32
    assert y.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])


def test_python_numbers_do_not_widen():
    x = leaf([1.0, 2.0], np.float32)
    out = (2 * x + 1.0) / 3 - 0.5
    assert out.dtype == np.float32
    out.sum().backward()
    assert x.grad.dtype == np.float32


@given(shapes(min_dims=1))
def test_zero_size(shape):
    x = leaf(np.zeros((0, *shape)))
    (x * x + x).sum().backward()
    assert x.grad.shape == (0, *shape)


def test_integer_outputs_are_not_recorded():
    x = leaf([1.5, 2.5])
    assert isinstance(x > 2.0, np.ndarray)
    assert not x.astype(np.int64).requires_grad


# ------------------------------------------------------------------------------------ switching off

def test_no_grad_records_nothing_and_restores():
    x = leaf([1.0])
    with minidl.no_grad():
        assert not minidl.is_grad_enabled()
        assert not (x * 2).requires_grad
        with minidl.no_grad():
            assert not (x * 2).requires_grad
        assert not minidl.is_grad_enabled()
    assert minidl.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), minidl.no_grad():
        raise ZeroDivisionError
    assert minidl.is_grad_enabled()


def test_no_grad_holds_for_its_thread_only():
    inside, done = threading.Event(), threading.Event()
    seen = []

    def quiet():
        with minidl.no_grad():
            inside.set()
            done.wait(10)
            seen.append(minidl.is_grad_enabled())

    worker = threading.Thread(target=quiet)
    worker.start()
    inside.wait(10)
    recorded = (leaf([1.0]) * 2).requires_grad
    done.set()
    worker.join()
    assert recorded
    assert seen == [False]


def test_threads_differentiate_independently():
    results = {}

    def work(k):
        x = leaf(np.full(50, float(k)))
        for _ in range(20):
            x.grad = None
            y = x
            for _ in range(20):
                y = np.sin(y) + x
            y.sum().backward()
        results[k] = x.grad

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(4):
        x, y, slope = float(k), float(k), 1.0
        for _ in range(20):
            slope = np.cos(y) * slope + 1.0
            y = np.sin(y) + x
        np.testing.assert_allclose(results[k], slope, rtol=1e-12)


def test_ordinary_backward_records_nothing():
    x = leaf([0.5])
    seen = []
    y = np.sin(x)
    y.register_hook(lambda g: seen.append((type(g), minidl.is_grad_enabled())))
    y.sum().backward()
    assert seen == [(np.ndarray, False)]


# -------------------------------------------------------------------------------------------- hooks

def test_hooks_on_leaves_and_inner_tensors():
    x = leaf([1.0, 2.0])
    y = x * 3.0
    z = (y * y).sum() + y.sum()
    seen = []
    y.register_hook(lambda g: seen.append(g.copy()))
    x.register_hook(lambda g: g * 10.0)
    z.backward()
    np.testing.assert_array_equal(seen[0], [7.0, 13.0])  # once, with the gradient of both uses
    assert len(seen) == 1
    np.testing.assert_array_equal(x.grad, [210.0, 390.0])


def test_hooks_replace_in_order_and_can_be_removed():
    x = leaf([1.0])
    y = x * 1.0
    remove_first = y.register_hook(lambda g: g + 1.0)
    y.register_hook(lambda g: g * 2.0)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [4.0])
    remove_first()
    remove_first()  # once more does nothing
    x.grad = None
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0])


def test_hooks_cannot_change_a_gradient_in_place():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    inner = a * 1.0

    def double(g):
        g *= 2.0

    inner.register_hook(double)
    u = np.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        (inner + b).backward(u)
    np.testing.assert_array_equal(u, [1.0, 1.0])


def test_hooks_of_another_shape_are_refused():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: np.ones(3))
    with pytest.raises(minidl.GradientError, match=r"hook returned shape \(3,\)"):
        x.sum().backward()


def test_hooks_act_under_create_graph_too():
    x = leaf([2.0])
    y = x * x
    y.register_hook(lambda g: g * 3.0)
    y.sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    np.testing.assert_array_equal(first.data, [12.0])
    np.testing.assert_array_equal(x.grad, [6.0])


def test_a_gradient_of_a_single_number_stays_an_array_as_it_grows():
    x = tensor(3.0, requires_grad=True)
    for times in (1, 2, 3):
        (x * x).backward()
        assert isinstance(x.grad, np.ndarray)
        assert x.grad.flags.writeable
        assert x.grad == 6.0 * times
