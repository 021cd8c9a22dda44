"""Row gradients in the engine, fused operations, primitives, and error messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import GradientError, RowGrad, ShapeError, ops, tensor
from minidl.testing import gradcheck
from minidl.testing.strategies import arrays, indices


def leaf(values, dtype=float):
    return tensor(np.asarray(values, dtype), requires_grad=True)


# ---------------------------------------------------------------------------------------- row gradients

@given(st.integers(1, 5), st.data())
def test_rows_accumulate_by_appending(n, data):
    table = leaf(data.draw(arrays((n, 2), layout=False)))
    picks = [data.draw(indices(n, negative=False)) for _ in range(data.draw(st.integers(1, 3)))]
    expected = np.zeros((n, 2))
    for pick in picks:
        ops.embedding(pick, table).sum().backward()
        np.add.at(expected, pick, 1.0)
        assert isinstance(table.grad, RowGrad)
    np.testing.assert_allclose(table.grad.to_dense(), expected)
    merged = table.grad.coalesce()
    assert np.array_equal(merged.indices, np.unique(merged.indices))
    np.testing.assert_allclose(merged.to_dense(), expected)


@pytest.mark.parametrize("rows_first", [True, False])
def test_rows_and_dense_add_up(rows_first):
    table = leaf(np.ones((3, 2)))
    steps = [lambda: ops.embedding(np.array([0, 2, 0]), table).sum().backward(),
             lambda: (table * 10.0).sum().backward()]
    for step in steps if rows_first else steps[::-1]:
        step()
    np.testing.assert_array_equal(table.grad, [[12.0] * 2, [10.0] * 2, [11.0] * 2])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_rows_and_dense_in_one_graph(order):
    table = leaf(np.arange(6.0).reshape(3, 2))
    parts = [ops.embedding(np.array([1, 1]), table).sum(), (table * table).sum(),
             ops.embedding(np.array([2]), table).sum()]
    total = parts[order[0]] + parts[order[1]] + parts[order[2]]
    total.backward()
    np.testing.assert_array_equal(np.asarray(table.grad), 2 * table.data + [[0.0] * 2, [2.0] * 2, [1.0] * 2])


def test_a_table_that_is_not_a_leaf():
    w = leaf(np.arange(6.0).reshape(3, 2))
    u = np.array([[1.0, 2.0], [3.0, 4.0]])
    ops.embedding(np.array([2, 2]), w * 3.0).backward(u)
    np.testing.assert_array_equal(w.grad, [[0.0] * 2, [0.0] * 2, [12.0, 18.0]])


def test_hooks_see_rows_and_may_answer_with_rows():
    table = leaf(np.ones((4, 2)))
    table.register_hook(lambda g: RowGrad(g.indices, g.rows * 2.0, g.shape))
    ops.embedding(np.array([3, 1]), table).sum().backward()
    assert isinstance(table.grad, RowGrad)
    np.testing.assert_array_equal(table.grad.to_dense()[:, 0], [0.0, 2.0, 0.0, 2.0])


def test_rows_share_no_memory_with_the_upstream():
    table = leaf(np.ones((4, 2)))
    u = np.ones((2, 2))
    ops.embedding(np.array([0, 1]), table).backward(u)
    table.grad.rows[...] = 7.0
    assert np.array_equal(u, np.ones((2, 2)))


def test_create_graph_through_an_embedding():
    pick = np.array([1, 0, 1])

    def loss(w):
        return (ops.embedding(pick, w) ** 3).sum()

    w = np.arange(1.0, 7.0).reshape(3, 2)
    counts = np.array([[1.0], [2.0], [0.0]])
    np.testing.assert_allclose(minidl.grad(loss)(w), 3 * counts * w**2)
    np.testing.assert_allclose(minidl.hvp(loss, w, np.ones_like(w)), 6 * counts * w)
    assert isinstance(minidl.grad(loss)(w), np.ndarray)
    t = leaf(w)
    loss(t).backward(create_graph=True)
    assert isinstance(t.grad, minidl.Tensor)
    t.grad = None


# ---------------------------------------------------------------------------------------------- fused

def _product_kernels():
    calls = {"forward": 0, "backward": 0}

    def forward(x, y):
        calls["forward"] += 1
        return np.sin(x) * y, np.cos(x)

    def backward(g, saved, inputs, needs):
        calls["backward"] += 1
        return g * saved * inputs[1] if needs[0] else None, g * np.sin(inputs[0]) if needs[1] else None

    fused = minidl.fused(forward, backward, reference=lambda x, y: np.sin(x) * y, name="sine_product")
    return fused, calls


@given(arrays((3,)), arrays((2, 3)))
def test_fused_to_third_order(x, y):
    gradcheck(_product_kernels()[0], [x, y], order=3, reference=lambda x, y: np.sin(x) * y, limit=8)


@given(arrays((3,), low=-1, high=1))
def test_fused_with_one_tensor_in_two_slots(x):
    fused = _product_kernels()[0]
    gradcheck(lambda t: fused(t, t), [x], order=3, reference=lambda t: np.sin(t) * t)


def test_an_ordinary_backward_uses_the_kernel_and_create_graph_the_reference():
    fused, calls = _product_kernels()
    x = np.array([0.3, 0.4])
    minidl.grad(lambda t: fused(t, 2.0).sum())(x)
    assert calls == {"forward": 1, "backward": 1}
    minidl.hvp(lambda t: fused(t, 2.0).sum(), x, np.ones(2))
    assert calls == {"forward": 2, "backward": 1}


def test_fused_on_arrays_gives_an_array():
    fused, _ = _product_kernels()
    assert isinstance(fused(np.ones(2), np.ones(2)), np.ndarray)
    assert fused.__name__ == "sine_product"


def test_fused_with_parameters_and_a_constant_slot():
    scaled = minidl.fused(lambda x, y, *, k: (k * x * y, None),
                          lambda g, saved, inputs, needs, *, k: (k * g * inputs[1], k * g * inputs[0]),
                          reference=lambda x, y, *, k: x * y * k, name="scaled")
    gradcheck(lambda x: scaled(x, np.array([1.0, 2.0]), k=3.0), [np.array([0.5, 0.7])], order=2)
    gradcheck(lambda y: scaled(4.0, y, k=3.0), [np.array([0.5, 0.7])], order=2)


# ------------------------------------------------------------------------------------------ primitives

def test_primitive_of_any_order():
    cube = minidl.primitive(lambda x: x**3, lambda g, out, inputs, needs: (3.0 * g * inputs[0] ** 2,),
                            keep=["inputs"], name="cube")
    gradcheck(cube, [np.array([0.5, -1.5])], order=3, reference=lambda x: x**3)


def test_primitive_gets_only_what_it_keeps():
    seen = []

    def rule(g, out, inputs, needs):
        seen.append((out, inputs[0].shape, isinstance(inputs[0], np.ndarray), list(needs)))
        return (2.0 * g, None)

    twice = minidl.primitive(lambda x, y: 2.0 * x + 0.0 * y, rule, keep=[], name="twice")
    x = leaf(np.ones(3))
    twice(x, 5.0).sum().backward()
    assert seen == [(None, (3,), False, [True, False])]


# ---------------------------------------------------------------------------------------------- errors

def test_backward_needs_one_element_or_a_gradient():
    with pytest.raises(GradientError, match=r"backward: the output has shape \(2,\)"):
        (leaf([1.0, 2.0]) * 2).backward()


def test_backward_refuses_a_gradient_of_another_shape():
    with pytest.raises(GradientError, match=r"gradient has shape \(3,\) but the output has shape \(2,\)"):
        (leaf([1.0, 2.0]) * 2).backward(np.ones(3))


def test_backward_needs_something_that_requires_a_gradient():
    with pytest.raises(GradientError, match="requires_grad=True"):
        (tensor([1.0]) * 2).backward()


def test_integers_have_no_gradient():
    with pytest.raises(GradientError, match="int64"):
        tensor([1, 2], requires_grad=True)
    with pytest.raises(GradientError, match="argument 0 has dtype int64"):
        minidl.grad(lambda x: x * 2)(np.array(1))


def test_argnums_out_of_range():
    with pytest.raises(GradientError, match="argnums=1"):
        minidl.grad(lambda x: x, argnums=1)(np.array(1.0))


def test_functions_must_return_a_tensor():
    with pytest.raises(GradientError, match="tuple"):
        minidl.grad(lambda x: (x, x))(np.array(1.0))


def test_a_failed_operation_is_explained():
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3\).*\(2, 3\)"):
        ops.matmul(leaf(np.ones((2, 3))), np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"add.*\(2,\).*\(3,\)"):
        leaf([1.0, 2.0]) + np.ones(3)


@pytest.mark.parametrize(("given_shape", "wanted"), [
    ((2, 3), (3, 2)), ((4,), (2, 2)), ((), (2, 2)), ((1, 2), (2, 2)), ((6, 1), (2, 3)), ((2, 2, 1), (2, 2))])
def test_a_rule_of_the_wrong_shape_is_named(given_shape, wanted):
    wrong = minidl.primitive(lambda x: x * 1.0, lambda g, out, inputs, needs: (np.ones(given_shape),), name="wrong")
    with pytest.raises(GradientError, match="wrong: its rule gave a gradient of shape"):
        wrong(leaf(np.ones(wanted))).sum().backward()


def test_a_rule_with_too_few_gradients_is_named():
    wrong = minidl.primitive(np.multiply, lambda g, out, inputs, needs: (g,), name="wrong")
    with pytest.raises(GradientError, match="wrong: its rule gave 1 gradients for 2 inputs"):
        wrong(leaf([1.0]), leaf([2.0])).backward()


def test_a_forward_with_several_outputs_is_refused():
    wrong = minidl.primitive(lambda x: (x, x, x), lambda g, out, inputs, needs: (g,), name="wrong")
    with pytest.raises(TypeError, match="wrong"):
        wrong(leaf([1.0]))


def test_complex_results_are_refused():
    with pytest.raises(GradientError, match="complex"):
        leaf([1.0]) * 1j


@pytest.mark.parametrize("change", [
    lambda x: x.__setitem__(0, 1.0), lambda x: x.__iadd__(1.0), lambda x: x.__isub__(1.0),
    lambda x: x.__imul__(2.0), lambda x: x.__itruediv__(2.0)])
def test_in_place_changes_of_a_graph_are_refused(change):
    x = leaf([1.0, 2.0])
    y = x * 2
    for t in (x, y):
        with pytest.raises(GradientError, match="instead"):
            change(t)
    with minidl.no_grad(), pytest.raises(GradientError, match="instead"):
        change(y)
    with minidl.no_grad():
        change(x)
    constant = tensor([1.0, 2.0])
    change(constant)
    assert not constant.requires_grad


def test_in_place_with_a_tracked_value_is_refused():
    constant = tensor([1.0, 2.0])
    with pytest.raises(GradientError, match="instead"):
        constant += leaf([1.0, 2.0])
    with pytest.raises(GradientError, match="instead"):
        constant[0] = leaf(3.0)
